"""ui.toml: closed unless somebody opens it, and then only with users."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.errors import ConfigError
from adapters.ui import settings

USER = '[[users]]\nname = "J. Petraitis"\nrole = "acknowledge"\n'
TOKEN = f'token_sha256 = "{"0" * 64}"\n'


def load(folder: Path, text: str) -> settings.UiFile:
    (folder / settings.FILE).write_text(text, "utf-8")
    return settings.load(folder)


def test_without_a_file_only_this_machine_comes_in(tmp_path: Path) -> None:
    found = settings.load(tmp_path)
    assert (found.host, found.users) == ("127.0.0.1", [])


def test_users_open_it(tmp_path: Path) -> None:
    assert load(tmp_path, f'host = "192.0.2.7"\n{USER}{TOKEN}').users[0].role == "acknowledge"
    assert load(tmp_path, f'{USER}[proxy]\nheader = "X-User"\n').proxy.addresses == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('host = "192.0.2.7"', "host"),
        (f'host = "0.0.0.0"\n{USER}{TOKEN}', "origins"),
        (USER, "users"),
        (f"{USER}{TOKEN}{USER}{TOKEN}", "users"),
        ('[[users]]\nname = ""', "name"),
        ('[[users]]\nname = "x"\nrole = "boss"', "role"),
        ('[[users]]\nname = "x"\ntoken_sha256 = "secret"', "token_sha256"),
        ('origins = ["https://a.example/path"]', "origins"),
        ("port = 80000", "port"),
        ("prot = 80", "prot"),
        ("port =", "ui.toml"),
    ],
)
def test_mistakes_are_refused_with_their_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("host", "is_ours"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_loopback(host: str, is_ours: bool) -> None:
    assert settings.is_loopback(host) is is_ours
