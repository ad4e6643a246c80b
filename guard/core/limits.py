"""
How many terminations a sliding window allows, whatever the policies say.

Limits exist for the day on which a policy is wrong: they turn a disaster into a handful of jobs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from guard.core.facts import Inventory, Job
from guard.core.spans import HOUR_MS

ALWAYS_ALLOWED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    At most *max_terminations*, and *max_percent_of_running* of the Running jobs, within a sliding *window_ms*; None is no
    limit.
    """

    window_ms: int = HOUR_MS
    max_terminations: int | None = 20
    max_percent_of_running: Fraction | None = Fraction(25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """
    What the limits allow in the window now: *total* terminations (None: any number) and the limit that says so.
    """

    total: int | None
    limit: str = ""


def allowance(limits: Limits | None, running: int) -> Allowance:
    """
    Return what the limits allow when *running* jobs run in all targets; the percentage always allows 3.
    """
    bounds: list[tuple[int, str]] = []
    if limits is not None and limits.max_terminations is not None:
        bounds.append((limits.max_terminations, "max_terminations"))
    if limits is not None and limits.max_percent_of_running is not None:
        share = int(limits.max_percent_of_running * running / 100)
        bounds.append((max(ALWAYS_ALLOWED, share), "max_percent_of_running"))
    if not bounds:
        return Allowance(total=None)
    total, name = min(bounds)
    return Allowance(total=total, limit=name)


def running_jobs(jobs: Iterable[Job]) -> int:
    """
    Count the Running jobs among those that complete inventories met.
    """
    return sum(job.phase == "Running" for job in jobs)


def is_stale(complete: Inventory | None, *, walk_every_ms: int, now_ms: int) -> bool:
    """
    Tell whether the newest complete inventory of a target is missing or older than three complete walks.

    A walk takes its own time and starts every *walk_every_ms*, whichever is longer.
    """
    if complete is None:
        return True
    walk_ms = max(walk_every_ms, complete.finished_at_ms - complete.started_at_ms)
    return now_ms - complete.finished_at_ms > 3 * walk_ms
