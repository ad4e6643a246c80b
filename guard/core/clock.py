"""
How long a job has been running or waiting, worked out of clocks that do not always agree.

The smaller usable clock counts, because a wrong kill is worse than a late one.
"""

import enum
from dataclasses import dataclass

from guard.core.facts import ABSENT, UNREADABLE, WAITING_PHASES, Growing, Job, Missing
from guard.core.sighting import Sighting, usable_reading, usable_start
from guard.core.spans import DAY_MS, MINUTE_MS, format_span

TOLERANCE_MS = 2 * MINUTE_MS
# Without a creation time nothing bounds a clock; one that says more than a year is then taken for garbage.
LONGEST_UNPROVEN_MS = 366 * DAY_MS


class ClockRule(enum.StrEnum):
    """
    Which clock of a Running job counts: the smaller usable one, or one of them alone.
    """

    SMALLER = "smaller"
    DURATION = "duration"
    START_TIME = "start_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTime:
    """
    The running time of a job, and a sentence if its two clocks differ by more than 2 minutes.
    """

    fact: Growing | Missing
    dispute: str = ""


def running_time(job: Job, seen: Sighting, rule: ClockRule, *, now_ms: int) -> RunningTime:
    """
    Return the running time of this run at *now_ms*.

    D is the newest ``duration`` plus the time since; a reading that stood still counts on from its first appearance.
    S is the time since ``start_time``. A clock that says more than the job's age is unusable. Outside Running the last
    reading stands and does not grow.

    A clock counts only while the job's newest reading carries it. Beside one that does, the other is remembered from the
    same run, so a reading that loses the smaller clock never makes the job older.
    """
    if job.phase != "Running":
        return RunningTime(fact=_standing(job, rule, now_ms))
    counted, started = _counted(job, seen, now_ms), _started(job, seen, now_ms)
    carried = {
        ClockRule.DURATION: counted if usable_reading(job) is not None else None,
        ClockRule.START_TIME: started if usable_start(job) is not None else None,
    }
    if rule is ClockRule.SMALLER:
        known = [clock for clock in (counted, started) if clock is not None]
        taken = min(known) if any(clock is not None for clock in carried.values()) else None
    else:
        taken = carried[rule]
    dispute = ""
    if counted is not None and started is not None and abs(counted - started) > TOLERANCE_MS:
        dispute = f"duration says {format_span(counted)} and start_time says {format_span(started)}; {rule.value} was taken"
    return RunningTime(fact=UNREADABLE if taken is None else Growing(taken, now_ms, 1), dispute=dispute)


def _standing(job: Job, rule: ClockRule, now_ms: int) -> Growing | Missing:
    reading = job.duration_ms
    if isinstance(job.phase, Missing) or isinstance(reading, Missing) or rule is ClockRule.START_TIME:
        return UNREADABLE
    return Growing(reading, now_ms, 0) if _possible(job, reading, now_ms) else UNREADABLE


def _counted(job: Job, seen: Sighting, now_ms: int) -> int | None:
    if seen.reading_ms is None or seen.reading_at_ms is None:
        return None
    counted = seen.reading_ms + now_ms - seen.reading_at_ms
    return counted if _possible(job, counted, now_ms) else None


def _started(job: Job, seen: Sighting, now_ms: int) -> int | None:
    start = usable_start(job)
    start = seen.start_time_ms if start is None else start
    return now_ms - start if start is not None and _possible(job, now_ms - start, now_ms) else None


def _possible(job: Job, span_ms: int, now_ms: int) -> bool:
    created = job.create_time_ms
    longest_ms = LONGEST_UNPROVEN_MS if isinstance(created, Missing) else now_ms - created + TOLERANCE_MS
    return 0 <= span_ms <= longest_ms


def waiting_time(job: Job, seen: Sighting, *, now_ms: int) -> Growing | Missing:
    """
    Return the time in Creating and Pending: since creation for a job that never ran, else since it was seen to return.

    That a job never ran must be said by an explicit zero in ``start_time`` or ``duration``; silence is not enough, and
    anything that hints at a run, or cannot be read, makes it unreadable.
    """
    if job.phase not in WAITING_PHASES:
        return UNREADABLE
    if seen.waiting_since_ms is not None:
        return Growing(0, seen.waiting_since_ms, 1) if seen.waiting_since_ms <= now_ms else UNREADABLE
    readings = (job.start_time_ms, job.duration_ms)
    had_nodes = isinstance(job.node_counts, Missing) or any(nodes > 0 for _, nodes in job.node_counts)
    never_ran = not seen.ran and not had_nodes and 0 in readings and all(r == 0 or r is ABSENT for r in readings)
    created = job.create_time_ms
    if not never_ran or isinstance(created, Missing) or not 0 < created <= now_ms:
        return UNREADABLE
    return Growing(0, created, 1)
