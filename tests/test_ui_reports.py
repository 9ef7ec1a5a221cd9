"""Reports on the page: the incident as the database has it, with a policy that lets nothing else in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from adapters.incidents.database import IncidentDb, kept_of
from adapters.ui.access import Guard
from adapters.ui.reports import Reports
from adapters.ui.settings import UiFile
from fusion.cases.record import IncidentChanged
from tests.airpicture import T0_US
from tests.asgibrowser import Browser
from tests.conftest import ROOT
from tests.test_incidentdb import WORDS, events, night

BORDERS = (ROOT / "config" / "zones" / "naturalearth" / "LT.geojson",)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    file = tmp_path_factory.mktemp("incidents") / "incidents.db"
    with IncidentDb(file, WORDS) as db:
        kept = kept_of(T0_US, [*events(), IncidentChanged(night().said[-1], ())])
        assert kept is not None
        assert db.offer([kept])
        yield Browser(Guard(Starlette(routes=Reports(file, BORDERS, file.parent).routes()), UiFile(), 8080))


def test_a_report_is_one_page_that_needs_nothing_else(at: Browser) -> None:
    incident = night().said[0].id
    found = at.get(f"/report/{incident}")
    assert (found.status_code, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert incident in found.text
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'sha256-" in policy
    assert "unsafe" not in policy
    for ending in ("html", "geojson", "kml", "czml"):
        assert f'<a href="/report/{incident}.{ending}" download>' in found.text
    assert (
        f"key E on the page, or <code>vedette dossier {incident} --out incident-{incident}.zip</code></nav>"
        in found.text
    )
    assert found.text.count("no recording of its time is left, or none was made") == 2  # of detections, and of files
    kept = at.get(f"/report/{incident}.html")
    assert kept.headers["content-disposition"] == f'attachment; filename="incident-{incident}.html"'
    assert kept.headers["content-security-policy"] == policy
    assert "href" not in kept.text  # what is kept names no address that is gone tomorrow


def test_files_for_maps_stand_beside_it(at: Browser) -> None:
    found = at.get(f"/report/{night().said[0].id}.geojson")
    assert found.headers["content-type"].startswith("application/geo+json")
    assert found.json()["type"] == "FeatureCollection"
    for ending, kind, beginning in (
        ("kml", "application/vnd.google-earth.kml+xml", b"<?xml"), ("czml", "application/json", b'[{"id":"document"'),
    ):  # fmt: skip
        file = at.get(f"/report/{night().said[0].id}.{ending}")
        assert (file.status_code, file.headers["content-type"].split(";")[0]) == (200, kind)
        assert file.content.startswith(beginning)
        assert file.headers["content-disposition"].endswith(f'.{ending}"')


def test_an_alert_of_the_past_leads_to_its_incident(at: Browser) -> None:
    incident = night().said[-1]
    for member in incident.members:
        for alert in member.alerts:
            assert at.get(f"/incident-of/{alert}").json() == {"incident": incident.id}
    assert at.get(f"/incident-of/{'0' * 16}").json() == {"incident": ""}


@pytest.mark.parametrize("name", ["0" * 16, "x", "0" * 15 + "'", "0" * 16 + ".geojson", "0" * 16 + ".exe"])
def test_what_is_not_there_is_said(at: Browser, name: str) -> None:
    assert at.get(f"/report/{name}").status_code == 404


def test_without_a_database_it_says_what_is_missing(tmp_path: Path) -> None:
    browser = Browser(Guard(Starlette(routes=Reports(tmp_path / "none.db", (), tmp_path).routes()), UiFile(), 8080))
    for address in ("report", "incident-of"):
        assert browser.get(f"/{address}/{'0' * 16}").status_code == 503
