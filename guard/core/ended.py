"""
The end of a run as it is kept for good: when, after which running time, at what cost, and how that was learnt.

A run whose end was read has the service's own figures. One that was lost (the service knows it no more, a new run began, the
target does not cover it any more) has what was last known, counted to when it was last seen and never beyond.
"""

import enum
from dataclasses import dataclass
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from guard.core.clock import TOLERANCE_MS, ClockRule, running_time
from guard.core.facts import KNOWN_PHASES, LIVE_PHASES, UNREADABLE, WAITING_PHASES, Job, JobKey, Missing, Resource
from guard.core.fields import Terms
from guard.core.protocol import ENDED_BY_ITSELF
from guard.core.savings import exact
from guard.core.sighting import Sighting, observe, usable_reading, usable_start
from guard.core.spend import spent

ENDED_PHASES = KNOWN_PHASES - LIVE_PHASES
FAILED_TO_END = "TerminatedFailed"
_FACTS = ("workspace", "name", "user", "kind", "pool_id", "create_time_ms")


class Told(enum.IntEnum):
    """
    How the end of a run was learnt; the numbers stand in the ledger.
    """

    READ = 0
    """It was read after it had ended."""
    GONE = 1
    """The service does not know it any more (ModelArts.2775)."""
    RESTARTED = 2
    """A new run had begun when the job was read again."""
    UNWATCHED = 3
    """It does not belong to its target any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """
    One run that is over. *job* is its newest reading, *running_ms* and *cost* (in *currency*) are None if unknown.

    The end of a run that was read lies between the last two readings; of a lost one it is when it was last seen. *entry_ms*
    of its running time had passed when it was first seen, all of it if it was seen only after its end.
    """

    job: Job
    run: int
    told: Told
    ended_ms: int
    running_ms: int | None
    cost: Decimal | None
    currency: str
    entry_ms: int = 0

    @property
    def phase(self) -> str:
        """
        The phase of the newest reading, "" if it was unreadable; a failed termination is one of its own.
        """
        if self.job.secondary_phase == FAILED_TO_END:
            return FAILED_TO_END
        return "" if isinstance(self.job.phase, Missing) else self.job.phase

    @property
    def by_itself(self) -> bool:
        """
        Whether it was read as having ended without anybody's doing.
        """
        return self.told is Told.READ and self.phase in ENDED_BY_ITSELF


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One run of the history with all that is kept of it; None is unknown, and of *policy* that the guard did not end it.
    """

    key: JobKey
    run: int
    target: str
    workspace: str | None
    told: Told
    phase: str
    policy: str | None
    user: str | None
    name: str | None
    kind: str | None
    pool_id: str | None
    billing_codes: str
    cards: int | None
    created_ms: int | None
    started_ms: int | None
    ended_ms: int
    running_ms: int | None
    cost: Decimal | None
    currency: str


def lost(job: Job, seen: Sighting, terms: Terms, *, told: Told) -> Ended:
    """
    Return the end of a run that cannot be read any more, from what was last known of it.
    """
    at_ms = seen.last_seen_ms
    running = running_time(job, seen, terms.clock, now_ms=at_ms).fact
    if not isinstance(running, Missing):
        running_ms: int | None = int(running.value)
    else:
        running_ms = 0 if job.phase in WAITING_PHASES and not seen.ran else None
    return _ended(job, seen, terms, told=told, ended_ms=at_ms, running_ms=running_ms)


def read(job: Job, before: Job, seen: Sighting, terms: Terms) -> Ended:
    """
    Return the end of a run that was read after it, as *job*; *before* is what was read before that, with the memory of it.

    The final ``duration`` is the running time. Without one it is what had been counted by the last reading, which is less.
    """
    if replaced(seen, job):
        # Nothing that was known before is about this run.
        before, seen = job, replace(observe(None, job), run=seen.run + 1, last_seen_ms=seen.last_seen_ms)
    last = lost(before, seen, terms, told=Told.READ)
    latest_ms = max(job.read_at_ms, seen.last_seen_ms)
    final = running_time(job, seen, ClockRule.SMALLER, now_ms=latest_ms).fact
    begun_ms = usable_start(job)
    if not isinstance(final, Missing) and final.value > 0:
        running_ms: int | None = int(final.value)
    else:
        running_ms = last.running_ms or (None if begun_ms is not None else last.running_ms)
    ended_ms = latest_ms
    if running_ms is not None and last.running_ms and before.phase == "Running":
        ended_ms = seen.last_seen_ms + running_ms - last.running_ms
    elif running_ms is not None and begun_ms is not None:
        ended_ms = begun_ms + running_ms
    ended_ms = min(max(ended_ms, seen.last_seen_ms), latest_ms)
    return _ended(_filled(job, before), seen, terms, told=Told.READ, ended_ms=ended_ms, running_ms=running_ms)


def has_ended(job: Job) -> bool:
    """
    Tell whether a reading shows that its job is over; an unknown phase does not.
    """
    return job.phase in ENDED_PHASES


def replaced(seen: Sighting, job: Job) -> bool:
    """
    Tell whether a reading is of a run that began after the remembered one was last seen.

    A ``duration`` that only fell a little, or was corrected at the end, is no second run: both would be paid for.
    """
    begun_ms = usable_start(job)
    if has_ended(job):
        if begun_ms is None or seen.start_time_ms is None or abs(begun_ms - seen.start_time_ms) <= TOLERANCE_MS:
            return False
    elif job.phase in WAITING_PHASES:
        # Whatever clocks of the run before it still carries.
        return True
    elif begun_ms is None:
        reading = usable_reading(job)
        if job.phase != "Running" or reading is None:
            return True
        begun_ms = job.read_at_ms - reading
    return begun_ms >= seen.last_seen_ms - TOLERANCE_MS


def after(end: Ended, seen: Sighting) -> Sighting:
    """
    Return the memory of a job once its end is on record, so that another run is known as such.
    """
    job, reading = end.job, usable_reading(end.job)
    return replace(
        seen,
        run=end.run,
        last_seen_ms=max(seen.last_seen_ms, job.read_at_ms),
        phase="" if isinstance(job.phase, Missing) else job.phase,
        ran=seen.ran or bool(end.running_ms),
        reading_ms=seen.reading_ms if reading is None else reading,
        reading_at_ms=seen.reading_at_ms if reading is None else job.read_at_ms,
        start_time_ms=usable_start(job) or seen.start_time_ms,
        waiting_since_ms=None,
    )


def cost_of(job: Job, terms: Terms, *, running_ms: int | None, at_ms: int) -> Decimal | None:
    """
    Return what a run had cost at *at_ms* after so long a running time, to ten places; None if that is unknown.
    """
    if running_ms is None:
        return None
    cost = spent(job, terms.prices, begin_ms=at_ms - running_ms, end_ms=at_ms)
    return None if isinstance(cost, Missing) else exact(cost)


def codes_of(resources: tuple[Resource, ...]) -> str:
    """
    Return the distinct billing codes of a job, joined; "" if none is known.
    """
    codes = (one.billing_code for one in resources)
    return " + ".join(dict.fromkeys(code for code in codes if not isinstance(code, Missing)))


def _ended(job: Job, seen: Sighting, terms: Terms, *, told: Told, ended_ms: int, running_ms: int | None) -> Ended:
    return Ended(
        job=job,
        run=seen.run,
        told=told,
        ended_ms=ended_ms,
        running_ms=running_ms,
        cost=cost_of(job, terms, running_ms=running_ms, at_ms=ended_ms),
        currency="" if terms.prices is None else terms.prices.currency,
        entry_ms=min(max(0, (running_ms or 0) - ended_ms + seen.first_seen_ms), running_ms or 0),
    )


def _filled(job: Job, before: Job) -> Job:
    """
    Return a reading with what only the one before it could tell: what a job is does not change with its end.
    """
    known = {name: getattr(before, name) for name in _FACTS if getattr(job, name) is UNREADABLE}
    if not job.resources or any(one.billing_code is UNREADABLE for one in job.resources):
        known["resources"] = before.resources or job.resources
    if usable_start(job) is None:
        known["start_time_ms"] = before.start_time_ms
    if job.node_counts == ():
        # Without them the whole run would be paid for with the nodes that were asked for.
        known["node_counts"] = before.node_counts
    return replace(job, **known) if known else job
