"""Datagrams of radars become batches and words of sensors; all else is counted by reason; captures become logs."""

from __future__ import annotations

import struct
from pathlib import Path

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from adapters.asterix import Part, octets, packed, records
from adapters.bridges.asterix import Ear, from_pcap
from adapters.bridges.command import bridge
from adapters.bridges.common import Heard, Numbered, Tally
from adapters.bridges.datagrams import _listening
from adapters.bridges.rawfile import datagrams, day_of
from adapters.formats import cat015, cat021, cat034, cat048, cat062, cat205
from adapters.formats import plots as plots_format
from fusion.schema import PlotKind, SensorKind, SensorSpec
from replay import log
from tests import recordings, test_formats_cat021, test_formats_cat062
from tests.asterixjudge import anything
from tests.running import vedette

RX_US = 1_774_000_000_000_000
DAY_US = 86_400_000_000
SPEC = SensorSpec("R1", 0, SensorKind.RADAR_2D, 0.9, 0.4, 100.0)


def targets(n: int, sac: int = 25, sic: int = 201, kind: int = 5) -> cat048.Reports:
    """n aircraft on a circle."""
    nan, none, no = np.full(n, np.nan), np.full(n, -1, np.int32), np.zeros(n, np.bool_)
    return cat048.Reports(
        sac=np.full(n, sac, np.int32), sic=np.full(n, sic, np.int32), day_us=np.full(n, RX_US % DAY_US - 500_000),
        kind=np.full(n, kind, np.int8), simulated=no, test=no, range_m=np.full(n, 60_000.0),
        azimuth_rad=np.linspace(0.0, 3.0, n), mode3a=none, mode3a_sure=no, pressure_height_m=np.full(n, 9_000.0),
        level_sure=~no, height_m=nan, address=np.arange(n, dtype=np.int32) + 0x480000,
        callsign=np.full(n, b"LOT1", "S8"), track=none, doppler_mps=nan, speed_mps=nan, heading_rad=nan,
    )  # fmt: skip


def state(no_go: bool, overload: bool = False, t_us: int = RX_US) -> bytes:
    """A north mark with the radar's state and place."""
    one = np.ones(1, np.bool_)
    place = b"".join([(120).to_bytes(2, "big"), *(round(v * (1 << 23) / 180).to_bytes(3, "big") for v in (54.5, 25.2))])
    said = {
        "010": Part(one, octets(np.array([25 << 8 | 201]), 2)),
        "000": Part(one, octets(np.array([1]), 1)),
        "030": Part(one, octets(np.array([t_us % DAY_US * 128 // 1_000_000]), 3)),
        "050/COM": Part(one, octets(np.array([no_go << 7 | overload << 5]), 1)),
        "120": Part(one, np.frombuffer(place, np.uint8).reshape(1, 8)),
    }
    (block,) = packed(34, *records(cat034.LAYOUT, said, 1))
    return block


def test_what_comes_together_is_one_batch_of_each_radar() -> None:
    ear = Ear({(25, 201): "R1", (25, 11): "R2"})
    heard = Heard()
    sent = [*cat048.encode(targets(3)), *cat048.encode(targets(2, sic=11)), *cat048.encode(targets(4))]
    ear.hear([(RX_US + n, data) for n, data in enumerate(sent)], heard)
    assert [(b.sensor, len(b), b.rx_us) for b in heard.batches] == [("R2", 2, RX_US + 2), ("R1", 7, RX_US + 2)]
    assert heard.pieces == 3
    assert not heard.refused
    assert abs(heard.batches[0].t_us - (RX_US - 500_000)).max() < 7_813


def test_what_is_not_ours_is_counted_by_reason() -> None:
    ear, heard = Ear({(25, 201): "R1"}), Heard()
    good = cat048.encode(targets(2))
    torn = good[0][:-4]
    short = good[0][:1] + (len(good[0]) - 4).to_bytes(2, "big") + good[0][3:-4]  # the record runs over its block
    strange = b"\x01\x00\x05\x00\x00"
    ear.hear(
        [(RX_US, d) for d in (*good, torn, short, strange, b"", b"\x30", *cat048.encode(targets(1, sac=9)))], heard
    )
    assert heard.refused == {"truncated": 3, "category-1": 1, "radar-9/201": 1}
    assert [len(b) for b in heard.batches] == [3]  # two whole ones, and the first of the block that is too short
    ear.hear([(RX_US, d) for d in cat048.encode(targets(1, kind=0))], heard)
    assert heard.refused["no-detection"] == 1


def test_stations_and_neighbours_become_claims_and_tracks() -> None:
    ear = Ear({}, stations={(25, 31): "A1"}, neighbours={(26, 1): "N1"})
    claims = test_formats_cat021.plain(6, sac=np.full(6, 25), sic=[31] * 5 + [32], day_us=np.full(6, RX_US % DAY_US))
    tracks = test_formats_cat062.blank(3, sac=np.full(3, 26), sic=np.full(3, 1), day_us=np.full(3, RX_US % DAY_US))
    heard = Heard()
    sent = [*cat021.encode(claims), *cat062.encode(tracks), *cat048.encode(targets(2))]
    ear.hear([(RX_US, data) for data in sent], heard)
    assert [(b.sensor, b.kind, len(b)) for b in heard.batches] == [
        ("A1", PlotKind.POSITION, 5), ("N1", PlotKind.POSITION, 3),
    ]  # fmt: skip
    assert heard.refused == {"station-25/32": 1, "radar-25/201": 2}
    kinds = {"A1": SensorKind.ADSB, "N1": SensorKind.TRACK}
    for frame in Numbered(boot=7).frames(heard):
        spec = SensorSpec(frame.source.split("/")[1], 0, kinds[frame.source.split("/")[1]])
        read = plots_format.decode(frame.payload, spec, frame.rx_us)
        assert not read.rejected
        assert dict.fromkeys(read.batch.address.tolist()) == {0x489ABC: None}


class Everybody(dict[tuple[int, ...], str]):
    """Whoever sends is one of three sensors."""

    def get(self, key: tuple[int, ...], default: object = None) -> str:
        return f"S{sum(key) % 3}"


EVERYBODY = Everybody()
LAYOUTS = {
    15: cat015.LAYOUT, 21: cat021.LAYOUT, 34: cat034.LAYOUT, 48: cat048.LAYOUT, 62: cat062.LAYOUT, 205: cat205.LAYOUT,
}  # fmt: skip


@settings(max_examples=15)
@given(st.sampled_from(sorted(LAYOUTS)), st.integers(0, 1 << 32), st.integers(0, 300), st.integers(0, 7))
def test_anything_of_a_category_is_counted_and_stops_nothing(category: int, seed: int, octet: int, bit: int) -> None:
    """Random records whole, and again with one bit turned: every report becomes a plot or a reason."""
    whole = anything(LAYOUTS[category], 8, seed)
    turned = bytearray(whole)
    turned[octet % len(whole)] ^= 1 << bit
    for n, data in enumerate((whole, bytes(turned))):
        heard = Heard()
        Ear(EVERYBODY, EVERYBODY, EVERYBODY, EVERYBODY).hear([(RX_US, data)], heard)
        told = sum(map(len, heard.batches)) + sum(heard.refused.values())
        if n == 0 and category != 34:
            assert told == 8
        Numbered(boot=1).frames(heard)


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_octets_are_counted_and_stop_nothing(datagrams: list[bytes]) -> None:
    heard = Heard()
    Ear(EVERYBODY, EVERYBODY, EVERYBODY).hear([(RX_US, data) for data in datagrams], heard)
    assert heard.pieces == len(datagrams)


def test_a_radar_tells_its_state_when_it_changes_and_now_and_then() -> None:
    ear, heard = Ear({(25, 201): "R1"}), Heard()
    for n in range(30):  # a mark a second
        ear.hear([(RX_US + n * 1_000_000, state(no_go=n >= 20))], heard)
    told = [(word.rx_us - RX_US, word.state) for word in heard.words]
    assert told == [(0, "ok"), (10_000_000, "ok"), (20_000_000, "off")]
    ear.hear([(RX_US + 40_000_000, state(no_go=False, overload=True))], heard)
    assert heard.words[-1].state == "degraded"
    assert not heard.refused


def capture(path: Path, *datagrams: tuple[float, bytes]) -> Path:
    """A pcap of UDP over Ethernet, and one packet that is none."""
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        writer.writepkt(b"\x00" * 12 + b"\x08\x06" + b"\x00" * 28, ts=datagrams[0][0])
        for time_s, data in datagrams:
            udp = struct.pack(">HHHH", 1, 8600, 8 + len(data), 0) + data
            local = bytes([127, 0, 0, 1])
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 9, 17, 0, local, local)
            writer.writepkt(b"\x00" * 12 + b"\x08\x00" + ip + udp, ts=time_s)
    return path


def test_a_capture_gives_its_datagrams(tmp_path: Path) -> None:
    sent = [(RX_US / 1e6, b"one"), (RX_US / 1e6 + 1.5, b"two")]
    assert list(from_pcap(capture(tmp_path / "a.pcap", *sent))) == [(RX_US, b"one"), (RX_US + 1_500_000, b"two")]
    (tmp_path / "no.pcap").write_bytes(b"no capture at all, but long enough to look like one")
    with pytest.raises(ValueError, match="unknown pcap format"):
        list(from_pcap(tmp_path / "no.pcap"))


SLL2 = struct.pack(">HHiHBB8s", 0x0800, 0, 1, 1, 0, 6, b"")


@pytest.mark.parametrize(
    ("link", "before"),
    [
        (dpkt.pcap.DLT_LINUX_SLL2, SLL2),
        (dpkt.pcap.DLT_RAW, b""),
        (101, b""),
        (dpkt.pcap.DLT_NULL, struct.pack("<I", 2)),
        (dpkt.pcap.DLT_EN10MB, b"\x00" * 12 + b"\x81\x00\x00\x05\x08\x00"),  # with a VLAN
    ],
)
def test_captures_of_other_links_give_their_datagrams(tmp_path: Path, link: int, before: bytes) -> None:
    ethernet = capture(tmp_path / "a.pcap", (1.0, b"one")).read_bytes()
    with (tmp_path / "b.pcap").open("wb") as file:
        dpkt.pcap.Writer(file, linktype=link).writepkt(before + ethernet[-31:], ts=1.0)
    assert list(from_pcap(tmp_path / "b.pcap")) == [(1_000_000, b"one")]


def test_a_capture_of_a_link_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "wlan.pcap").open("wb") as file:
        dpkt.pcap.Writer(file, linktype=105).writepkt(bytes(60), ts=1.0)
    with pytest.raises(ValueError, match="link type 105 is not known here"):
        list(from_pcap(tmp_path / "wlan.pcap"))


def test_a_capture_that_was_cut_off_gives_what_lies_before(tmp_path: Path) -> None:
    whole = capture(tmp_path / "a.pcap", (1.0, b"one"), (2.0, b"two")).read_bytes()
    (tmp_path / "cut.pcap").write_bytes(whole[: -(14 + 31 + 5)])  # within the header of the last packet
    assert list(from_pcap(tmp_path / "cut.pcap")) == [(1_000_000, b"one")]


def test_a_port_where_another_listens_is_refused_and_a_group_is_shared() -> None:
    first = _listening("127.0.0.1", 0, "")
    with first, pytest.raises(OSError, match="in use"):
        _listening("127.0.0.1", first.getsockname()[1], "")
    with _listening("127.0.0.1", 0, "239.1.2.3") as one, _listening("127.0.0.1", one.getsockname()[1], "239.1.2.3"):
        pass


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (("--radar", "25/201=R1", "--radar", "25/201=R2"), "this SAC and SIC is given to two sensors"),
        (("--radar", "25/201=R1", "--group", "10.0.0.1"), "no multicast group"),
    ],
)
def test_what_cannot_be_meant_is_refused(line: tuple[str, ...], problem: str) -> None:
    told = CliRunner().invoke(bridge, ["asterix", "--udp", "127.0.0.1:8600", *line])
    assert (told.exit_code, problem in told.output) == (2, True)


def test_the_command_writes_a_log_that_replays(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.pcap", *((RX_US / 1e6 + n, d) for n, d in enumerate(cat048.encode(targets(90), 400))))
    out = tmp_path / "a.jsonl.gz"
    line = ("bridge", "asterix", "--capture", str(path), "--out", str(out), "--radar", "25/201=R1")
    assert vedette(*line).wait(60) == 0
    frames = list(log.read(out))
    assert sum(len(plots_format.decode(f.payload, SPEC, f.rx_us).batch) for f in frames) == 90
    assert vedette(*line).wait(60) == 2  # it is there already
    assert vedette(*line[:-1], "300/1=R1").wait(60) == 2
    assert vedette("bridge", "asterix", "--radar", "1/2=R1").wait(60) == 2
    assert CliRunner().invoke(bridge, line[1:-2]).exit_code == 2  # nobody to listen to
    assert CliRunner().invoke(bridge, [*line[1:], "--station", "25/31=R1"]).exit_code == 2  # one sensor of two kinds


@pytest.mark.real_data
def test_real_blocks_of_categories_that_nobody_reads_here_are_counted_and_stop_nothing(data: Path) -> None:
    """One file holds seven categories, of which two are read; one capture a datagram whose first octet is lost."""
    folder = data / "recordings/asterix-croatia-samples"
    heard, old = Heard(), Heard()
    Ear({(8, 24): "R1"}).hear(list(datagrams(folder / "goasterix_sample.ast", day_of("2017-03-20"))), heard)
    assert [(batch.sensor, len(batch)) for batch in heard.batches] == [("R1", 9)]
    assert [(word.sensor, word.state) for word in heard.words] == [("R1", "ok")]
    others = {f"category-{category}": 1 for category in (1, 2, 30, 32, 255)}
    assert dict(heard.refused) == {**others, "no-detection": 2}
    Ear({(8, 24): "R1"}).hear(list(from_pcap(folder / "cat_001_002.pcap")), old)
    assert (old.batches, dict(old.refused)) == ([], {"truncated": 1})


@pytest.mark.real_data
def test_the_capture_of_san_luis_becomes_its_plots(data: Path, tmp_path: Path) -> None:
    """As many plots as somebody else's decoder found, of the one radar, and nothing else."""
    from adapters.bridges.asterix import frames

    tally = Tally()
    heard_at = from_pcap(data / "recordings/asterix-argentina-sanluis/UIS.pcap")
    found = list(frames(heard_at, Ear({(226, 221): "UIS"}), tally))
    lines = (data / recordings.SAN_LUIS).read_text("utf-8").splitlines()
    assert tally.plots + sum(tally.refused.values()) == len(lines) - 1
    assert {frame.source for frame in found} <= {"in/UIS/plots", "in/UIS/status"}
