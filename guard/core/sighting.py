"""
What the guard remembers of a job between two readings: its run, its clock and when it was first seen.

The memory is kept in the ledger, so that a restarted daemon and ``guard scan`` count the same runs.
"""

import msgspec
from msgspec.structs import replace

from guard.core.facts import TERMINABLE_PHASES, WAITING_PHASES, Job, JobKey, Missing

SECONDS_BELOW = 10**11
START_TOLERANCE_MS = 1_000


class Sighting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    The memory of one job.

    *run* counts the job's lives from 1. *reading_ms* is the newest ``duration`` of this run and *reading_at_ms* the moment
    of its first appearance, so a reading that stands still counts on from there; of a run that has none yet it may be a 0
    at the last moment at which the run had not begun. *waiting_since_ms* is when the job was seen to have returned to
    Creating or Pending after it had run.
    """

    key: JobKey
    target: str
    run: int
    first_seen_ms: int
    last_seen_ms: int
    phase: str = ""
    ran: bool = False
    reading_ms: int | None = None
    reading_at_ms: int | None = None
    start_time_ms: int | None = None
    waiting_since_ms: int | None = None


def observe(previous: Sighting | None, job: Job) -> Sighting:
    """
    Return the memory of a job after one more reading of it.

    A changed start time or a fall of the duration begins a new run. A reading older than the memory changes nothing.
    """
    if previous is None:
        return _fresh(job, run=1, first_seen_ms=job.read_at_ms)
    if job.read_at_ms < previous.last_seen_ms:
        return previous
    start, reading = usable_start(job), usable_reading(job)
    restarted = (
        start is not None and previous.start_time_ms is not None and abs(start - previous.start_time_ms) > START_TOLERANCE_MS
    ) or _fell(previous.reading_ms, job)
    if restarted:
        fresh = _fresh(job, run=previous.run + 1, first_seen_ms=job.read_at_ms)
        return _begun(previous, job, replace(fresh, ran=True, waiting_since_ms=_returned(previous, job, ran_between=True)))
    stood_still = reading == previous.reading_ms and _phase(job) == previous.phase == "Running"
    kept = reading is None or stood_still
    memory = replace(
        previous,
        target=job.target,
        last_seen_ms=job.read_at_ms,
        phase=_phase(job),
        ran=previous.ran or _has_run(job),
        reading_ms=previous.reading_ms if kept else reading,
        reading_at_ms=previous.reading_at_ms if kept else job.read_at_ms,
        start_time_ms=previous.start_time_ms if start is None else start,
        waiting_since_ms=_returned(previous, job, ran_between=reading not in (None, previous.reading_ms)),
    )
    return _begun(previous, job, memory)


def usable_start(job: Job) -> int | None:
    """
    Return the start of the run in milliseconds, or None if it is zero, missing or in the future.

    A number below 10^11 is read as seconds: the field's unit is not documented.
    """
    start = job.start_time_ms
    if isinstance(start, Missing) or start <= 0:
        return None
    in_ms = start * 1000 if start < SECONDS_BELOW else start
    return in_ms if in_ms <= job.read_at_ms else None


def _fresh(job: Job, *, run: int, first_seen_ms: int) -> Sighting:
    reading = usable_reading(job)
    return Sighting(
        key=job.key,
        target=job.target,
        run=run,
        first_seen_ms=first_seen_ms,
        last_seen_ms=job.read_at_ms,
        phase=_phase(job),
        ran=_has_run(job),
        reading_ms=reading,
        reading_at_ms=None if reading is None else job.read_at_ms,
        start_time_ms=usable_start(job),
    )


def usable_reading(job: Job) -> int | None:
    """
    Return the ``duration`` that was read, in milliseconds, or None if it is zero, missing or negative.
    """
    return None if isinstance(job.duration_ms, Missing) or job.duration_ms <= 0 else job.duration_ms


def _fell(previous: int | None, job: Job) -> bool:
    reading = job.duration_ms
    if previous is None or isinstance(reading, Missing) or reading >= previous:
        return False
    # A negative duration is garbage, and a zero says nothing in a phase that is not understood; else it says that the run
    # which had a duration is over.
    return reading > 0 or (reading == 0 and job.phase in TERMINABLE_PHASES)


def _begun(previous: Sighting, job: Job, memory: Sighting) -> Sighting:
    """
    Return the memory with a clock for a run that began after the *previous* reading, if its own clocks deny that.

    A job that was waiting then, or whose duration fell to zero since, may still carry the start of an earlier run.
    """
    fell_to_zero = job.duration_ms == 0 and _fell(previous.reading_ms, job)
    if job.phase != "Running" or not (fell_to_zero or previous.phase in WAITING_PHASES):
        return memory
    start = usable_start(job)
    if usable_reading(job) is not None or (start is not None and start >= previous.last_seen_ms):
        return memory
    return replace(memory, reading_ms=0, reading_at_ms=previous.last_seen_ms)


def _phase(job: Job) -> str:
    return "" if isinstance(job.phase, Missing) else job.phase


def _has_run(job: Job) -> bool:
    return job.phase == "Running" or usable_start(job) is not None or usable_reading(job) is not None


def _returned(previous: Sighting, job: Job, *, ran_between: bool) -> int | None:
    """
    Return since when a waiting job waits; one that *ran_between* two readings waits since the later of them at most.
    """
    if _phase(job) not in WAITING_PHASES:
        return None
    if previous.phase == "Running":
        return job.read_at_ms
    return job.read_at_ms if ran_between and previous.waiting_since_ms is not None else previous.waiting_since_ms
