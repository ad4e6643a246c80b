"""
Time, the jobs of a target, and the one call that ends a job.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from guard.core.facts import Inventory, Job, JobKey
from guard.core.lanes import Lane, Turn

# Gets the jobs of one window of a list.
Take = Callable[[Sequence[Job]], Awaitable[None]]
# Gets how many jobs were read, those that overlap included, and of about how many, if that can be guessed.
Progress = Callable[[int, int | None], None]


class Clock(Protocol):
    """
    The one source of time outside the core.
    """

    def now(self) -> float:
        """
        Return the seconds since 1970 (UTC) of this machine, uncorrected.
        """
        ...

    def monotonic(self) -> float:
        """
        Return seconds that never step.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """
        Wait for so many seconds of this clock.
        """
        ...

    def instant(self, at: float) -> datetime:
        """
        Return the real instant (aware, UTC) at which this clock will say *at*, for schedulers that know only real time.
        """
        ...


class JobSource(Protocol):
    """
    Reads the jobs of one target. Raises the ``TargetError`` tree.
    """

    @property
    def target(self) -> str:
        """
        The name of the target.
        """
        ...

    def scope(self) -> str:
        """
        Return what belongs to the target by its settings; jobs that were known under another scope are not its jobs.
        """
        ...

    async def walk(self, take: Take, *, progress: Progress | None = None) -> Inventory:
        """
        Read every live job of the target, and those of unknown phase.

        *take* gets the jobs of each window as soon as it is read, one window after another and never two at once; the same
        job may come more than once, and a later call may bring an older reading of it (``Job.read_at_ms`` tells). It also
        gets the jobs of a walk that turns out incomplete or fails. An error that it raises ends the walk.
        """
        ...

    async def look(self, take: Take, known: Callable[[JobKey], bool]) -> int:
        """
        Read the newest live jobs until a window of a list brings only known ones; return the number of list calls.

        It proves nothing about absence. It raises only if no part of the target could be read.
        """
        ...

    async def look_waiting(self, take: Take) -> int:
        """
        Read the jobs that are Creating or Pending; return the number of list calls.

        It proves nothing about absence. It raises only if no part of the target could be read.
        """
        ...

    async def read(self, job_id: str, *, lane: Lane = Lane.CHECK, rank: int = 0) -> Job:
        """
        Read one job in its turn: by its *lane*, within that the smallest *rank* first.

        Raises ``JobGone`` if there is none, ``Refused`` if the answer is about another job.
        """
        ...

    async def renew(self) -> None:
        """
        Get new credentials, once, after ``Unauthorized``.
        """
        ...

    def now_ms(self) -> int:
        """
        Return service time: this machine's clock corrected by what the service's answers say.
        """
        ...

    def offset_s(self) -> float | None:
        """
        Return service time minus local time in seconds; None before the first answer, and while late ones leave it open.
        """
        ...

    def credentials_expire_at(self) -> float | None:
        """
        Return when the credentials in use end (seconds since 1970), or None if they do not.
        """
        ...

    def credentials_tag(self) -> str:
        """
        Return a digest that changes with the credentials and does not reveal them.
        """
        ...


class Terminator(Protocol):
    """
    Terminates jobs of one target. A disarmed process holds none.
    """

    def turn(self, *, rank: int) -> AbstractAsyncContextManager[Turn]:
        """
        Wait for the right to send one call, the smallest *rank* first, and hold it; one that is not used costs nothing.
        """
        ...

    async def terminate(self, job_id: str, turn: Turn) -> None:
        """
        Send one terminate call, without any repetition, with a *turn* that is held and was not used.

        Return if it was accepted, else raise the ``TargetError`` tree.
        """
        ...
