"""What linters miss: sizes, left-overs, places that must not be named, and the rules that keep the core repeatable."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

MAX_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_KERNEL_LINES = 90
MAX_FILE_KB = 3_000
SKIPPED_FOLDERS = {".git", ".venv", "var", "build", "dist", "node_modules", "vendor"}
TEXT = {".py", ".toml", ".md", ".yml", ".yaml", ".txt", ".conf", ".acl", ".sh", ".svg", ".js", ".css", ".html", ""}
PACKAGES = ("fusion", "adapters", "replay")


def project_files() -> Iterator[Path]:
    """Every file of the project, without what tools leave behind."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden_folder = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        left_behind = any(part == "__pycache__" or part.endswith(".egg-info") for part in parts)
        if path.is_file() and not hidden_folder and not left_behind and not SKIPPED_FOLDERS & set(parts):
            yield path


FILES = list(project_files())
PYTHON = [path for path in FILES if path.suffix == ".py"]
CORE = [path for path in PYTHON if path.relative_to(ROOT).parts[0] == "fusion"]
SOURCES = [path for path in PYTHON if path.relative_to(ROOT).parts[0] in PACKAGES]


@cache
def tree(path: Path) -> ast.Module:
    """What a file says, parsed once and only by who looks."""
    return ast.parse(path.read_text(encoding="utf-8"))


def at(path: Path, node: ast.AST | int) -> str:
    """`file:line`, so that an editor can jump there."""
    line = node if isinstance(node, int) else getattr(node, "lineno", 0)
    return f"{path.relative_to(ROOT)}:{line}"


def text_lines() -> Iterator[tuple[Path, int, str]]:
    """Every line of every text file."""
    for path in FILES:
        if path.suffix in TEXT:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield path, number, line


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, methods and inner ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_small() -> None:
    long = [at(path, n) for path in PYTHON if (n := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES]
    assert not long, f"over {MAX_LINES} lines: {long}"
    big = [
        f"{path.relative_to(ROOT)}: {size} kB" for path in FILES if (size := path.stat().st_size // 1024) > MAX_FILE_KB
    ]
    assert not big, f"over {MAX_FILE_KB} kB: {big}"


def test_functions_fit_a_screen() -> None:
    """Kernels may be longer: a call there costs arrays to be named twice, and they are one loop."""
    long = [
        f"{at(path, node)} {node.name}: {lines} lines"
        for path in SOURCES
        for node in functions(path)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
        if lines > MAX_KERNEL_LINES or "njit" not in "".join(ast.unparse(word) for word in node.decorator_list)
    ]
    assert not long, f"over {MAX_FUNCTION_LINES} lines: {long}"


def test_nothing_is_left_over() -> None:
    # The words are put together here, so that this file does not find itself.
    words = "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"])
    calls = "|".join(
        ["raise NotImplemented" + "Error", r"pytest\.mark\.(skip|xf" + "ail)", r"pytest\.(skip|xf" + r"ail)\("]
    )
    pattern = re.compile(rf"\b({words})\b|{calls}")
    found = [f"{at(path, n)} {line.strip()}" for path, n, line in text_lines() if pattern.search(line)]
    assert not found, "\n".join(found)


def test_no_file_names_a_machine_or_a_registry() -> None:
    places = ["/wo" + "rk/", "/fa" + "rm/", "/ro" + "ot/", r"""(^|[\s"'=(])/ho""" + "me/"]
    hosts = [r"py" + r"pi\.org", "python" + "hosted", r"registry\.n" + "pmjs", r"deb\.de" + "bian"]
    pattern = re.compile("|".join([*places, *hosts]))
    found = [f"{at(path, n)} {line.strip()[:100]}" for path, n, line in text_lines() if pattern.search(line)]
    assert not found, "\n".join(found)


def test_text_is_clean() -> None:
    for path in FILES:
        if path.suffix not in TEXT or path.name == "LICENSE":
            continue
        raw = path.read_bytes()
        assert b"\r" not in raw, f"{path}: carriage returns"
        assert not raw or raw.endswith(b"\n"), f"{path}: no newline at the end"
        for number, line in enumerate(raw.decode("utf-8").splitlines(), 1):
            assert line == line.rstrip(), f"{at(path, number)}: blanks at the end"


def test_public_things_are_documented() -> None:
    bare = [at(path, 1) for path in SOURCES if path.name != "__init__.py" and not ast.get_docstring(tree(path))]
    bare += [
        f"{at(path, node)} {node.name}"
        for path in SOURCES
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not bare, f"no docstring: {bare}"


def _called(node: ast.AST) -> set[str]:
    """Last part of the name of everything that is called."""
    return {ast.unparse(inner.func).rsplit(".", 1)[-1] for inner in ast.walk(node) if isinstance(inner, ast.Call)}


def _checks_itself(node: ast.AST) -> bool:
    """An assertion, the statement that an error is expected, or what a browser's page is expected to show."""
    words = re.compile(r"raises|warns|fail|assert_\w+|(not_)?to_(be|have|contain)_\w+")
    return any(isinstance(inner, ast.Assert) for inner in ast.walk(node)) or any(map(words.fullmatch, _called(node)))


def test_every_test_can_fail() -> None:
    """It asserts, calls a function of the tests that does, or throws invented input at something (hypothesis)."""
    tests = [path for path in PYTHON if path.relative_to(ROOT).parts[0] == "tests"]
    checkers = {node.name for path in tests for node in functions(path) if _checks_itself(node)}
    harmless = []
    for path in tests:
        for node in functions(path):
            invented = any(ast.unparse(decorator).startswith("given(") for decorator in node.decorator_list)
            checks = invented or _checks_itself(node) or bool(_called(node) & checkers)
            if node.name.startswith("test_") and not checks:
                harmless.append(f"{at(path, node)} {node.name}")
    assert not harmless, f"nothing is asserted: {harmless}"


def _orderless(tree: ast.AST) -> Iterator[ast.AST]:
    """Uses of a set that cannot show its order: membership, equality, size, sorting."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"len", "sorted", "min", "max"}:
            yield from node.args


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_is_repeatable(path: Path) -> None:
    """No luck, no order of a set, no hash of an object: what reaches output depends on input alone."""
    orderless = {id(node) for node in _orderless(tree(path))}
    faults = []
    for node in ast.walk(tree(path)):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if (isinstance(node, ast.Set | ast.SetComp) or name in {"set", "frozenset"}) and id(node) not in orderless:
            faults.append(f"{at(path, node)} a set: its order is not ours")
        if name in {"hash", "id", "open", "print", "input", "vars"}:
            faults.append(f"{at(path, node)} {name}()")
        if re.match(r"(np|numpy)\.random\b", name):
            faults.append(f"{at(path, node)} {name}: luck")
    assert not faults, "\n".join(faults)


def compiled(path: Path) -> Iterator[tuple[ast.FunctionDef, ast.expr]]:
    """Functions of a file that numba compiles, each with its decorator."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
                if name.rsplit(".", 1)[-1] in {"njit", "jit", "vectorize", "guvectorize"}:
                    yield node, decorator


def test_kernels_are_compiled_the_same_way_everywhere() -> None:
    """Explicit types, cached, without the interpreter's lock; never fast maths or threads, which change the bits."""
    faults = []
    count = 0
    for path in SOURCES:
        for function, decorator in compiled(path):
            count += 1
            where = f"{at(path, function)} {function.name}"
            if not isinstance(decorator, ast.Call) or not (decorator.args or decorator.keywords):
                faults.append(f"{where}: no types")
                continue
            options = {word.arg: ast.unparse(word.value) for word in decorator.keywords}
            spread = any(word.arg is None for word in decorator.keywords)  # **OPTIONS: looked up where it is defined
            if not decorator.args:
                faults.append(f"{where}: no types")
            if not spread and (options.get("cache") != "True" or options.get("nogil") != "True"):
                faults.append(f"{where}: cache=True and nogil=True are missing")
            if {"fastmath", "parallel", "error_model"} & set(options):
                faults.append(f"{where}: {options}")
    assert count, "no compiled kernel found: this test would prove nothing"
    assert not faults, "\n".join(faults)


def test_fast_maths_is_named_nowhere_in_code() -> None:
    found = [
        at(path, node)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.keyword) and node.arg in {"fastmath", "parallel"})
        or (isinstance(node, ast.Constant) and node.value in ("fastmath", "parallel"))
    ]
    assert not found, f"these change the bits of a result: {found}"


def test_units_stand_last_in_schema_names() -> None:
    """A float in a type of the core says its unit, or is one of the few that have none."""
    units = re.compile(r"_(m|m2|mps|rad|s|us|hz|hpa)$")
    unitless = {
        "detection_probability", "clutter_per_scan", "existence", "unseen", "p_state", "p_inside", "p_low", "p_slow",
        "p_class", "p_classes", "nis", "value", "sigma", "state", "cov", "mode",
    }  # fmt: skip
    faults = [
        f"{at(ROOT / 'fusion/schema.py', field)} {field.target.id}"
        for node in tree(ROOT / "fusion" / "schema.py").body
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if re.match(r"(F8|float)\b", ast.unparse(field.annotation))
        if not units.search(field.target.id) and field.target.id not in unitless
    ]
    assert not faults, f"no unit at the end of the name: {faults}"
