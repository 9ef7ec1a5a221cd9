"""Plain files of data blocks: when each of them arrived, over midnight too, and whatever stands in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from adapters.asterix import DAY_US
from adapters.bridges.command import bridge
from adapters.bridges.rawfile import datagrams, day_of
from adapters.formats import cat048, cat065
from adapters.formats import plots as plots_format
from fusion.schema import US_PER_S, SensorKind, SensorSpec
from replay import log
from tests import test_formats_cat062
from tests.test_bridges_asterix import targets

DAY = "2026-03-20"
RADAR = SensorSpec("R1", 0, SensorKind.RADAR_2D, 0.9, 0.4, 100.0)
NEIGHBOUR = SensorSpec("N1", 0, SensorKind.TRACK)


def plot(second: float) -> bytes:
    """A block of one plot at this second of its day."""
    (block,) = cat048.encode(replace(targets(1), day_us=np.array([round(second * US_PER_S)])))
    return block


def test_a_day_begins_at_its_midnight() -> None:
    assert day_of(DAY) == 1_773_964_800_000_000
    with pytest.raises(ValueError, match="does not match"):
        day_of("20.3.2026")


def test_blocks_arrive_when_they_say_and_never_back_in_time(tmp_path: Path) -> None:
    quiet = cat065.encode(cat065.Status(1, 25, 100, 0))  # of a category whose times are not read
    seconds = (1.0, 40_000.0, 80_000.0, 86_390.0, 86_389.0, 2.0, 40_000.0)
    sent = [quiet, *map(plot, seconds), quiet]
    (tmp_path / "a.ast").write_bytes(b"".join(sent))
    found = list(datagrams(tmp_path / "a.ast", day_of(DAY)))
    assert [octets for _, octets in found] == sent
    arrived = (0.0, 1.0, 40_000.0, 80_000.0, 86_390.0, 86_390.0, 86_402.0, 126_400.0, 126_400.0)
    assert [(rx_us - day_of(DAY)) / 1e6 for rx_us, _ in found] == list(arrived)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=30), max_size=4))
def test_nothing_is_lost_of_what_cannot_be_cut(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.ast"
    path.write_bytes(plot(1.0) + b"".join(pieces))
    assert b"".join(octets for _, octets in datagrams(path, day_of(DAY))) == path.read_bytes()


def test_the_command_reads_what_the_outlet_and_a_radar_wrote(tmp_path: Path) -> None:
    from adapters.formats import cat062

    t_us = day_of(DAY) + 40_000 * US_PER_S
    tracks = test_formats_cat062.blank(5, sac=np.full(5, 25), sic=np.full(5, 100), day_us=np.full(5, t_us % DAY_US))
    (tmp_path / "a.ast").write_bytes(b"".join([*cat062.encode(tracks), plot(40_001.0), b"\x30"]))
    out = tmp_path / "a.jsonl"
    line = ["asterix", "--capture", str(tmp_path / "a.ast"), "--out", str(out), "--radar", "25/201=R1"]

    def status(*more: str) -> int:
        return CliRunner().invoke(bridge, [*line, *more]).exit_code

    assert status() == 2  # no pcap, and no day is named
    assert status("--day", "soon") == 2
    assert status("--day", DAY, "--neighbour", "25/100=N1") == 0
    found = [(frame.source, frame.payload, frame.rx_us) for frame in log.read(out)]
    assert [source for source, _, _ in found] == ["in/N1/plots", "in/R1/plots"]
    for (_, payload, rx_us), spec, count in zip(found, (NEIGHBOUR, RADAR), (5, 1), strict=True):
        batch = plots_format.decode(payload, spec, rx_us).batch
        assert (len(batch), batch.t_us.tolist()) == (count, [rx_us] * count)
