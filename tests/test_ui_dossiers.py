"""Dossiers on the page: made by a process of their own, byte for byte as the command makes them, for who may."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from adapters.evidence import bundle, dossier
from adapters.incidents.database import read_only
from adapters.incidents.reading import dossier as all_of
from adapters.service import names_of
from adapters.ui import dossiers as pages
from adapters.ui.access import LIMITS, Guard
from adapters.ui.dossiers import Dossiers
from adapters.ui.settings import UiFile
from tests import shipped
from tests.asgibrowser import ORIGIN, Browser
from tests.test_ui_access import user
from tests.watchedincident import Watched, watch

MAX_BYTES = UiFile().dossier_max_bytes
PATIENCE_S = 240.0
NOBODY = "0" * 16


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """An incident that a person closed."""
    return watch(tmp_path_factory.mktemp("dossier") / "config", 26, "[record]\nfile_s = 10", close_s=24)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where dossiers lie until they are taken; nothing is left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


class Asked:
    """A page with dossiers in one loop: what is made goes on between two requests."""

    def __init__(self, stand: Watched, max_bytes: int = MAX_BYTES) -> None:
        self.dossiers, self.id = Dossiers(stand.config, max_bytes), stand.incident.id
        guard = Guard(Starlette(routes=self.dossiers.routes()), UiFile(), 8080)
        transport = httpx.ASGITransport(guard)
        self.client = httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"origin": ORIGIN})

    async def __aenter__(self) -> Asked:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.dossiers.close()
        await self.client.aclose()

    async def make(self, incident: str = "") -> tuple[int, str]:
        answer = await self.client.post(f"/dossier/{incident or self.id}")
        return answer.status_code, answer.json()["detail"]

    async def told(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/dossier/{self.id}")).json()
        return found

    async def ended(self) -> dict[str, Any]:
        """What is told once it is made or was not."""
        async with asyncio.timeout(PATIENCE_S):
            while (told := await self.told())["state"] == "making":
                await asyncio.sleep(0.1)
        return told

    async def take(self) -> httpx.Response:
        return await self.client.get(f"/dossier/{self.id}.zip")


def test_what_is_taken_is_what_the_command_makes(stand: Watched, tmp_path: Path, temporary: Path) -> None:
    with read_only(stand.config.data_dir / "incidents.db") as db:
        of = all_of(db, stand.incident.id)
    oracle = dossier.make(of, stand.config, names_of(stand.config, shipped.zones()), tmp_path / "oracle.zip")

    async def asked() -> tuple[dict[str, Any], httpx.Response]:
        async with Asked(stand) as page:
            assert (await page.told())["state"] == "none"
            assert (await page.take()).status_code == 404
            assert (await page.make())[0] == 202
            assert (await page.take()).status_code == 404
            assert await page.make() == (202, "it is being made")  # asked twice, made once
            status, why = await page.make(NOBODY)
            assert (status, "another dossier is being made" in why) == (409, True)
            return await page.ended(), await page.take()

    told, taken = asyncio.run(asked())
    assert (told["state"], told["head"], told["bytes"]) == ("ready", oracle.head, oracle.size_bytes), told
    assert told["notes"] == oracle.about["notes"]
    assert taken.content == (tmp_path / "oracle.zip").read_bytes()
    assert taken.headers["content-type"] == "application/zip"
    assert taken.headers["content-disposition"] == f'attachment; filename="incident-{stand.incident.id}.zip"'
    assert taken.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    (tmp_path / "taken.zip").write_bytes(taken.content)
    assert bundle.check(tmp_path / "taken.zip").head == told["head"]


def test_one_that_grows_beyond_the_limit_is_given_up_and_the_command_named(stand: Watched, temporary: Path) -> None:
    async def asked() -> dict[str, Any]:
        async with Asked(stand, max_bytes=1_000_000) as page:  # the borders alone are more
            await page.make()
            told = await page.ended()
            assert (await page.take()).status_code == 404
            return told

    told = asyncio.run(asked())
    assert told["state"] == "failed"
    assert told["detail"].startswith("larger than 1 MB, which is the most that this page may make: vedette dossier")


def test_a_damaged_journal_is_said(stand: Watched, tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "config"
    shutil.copytree(stand.folder, folder)
    journal = folder / "var" / "alerts.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"alert", b"ALERT", 1))
    moved = Watched(folder, pages_config(folder), stand.start_us, stand.incidents)

    async def asked() -> dict[str, Any]:
        async with Asked(moved) as page:
            await page.make()
            return await page.ended()

    told = asyncio.run(asked())
    assert told["state"] == "failed"
    assert "the alert journal is damaged" in told["detail"]


def pages_config(folder: Path) -> Any:
    from adapters import config as configuration

    return configuration.load(folder, environ={})


def test_what_takes_too_long_or_is_left_behind_ends_with_its_process(
    stand: Watched, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(patience_s: float) -> dict[str, Any]:
        monkeypatch.setattr(pages, "LONGEST_S", patience_s)
        async with Asked(stand) as page:
            await page.make()
            return await page.ended() if patience_s < 1.0 else await page.told()

    told = asyncio.run(asked(0.5))
    assert (told["state"], told["detail"].startswith("it took longer than 0 s: vedette dossier")) == ("failed", True)
    assert asyncio.run(asked(60.0))["state"] == "making"  # the page ended then, and `temporary` is empty again


def test_old_ones_are_given_up(stand: Watched, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked() -> None:
        async with Asked(stand, max_bytes=1_000_000) as page:
            await page.make()
            assert (await page.ended())["state"] == "failed"
            assert len(list(temporary.iterdir())) == 1
            monkeypatch.setattr(pages, "KEPT_S", 0.0)
            assert (await page.told())["state"] == "none"
            assert list(temporary.iterdir()) == []

    asyncio.run(asked())


def answer(stand: Watched, max_bytes: int = MAX_BYTES, incident: str = "") -> tuple[int, str]:
    """To somebody who asks for one that is refused at once."""
    guard = Guard(Starlette(routes=Dossiers(stand.config, max_bytes).routes()), UiFile(), 8080)
    found = Browser(guard).post(f"/dossier/{incident or stand.incident.id}")
    return found.status_code, found.json()["detail"]


def test_what_cannot_be_made_is_refused_in_words(stand: Watched, tmp_path: Path, temporary: Path) -> None:
    gone = replace(stand, config=replace(stand.config, record_dir=tmp_path))
    status, why = answer(gone)
    assert (status, why.startswith("no recording of its time is left here")) == (409, True)
    other = replace(stand.incident, members=(replace(stand.incident.members[0], track="9:1"),))
    assert not Dossiers(stand.config, MAX_BYTES)._is_recorded(other), "another epoch's recordings are not its own"
    status, why = answer(stand, max_bytes=0)
    assert (status, f"vedette dossier {stand.incident.id}" in why) == (409, True)
    assert answer(stand, incident=NOBODY)[0] == 404
    assert answer(stand, incident="none") == (404, "no such incident")
    assert answer(replace(stand, config=replace(stand.config, data_dir=tmp_path)))[0] == 503


def test_only_who_may_acknowledge_gets_one_and_only_from_a_page_of_ours(stand: Watched, temporary: Path) -> None:
    users = [user("Ona", "acknowledge", "ona-token"), user("Jonas", "view", "jonas-token")]
    at = Browser(Guard(Starlette(routes=Dossiers(stand.config, 0).routes()), UiFile(users=users), 8080))
    path = f"/dossier/{stand.incident.id}"

    def status(method: str, path: str, token: str, origin: str = ORIGIN) -> int:
        headers = {"authorization": f"Bearer {token}", "origin": origin}
        return at.ask(method, path, headers=headers).status_code

    for method, where in (("POST", path), ("GET", path), ("GET", f"{path}.zip")):
        assert status(method, where, "jonas-token") == 403
        assert status(method, where, "nobody") == 401
        assert status(method, where, "ona-token") in (200, 404, 409)
    assert status("POST", path, "ona-token", "http://evil.example") == 403


def test_asking_again_and_again_is_limited_apart_from_orders(stand: Watched, temporary: Path) -> None:
    at = Browser(Guard(Starlette(routes=Dossiers(stand.config, 0).routes()), UiFile(), 8080))
    burst = round(LIMITS["dossier"][0])
    answers = [at.post(f"/dossier/{stand.incident.id}").status_code for _ in range(burst + 1)]
    assert answers == [409] * burst + [429]
    assert at.post("/elsewhere").status_code == 404  # an order is not held up by it
