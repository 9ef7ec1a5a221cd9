"""Dossiers on the page: an officer asks for one, a process beside the page makes it as `vedette dossier` does, and what
was made is handed out for a while. Making takes seconds to minutes of a core: those who watch give nothing for it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from adapters import log
from adapters.config import Config
from adapters.errors import ConfigError
from adapters.incidents.database import read_only
from adapters.incidents.reading import dossier, find
from adapters.incidents.words import dossier_command
from adapters.ui.access import Person
from adapters.ui.answers import as_json, told
from fusion.cases.record import Incident

INCIDENT = re.compile(r"[0-9a-f]{16}")
LONGEST_S = 900.0  # for one; a process that takes longer is ended
KEPT = 2  # dossiers that were made, the newest ...
KEPT_S = 900.0  # ... and so long
NICE = 10  # whatever else this machine does comes first
DISK_PART = 3  # of what the disk has left it may take one in so many, and its recording once more while it is made


@dataclass(slots=True)
class Job:
    """One dossier, from the asking on."""

    incident: str
    folder: Path
    began_s: float
    state: str = "making"  # then "ready" or "failed"
    detail: str = ""  # why it failed
    head: str = ""
    size_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    ended_s: float = 0.0

    @property
    def file(self) -> Path:
        """What is made."""
        return self.folder / f"incident-{self.incident}.zip"


class Dossiers:
    """`/dossier/{incident}`: POST has it made, GET tells how far that is; the same as `.zip` is the file."""

    def __init__(self, config: Config, max_bytes: int) -> None:
        """`max_bytes`: of one dossier; 0: none is made here."""
        self._config, self._max_bytes = config, max_bytes
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._work: asyncio.Task[None] | None = None

    def routes(self) -> list[BaseRoute]:
        """Where to ask."""
        return [
            Route("/dossier/{incident}.zip", self._file),
            Route("/dossier/{incident}", self._told),
            Route("/dossier/{incident}", self._make, methods=["POST"]),
        ]

    async def close(self) -> None:
        """End what is being made, and leave nothing behind."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        for job in self._jobs.values():
            shutil.rmtree(job.folder, ignore_errors=True)
        self._jobs.clear()

    # --- what is asked ---

    async def _make(self, request: Request) -> Response:
        if (refused := _refused(request)) is not None:
            return refused
        incident = request.path_params["incident"]
        self._tidy()
        held = self._jobs.get(incident)
        if held is not None and held.state == "making":
            return told(True, "it is being made", 202)
        # Asked twice: somebody else may be quicker while the database is read.
        if (refused := self._busy() or await self._unmakable(incident) or self._busy()) is not None:
            return refused
        person: Person = request.state.person
        self._drop(incident)
        job = Job(incident, Path(tempfile.mkdtemp(prefix="vedette-dossier-")), time.monotonic())
        self._jobs[incident] = job
        self._work = asyncio.create_task(self._run(job, person.name), name="ui-dossier")
        return told(True, "it is being made", 202)

    async def _told(self, request: Request) -> Response:
        if (refused := _refused(request)) is not None:
            return refused
        self._tidy()
        job = self._jobs.get(request.path_params["incident"])
        if job is None:
            return as_json({"state": "none", "detail": "it has not been made, or was given up after a while"})
        taken_s = (job.ended_s or time.monotonic()) - job.began_s
        return as_json(
            {"state": job.state, "detail": job.detail, "head": job.head, "notes": job.notes, "bytes": job.size_bytes,
             "taken_s": round(taken_s, 1)}
        )  # fmt: skip

    async def _file(self, request: Request) -> Response:
        if (refused := _refused(request)) is not None:
            return refused
        self._tidy()
        job = self._jobs.get(request.path_params["incident"])
        if job is None or job.state != "ready":
            return told(False, "it has not been made, or was given up after a while: ask for it on the page", 404)
        log.get("ui").info("dossier taken", incident=job.incident, operator=request.state.person.name, head=job.head)
        headers = {"Cache-Control": "no-store"}
        return FileResponse(job.file, media_type="application/zip", filename=job.file.name, headers=headers)

    def _busy(self) -> Response | None:
        if self._work is None or self._work.done():
            return None
        return told(False, "another dossier is being made: ask again in a minute", 409)

    async def _unmakable(self, incident: str) -> Response | None:
        """Why it is not even begun."""
        if self._max_bytes == 0:
            return told(False, f"this page makes none (ui.toml), but this does: {dossier_command(incident)}", 409)
        try:
            found = await run_in_threadpool(self._found, incident)
        except ConfigError as error:
            log.get("ui").warning("no dossier", incident=incident, problem=str(error))
            why = f"the service's incident database cannot be read here ({error.problem}): does it run elsewhere?"
            return told(False, why, 503)
        if found is None:
            return told(False, "no such incident yet: it is written a moment after it is told", 404)
        return None if self._is_recorded(found) else told(False, _UNRECORDED, 409)

    # --- what is there ---

    def _found(self, incident: str) -> Incident | None:
        with read_only(self._config.data_dir / "incidents.db") as db:
            return dossier(db, incident).incident if find(db, incident) else None

    def _is_recorded(self, incident: Incident) -> bool:
        epoch = int(incident.members[0].track.partition(":")[0])
        return any(self._config.record_dir.glob(f"e{epoch:06d}-*.mcap"))

    def _drop(self, incident: str) -> None:
        job = self._jobs.pop(incident, None)
        if job is not None:
            shutil.rmtree(job.folder, ignore_errors=True)  # who is taking it has it open, and gets the whole of it

    def _tidy(self) -> None:
        """Forget what is old; what is being made stays."""
        now_s = time.monotonic()
        ended = [job for job in self._jobs.values() if job.state != "making"]
        for number, job in enumerate(reversed(ended)):
            if number >= KEPT or now_s - job.ended_s > KEPT_S:
                self._drop(job.incident)

    # --- how it is made ---

    async def _run(self, job: Job, operator: str) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._made(job)
        except TimeoutError:
            job.state, job.detail = "failed", f"it took longer than {LONGEST_S:.0f} s: {dossier_command(job.incident)}"
        except OSError as error:
            job.state, job.detail = "failed", f"no process could be started for it ({error.strerror})"
        finally:
            job.ended_s = time.monotonic()
        name, ok = operator or "(somebody on this machine)", job.state == "ready"
        log.get("ui").info("dossier", incident=job.incident, operator=name, ok=ok, head=job.head, detail=job.detail)

    async def _made(self, job: Job) -> None:
        """What `vedette dossier` does, in a process that comes last and may not write more than it should."""
        most_bytes = min(self._max_bytes, shutil.disk_usage(job.folder).free // DISK_PART)
        line = ["-P", "-m", "adapters.main", "dossier", job.incident, "--out", str(job.file)]
        child = await asyncio.create_subprocess_exec(
            sys.executable, *line, "--config", str(self._config.folder), env={**os.environ, "TMPDIR": str(job.folder)},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by then, and says why
                os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
            out, err = await child.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise
        _judge(job, child.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), most_bytes)


_UNRECORDED = (
    "no recording of its time is left here: the disk budget takes the oldest, recording is off, or the service records "
    "elsewhere. The report (R) holds what is known"
)


def _refused(request: Request) -> Response | None:
    """Who may not have it, and what is no incident."""
    person: Person = request.state.person
    if not person.may("acknowledge"):
        return told(False, f"your role is {person.role}: a dossier needs acknowledge", 403)
    if not INCIDENT.fullmatch(request.path_params["incident"]):
        return told(False, "no such incident", 404)
    return None


def _judge(job: Job, status: int, out: str, err: str, most_bytes: int) -> None:
    """What became of it, by what the command said."""
    lines = [line for line in err.splitlines() if line]
    job.notes = [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    words = out.split()
    if status == 0 and len(words) == 2 and words[0] == "head" and job.file.is_file():
        job.state, job.head, job.size_bytes = "ready", words[1], job.file.stat().st_size
        return
    job.state = "failed"
    last = (
        lines[-1].removeprefix("vedette: ").replace(f"{job.folder}/", "")
        if lines
        else f"its process ended with {status}"
    )
    if os.strerror(errno.EFBIG) in last:
        by_hand = f"larger than {most_bytes / 1e6:,.0f} MB, which is the most that this page may make"
        last = f"{by_hand}: {dossier_command(job.incident)}"
    job.detail = last
