"""
What a confirmed termination saved at most, and what a run has cost.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from guard.core.facts import UNREADABLE, Job, Missing
from guard.core.price import PriceBook
from guard.core.sighting import usable_start
from guard.core.spans import HOUR_MS
from guard.core.spend import spent

PLACES = 10
T = TypeVar("T", int, int | Fraction)


def exact(money: Fraction) -> Decimal:
    """
    Return money as a Decimal with ten places, more than any price list has; it is rounded further only when shown.
    """
    # Built from its digits, because arithmetic on Decimals rounds to the digits of their context.
    return Decimal(f"{round(money * 10**PLACES)}e-{PLACES}")


def upper_savings(
    per_hour: Fraction, running_ms: int | Fraction, *, auto_stop_ms: int | Missing, horizon_ms: int
) -> Fraction:
    """
    Return the most that ending a job now can save: its rate x the time to the horizon or to the job's own ``auto_stop``.

    An unreadable ``auto_stop`` counts as none: the number is an upper bound and must stay one.
    """
    own_ms = None if isinstance(auto_stop_ms, Missing) else auto_stop_ms
    return per_hour * left_ms(running_ms, auto_stop_ms=own_ms, horizon_ms=horizon_ms) / HOUR_MS


def left_ms(running_ms: T, *, auto_stop_ms: int | None, horizon_ms: int) -> T | int:
    """
    Return the time that a job has left at most: to the horizon or to its own ``auto_stop``, whichever is first.
    """
    return horizon_ms if auto_stop_ms is None else min(horizon_ms, max(0, auto_stop_ms - running_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """
    What a termination is reckoned by: the operator's *book*, and the cost *per_hour* of the job when it was decided on.
    """

    book: PriceBook | None
    per_hour: Fraction


def settle(job: Job, prices: Prices, *, stopped_ms: int, horizon_ms: int) -> tuple[Decimal | None, Decimal]:
    """
    Return (cost of the run, upper savings) of a job that was read back after its termination was accepted at *stopped_ms*.

    The running time is the final ``duration``, else the time from ``start_time`` to the accepted call; with neither, or
    without a price at any of that time, the cost is unknown. The upper savings then take the run as just begun.
    """
    running_ms = final_running_ms(job, stopped_ms)
    cost: Fraction | Missing = UNREADABLE
    if running_ms is not None:
        ended_ms = _ended_ms(job, running_ms, stopped_ms)
        cost = spent(job, prices.book, begin_ms=ended_ms - running_ms, end_ms=ended_ms)
    upper = upper_savings(prices.per_hour, running_ms or 0, auto_stop_ms=job.auto_stop_ms, horizon_ms=horizon_ms)
    return None if isinstance(cost, Missing) else exact(cost), exact(upper)


def final_running_ms(job: Job, stopped_ms: int) -> int | None:
    """
    Return the running time of a job that was ended at *stopped_ms*, None if no clock tells it.
    """
    if not isinstance(job.duration_ms, Missing) and job.duration_ms > 0:
        return job.duration_ms
    start = usable_start(job)
    return None if start is None else max(0, stopped_ms - start)


def _ended_ms(job: Job, running_ms: int, stopped_ms: int) -> int:
    """
    Return when a run ended: it goes on for a while after the accepted call. A run that is taken to have ended with the call
    would begin too early, when it had no nodes yet or another price.
    """
    start = usable_start(job)
    return stopped_ms if start is None else max(stopped_ms, min(start + running_ms, job.read_at_ms))
