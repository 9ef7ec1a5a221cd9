"""`vedette pki`: certificates and a Mosquitto configuration in which everybody has a name and says only its own.

    ca.pem, ca.key                    an authority of its own; keep the key away from the broker
    broker.pem, vedette.pem, operator.pem, outlet.pem, each with .key
    sensors/{ID}.pem, partners/{NAME}.pem, each with .key
    mosquitto.conf, mosquitto.acl     TLS, client certificates, the name in a certificate is the account

The access list is the one of the configuration folder (config/mosquitto.acl), written out for these names and this
site: what `%u` allows to any account stands here for the accounts that there are, each with what its kind may do. Keys
are of mode 0600 and have no password. Certificates are made by the `openssl` command. Nothing is ever overwritten.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import ConfigError

SERVICE, OPERATOR, OUTLET, BROKER, AUTHORITY = "vedette", "operator", "outlet", "broker", "ca"
RESERVED = (SERVICE, OPERATOR, OUTLET, BROKER, AUTHORITY, "replay")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")  # as a topic part, a file name and an account
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9A-Fa-f:.]+")
ACCESS, BROKER_CONF = "mosquitto.acl", "mosquitto.conf"
TIMEOUT_S = 60
_OURS = ("listener", "allow_anonymous", "password_file", "acl_file", "persistence_location")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who gets a certificate."""

    sensors: tuple[str, ...]
    partners: tuple[str, ...]
    hosts: tuple[str, ...]  # names and addresses of the broker
    site: str
    days: int


def generate(out: Path, config: Path, wanted: Wanted) -> list[Path]:
    """Make all of it in `out`, which must not be there yet. Returns the certificates.

    Raises:
        ConfigError: a name cannot be one, `out` is there, `openssl` is missing or fails, the folder lacks a file.
    """
    _check(out, wanted)
    texts = {name: _read(config / name) for name in (ACCESS, BROKER_CONF)}
    part = out.with_name(out.name + ".part")
    if part.exists():
        raise ConfigError("command line", "--out", f"{part} is there already", "remove it: a run before did not end")
    try:
        part.mkdir(mode=0o700, parents=True)
        made = _certificates(part, wanted)
        (part / "data").mkdir(mode=0o700)
        (part / ACCESS).write_text(access_list(texts[ACCESS], wanted), encoding="utf-8")
        (part / BROKER_CONF).write_text(broker_conf(texts[BROKER_CONF], out.absolute()), encoding="utf-8")
        part.rename(out)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        problem = f"{out} cannot be written ({error.strerror})"
        raise ConfigError("command line", "--out", problem, "name a folder that you may make") from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return [out / path.relative_to(part) for path in made]


def _check(out: Path, wanted: Wanted) -> None:
    if out.exists():
        cure = "name a new folder: certificates that are in use are never overwritten"
        raise ConfigError("command line", "--out", f"{out} is there already", cure)
    names = [*wanted.sensors, *wanted.partners]
    for option, given in (("--sensor", wanted.sensors), ("--partner", wanted.partners), ("--site", (wanted.site,))):
        for name in given:
            if WORD.fullmatch(name) is None or ".." in name:
                cure = "give letters, digits, _ . -, as in sensors.toml and service.toml"
                raise ConfigError("command line", option, f"is {name!r}", cure)
            if option != "--site" and (name.lower() in RESERVED or names.count(name) > 1):
                raise ConfigError("command line", option, f"{name} is a name already", "give everybody another name")
    for host in wanted.hosts:
        if HOST.fullmatch(host) is None:
            raise ConfigError("command line", "--host", f"is {host!r}", "give a host name or an address")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        cure = "name a folder with mosquitto.conf and mosquitto.acl, such as config/"
        raise ConfigError(str(path), "file", f"cannot be read ({error.strerror})", cure) from error


# --- certificates ---


def _certificates(folder: Path, wanted: Wanted) -> list[Path]:
    authority = ("-x509", "-days", str(wanted.days), "-subj", f"/CN=Vedette {wanted.site} authority")
    use = ("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0")
    _openssl(folder, "req", *authority, *use, *_key(folder / "ca.key"), "-out", "ca.pem")
    hosts = ",".join(f"{'IP' if re.fullmatch(r'[0-9.]+|.*:.*', host) else 'DNS'}:{host}" for host in wanted.hosts)
    made = [
        _signed(folder, folder / BROKER, BROKER, f"extendedKeyUsage=serverAuth\nsubjectAltName={hosts}", wanted.days)
    ]
    people = [(name, folder / name) for name in (SERVICE, OPERATOR, OUTLET)]
    people += [(name, folder / "sensors" / name) for name in wanted.sensors]
    people += [(name, folder / "partners" / name) for name in wanted.partners]
    return made + [_signed(folder, path, name, "extendedKeyUsage=clientAuth", wanted.days) for name, path in people]


def _signed(folder: Path, path: Path, name: str, use: str, days: int) -> Path:
    """Key and certificate of one name, signed by the authority of `folder`."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    request, extensions, certificate = (path.with_name(path.name + end) for end in (".csr", ".ext", ".pem"))
    key = path.with_name(path.name + ".key")
    extensions.write_text(f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n{use}\n", "utf-8")
    _openssl(folder, "req", "-new", "-subj", f"/CN={name}", *_key(key), "-out", str(request.absolute()))
    signer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days))
    files = (
        "-in",
        str(request.absolute()),
        "-extfile",
        str(extensions.absolute()),
        "-out",
        str(certificate.absolute()),
    )
    _openssl(folder, "x509", "-req", *signer, *files)
    request.unlink()
    extensions.unlink()
    return certificate


def _key(path: Path) -> Sequence[str]:
    """A new P-256 key into a file that nobody else may read, from its first byte on."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(path.absolute()))


def _openssl(folder: Path, *words: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        cure = "install it: sudo apt-get install openssl"
        raise ConfigError("command line", "openssl", "is not installed", cure)
    done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise ConfigError("openssl", words[0], done.stderr.strip()[-300:] or "failed", "see what it says")


# --- the broker's files ---


def access_list(shipped: str, wanted: Wanted) -> str:
    """The shipped access list for the accounts that there are."""
    patterns = re.findall(r"^pattern (read|write|readwrite) (\S+)$", shipped, re.MULTILINE)
    accounts = dict(re.findall(r"^user (\S+)\n((?:(?:topic|#).*\n|\n)*)", shipped + "\n", re.MULTILINE))
    lines = ["# Who may say and hear what. What is not allowed here is denied. Written by `vedette pki`."]
    for kind, names in (("in", wanted.sensors), ("partner", wanted.partners)):
        own = [(may, topic) for may, topic in patterns if f"/{kind}/%u/" in topic or "/answer/%u/" in topic]
        for name in names:
            lines += ["", f"user {name}"]
            lines += [f"topic {may} {topic.replace('%u', name)}" for may, topic in own]
    for name in (SERVICE, OPERATOR, OUTLET):
        lines += ["", f"user {name}", *re.findall(r"^topic .*$", accounts[name], re.MULTILINE)]
    return "\n".join(line.replace("vedette/v1/+/", f"vedette/v1/{wanted.site}/") for line in lines) + "\n"


def broker_conf(shipped: str, folder: Path) -> str:
    """The shipped broker configuration with TLS and certificates instead of passwords; `folder` is where it will be."""
    kept = [line for line in shipped.splitlines() if not line.startswith(("#", *_OURS))]
    ours = f"""# Mosquitto for Vedette with certificates, by `vedette pki`. Its numbers: config/mosquitto.conf.
listener 8883
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
tls_version tlsv1.2
# The name in the certificate is the account: no certificate of ours, no connection.
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {folder}/mosquitto.acl
persistence_location {folder}/data/
# Publishes that the access list refuses are told at this level and no other: "Denied PUBLISH from ...". It is a line
# for every message; take it out where there are thousands a second, and watch what senders count as denied instead.
log_type debug
"""
    return ours + "\n".join(line for line in kept if line) + "\n"
