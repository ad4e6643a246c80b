"""
The small protocols between the cycle and the world.

Adapters implement them, the daemon only knows them, and ``app`` puts the two together. No logic in here.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from guard.core.facts import Inventory, Job, JobKey
from guard.core.lanes import Lane, Turn
from guard.core.plan import Attempt, Finding
from guard.core.protocol import State
from guard.core.records import Closing, Draft, Intent, Pause, Quota, Tally, Walk
from guard.core.sighting import Sighting

# Gets the jobs of one window of a list.
Take = Callable[[Sequence[Job]], Awaitable[None]]
# Gets how many jobs were read, those that overlap included, and of about how many, if that can be guessed.
Progress = Callable[[int, int | None], None]

NO_FACTS: Mapping[JobKey, Job] = MappingProxyType({})


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
        Return service time minus local time in seconds, or None before the first answer.
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


class Ledger(Protocol):
    """
    The durable record. Every method raises ``LedgerUnusable`` if it cannot be read or written.

    What a method wrote is durable when it returns.
    """

    async def sightings(self, keys: Collection[JobKey]) -> Mapping[JobKey, Sighting]:
        """
        Return what is remembered of these jobs.
        """
        ...

    async def known(self, target: str, *, after: JobKey | None = None, limit: int = 2_000) -> Sequence[tuple[Job, Sighting]]:
        """
        Return jobs of a target whose facts are on record and that were live when they were last seen, in the order of their
        keys: the first ones *after* that key, at most *limit*.
        """
        ...

    async def remember(self, sightings: Sequence[Sighting], *, facts: Mapping[JobKey, Job] = NO_FACTS) -> None:
        """
        Insert or replace the memory of these jobs, with their newest *facts*; a job without facts is not known any more.
        """
        ...

    async def lose(self, keys: Sequence[JobKey]) -> None:
        """
        Drop the facts of jobs that are there no more, but not the memory of them.
        """
        ...

    async def walked(self, target: str) -> Walk | None:
        """
        Return the newest complete walk of a target, or None if there was none.
        """
        ...

    async def note_walk(self, walk: Walk) -> None:
        """
        Replace the newest complete walk of its target.
        """
        ...

    async def forget(self, target: str, *, before_ms: int) -> None:
        """
        Drop the memory of the target's jobs that were last seen before that moment.
        """
        ...

    async def record(self, findings: Sequence[Finding], *, at_ms: int) -> Sequence[Finding]:
        """
        Record findings, each once per (job, run, policy, reason); return those that are new.
        """
        ...

    async def findings(self, *, limit: int = 100) -> Sequence[tuple[int, Finding]]:
        """
        Return the newest findings with the moment of recording, newest first.
        """
        ...

    async def open_intent(self, draft: Draft, *, at_ms: int, quota: Quota | None) -> Intent | None:
        """
        Record an intent if the job has no open one and the quota has room, in one transaction; else return None.
        """
        ...

    async def advance(self, number: int, state: State, *, at_ms: int, note: str = "") -> Intent:
        """
        Record a step of an open intent: ``sending``, ``denied`` or ``accepted``; the first moment of each is kept.
        """
        ...

    async def close(self, number: int, closing: Closing, *, at_ms: int) -> Intent:
        """
        Record the outcome of an open intent; closing a closed one raises ``LedgerUnusable``.
        """
        ...

    async def open_intents(self) -> Sequence[Intent]:
        """
        Return the intents without an outcome, oldest first.
        """
        ...

    async def busy(self, keys: Collection[JobKey]) -> Collection[JobKey]:
        """
        Return those of these jobs that have an intent without an outcome.
        """
        ...

    async def intents(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[Intent]:
        """
        Return intents, newest first.
        """
        ...

    async def steps(self, number: int) -> Sequence[tuple[int, str, str]]:
        """
        Return (moment, state or outcome, note) of every step of an intent, in order.
        """
        ...

    async def attempts(self, keys: Collection[JobKey]) -> Mapping[JobKey, Attempt]:
        """
        Return the newest closed intent of each of these jobs that has one but no open one; *count* counts those of its run.
        """
        ...

    async def used(self, *, since_ms: int) -> int:
        """
        Return how many intents count against the limits since that moment: sent ones, and open ones not yet sent.
        """
        ...

    async def tallies(self) -> Sequence[Tally]:
        """
        Return the totals of all closed intents.
        """
        ...

    async def finding_counts(self) -> Mapping[tuple[str, str], int]:
        """
        Return how many findings there are by (policy, reason).
        """
        ...

    async def pause(self) -> Pause | None:
        """
        Return the pause on record, expired or not.
        """
        ...

    async def set_pause(self, pause: Pause | None) -> None:
        """
        Put a pause on record, or lift it.
        """
        ...


class Lease(Protocol):
    """
    The right of one process to act on a ledger.
    """

    async def acquire(self) -> None:
        """
        Take the lease; raises ``LedgerHeld``, naming the holder, if another process holds it.
        """
        ...

    async def renew(self) -> bool:
        """
        Beat the heart; False if the lease was lost.
        """
        ...

    def held(self) -> bool:
        """
        Tell whether the lease is held and its last heartbeat is fresh enough to act on.
        """
        ...

    async def release(self) -> None:
        """
        Give the lease back.
        """
        ...
