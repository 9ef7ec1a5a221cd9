# Vedette: every command a developer or a visitor needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
JUDGES := $(patsubst tests/judges/%.txt,$(VENV)/judges/%/.installed,$(wildcard tests/judges/*.txt))
# The first Python that fits (numba knows 3.11 and 3.12); PYTHON=/path/to/python3.11 overrides.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
# program:package. Only what is missing is asked for: a machine may have its node and npm from elsewhere, and Debian's
# packages of them then refuse to come beside those.
SYSTEM := dump1090-mutability:dump1090-mutability mosquitto:mosquitto mosquitto_sub:mosquitto-clients \
	prometheus:prometheus promtool:prometheus chromium:chromium openssl:openssl faketime:faketime node:nodejs npm:npm tshark:tshark
export PATH := $(PATH):/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OPENBLAS_NUM_THREADS := 1
# Some machines forbid bytecode for all; then every one of our hundreds of processes would compile its sources anew.
export PYTHONDONTWRITEBYTECODE :=

# Turns pip's many lines into one that moves (a line for every tenth package where there is no terminal).
PROGRESS = awk -v tty=$$([ -t 1 ] && echo 1 || echo 0) '\
	/^(Collecting|Processing|Requirement already satisfied:) / { \
		name = /^Requirement/ ? $$4 : $$2; sub(/.*\//, "", name); sub(/[-<>=!~;\[].*/, "", name); seen++; step = seen " packages found: " name; \
		if (!tty && seen % 10 == 0) print "  " seen " packages found" } \
	/^  (Downloading|Building) / { sub(/ \(.*/, ""); step = seen " packages found: " $$0 } \
	/^Installing collected/ { step = "unpacking"; if (!tty) print "  unpacking" } \
	/^ERROR|^error/ { print } \
	/^Successfully installed/ { added = NF - 2 } \
	{ if (tty && step) printf "\r\033[K  %s", substr(step, 1, 70); fflush() } \
	END { if (tty) printf "\r\033[K"; print "  " added + 0 " packages added" }'

.NOTPARALLEL:
.PHONY: help demo test check bench soak format docs sbom audit constraints system clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed ## see it work: simulated radars, a drone, an alert (no root, no Docker, no broker needed)
	@$(BIN)/python -m adapters.warm
	@$(BIN)/vedette demo $(ARGS)

test: $(VENV)/.installed-dev system $(VENV)/node/.installed $(JUDGES) ## everything: lint, types, import contracts, all tests
	@# Kernels take one core for a minute or more where they are new: the other one checks meanwhile.
	@$(BIN)/python -m adapters.warm > $(VENV)/warm.txt 2>&1 & warm=$$!; \
	$(MAKE) check || { kill $$warm; exit 1; }; \
	wait $$warm || { cat $(VENV)/warm.txt; exit 1; }; \
	tail -n 1 $(VENV)/warm.txt
	@echo "Tests"
ifdef PYTEST_ARGS
	@$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	@# Both, whatever the first says: who mends one failure wants to know of all.
	@many=0; \
	$(BIN)/python -m pytest -m "not alone" --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	  || many=$$?; \
	$(BIN)/python -m pytest -m alone --numprocesses 3 --dist loadfile --no-loadscope-reorder && exit $$many
endif

check: $(VENV)/.installed-dev ## lint, types and import contracts
	@echo "Lint"; $(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@echo "Types"; $(BIN)/mypy --no-error-summary
	@echo "Import contracts"; $(BIN)/lint-imports > $(VENV)/contracts.txt 2>&1 || { cat $(VENV)/contracts.txt; exit 1; }

bench: $(VENV)/.installed-dev ## speed, as ratios and rates of one run on this machine
	@$(BIN)/python -m tests.bench $(ARGS)

soak: $(VENV)/.installed-dev system $(VENV)/node/.installed $(JUDGES) ## hours, in pieces that are kept: every campaign in full, told in docs/soak.md
	@$(BIN)/python -m adapters.warm
	@$(BIN)/python -m tests.soak $(ARGS)

format: $(VENV)/.installed-dev ## put the code into its form
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

docs: $(VENV)/.installed-dev ## write docs/reference from the code
	@$(BIN)/python -m adapters.docs

sbom: $(VENV)/.installed-dev ## what it is made of, as CycloneDX, into build/vedette.cdx.json
	@$(BIN)/python -m tests.supply sbom build/vedette.cdx.json

audit: $(VENV)/.installed-dev ## is any pinned version known to be bad? fails when anything could not be looked up
	@$(BIN)/python -m tests.supply audit

constraints: $(VENV)/.installed-dev ## resolve constraints.txt anew from pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --python-version 3.11 --fork-strategy fewest \
		--all-extras --output-file constraints.txt --upgrade pyproject.toml

system: # the programs that tests use: installed when root or sudo is there, else the command is named
	@missing=""; packages=""; for pair in $(SYSTEM); do \
		command -v "$${pair%%:*}" > /dev/null || { missing="$$missing $${pair%%:*}"; packages="$$packages $${pair##*:}"; }; done; \
	[ -z "$$missing" ] && exit 0; \
	sudo=""; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	if command -v apt-get > /dev/null && { [ -z "$$sudo" ] || $$sudo true 2> /dev/null; }; then \
		echo "Installing from Debian's packages:$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ $$sudo apt-get update && $$sudo apt-get install -y --no-install-recommends $$packages; } \
			> $(VENV)/apt.txt 2>&1 || { tail -20 $(VENV)/apt.txt; exit 1; }; \
	else \
		echo "The tests need:$$missing"; \
		echo "Install them, then run make again:  sudo apt-get install$$packages"; \
		exit 1; \
	fi

$(VENV)/node/.installed: tests/node/package.json
	@echo "Installing the MCAP tools of npm, which the tests open recordings with"
	@mkdir -p $(VENV)/node && cp tests/node/package.json $(VENV)/node/
	@npm install --prefix $(VENV)/node --no-audit --no-fund --loglevel error > $(VENV)/npm.txt 2>&1 || { tail -20 $(VENV)/npm.txt; exit 1; }
	@touch $@

# Programs of others that judge ours, each in an environment apart: what they need is no need of ours.
$(VENV)/judges/%/.installed: tests/judges/%.txt $(VENV)/.installed-dev
	@echo "Installing the judges of tests/judges/$*.txt in an environment apart"
	@mkdir -p $(VENV)/judges && $(BIN)/python -m venv --clear --without-pip $(VENV)/judges/$*
	@$(BIN)/python -m pip --python $(VENV)/judges/$*/bin/python install --quiet --no-deps --requirement $< \
		> $(VENV)/judges/$*.txt 2>&1 || { tail -20 $(VENV)/judges/$*.txt; exit 1; }
	@touch $@

clean: ## remove the environment and all caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find fusion adapters replay tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Vedette needs Python 3.11 or 3.12.  Install it:  sudo apt-get install python3 python3-venv"; exit 1; }
	@echo "Creating $(VENV) ($$($(PYTHON) --version))"
	@# Debian splits venv's pip into a package of its own; without it the system's pip can serve.
	@$(PYTHON) -m venv $(VENV) > /dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip $(VENV) > /dev/null 2>&1 && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } || { rm -rf $(VENV); \
		echo "Python's venv is not complete here.  Install it:  sudo apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing what Vedette needs (first time only, one to three minutes)"
	@$(BIN)/python -m pip install --progress-bar off --constraint constraints.txt --editable . 2>&1 | $(PROGRESS)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what its tests need"
	@$(BIN)/python -m pip install --progress-bar off --constraint constraints.txt --editable '.[dev]' 2>&1 | $(PROGRESS)
	@touch $@
