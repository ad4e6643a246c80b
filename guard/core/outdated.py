"""
Readings that came later and say less: a service that answers from a copy which lags behind shows what was, not what is.

Of such a reading nothing follows. It would bring the run of a restarted job back, with the old run's age, and end the new
one for it; and it would look like a restart where there was none.
"""

from guard.core.facts import WAITING_PHASES, Job
from guard.core.sighting import START_TOLERANCE_MS, Sighting, usable_reading, usable_start
from guard.core.spans import MINUTE_MS, SECOND_MS, format_span

# Nobody lags by more; whoever still contradicts what was known then is right.
LONGEST_LAG_MS = 10 * MINUTE_MS
# A duration is counted by another clock than the readings are.
TOLERANCE_MS = 5 * SECOND_MS


def outdated(known: Sighting | None, job: Job) -> str:
    """
    Return how a reading contradicts what is *known* of the job by a state that must be newer; "" if it does not.

    No start goes back. A run that was not there at the newest reading, because the duration has fallen since or the job was
    waiting then, cannot have run for longer than the time since. What was known more than 10 minutes ago proves nothing.
    """
    if known is None:
        return ""
    since_ms = job.read_at_ms - known.last_seen_ms
    if not 0 <= since_ms <= LONGEST_LAG_MS:
        return ""
    start, reading = usable_start(job), usable_reading(job)
    if start is not None and known.start_time_ms is not None:
        back_ms = known.start_time_ms - start
        if back_ms > START_TOLERANCE_MS:
            return f"its start lies {format_span(back_ms)} before the one that is known"
        if -back_ms > START_TOLERANCE_MS:
            return ""
    fell = reading is not None and known.reading_ms is not None and reading < known.reading_ms
    began = known.phase in WAITING_PHASES and known.reading_ms is None
    if reading is None or not (fell or began) or reading <= since_ms + TOLERANCE_MS:
        return ""
    before = f"{format_span(known.reading_ms)} were known" if known.reading_ms is not None else "it was seen waiting"
    return f"it says {format_span(reading)} of running time, but {before} {format_span(since_ms)} before"
