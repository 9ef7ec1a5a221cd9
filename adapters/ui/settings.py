"""`ui.toml`: where the page is served and who may do what there. Without the file: 127.0.0.1, and everybody on it."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from adapters.errors import ConfigError, unreadable
from adapters.files.configfile import Port, Strict
from adapters.files.refuse import validate

FILE = "ui.toml"
Role = Literal["view", "acknowledge", "admin"]
_UNREADABLE = (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError)


class UserFile(Strict):
    """`[[users]]` of ui.toml."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", description="name in records")
    role: Role = Field(
        default="view",
        description="view; acknowledge: also identify, close, hand over and take dossiers; admin: also the mode",
    )
    token_sha256: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="SHA-256 of the token, in hexadecimal: `vedette ui --token NAME` makes both; empty: proxy only",
    )


class ProxyFile(Strict):
    """`[proxy]` of ui.toml."""

    header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$", description="header with the user's name; empty: none")
    addresses: list[str] = Field(default=["127.0.0.1"], max_length=16, description="only believed from these addresses")


class UiFile(Strict):
    """ui.toml."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: Port = Field(default=8080, description="port to listen on; 0 takes any free one")
    origins: list[Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]] = Field(
        default=[],
        max_length=16,
        description="what browsers call the page when not http://HOST:PORT, for example https://air.example",
    )
    band_m: float = Field(default=30_000.0, ge=0.0, le=200_000.0, description="width of the band outside the border")
    dossier_max_bytes: int = Field(
        default=500_000_000, ge=0, le=3_000_000_000, description="largest dossier that the page makes; 0: it makes none"
    )
    users: list[UserFile] = Field(default=[], max_length=200, description="who may come in, with which role")
    proxy: ProxyFile = ProxyFile()


def load(folder: Path) -> UiFile:
    """Read and check `ui.toml` of a configuration folder.

    Raises:
        ConfigError: wrong, or open to the network without users.
    """
    path = folder / FILE
    data = {}
    if path.exists():
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except _UNREADABLE as error:
            raise unreadable(path, error) from error
    found, wrong = validate(UiFile, data, str(path))
    if found is None:
        raise wrong[0]
    return checked(found, path)


def checked(found: UiFile, path: Path) -> UiFile:
    """The same, where one setting goes with the others. Raises ConfigError."""
    names = [user.name for user in found.users]
    if len(names) != len({*names}):
        raise ConfigError(str(path), "users", "name somebody twice", "give everybody one entry")
    if not is_loopback(found.host) and not found.users:
        cure = 'add [[users]], or host = "127.0.0.1"'
        raise ConfigError(str(path), "host", f"{found.host} lets the network in, and there are no users", cure)
    if found.host in ("0.0.0.0", "::") and not found.origins:
        cure = 'name what browsers call the page: origins = ["https://air.example"]'
        raise ConfigError(str(path), "origins", f"is empty, and {found.host} is no name of a page", cure)
    if not found.proxy.header and any(not user.token_sha256 for user in found.users):
        cure = "give token_sha256 (`vedette ui --token NAME` makes one), or [proxy] header"
        raise ConfigError(str(path), "users", "have no token, and no proxy names them", cure)
    return found


def is_loopback(host: str) -> bool:
    """True when only this machine can come in."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
