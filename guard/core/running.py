"""
The beginning of a run, found fast where nothing is odd about its clocks.
"""

from guard.core.clock import TOLERANCE_MS, ClockRule, running_time
from guard.core.facts import Growing, Job
from guard.core.sighting import SECONDS_BELOW, Sighting


def run_began(job: Job, seen: Sighting, rule: ClockRule, now_ms: int) -> tuple[int | None, bool]:
    """
    Return when the run of a Running job began by the clock that counts (None: unreadable), and whether its clocks differ.

    Both clocks usable is the rule; all else is left to ``running_time``, which this equals.
    """
    start, duration, created = job.start_time_ms, job.duration_ms, job.create_time_ms
    reading, reading_at = seen.reading_ms, seen.reading_at_ms
    if (
        type(start) is int
        and type(duration) is int
        and type(created) is int
        and type(reading) is int
        and type(reading_at) is int
        and duration > 0
        and SECONDS_BELOW <= start <= job.read_at_ms
    ):
        counted, earliest = reading_at - reading, created - TOLERANCE_MS
        if earliest <= counted <= now_ms and earliest <= start <= now_ms:
            disputed = not -TOLERANCE_MS <= counted - start <= TOLERANCE_MS
            if rule is ClockRule.SMALLER:
                return (counted if counted > start else start), disputed
            return (counted if rule is ClockRule.DURATION else start), disputed
    clock = running_time(job, seen, rule, now_ms=now_ms)
    began = now_ms - int(clock.fact.value) if isinstance(clock.fact, Growing) else None
    return began, bool(clock.dispute)
