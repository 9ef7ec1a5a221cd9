"""Word of alerts to a web hook and a mailbox: a real HTTP server and a real mail server take them."""

from __future__ import annotations

import asyncio
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.publish import single

from adapters import pki, samples
from adapters.broker import now_us
from adapters.errors import ConfigError
from adapters.formats import alert as alerts
from adapters.formats import notice as format_of
from adapters.formats import status as statuses
from adapters.outlets import noticecommands, notices
from adapters.outlets.listener import Listener
from adapters.outlets.mail import Mail, Server, message
from adapters.outlets.notices import Later, News, Notice, Notices, Post, Refused, Wanted
from adapters.outlets.webhook import SIGNATURE, Hook, signature
from adapters.samples import NAMES
from fusion.schema import Alert
from tests.broker_scene import until
from tests.mosquitto import Mosquitto, free_port
from tests.running import PATIENCE_S
from tests.shipped import ROOT
from tests.test_outlets_cot import hear, listener, say
from tests.test_outlets_held import BASE

RAISED = replace(
    samples.alarm(), state="raised", identity="unknown", acknowledged_by="", severity=1, simulated=False, mode="peace"
)
ACKED = replace(RAISED, state="acknowledged", acknowledged_by="ada", t_us=RAISED.t_us + 5)
CLOSED = replace(RAISED, state="closed", close_reason="gone", t_us=RAISED.t_us + 9)
WANTED = Wanted()
JUDGE = ROOT / ".venv" / "judges" / "mail" / "bin" / "python"


def kinds(wanted: Wanted, *said: Alert) -> list[str]:
    """What is news of these words, one after the other."""
    to, news, number, found = listener(), News(wanted), 0, list[Notice]()
    for one in said:
        say(to, one)
        number, fresh = news.of(to, number)
        found += fresh
    return [notice.kind for notice in found]


def test_news_is_what_begins_changes_and_ends_and_not_what_is_repeated() -> None:
    again, worse = replace(RAISED, t_us=RAISED.t_us + 1), replace(RAISED, severity=2, t_us=RAISED.t_us + 2)
    known = replace(worse, identity="friend", identity_by="ada", t_us=RAISED.t_us + 3)
    found = kinds(WANTED, RAISED, again, worse, known, ACKED, replace(ACKED, t_us=ACKED.t_us + 1), CLOSED, CLOSED)
    assert found == ["raised", "changed", "changed", "acknowledged", "closed"]


def test_only_what_is_asked_for_is_told_but_then_to_its_end() -> None:
    mild = replace(RAISED, severity=3)
    assert kinds(WANTED, mild, replace(CLOSED, severity=3)) == []
    assert kinds(WANTED, RAISED, mild, replace(CLOSED, severity=3)) == ["raised", "changed", "closed"]
    assert kinds(Wanted(states=("LV",)), RAISED) == []
    assert kinds(Wanted(states=(RAISED.near_state,)), RAISED) == ["raised"]
    assert kinds(Wanted(recipients=("nobody",)), RAISED) == []
    assert kinds(Wanted(recipients=("nobody", RAISED.recipients[0])), RAISED) == ["raised"]


@pytest.mark.parametrize("changes", [{"simulated": True}, {"mode": "exercise"}])
def test_what_is_played_is_kept_back_or_marked(changes: dict[str, Any]) -> None:
    played = replace(RAISED, **changes)
    assert kinds(WANTED, played) == []
    to, news = listener(), News(Wanted(played=True))
    say(to, played)
    _, (notice,) = news.of(to, 0)
    assert notice.text.split(" ")[0] in ("SIMULATED.", "EXERCISE.")


def test_a_replay_is_no_news_of_now() -> None:
    to = listener()
    hear(to, "status", statuses.encode(statuses.StatusInfo(NAMES.site, now_us(), "replay", 5)))
    say(to, RAISED)
    assert News(WANTED).of(to, 0)[1] == []
    assert News(Wanted(played=True)).of(to, 0)[1][0].text.startswith("REPLAY.")


def test_who_was_too_far_behind_tells_that_it_is_over() -> None:
    to, news = Listener(listener().connection.settings, NAMES.site, "test"), News(WANTED)
    say(to, RAISED)
    number, _ = news.of(to, 0)
    say(to, CLOSED)
    to.held._transitions_from = number + 1  # as after MOST_GONE transitions
    _, (notice,) = news.of(to, number)
    assert (notice.kind, notice.alert.id) == ("closed", RAISED.id)


@given(st.text(max_size=200), st.text(max_size=50))
def test_a_notice_reads_back_whatever_people_wrote(sentence: str, who: str) -> None:
    said = replace(ACKED, sentence=sentence, acknowledged_by=who or "x")
    notice = Notice("acknowledged", said, False)
    inner = alerts.encode(said, NAMES, 0)
    body = format_of.encode(notice.kind, notice.key, notice.text, inner, False)
    assert format_of.decode(body) == ("acknowledged", notice.key, notice.text, inner, False)
    mail = message(notice, NAMES.site, "a@b.example", ["c@d.example"])
    assert len(bytes(mail)) > 0
    assert [name for name in mail if name == "Subject"] == ["Subject"], "what people write begins no header"


# --- a web hook ---


class Answers:
    """A real HTTP server that answers as it is told, and keeps what it was sent."""

    def __init__(self, answer: Callable[[int], int]) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.taken.append((dict(self.headers), body))
                code = answer(len(outer.taken))
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/secret-path"

    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.taken]


@contextmanager
def answering(answer: Callable[[int], int] = lambda _: 200) -> Iterator[Answers]:
    door = Answers(answer)
    thread = threading.Thread(target=door.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield door
    finally:
        door.server.shutdown()
        thread.join()
        door.server.server_close()


@asynccontextmanager
async def telling(post: Post, to: Listener, give_up_s: float = 60.0) -> AsyncIterator[Notices]:
    out = Notices(WANTED, post, give_up_s)
    task = asyncio.create_task(out.serve(to))
    try:
        yield out
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_hook_is_told_signed_and_in_order() -> None:
    async def play(door: Answers) -> None:
        to = listener()
        async with telling(Hook(door.url, NAMES.site, b"geheim", {"Authorization": "Bearer x"}), to) as out:
            for n, said in enumerate((RAISED, ACKED, CLOSED), 1):
                say(to, said)
                await until(lambda n=n: out.counts["delivered"] == n)  # type: ignore[misc]
            assert "secret-path" not in out.words()

    with answering() as door:
        asyncio.run(play(door))
    assert [json.loads(body)["notice"] for _, body in door.taken] == ["raised", "acknowledged", "closed"]
    for headers, body in door.taken:
        assert headers[SIGNATURE] == f"sha256={signature(b'geheim', body)}"
        assert (headers["Content-Type"], headers["Authorization"]) == ("application/json", "Bearer x")
        assert headers["Idempotency-Key"] == json.loads(body)["key"]
    assert alerts.decode(format_of.decode(door.taken[0][1])[3]) == RAISED


def test_a_signature_is_that_of_rfc_4231() -> None:
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature(b"Jefe", b"what do ya want for nothing?") == wanted


def test_what_fails_is_tried_again_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "FIRST_PAUSE_S", 0.05)
    other = replace(RAISED, id="00000000000000aa")

    async def play(door: Answers) -> None:
        to = listener()
        async with telling(Hook(door.url, NAMES.site), to) as out:
            say(to, RAISED)
            await until(lambda: len(door.taken) == 1)
            say(to, other)
            await until(lambda: out.counts["delivered"] == 2)

    with answering(lambda n: (503, 429, 200, 200)[min(n, 4) - 1]) as door:
        asyncio.run(play(door))
    assert sorted(door.keys()).count(f"{other.id}.raised.{other.severity}.unknown") >= 1
    assert len(door.keys()) == 4


@pytest.mark.parametrize("code", [400, 404, 410, 302])
def test_what_is_refused_is_not_tried_again(code: int) -> None:
    async def play(door: Answers) -> None:
        to = listener()
        async with telling(Hook(door.url, NAMES.site), to) as out:
            say(to, RAISED)
            await until(lambda: out.counts["refused"] == 1)
            assert f"answers {code}" in out.words()
            say(to, ACKED)
            await until(lambda: out.counts["refused"] == 2)

    with answering(lambda _: code) as door:
        asyncio.run(play(door))
    assert len(door.taken) == 2


class Told:
    """A post that keeps what it is given, and fails while it is told to."""

    def __init__(self) -> None:
        self.fails: type[Exception] | None = None
        self.given: list[Notice] = []

    async def deliver(self, notice: Notice) -> None:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails("not now")
        self.given.append(notice)

    def words(self) -> str:
        return "a test"


def test_who_was_away_is_told_how_things_stand() -> None:
    async def play() -> list[Notice]:
        to, post = listener(), Told()
        post.fails = Later
        async with telling(post, to) as out:
            say(to, RAISED)
            await until(lambda: bool(out.problem))
            say(to, ACKED)
            await asyncio.sleep(0.05)
            post.fails = None
            await until(lambda: bool(post.given))
        return post.given

    (notice,) = asyncio.run(play())
    assert (notice.kind, notice.alert.state) == ("raised", "acknowledged")


def test_what_nobody_takes_is_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(notices, "MOST_WAITING", 3)

    async def play() -> None:
        to, post = listener(), Told()
        post.fails = Later
        async with telling(post, to, give_up_s=0.1) as out:
            for n in range(5):
                say(to, replace(RAISED, id=f"{n:016x}"))
            await until(lambda: out.counts["given-up"] + out.counts["crowded-out"] == 5)
            assert out.counts["crowded-out"] >= 1
            assert "0 waiting" in out.words()

    asyncio.run(play())


def test_a_fault_of_our_own_ends_it() -> None:
    async def play() -> None:
        to, post = listener(), Told()
        post.fails = ZeroDivisionError
        say(to, RAISED)
        with pytest.raises(ZeroDivisionError):
            await Notices(WANTED, post).serve(to)

    asyncio.run(play())


# --- a mailbox ---


class MailServer:
    """aiosmtpd in an environment apart."""

    def __init__(self, *secured: str) -> None:
        self.port = free_port()
        line = [str(JUDGE), str(ROOT / "tests" / "judges" / "mail.py"), str(self.port), *secured]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._lines.get(timeout=PATIENCE_S) == "ready"

    def mail(self) -> dict[str, Any]:
        """The next that it took."""
        found: dict[str, Any] = json.loads(self._lines.get(timeout=PATIENCE_S))
        return found

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())


@pytest.fixture(scope="module")
def plain() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


def test_all_words_of_an_alert_are_one_thread(plain: MailServer) -> None:
    async def play() -> None:
        to = listener()
        post = Mail(
            Server("127.0.0.1", plain.port, "none"), NAMES.site, "v@x.example", ["duty@x.example"], "http://page"
        )
        async with telling(post, to) as out:
            for n, said in enumerate((RAISED, CLOSED), 1):
                say(to, said)
                await until(lambda n=n: out.counts["delivered"] == n)  # type: ignore[misc]

    asyncio.run(play())
    first, last = plain.mail(), plain.mail()
    assert first["to"] == ["duty@x.example"]
    assert first["headers"]["Subject"].startswith(f"Alert, severity {RAISED.severity}: ")
    assert RAISED.sentence in first["text"].replace("\n", " ")
    assert "To acknowledge it: http://page" in first["text"]
    assert first["headers"]["Auto-Submitted"] == "auto-generated"
    assert last["headers"]["In-Reply-To"] == first["headers"]["Message-ID"] == last["headers"]["References"]
    assert last["headers"]["Subject"].startswith("Closed (gone): ")


def test_a_full_mailbox_is_refused_and_a_busy_one_tried_again(
    plain: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "FIRST_PAUSE_S", 0.05)

    async def play() -> None:
        server = Server("127.0.0.1", plain.port, "none")
        to = listener()
        say(to, RAISED)
        async with telling(Mail(server, NAMES.site, "v@x.example", ["full@x.example"]), to) as out:
            await until(lambda: out.counts["refused"] == 1)
            assert "550" in out.problem
        async with telling(Mail(server, NAMES.site, "v@x.example", ["busy@x.example"]), to) as out:
            await until(lambda: out.counts["delivered"] == 1)
            assert "451" in out.problem

    asyncio.run(play())
    assert plain.mail()["to"] == ["busy@x.example"]


def test_a_server_with_tls_and_a_password(tmp_path: Path) -> None:
    keys = tmp_path / "pki"
    pki.generate(keys, ROOT / "config", pki.Wanted((), (), ("127.0.0.1",), "test", 2))
    secured = MailServer(str(keys / "broker.pem"), str(keys / "broker.key"), "vedette", "geheim")
    notice = Notice("raised", RAISED, False)
    good = Server("127.0.0.1", secured.port, "starttls", "vedette", "geheim", str(keys / "ca.pem"))

    def deliver(server: Server) -> None:
        asyncio.run(Mail(server, NAMES.site, "v@x.example", ["duty@x.example"]).deliver(notice))

    try:
        deliver(good)
        assert secured.mail()["tls"]
        with pytest.raises(Later, match="password"):
            deliver(replace(good, password="falsch"))
        with pytest.raises(Later, match="certificate"):
            deliver(replace(good, ca=None))
        with pytest.raises(Refused, match="530"):
            deliver(replace(good, tls="none", user=""))
    finally:
        secured.close()
    assert "geheim" not in repr(good)


# --- the command ---


@pytest.mark.alone
def test_the_command_tells_a_hook_what_a_broker_holds(tmp_path: Path) -> None:
    with answering() as door, Mosquitto(tmp_path) as broker:
        (tmp_path / "url").write_text(door.url + "\n")
        payload = alerts.encode(RAISED, NAMES, 1)
        single(f"{BASE}alert/{RAISED.id}", payload, 1, True, "127.0.0.1", broker.port)
        words = ["out", "webhook", "--url", f"@{tmp_path / 'url'}", "--broker", f"127.0.0.1:{broker.port}"]
        line = [sys.executable, "-m", "adapters.cli", *words, "--site", NAMES.site]
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as run:
            deadline = time.monotonic() + PATIENCE_S
            while not door.taken and time.monotonic() < deadline:
                time.sleep(0.05)
            run.terminate()
            _, said = run.communicate(timeout=60)
            assert run.returncode == 0
    assert door.keys() == [f"{RAISED.id}.raised.1.unknown"]
    assert "secret-path" not in said


# --- options ---


@pytest.mark.parametrize("url", ["ftp://x", "https:///secret", "https://a:b@x/", "http://x:0/", "nonsense"])
def test_what_is_no_hook_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        noticecommands._url(url)
    assert caught.value.key == "--url"
    assert url not in str(caught.value)


def test_headers_and_secrets_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer x\nX-A:  b \n")
    assert noticecommands._headers(file) == {"Authorization": "Bearer x", "X-A": "b"}
    file.write_text("no header\n")
    with pytest.raises(ConfigError, match="line 1"):
        noticecommands._headers(file)
    file.write_text("")
    with pytest.raises(ConfigError, match="0 octets"):
        noticecommands._secret(file, "--secret-file")
