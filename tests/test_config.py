"""Configuration: what is good loads exactly, what is wrong is refused with file, key, problem and cure."""

from __future__ import annotations

import dataclasses
import inspect
import math
import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import config
from adapters.errors import ConfigError
from adapters.files.configfile import SensorFile
from fusion.coverage import C_LEAST, COARSE_LEAST
from fusion.schema import SensorKind, SensorSpec
from tests.conftest import ROOT, need

NOTHING: dict[str, str] = {}
SHIPPED = ROOT / "config"
Edit = Callable[[str], str]
SENSORS = """
[[sensors]]
id = "A1"
kind = "adsb"
format = "readsb"
detection_probability = 0.9
clutter_per_scan = 0.1
latency_s = 0.3

[[sensors]]
id = "R1"
kind = "radar-3d"
lat_deg = 54.95
lon_deg = 23.90
height_m = 120.0
period_s = 4.0
range_max_m = 200_000.0
range_sigma_m = 60.0
azimuth_sigma_deg = 0.15
elevation_sigma_deg = 0.30
detection_probability = 0.9
latency_s = 0.4

[[sensors]]
id = "R2"
kind = "radar-2d"
lat_deg = 54.40
lon_deg = 24.60
height_m = 150.0
detection_probability = 0.9
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped configuration with three sensors of our own, its big files linked."""
    copy = tmp_path / "config"
    copy.mkdir()
    for name in ("service.toml", "rules.toml", "volumes.toml"):
        shutil.copy(SHIPPED / name, copy / name)
    (copy / "sensors.toml").write_text(SENSORS, encoding="utf-8")
    for name in ("zones", "terrain"):
        (copy / name).symlink_to(SHIPPED / name)
    return copy


def edit(folder: Path, name: str, old: str, new: str) -> None:
    """Replace text that must be there exactly once."""
    text = (folder / name).read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
    (folder / name).write_text(text.replace(old, new))


def refused(folder: Path, environ: dict[str, str] = NOTHING) -> ConfigError:
    """The only problem of a folder."""
    found = config.problems(folder, environ)
    assert len(found) == 1, [str(error) for error in found]
    with pytest.raises(ConfigError) as raised:
        config.load(folder, environ)
    assert str(raised.value) == str(found[0])
    assert all((found[0].file, found[0].problem, found[0].cure))
    return found[0]


def test_the_shipped_configuration_is_good() -> None:
    loaded = config.load(SHIPPED, NOTHING)
    assert config.problems(SHIPPED, NOTHING) == []
    assert (loaded.site, loaded.clock, loaded.simulated) == ("demo", "live", False)
    assert (loaded.broker.host, loaded.broker.port, loaded.broker.tls) == ("127.0.0.1", 1883, False)
    assert loaded.broker.client_id == "vedette-demo"
    assert (loaded.http.host, loaded.http.port) == ("127.0.0.1", 9464)
    assert (loaded.picture_ms, loaded.full_ms, loaded.border_accuracy_m) == (100, 5_000, 25.0)
    assert loaded.data_dir.resolve() == (ROOT / "var").resolve()
    assert [spec.id for spec in loaded.sensors] == ["A1", "R1", "R2"]
    assert loaded.formats == {"A1": "readsb", "R1": "plots", "R2": "plots"}
    assert loaded.rules.rules
    assert loaded.zone_paths
    assert all(path.is_file() for path in (*loaded.zone_paths, loaded.terrain_path, loaded.geoid_path))


def test_degrees_end_in_the_file_and_sensors_stand_in_order_of_id(folder: Path) -> None:
    edit(folder, "sensors.toml", 'id = "A1"', 'id = "Z9"')
    sensors = config.load(folder, NOTHING).sensors
    assert [(spec.id, spec.index) for spec in sensors] == [("R1", 0), ("R2", 1), ("Z9", 2)]
    radar = sensors[0]
    assert radar.kind is SensorKind.RADAR_3D
    assert radar.lat_rad == pytest.approx(54.95 * math.pi / 180, rel=1e-15)
    assert radar.lon_rad == pytest.approx(23.90 * math.pi / 180, rel=1e-15)
    assert radar.sigma_azimuth_rad == pytest.approx(0.15 * math.pi / 180, rel=1e-15)
    assert radar.sigma_elevation_rad == pytest.approx(0.30 * math.pi / 180, rel=1e-15)
    assert (radar.height_m, radar.period_s, radar.range_max_m, radar.sigma_range_m) == (120.0, 4.0, 200_000.0, 60.0)
    assert (radar.detection_probability, radar.clutter_per_scan, radar.latency_s) == (0.9, 10.0, 0.4)
    assert math.isnan(sensors[1].sigma_elevation_rad)
    assert not sensors[2].has_site


def test_a_dem_is_read_and_changes_the_hash(folder: Path) -> None:
    without = config.load(folder, NOTHING)
    assert without.dem_path is None
    edit(folder, "service.toml", "[rules]", 'dem = "terrain/etopo5_5min_35-72N_0-50E.tif"\n[rules]')
    loaded = config.load(folder, NOTHING)
    assert loaded.dem_path is not None
    assert loaded.dem_path in loaded.files
    assert loaded.hash != without.hash
    zones = config.load_zones(without)
    assert (config.load_coverage(without, zones).table[1:, C_LEAST] == COARSE_LEAST).all()
    with pytest.raises(ConfigError) as caught:  # 5 minutes are no DEM
        config.load_coverage(loaded, zones)
    assert caught.value.key == "zones.dem"


def test_neighbours_are_told_and_heard_only_when_named(folder: Path) -> None:
    silent = config.load(folder, NOTHING)
    assert silent.partners == ()
    edit(folder, "service.toml", "partners = []", 'partners = ["PL", "LV"]')
    with (folder / "sensors.toml").open("a") as file:
        file.write('[[sensors]]\nid = "LV"\nkind = "track"\nformat = "track"\n')
        file.write('[[sensors]]\nid = "PL"\nkind = "track"\n')
    loaded = config.load(folder, NOTHING)
    assert loaded.partners == ("PL", "LV")
    assert loaded.formats == {"A1": "readsb", "LV": "track", "PL": "plots", "R1": "plots", "R2": "plots"}
    assert {spec.id for spec in loaded.sensors if spec.kind is SensorKind.TRACK} == {"LV", "PL"}
    assert loaded.hash != silent.hash


def test_what_a_sensor_leaves_out_is_what_the_core_assumes() -> None:
    left_out = config._spec(SensorFile(id="A", kind="adsb"), 0)
    plain = SensorSpec("A", 0, SensorKind.ADSB)
    for field in fields(SensorSpec):
        ours, theirs = getattr(left_out, field.name), getattr(plain, field.name)
        assert ours == pytest.approx(theirs, rel=0.01, nan_ok=True) if isinstance(theirs, float) else ours == theirs


@pytest.mark.parametrize(
    "old, new, key, problem, cure",
    [
        ('site = "demo"', "", "site", "is missing", "letters, digits"),
        ('site = "demo"', 'site = "a/b"', "site", 'is "a/b", not a plain word', "letters, digits"),
        ('site = "demo"', 'site = "+"', "site", 'is "+", not a plain word', "letters, digits"),
        ('site = "demo"', 'sight = "demo"\nsite = "x"', "sight", "not a known key", "did you mean site?"),
        ('clock = "live"', 'clock = "lve"', "clock", 'is "lve", not one of live, feed', 'did you mean "live"?'),
        ("simulated = false", "simulated = 0", "simulated", "is 0, not true or false", "simulated"),
        ('host = "127.0.0.1"\nport = 1883', 'host = ""\nport = 1883', "broker.host", "is empty", "MQTT 5 broker"),
        ("port = 1883", 'port = "1883"', "broker.port", 'is "1883", not a whole number', "usually 1883"),
        ("port = 1883", "port = 1883.0", "broker.port", "is 1883.0, not a whole number", "usually 1883"),
        ("port = 1883", "port = 70000", "broker.port", "is 70000, but must be at most 65535", "usually 1883"),
        ("port = 1883", "port = 0", "broker.port", "is 0", "1883"),
        ("port = 1883", "prot = 1883", "broker.prot", "not a known key", "did you mean port?"),
        ("picture_ms = 100", "picture_ms = 250", "publish.picture_ms", "is 250", "100 ms"),
        ("picture_ms = 100", "picture_ms = 10", "publish.picture_ms", "must be at least 100", "pictures"),
        ("partners = []", 'partners = "LV"', "publish.partners", 'is "LV", not a list in [ ]', "neighbours"),
        ("partners = []", 'partners = ["LV", "a/b"]', "publish.partners[1]", 'is "a/b", not a plain word', "letters"),
        ("partners = []", 'partners = ["+"]', "publish.partners[0]", 'is "+", not a plain word', "letters"),
        ("partners = []", 'partners = [""]', "publish.partners[0]", "not a plain word", "letters"),
        ("partners = []", "partners = [1]", "publish.partners[0]", "is 1, not text in quotes", "letters"),
        ("partners = []", 'partners = ["PL", "LV", "PL"]', "publish.partners[2]", '"PL" a second time', "once"),
        ("partners = []", 'partner = ["LV"]', "publish.partner", "not a known key", "did you mean partners?"),
        ("accuracy_m = 25.0", "accuracy_m = nan", "zones.accuracy_m", "is nan, not a finite number", "metres"),
        ("accuracy_m = 25.0", "accuracy_m = inf", "zones.accuracy_m", "is inf, not a finite number", "metres"),
        ("accuracy_m = 25.0", "accuracy_m = true", "zones.accuracy_m", "is true, not a number", "metres"),
        ("accuracy_m = 25.0", "accuracy_m = 0.0", "zones.accuracy_m", "must be above 0", "metres"),
        ('["zones/osm"]', '["zones/oms"]', "zones.borders[0]", "where no borders are", "GeoJSON"),
        ('["zones/osm"]', "[]", "zones.borders", "is empty", "GeoJSON"),
        ('["zones/osm"]', '"zones/osm"', "zones.borders", 'is "zones/osm", not a list in [ ]', "GeoJSON"),
        ('base = "rules.toml"', 'base = "rule.toml"', "rules.base", "rule.toml, which is not a file", "relative"),
        ("overlays = []", 'overlays = ["x"]', "rules.overlays[0]", "which is not a file", "relative"),
        ("[store]", "[stores]", "stores", "not a known key", "did you mean store?"),
        ("[rules]", 'dem = "terrain/none.tif"\n[rules]', "zones.dem", "which is not a file", "relative to the folder"),
        ("# [tracker]  ", "[tracker]\nnonsense = 1.0\n#", "tracker.nonsense", "not a known key", "known: "),
        ("# [tracker]  ", "[tracker]\np_confirm = 1.0\n#", "tracker.p_confirm", "below 1", "the default is"),
    ],
)
def test_a_wrong_service_file_is_refused(folder: Path, old: str, new: str, key: str, problem: str, cure: str) -> None:
    edit(folder, "service.toml", old, new)
    error = refused(folder)
    assert (error.file, error.key) == (str(folder / "service.toml"), key)
    assert problem in error.problem
    assert cure in error.cure


@pytest.mark.parametrize(
    "old, new, key, problem, cure",
    [
        ("range_max_m = 200_000.0", "range_max_m = -1.0", "sensors[1].range_max_m", "must be above 0", "metres"),
        (
            "range_max_m = 200_000.0",
            "range_max_km = 200.0",
            "sensors[1].range_max_km",
            "not a known key",
            "range_max_m?",
        ),
        (
            "azimuth_sigma_deg = 0.15",
            "sigma_azimuth_deg = 0.15",
            "sensors[1].sigma_azimuth_deg",
            "not a known key",
            "did you mean azimuth_sigma_deg?",
        ),
        ('kind = "radar-3d"', 'kind = "radar"', "sensors[1].kind", "not one of radar-2d", "did you mean"),
        ("lat_deg = 54.95", "lat_deg = 95.0", "sensors[1].lat_deg", "must be at most 90", "degrees"),
        ("lat_deg = 54.95\n", "", "sensors[1].lat_deg", 'is missing (sensor "R1")', "add lat_deg"),
        ("height_m = 120.0\n", "", "sensors[1].height_m", "is missing", "from its place"),
        ("elevation_sigma_deg = 0.30\n", "", "sensors[1].elevation_sigma_deg", "is missing", "radar-2d"),
        ('kind = "radar-3d"', 'kind = "radar-2d"', "sensors[1].elevation_sigma_deg", "does not belong", "radar-3d"),
        ('id = "R2"', 'id = "R1"', "sensors[2].id", "is the id of sensors[1] too", "of its own"),
        ('id = "R2"', 'id = "R/2"', "sensors[2].id", "not a plain word", "letters, digits"),
        ('id = "R2"', 'id = "Ä2"', "sensors[2].id", "not a plain word", "letters, digits"),
        ('kind = "adsb"', 'kind = "remote-id"', "sensors[0].format", "readsb carries ADS-B", "adsb"),
        ('format = "readsb"', 'format = "track"', "sensors[0].format", "neighbour's tracks, not adsb", '"track"'),
        ('format = "readsb"', 'format = "remoteid"', "sensors[0].format", "Remote ID, not adsb", '"remote-id"'),
        ('kind = "adsb"', 'kind = "track"', "sensors[0].format", "readsb carries ADS-B, not track", "adsb"),
        ('format = "readsb"', 'format = "readsbb"', "sensors[0].format", "not one of", 'did you mean "readsb"?'),
        ('kind = "adsb"', 'kind = "adsb"\nlat_deg = 54.0', "sensors[0].lon_deg", "is missing", "all three"),
        ("latency_s = 0.3", "latency_s = nan", "sensors[0].latency_s", "is nan, not a finite number", "seconds"),
        ("latency_s = 0.3", 'latency_s = "0.3"', "sensors[0].latency_s", 'is "0.3", not a number', "seconds"),
        (
            "clutter_per_scan = 0.1",
            "clutter_per_scan = -0.1",
            "sensors[0].clutter_per_scan",
            "at least 0",
            "false plots",
        ),
    ],
)
def test_a_wrong_sensor_is_refused(folder: Path, old: str, new: str, key: str, problem: str, cure: str) -> None:
    edit(folder, "sensors.toml", old, new)
    error = refused(folder)
    assert (error.file, error.key) == (str(folder / "sensors.toml"), key)
    assert problem in error.problem
    assert cure in error.cure


def test_a_sensor_that_is_certain_is_refused(folder: Path) -> None:
    text = (folder / "sensors.toml").read_text().replace("detection_probability = 0.9", "detection_probability = 1.0")
    (folder / "sensors.toml").write_text(text)
    keys = [error.key for error in config.problems(folder, NOTHING)]
    assert keys == [f"sensors[{row}].detection_probability" for row in range(3)]


def test_no_sensor_and_too_many_are_refused(folder: Path) -> None:
    (folder / "sensors.toml").write_text("sensors = []\n")
    assert refused(folder).problem == "is empty"
    blocks = [f'[[sensors]]\nid = "A{i}"\nkind = "adsb"\n' for i in range(65)]
    (folder / "sensors.toml").write_text("".join(blocks[:64]))
    assert len(config.load(folder, NOTHING).sensors) == 64
    (folder / "sensors.toml").write_text("".join(blocks))
    assert "longer than 64" in refused(folder).problem


def test_all_problems_are_found_at_once(folder: Path) -> None:
    edit(folder, "service.toml", "port = 1883", "port = -1")
    edit(folder, "service.toml", 'clock = "live"', 'clock = "dead"')
    edit(folder, "sensors.toml", "lat_deg = 54.95", "lat_deg = 95.0")
    found = config.problems(folder, NOTHING)
    assert {error.key for error in found} == {"clock", "broker.port", "sensors[1].lat_deg"}


@pytest.mark.parametrize(
    "content, line, problem",
    [
        (b"site = \n", 1, "is not TOML"),
        (b'site = "a"\nsite = "b"\n', 2, "is not TOML"),
        (b'site = "\xff"\n', 0, "is not UTF-8 text (byte 8)"),
        (b"site = " + b"[" * 5_000, 0, "is nested too deep"),
    ],
)
def test_a_file_that_is_not_toml_is_refused_with_its_place(
    folder: Path, content: bytes, line: int, problem: str
) -> None:
    (folder / "service.toml").write_bytes(content)
    error = refused(folder)
    assert (error.key, error.line) == ("(file)", line)
    assert error.problem.startswith(problem)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    found = config.problems(tmp_path / "nowhere", NOTHING)
    assert [(Path(error.file).name, error.problem) for error in found] == [
        ("service.toml", "does not exist"),
        ("sensors.toml", "does not exist"),
    ]
    with pytest.raises(ConfigError, match="does not exist"):
        config.load_broker(tmp_path / "nowhere", NOTHING)


def test_a_wrong_rule_file_is_refused_as_that_file(folder: Path) -> None:
    (folder / "rules.toml").write_text("[[rule]\n")
    assert refused(folder).file.endswith("rules.toml")


def test_the_environment_overrides_the_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\nsecond line\n")
    loaded = config.load(
        folder,
        {
            "VEDETTE_SITE": "north",
            "VEDETTE_BROKER_HOST": "mqtt.example",
            "VEDETTE_BROKER_PORT": "8883",
            "VEDETTE_BROKER_USER": "vedette",
            "VEDETTE_BROKER_PASSWORD_FILE": str(tmp_path / "secret"),
            "VEDETTE_HTTP_HOST": "0.0.0.0",
            "VEDETTE_HTTP_PORT": "0",
            "VEDETTE_DATA_DIR": str(tmp_path / "var"),
        },
    )
    assert (loaded.site, loaded.broker.host, loaded.broker.port) == ("north", "mqtt.example", 8883)
    assert (loaded.broker.username, loaded.broker.password) == ("vedette", "s3cret")
    assert loaded.broker.client_id == "vedette-north"
    assert (loaded.http.host, loaded.http.port, loaded.data_dir) == ("0.0.0.0", 0, tmp_path / "var")
    assert config.load(folder, dict.fromkeys(config.ENVIRONMENT, "")).site == "demo"  # empty is not set


@pytest.mark.parametrize("port", ["x", "-1", "1883.0", "65536", "१२"])
def test_a_wrong_environment_is_named_as_such(folder: Path, port: str) -> None:
    error = refused(folder, {"VEDETTE_BROKER_PORT": port})
    assert (error.file, error.key) == ("environment", "VEDETTE_BROKER_PORT")


def test_a_password_in_the_environment_replaces_the_file_of_the_folder(folder: Path) -> None:
    edit(folder, "service.toml", '# username = "vedette"\n# password_file', 'username = "vedette"\npassword_file')
    assert refused(folder).key == "broker.password_file"  # there is no such file
    assert config.load(folder, {"VEDETTE_BROKER_PASSWORD": "pw"}).broker.password == "pw"


def test_a_password_is_never_shown(folder: Path) -> None:
    edit(folder, "service.toml", '# username = "vedette"', "password = 12345")
    assert "12345" not in str(refused(folder))
    edit(folder, "service.toml", "password = 12345", 'username = "u"\npassword = "hunter2"')
    assert "hunter2" not in repr(config.load(folder, NOTHING))


@pytest.mark.parametrize(
    "lines, key",
    [
        ('password = "x"', "broker.username"),
        ('username = "u"\npassword = "x"\npassword_file = "y"', "broker.password"),
        ('username = "u"\npassword_file = "nowhere"', "broker.password_file"),
        ('tls_ca = "ca.pem"', "broker.tls_ca"),
        ('tls = true\ntls_ca = "nowhere.pem"', "broker.tls_ca"),
        ('tls = true\ntls_ca = "service.toml"', "broker.tls_ca"),
        ('tls = true\ntls_cert = "cert.pem"', "broker.tls_key"),
        ('tls = true\ntls_key = "key.pem"', "broker.tls_cert"),
        ('tls = true\ntls_cert = "service.toml"\ntls_key = "service.toml"', "broker.tls_cert"),
    ],
)
def test_access_to_the_broker_that_cannot_work_is_refused(folder: Path, lines: str, key: str) -> None:
    edit(folder, "service.toml", '# username = "vedette"', lines)
    assert refused(folder).key == key


def test_certificates_are_opened_and_named_by_full_path(folder: Path) -> None:
    command = [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=vedette"]
    subprocess.run(
        [*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
    )
    lines = 'tls = true\ntls_ca = "cert.pem"\ntls_cert = "cert.pem"\ntls_key = "key.pem"'
    edit(folder, "service.toml", '# username = "vedette"', lines)
    broker = config.load(folder, NOTHING).broker
    assert (broker.tls_ca, broker.tls_key) == (str(folder / "cert.pem"), str(folder / "key.pem"))
    ssl.create_default_context().load_cert_chain(broker.tls_cert, broker.tls_key)


def test_the_tracker_takes_numbers_of_the_right_kind_and_sign(folder: Path) -> None:
    from fusion.tracker import TrackerParams

    default = TrackerParams()
    name, value = next(
        (f.name, v) for f in fields(default) if isinstance(v := getattr(default, f.name), float) and v > 0
    )
    edit(folder, "service.toml", "# [tracker]  ", f"[tracker]\n{name} = {value * 1.01!r}\n#")
    taken = dataclasses.asdict(config.load(folder, NOTHING).tracker)
    assert taken == {**dataclasses.asdict(default), name: value * 1.01}
    for wrong, problem in (("nan", "finite"), ("-1.0", "above 0"), ("true", "not a number"), ('"1"', "not a number")):
        edit(folder, "service.toml", f"{name} = {value * 1.01!r}", f"{name} = {wrong}")
        assert problem in refused(folder).problem
        edit(folder, "service.toml", f"{name} = {wrong}", f"{name} = {value * 1.01!r}")


def test_the_hash_is_of_the_content_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    first = config.load(folder, NOTHING).hash
    assert len(first) == 64
    folder.rename(tmp_path / "moved")
    folder = tmp_path / "moved"
    assert config.load(folder, NOTHING).hash == first
    for name in ("service.toml", "sensors.toml", "rules.toml"):
        before = (folder / name).read_text()
        (folder / name).write_text(before + "\n# a comment counts: the file is another\n")
        assert config.load(folder, NOTHING).hash != first
        (folder / name).write_text(before)
    assert config.load(folder, NOTHING).hash == first


def test_border_files_are_part_of_the_hash_and_come_in_order(folder: Path) -> None:
    first = config.load(folder, NOTHING)
    assert list(first.zone_paths) == sorted(first.zone_paths)
    assert {path.suffix for path in first.zone_paths} == {".geojson"}
    extra = folder / "own.geojson"
    extra.write_text("{}")
    edit(folder, "service.toml", '["zones/osm"]', '["zones/osm", "own.geojson"]')
    second = config.load(folder, NOTHING)
    assert second.zone_paths == (*first.zone_paths, extra)
    assert second.hash != first.hash


def test_load_broker_needs_nothing_else(folder: Path) -> None:
    for name in ("sensors.toml", "rules.toml"):
        (folder / name).unlink()
    site, broker = config.load_broker(folder, {"VEDETTE_BROKER_PORT": "1999"})
    assert (site, broker.host, broker.port) == ("demo", "127.0.0.1", 1999)


@pytest.mark.parametrize(
    "address, host, port",
    [("mqtt.example", "mqtt.example", 1883), ("10.0.0.1:8884", "10.0.0.1", 8884), ("[::1]:1884", "::1", 1884)],
)
def test_a_broker_named_on_the_command_line(address: str, host: str, port: int) -> None:
    site, broker = config.broker_at(address, environ={"VEDETTE_BROKER_USER": "u", "VEDETTE_BROKER_PASSWORD": "p"})
    assert (site, broker.host, broker.port, broker.username, broker.password) == ("demo", host, port, "u", "p")
    assert config.broker_at(address, "south", NOTHING)[0] == "south"
    assert config.broker_at(address, "", {"VEDETTE_SITE": "west"})[0] == "west"


@pytest.mark.parametrize("address", ["", "a b", "host:0", "host:65536", "host:x", "::1", "mqtt://host", "host:1:2"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="--broker"):
        config.broker_at(address, environ=NOTHING)


finite = {"allow_nan": False, "allow_infinity": False}


@given(
    kind=st.sampled_from(list(SensorKind)),
    lat=st.floats(-1.57, 1.57, **finite),  # type: ignore[arg-type]
    lon=st.floats(-3.14, 3.14, **finite),  # type: ignore[arg-type]
    sigma=st.floats(1e-4, 0.1, **finite),  # type: ignore[arg-type]
    range_max_m=st.floats(1.0, 1e6, **finite),  # type: ignore[arg-type]
)
@settings(max_examples=100)
def test_written_sensors_are_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, kind: SensorKind, lat: float, lon: float, sigma: float, range_max_m: float
) -> None:
    elevation = sigma if kind is SensorKind.RADAR_3D else math.nan
    written = SensorSpec(
        "S-1.a", 0, kind, lat, lon, 55.5, 4.0, range_max_m, 60.0, sigma, elevation, 30.0, 20.0, 1.0, 0.85, 3.0, 0.2
    )  # fmt: skip
    path = tmp_path_factory.mktemp("sensors")
    (path / "sensors.toml").write_text(config.sensors_toml([written], {"S-1.a": "plots"}))
    found: list[ConfigError] = []
    (read,), formats = config._read_sensors(path, found)
    assert (found, formats) == ([], {"S-1.a": "plots"})
    for field in fields(SensorSpec):
        ours, theirs = getattr(read, field.name), getattr(written, field.name)
        if isinstance(theirs, float):
            assert ours == pytest.approx(theirs, rel=1e-15, abs=1e-300, nan_ok=True), field.name
        else:
            assert ours == theirs


def test_every_key_of_the_files_says_what_it_means() -> None:
    from adapters.files import configfile

    for _, model in inspect.getmembers(configfile, lambda m: inspect.isclass(m) and issubclass(m, configfile.Strict)):
        for name, field in model.model_fields.items():
            is_section = inspect.isclass(field.annotation) and issubclass(field.annotation, configfile.Strict)
            assert field.description or is_section, f"{model.__name__}.{name}"
