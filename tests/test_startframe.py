"""The first frame of a run: what it says of the configuration, and that it tells no password."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapters import config
from adapters.running import startframe
from fusion.schema import Frame, Invalid
from replay.log import MAX_LINE_BYTES, START, encode_line
from tests.shipped import ROOT

NOW_US = 1_795_414_500_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped configuration, with borders and terrain where they lie."""
    made = tmp_path / "config"
    made.mkdir()
    for item in (ROOT / "config").iterdir():
        if item.is_dir():
            (made / item.name).symlink_to(item)
        else:
            shutil.copy(item, made)
    return made


def test_it_says_who_started_with_what(folder: Path) -> None:
    loaded = config.load(folder, environ={})
    payload = startframe.encode(loaded, 7, NOW_US)
    told = startframe.decode(payload)
    assert (told["epoch"], told["site"], told["config_hash"]) == (7, "demo", loaded.hash)
    files = {file["name"]: file for file in told["files"]}
    assert len(files) == len(loaded.files)
    assert files["rules.toml"]["text"] == (folder / "rules.toml").read_text(encoding="utf-8")
    assert "text" not in files["terrain/etopo5_5min_35-72N_0-50E.tif"]
    assert told["versions"]["numba"]
    assert len(encode_line(Frame(1, NOW_US, START, payload))) < MAX_LINE_BYTES
    assert payload == startframe.encode(loaded, 7, NOW_US)


@pytest.mark.parametrize(
    "line",
    [
        'username = "v"\npassword = "s3cret"',
        "username = 'v'\npassword='s3cret'",
        'username = "v"\n"password" = "s3cret"',
        'username = "v"\npassword = """s3cret"""',
        'username = "v"\npassword = "s3cret"   # the "s3cret" of the broker',
    ],
)
def test_it_tells_no_password(folder: Path, line: str) -> None:
    path = folder / "service.toml"
    text = path.read_text(encoding="utf-8").replace('host = "127.0.0.1"\nport = 1883', f'host = "127.0.0.1"\n{line}')
    path.write_text(text, encoding="utf-8")
    loaded = config.load(folder, environ={})
    assert loaded.broker.password == "s3cret"
    assert b"s3cret" not in startframe.encode(loaded, 1, NOW_US)


def test_what_is_no_start_frame_is_refused() -> None:
    with pytest.raises(Invalid):
        startframe.decode(b'{"schema":"vedette.clock.v1"}')
