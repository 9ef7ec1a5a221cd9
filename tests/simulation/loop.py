"""An event loop whose time is a number, and threads that are turns of it. Nothing here waits for anything real."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import Context, ContextVar
from typing import Any

START_US = 1_795_000_000_000_000  # when every simulation begins


class Killed(BaseException):
    """The process that was at work is no more."""


class Stalled(AssertionError):
    """Nothing will ever happen again, and somebody waits."""


class Life:
    """One process of the service, from its start to its death. What it does passes `point`, where it may die."""

    def __init__(self, number: int, dies: Callable[[Life, str, int], bool]) -> None:
        self.number = number
        self.alive = True
        self.tasks: list[asyncio.Task[Any]] = []
        self.points: dict[str, int] = {}
        self.default: Thread | None = None  # its own: what it had to do dies with it, and is nobody's burden
        self.begun_s = 0.0  # of the job that one of its threads works on: what a slow disk adds to it
        self._dies = dies

    def point(self, kind: str) -> None:
        """Something is about to be done. Raises Killed: not any more."""
        if not self.alive or self.is_due(kind):
            raise Killed

    def is_due(self, kind: str) -> bool:
        """Count a point of this kind; True: this is where it died."""
        count = self.points[kind] = self.points.get(kind, 0) + 1
        return self._dies(self, kind, count)


LIFE: ContextVar[Life | None] = ContextVar("LIFE", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """Time goes on when nothing is left to be done now. Callbacks of the dead are dropped."""

    _ready: deque[Any]
    _scheduled: list[Any]
    _timer_cancelled_count: int

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.turns = 0
        self._default = Thread(self, lambda: 0.0005)
        self.set_task_factory(_task)  # type: ignore[arg-type]

    def time(self) -> float:
        """Seconds since the beginning."""
        return self.now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As ever, with a thread of ours where none is named."""
        life = LIFE.get()
        if executor is None and life is not None:
            executor = life.default = life.default or Thread(self, lambda: 0.0005)
        return super().run_in_executor(executor or self._default, func, *args)

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Nobody sends any."""

    def _write_to_self(self) -> None:
        """There is no other thread that could have to wake us."""

    def _run_once(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False
        if not self._ready:
            if not self._scheduled:
                raise Stalled("nothing will ever happen again")
            self.now_s = max(self.now_s, self._scheduled[0]._when)
        while self._scheduled and self._scheduled[0]._when <= self.now_s:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            if handle._cancelled:
                self._timer_cancelled_count -= 1
            self._ready.append(handle)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)
            if life is None or (life.alive and not life.is_due("step")):
                self.turns += 1
                handle._run()


def _task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, context=context)
    life = LIFE.get() if context is None else context.get(LIFE)
    if life is not None:
        life.tasks.append(task)
    return task


class Thread(Executor):
    """Works on one job after the other, each in one turn of the loop, some time after it was asked for."""

    def __init__(self, loop: VirtualLoop, pace: Callable[[], float]) -> None:
        """`pace`: how long the next job takes, seconds."""
        self._loop = loop
        self._pace = pace
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor."""
        future: Future[Any] = Future()
        self._jobs.append((future, lambda: fn(*args, **kwargs)))
        if not self._busy:
            self._busy = True
            self._loop.call_later(self._pace(), self._work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Work on all that waits, at once."""
        del wait, cancel_futures
        while self._jobs:
            self._work(at_once=True)

    def _work(self, at_once: bool = False) -> None:
        if not self._jobs:
            return
        future, job = self._jobs.popleft()
        life = LIFE.get()
        if life is not None:
            life.begun_s = 0.0
        result, error = None, None
        if future.set_running_or_notify_cancel():
            try:
                result = job()
            except Killed:
                return
            except BaseException as raised:
                error = raised
        waited_s = life.begun_s if life is not None else 0.0
        if at_once or not waited_s:
            self._done(future, result, error, at_once)
        else:
            self._loop.call_later(waited_s, self._done, future, result, error)

    def _done(self, future: Future[Any], result: Any, error: BaseException | None, at_once: bool = False) -> None:
        if not future.cancelled():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if at_once:
            return
        self._busy = bool(self._jobs)
        if self._jobs:
            self._loop.call_later(self._pace(), self._work)
