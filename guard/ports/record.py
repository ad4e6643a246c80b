"""
The durable record, and the right of one process to act on it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from guard.core.facts import Job, JobKey
from guard.core.plan import Attempt, Before, Finding, Rule
from guard.core.protocol import State
from guard.core.records import Closing, Draft, Intent, Pause, Quota, Tally, Walk
from guard.core.sighting import Sighting
from guard.ports.breaker import BreakerBook
from guard.ports.forecasts import Forecasts
from guard.ports.history import History
from guard.ports.savings import Savings

NO_FACTS: Mapping[JobKey, Job] = MappingProxyType({})


class Ledger(Protocol):
    """
    The durable record. Every method raises ``LedgerUnusable`` if it cannot be read or written.

    What a method wrote is durable when it returns.
    """

    @property
    def history(self) -> History:
        """
        The record of runs that are over, in the same ledger.
        """
        ...

    @property
    def breaker(self) -> BreakerBook:
        """
        The record of the breaker, in the same ledger.
        """
        ...

    @property
    def savings(self) -> Savings:
        """
        The record of what confirmed terminations saved, in the same ledger.
        """
        ...

    @property
    def forecasts(self) -> Forecasts:
        """
        The record of what an estimate said of runs that a policy only observed, in the same ledger.
        """
        ...

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

    async def walks(self) -> Sequence[Walk]:
        """
        Return the newest complete walk of every target that has one, whoever walked it.
        """
        ...

    async def note_walk(self, walk: Walk) -> None:
        """
        Replace the newest complete walk of its target.
        """
        ...

    async def forget(self, target: str, *, before_ms: int) -> None:
        """
        Drop the memory of the target's jobs that were last seen before that moment and whose end is not still to be read.
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

    async def open_intents(self, *, besides: Collection[JobKey] = ()) -> Sequence[Intent]:
        """
        Return the intents without an outcome, oldest first, but those of the jobs *besides*.
        """
        ...

    async def open_since(self) -> tuple[int, int | None]:
        """
        Return how many intents have no outcome, and when the oldest of them was made (None if there is none).
        """
        ...

    async def before(self, keys: Collection[JobKey], *, since_ms: int | None, rules: Collection[Rule] = ()) -> Before:
        """
        Return what a plan for these jobs has to know, at one moment: open intents, earlier ones, what counts against the
        limits since that moment (None: nothing is limited, so nothing is counted), and what those of the policies *rules*
        did that nobody has confirmed.
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
        Return how many intents count against the limits since that moment: sent ones, and all open ones.
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
        Return the pause on record, expired or not, by a reading that began after the call.
        """
        ...

    def nothing_stops(self) -> bool:
        """
        Tell whether surely neither a pause nor an open breaker is on record now; False also if that would take a wait.
        """
        ...

    async def set_pause(self, pause: Pause | None) -> None:
        """
        Put a pause on record, or lift it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """
    A lease of a target as this process has it: the *token*, whether it is known to be *lost*, and whether another replica is
    to have it (*wanted*).
    """

    token: int
    lost: bool = False
    wanted: bool = False


class Lease(Protocol):
    """
    The right of one process to act on targets.
    """

    async def acquire(self) -> None:
        """
        Join those who act on the ledger; raises ``LedgerHeld``, naming the holder, if only one may and another one does.
        """
        ...

    async def renew(self) -> bool:
        """
        Beat the heart and take in which targets are this process's now; False if all leases were lost.
        """
        ...

    async def watch(self) -> bool:
        """
        Tell whether to renew now rather than when the retry period is over, because something about the others changed.
        """
        ...

    def terms(self) -> Mapping[str, Term]:
        """
        Return the leases by target; a lost one stays until it is released, and is not taken again before that.
        """
        ...

    def held(self, target: str = "", *, for_s: float = 0.0) -> bool:
        """
        Tell whether the lease of a target (of any, without a name) is held, and its last heartbeat is fresh enough to act on
        for so many seconds.
        """
        ...

    def acts_on(self, key: JobKey) -> bool:
        """
        Tell whether a job belongs to a project whose lease this process has, configured or not.
        """
        ...

    async def release(self, target: str = "") -> None:
        """
        Give back the lease of a target, or all of them.
        """
        ...
