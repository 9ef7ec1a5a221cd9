"""The pictures of `vedette score`: map, GOSPA over time, initiation delays, position errors. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adapters.errors import ConfigError
from fusion.schema import B1, F8, I8
from replay.score import Score
from replay.scorefiles import States

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator
except ImportError as error:
    raise ConfigError("command line", "--plots", f"{error}", "pip install 'vedette[plots]'") from error

MISSED, FALSE, GOOD, TRUE = "#d62728", "#ff7f0e", "#1f77b4", "#b8b8b8"
DPI = 130
CROWD = 20_000  # states of objects; more are drawn finer
CYCLE = ("#1f77b4", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f", "#ff7f0e")
STYLES = ("-", "--", ":", "-.")


def draw(found: Score, classes: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Write map.png, gospa.png, delays.png and errors.png into a folder that exists. Raises OSError."""
    figures = {
        "map": _map(found),
        "gospa": _gospa(found),
        "delays": _delays(found, classes),
        "errors": _errors(found, classes),
    }
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI, bbox_inches="tight")
    return tuple(paths)


def _map(found: Score) -> Figure:
    scene = found.scene
    figure = Figure(figsize=(11, 9))
    axes = figure.add_subplot()
    missed, false = ~scene.truth_is_tracked, ~scene.track_is_used
    fine = min(1.0, max(0.1, CROWD / max(1, len(scene.truth))))
    _dots(axes, scene.truth, scene.truth_is_tracked, TRUE, 14 * fine, "o", "object, tracked")
    _dots(axes, scene.tracks, scene.track_is_used, GOOD, 2 * fine, "o", "track on an object")
    _dots(axes, scene.truth, missed, MISSED, 16 * fine, "o", "object, missed")
    _dots(axes, scene.tracks, false, FALSE, 22 * max(fine, 0.5), "x", "false track")
    lat_rad = scene.truth.lat_rad
    axes.set_aspect(1.0 / max(0.05, float(np.cos(lat_rad.mean()))))
    axes.set(xlabel="longitude, degrees", ylabel="latitude, degrees", title="Objects in view and tracks at the samples")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, markerscale=1.5 / fine**0.5)
    return figure


def _dots(axes: Axes, states: States, which: B1, colour: str, size: float, marker: str, name: str) -> None:
    lon, lat = np.degrees(states.lon_rad[which]), np.degrees(states.lat_rad[which])
    width = 0.8 if marker == "x" else 0.0
    axes.scatter(lon, lat, s=size, c=colour, marker=marker, linewidths=width, label=f"{name} ({len(lon)})")


def _gospa(found: Score) -> Figure:
    said, time_s = found.gospa, found.time_s
    figure = Figure(figsize=(10, 8))
    gospa, counts, ospa = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    gospa.plot(time_s, said.total_m, color="black", label=f"GOSPA, mean {said.total_m.mean():.0f} m")
    gospa.plot(time_s, said.localisation_m, color=GOOD, label="localisation part")
    gospa.set(ylabel="m", title="GOSPA, its parts, and OSPA over time")
    counts.step(time_s, said.missed, color=MISSED, where="mid", label=f"missed, mean {said.missed.mean():.2f}")
    counts.step(time_s, said.false, color=FALSE, where="mid", label=f"false, mean {said.false.mean():.2f}")
    counts.set(ylabel="objects, tracks")
    counts.yaxis.set_major_locator(MaxNLocator(integer=True))
    ospa.plot(time_s, found.ospa_m, color="#7f7f7f", label=f"OSPA, mean {found.ospa_m.mean():.0f} m")
    ospa.set(ylabel="m", xlabel="time, s")
    for axes in (gospa, counts, ospa):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return figure


def _delays(found: Score, classes: Sequence[str]) -> Figure:
    scene = found.scene
    known = scene.delay_s[np.isfinite(scene.delay_s)]
    figure, axes = _curves("Initiation delay: first hit to first confirmed track", "delay, s", "part of the objects")
    _by_class(axes, scene.delay_s, scene.delay_class, classes, "s")
    axes.set_xlim(0, max(1.0, float(known.max(initial=0.0)) * 1.03))
    return figure


def _errors(found: Score, classes: Sequence[str]) -> Figure:
    scene = found.scene
    figure, axes = _curves("Position error of tracks on objects", "horizontal error, m", "part of the samples")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _by_class(axes, scene.error_m, scene.error_class, classes, "m")
    return figure


def _curves(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 5.5))
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=across, ylabel=up, ylim=(0, 1.02))
    axes.grid(alpha=0.3, which="both")
    return figure, axes


def _by_class(axes: Axes, values: F8, kind: I8, classes: Sequence[str], unit: str) -> None:
    """A cumulative distribution per class. NaN counts among all and is never reached: its curve ends below 1."""
    for number, name in enumerate(classes):
        of = values[kind == number]
        known = np.sort(of[np.isfinite(of)])
        if not len(known):
            continue
        up = np.arange(1, len(known) + 1) / len(of)
        label = f"{name}: median {np.median(known):.3g} {unit}, 95 % {np.percentile(known, 95):.3g} {unit}"
        if len(known) < len(of):
            label += f", never {len(of) - len(known)}"
        style = STYLES[number // len(CYCLE) % len(STYLES)]
        axes.step(known, up, where="post", color=CYCLE[number % len(CYCLE)], ls=style, label=f"{label} (of {len(of)})")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
