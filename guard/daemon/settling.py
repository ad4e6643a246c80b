"""
How the end of a job is waited for, and what a reading that shows it proves about the termination and its money.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from guard.core.ended import has_ended
from guard.core.estimate import Method
from guard.core.facts import Job, Missing
from guard.core.price import PriceBook
from guard.core.protocol import Outcome
from guard.core.records import Closing, Intent
from guard.core.savings import Prices, final_running_ms, settle
from guard.core.work import Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """
    How long to wait for the end of a job after the call, and how savings are counted.
    """

    limit_s: float = 600.0
    method: Method = field(default_factory=Method)


def settled(intent: Intent, job: Job, outcome: Outcome, confirmation: Confirmation, book: PriceBook | None) -> Closing:
    """
    Return how an intent ends by a reading of its job; savings count up to the horizon, and only of confirmed terminations.
    """
    if outcome is Outcome.FAILED:
        return Closing(outcome=outcome, note="the service reports TerminatedFailed: the job may still cost money")
    note = f"the job was read back as {job.phase}"
    reading = job if has_ended(job) else None
    if outcome is not Outcome.CONFIRMED or not intent.draft.cost_per_hour:
        return Closing(outcome=outcome, note=note, reading=reading)
    stopped_ms = intent.accepted_ms or intent.sending_ms or job.read_at_ms
    prices = Prices(book=book, per_hour=Fraction(intent.draft.cost_per_hour))
    horizon_ms = confirmation.method.horizon_ms
    cost, upper = settle(job, prices, stopped_ms=stopped_ms, horizon_ms=horizon_ms)
    basis = Basis(
        elapsed_ms=final_running_ms(job, stopped_ms),
        auto_stop_ms=None if isinstance(job.auto_stop_ms, Missing) else job.auto_stop_ms,
        horizon_ms=horizon_ms,
    )
    return Closing(outcome=outcome, note=note, cost=cost, savings_upper=upper, basis=basis, reading=reading)
