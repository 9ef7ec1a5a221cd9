"""Writes docs/reference from the code, so that it cannot say anything else: `make docs` or `python -m adapters.docs`.

tests/test_docs.py fails when a page is not what this file would write.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from adapters import log

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
WIDTH = 100
NOTE = "<!-- Written by `make docs` from the code. Change the code, not this page. -->"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table. Bars inside a cell are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |")
    return "\n".join(lines)


def page(title: str, *parts: str) -> str:
    """A whole page, ending in one newline."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"


# --- command line -----------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Every command's own --help."""
    from typer.main import get_command

    from adapters.cli import app

    top: Any = get_command(app)
    width = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    root = top.make_context("vedette", [], resilient_parsing=True, **width)
    parts = [_help(top, root)]
    for name, command in sorted(top.commands.items()):
        context = command.context_class(command, info_name=name, parent=root, **width)
        parts.append(f"## vedette {name}\n\n{_help(command, context)}")
        for inner, part in sorted(getattr(command, "commands", {}).items()):
            below = part.context_class(part, info_name=inner, parent=context, **width)
            parts.append(f"### vedette {name} {inner}\n\n{_help(part, below)}")
    return page("Command line", *parts)


def _help(command: Any, context: Any) -> str:
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"```text\n{text.strip()}\n```"


# --- configuration ----------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Every key of service.toml and sensors.toml, every environment variable, every number of the tracker."""
    from adapters import config
    from adapters.files import configfile, protectedfile, volumefile
    from adapters.ui import settings
    from fusion.tracker import TrackerParams

    variables = [[f"`{name}`", f"`{'.'.join(key)}`"] for name, key in config.ENVIRONMENT.items()]
    numbers = [
        [f"`{item.name}`", f"`{item.default!r}`"]
        for item in dataclasses.fields(TrackerParams)
        if isinstance(item.default, int | float)
    ]
    return page(
        "Configuration",
        "A folder with `service.toml`, `sensors.toml` and what they name. `vedette check FOLDER` reads it all and "
        "refuses every mistake with file, key and cure. Paths are relative to the folder. Unknown keys are refused.",
        "## service.toml",
        *_model(configfile.ServiceFile, ""),
        "## sensors.toml",
        "One `[[sensors]]` block for every sensor.",
        *_model(configfile.SensorFile, ""),
        "## Protected areas",
        "One `[[area]]` block for every area in a file that `zones.protected` names, or a GeoJSON feature with these "
        "keys as properties. A circle needs `lat_deg`, `lon_deg` and `radius_m`. "
        "[How to](../how-to/bands-and-protected-areas.md).",
        *_model(protectedfile.AreaFile, ""),
        "## Notified activities",
        "In a file that `rules.volumes` names: `p_within`, and one `[[volume]]` block for every activity. A circle "
        "needs `lat_deg`, `lon_deg` and `radius_m`. [How to](../how-to/write-a-rule.md#notified-activities).",
        *_model(volumefile.VolumeFile, ""),
        "## ui.toml",
        "Only for `vedette ui`, and only where others than this machine may come in ([How to](../how-to/watch.md)).",
        *_model(settings.UiFile, ""),
        "### [[users]]",
        *_model(settings.UserFile, ""),
        "## Environment",
        table(["variable", "overrides in service.toml"], variables),
        "## Numbers of the tracker",
        "`[tracker]` of service.toml may set any of these; the reason for each default stands beside it in "
        "`fusion/tracker.py`.",
        table(["name", "default"], numbers),
    )


def _model(model: type[BaseModel], prefix: str) -> Iterator[str]:
    rows = []
    inner = []
    for name, item in model.model_fields.items():
        kind = item.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner.append((f"{prefix}{name}", kind))
        else:
            rows.append([f"`{prefix}{name}`", _default(item), item.description or ""])
    yield table(["key", "default", "meaning"], rows)
    for key, kind in inner:
        yield f"### [{key}]"
        yield from _model(kind, f"{key}.")


def _default(item: FieldInfo) -> str:
    if item.is_required():
        return "needed"
    value = item.get_default(call_default_factory=False)
    if value is None or value in ("", {}, []):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


# --- metrics ----------------------------------------------------------------------------------------------------------


def metrics() -> str:
    """Every metric with type, labels and help, read from a rendered page of a service with one sensor."""
    from prometheus_client.parser import text_string_to_metric_families

    from adapters.metrics import Metrics
    from fusion.bias.pressure import PressureEstimate
    from fusion.bias.sensorbias import SensorBias
    from fusion.schema import Health

    numbers = Metrics()
    bias = SensorBias("R1", azimuth_rad=0.0, sigma_azimuth_rad=0.0)
    numbers.health(Health("R1", 1, "ok", 1, 1, 1.0, 1.0, 1.0, 1, 1, bias=bias))
    numbers.alert_transition("rule", 1, "raised")
    numbers.open_alerts({("rule", 1): 1})
    numbers.broker("plots", True)
    numbers.publish_denied("track")
    numbers.pressure(PressureEstimate(0.0, 100.0, 0.0, 0))
    rows = []
    for family in text_string_to_metric_families(numbers.render().decode()):
        if not family.name.startswith("vedette_"):
            continue
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append([f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation])
    return page(
        "Metrics",
        "Served at `/metrics` in the text format of Prometheus, beside `/healthz` (the process answers) and `/readyz` "
        "(it does its work: 200, or 503 with the reason). A track id is never a label. At every scrape received = used "
        "+ duplicate + late + the sum of rejected + the sum of shed; `vedette_items_unaccounted` is the difference.",
        table(["name", "type", "labels", "meaning"], rows),
        "The usual `process_*` metrics are there too. Alert rules for Prometheus: `config/prometheus-rules.yml`.",
    )


# --- rules ------------------------------------------------------------------------------------------------------------


def rules() -> str:
    """What a rule may name, and the rules that ship."""
    from adapters.files import rulefile
    from fusion.rules import QUANTITIES

    shipped = rulefile.load(ROOT / "config" / "rules.toml")
    quantities = [
        [f"`{spec.name}`", str(spec.kind), spec.unit, "yes" if spec.has_sigma else "", spec.meaning]
        for spec in QUANTITIES.values()
    ]
    words = [[f"`{item.name}`", f"{getattr(shipped.words, item.name):g}"] for item in dataclasses.fields(shipped.words)]
    bands = [[f"`{item.name}`", str(getattr(shipped.bands, item.name))] for item in dataclasses.fields(shipped.bands)]
    listed = [
        [
            f"`{rule.id}`",
            str(rule.version),
            str(rule.severity),
            rule.title,
            " and ".join(f"({c.text})" if " or " in c.text else c.text for c in rule.when),
            f"{rule.dwell_s:g} s / {rule.hold_s:g} s",
        ]
        for rule in shipped.rules
    ]
    return page(
        "Rules",
        "## Shipped rules",
        "Severity 1 is the highest. *Raised after* is how long the conditions hold without a break; *closed after* how "
        "long they do not.",
        table(["id", "version", "severity", "title", "when", "raised after / closed after"], listed),
        "## Words",
        "`[words]` of `rules.toml`, explained in [Borders, rules and alerts](../explanation/borders-and-rules.md).",
        table(["word", "value"], words),
        "## Bands",
        "`[bands]` of `rules.toml`. [How to](../how-to/bands-and-protected-areas.md).",
        table(["band", "value"], bands),
        "## Quantities",
        "What a condition may name. What is not known satisfies no condition, unless the rule asks for `unknown`. A "
        "number with an uncertainty may be asked for with a probability.",
        table(["name", "kind", "unit", "uncertainty", "meaning"], quantities),
    )


# --- messages ---------------------------------------------------------------------------------------------------------


def messages() -> str:
    """Every message with an example made by its own encoder."""
    from adapters.formats import plots
    from adapters.metrics import REJECT_REASONS
    from adapters.rows import Row
    from adapters.samples import samples

    all_of_them = samples()
    rows = [[f"`{item.topic}`", item.sender, item.travels, item.about] for item in all_of_them]
    parts = [
        f"### {item.topic}\n\n{item.about[0].upper()}{item.about[1:]}.\n\n```json\n{pretty(item.payload())}\n```"
        for item in all_of_them
        if item.payload
    ]
    return page(
        "Messages",
        "MQTT 5. All topics lie below `vedette/v1/{site}/`. Payloads are UTF-8 JSON of at most 64 KiB: `schema` first, "
        "times RFC 3339 in UTC, names that end in their unit, degrees from true north, heights above the WGS84 "
        "ellipsoid unless the name says otherwise. What is not known is absent; there is no null, no NaN and no magic "
        "number. `seq`, where a message has one, rises from message to message. Readers ignore fields that they do not "
        "know. The same for machines, with a schema of every message: [asyncapi.json](asyncapi.json), AsyncAPI 3.",
        "## Topics",
        table(["topic", "from", "how", "what"], rows),
        "## Examples",
        *parts,
        "## Fields of a plot",
        "`time` and the geometry of the message's `kind` are needed, everything else may be left out.",
        _names(plots._Plot),
        "## Fields of a track",
        "The first four and `sensors` and `plots_count` are always there. A picture holds them up to `last_plot_time`, "
        "the track's own topic all of them. `border_distance_m` is negative inside. `var_east_m2`, `var_north_m2` and "
        "`cov_east_north_m2` are the covariance of the place along the ground: it can be long and narrow, which "
        "`sigma_horizontal_m`, the root of the mean of the two variances, does not tell.",
        _names(Row),
        "## Why input is refused",
        "Counted on `/metrics` by these reasons: " + ", ".join(f"`{reason}`" for reason in REJECT_REASONS) + ".",
        "",
        "`doubled-key`: an object has a key twice. In batches of plots, which are too many to look, the last one "
        "counts.",
    )


def pretty(payload: bytes) -> str:
    """JSON over several lines, short lists and objects on one."""
    return _laid_out(msgspec.json.decode(payload), "")


def _laid_out(value: Any, indent: str) -> str:
    flat = msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
    if len(indent) + len(flat) <= WIDTH or not isinstance(value, dict | list):
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        inner = [f"{msgspec.json.encode(key).decode()}: {_laid_out(item, deeper)}" for key, item in value.items()]
    else:
        inner = [_laid_out(item, deeper) for item in value]
    left, right = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{left}\n{deeper}" + f",\n{deeper}".join(inner) + f"\n{indent}{right}"


def _names(struct: type[msgspec.Struct]) -> str:
    return ", ".join(f"`{name}`" for name in struct.__struct_fields__) + "."


def asyncapi() -> str:
    """Every topic and message for machines."""
    from adapters.asyncapi import document

    return document()


PAGES: dict[str, Callable[[], str]] = {
    "asyncapi.json": asyncapi,
    "command-line.md": command_line,
    "configuration.md": configuration,
    "messages.md": messages,
    "metrics.md": metrics,
    "rules.md": rules,
}


def main() -> None:
    """Write every page that changed."""
    log.prepare_numerics()
    os.environ["NO_COLOR"] = "1"
    for name, build in PAGES.items():
        text = build()
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
