"""
Time and turns of the simulation: an event loop without sockets or threads, whose time jumps to the next timer.

Every callback belongs to the daemon in whose context it was scheduled, or to the world outside. So a daemon can be killed
between any two of them, and stopped for a while as SIGSTOP does. Work for a thread is done in the loop, when its turn comes.
"""

import asyncio
import contextvars
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

ORIGIN = 1_764_000_000.0
ORIGIN_MS = int(ORIGIN * 1000)
THREAD_S = 0.001


class Killed(BaseException):
    """
    Raised into everything that a killed daemon still tries; no handler of the guard takes it for an error.
    """


class Owner(Protocol):
    """
    A daemon, as the loop knows it: *dead* once killed, *stopped_until* while it gets no processor time.
    """

    dead: bool
    stopped_until: float

    def own(self, task: asyncio.Task[Any]) -> None: ...

    def turn(self) -> None: ...


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)


class _NoSockets:
    """
    What the base loop asks of a selector when it ends.
    """

    def close(self) -> None:
        return None


class SimLoop(asyncio.BaseEventLoop):
    """
    The loop. Callbacks run in the order in which they were scheduled, so a run depends on nothing but its plan.
    """

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NoSockets()
        self._seconds = 0.0
        self.set_task_factory(_owned)
        self.set_exception_handler(self._note)
        self.strange: list[str] = []
        self._outside = contextvars.Context()

    def time(self) -> float:
        return self._seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """
        Do in the loop, a moment later, what a thread would do.
        """
        answer, owner = self.create_future(), OWNER.get()

        def work() -> None:
            if answer.done():
                return
            try:
                if owner is not None and owner.dead:
                    raise Killed
                answer.set_result(func(*args))
            except BaseException as error:
                answer.set_exception(error)

        self.call_later(THREAD_S, work)
        return answer

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready and not self._stopping:
            if not scheduled:
                raise RuntimeError("everybody waits for something that nobody will do")
            self._seconds = max(self._seconds, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._seconds:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            owner = handle._context.get(OWNER)
            if owner is not None and not owner.dead:
                if owner.stopped_until > self._seconds:
                    self._put_off(handle, owner.stopped_until)
                    continue
                owner.turn()
            handle._run()

    def _put_off(self, handle: asyncio.Handle, until: float) -> None:
        timer = asyncio.TimerHandle(until, self._ready.append, (handle,), self, self._outside)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        return None

    def _write_to_self(self) -> None:
        return None

    def _process_events(self, event_list: Any) -> None:
        return None

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Killed | asyncio.InvalidStateError):
            return
        self.strange.append(f"{context.get('message')}: {error!r}")


def _owned(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
    task = asyncio.Task(coroutine, loop=loop, **options)
    # A daemon that was killed leaves tasks behind that nobody will ever await.
    task._log_destroy_pending = False
    owner = OWNER.get()
    if owner is not None:
        owner.own(task)
    return task


class SimClock:
    """
    The clock of the machine that the daemons run on: *set_off_s* seconds ahead of true time, by which the service goes.
    """

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.set_off_s = 0.0

    def now(self) -> float:
        return ORIGIN + self._loop.time() + self.set_off_s

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def instant(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC)
