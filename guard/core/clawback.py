"""
What re-submissions take back of the savings: work that was ended and is submitted again costs its money all the same.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from guard.core.facts import JobKey
from guard.core.savings import exact
from guard.core.spans import DAY_MS

WINDOW_MS = DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """
    A confirmed termination, ended at *at_ms*, and the *saving* that is counted for it: measured, or *assumed*.

    *user* and *stem* are None if they could not be read; the stem is the whole name where nothing is left of it.
    """

    number: int
    key: JobKey
    run: int
    user: str | None
    stem: str | None
    at_ms: int
    saving: Decimal
    currency: str
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """
    A run that may be a re-submission, and what it has cost until now; None if that is not known.

    *created_ms* is the creation of its job; of a later run of a job, it is when that run began.
    """

    key: JobKey
    run: int
    user: str | None
    stem: str | None
    created_ms: int
    cost: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clawback:
    """
    What one re-submission takes back of the saving of the termination of that *number*.
    """

    number: int
    key: JobKey
    run: int
    amount: Decimal
    currency: str
    assumed: bool


def clawbacks(terminations: Sequence[Terminated], submitted: Iterable[Submitted]) -> list[Clawback]:
    """
    Return what each re-submission takes back, in the order of their creation (design section 6).

    A re-submission has the same known user and the same stem, and was created within 24 hours after the termination, the
    borders included. It takes back its own cost, first of the termination right before it, and what is left of its cost of
    the ones before that in its window. No saving is taken back twice, and none of a termination that it does not follow.
    A cost that is not known may be any, so it takes back all. Money of different currencies is not compared.

    The whole of it for a termination never falls when costs grow or re-submissions are added.
    """
    by_work: dict[tuple[str, str, str], list[Terminated]] = {}
    for one in terminations:
        if one.user and one.stem:
            by_work.setdefault((one.user, one.stem, one.currency), []).append(one)
    for ended in by_work.values():
        ended.sort(key=_when)
    left = {one.number: Fraction(one.saving) for one in terminations}
    taken = []
    for run in sorted(submitted, key=lambda one: (one.created_ms, one.key, one.run)):
        if not run.user or not run.stem:
            continue
        cost = None if run.cost is None else Fraction(run.cost)
        for one in _followed(by_work.get((run.user, run.stem, run.currency), []), run):
            amount = left[one.number] if cost is None else min(cost, left[one.number])
            if amount > 0:
                left[one.number] -= amount
                cost = None if cost is None else cost - amount
                taken.append(
                    Clawback(
                        number=one.number,
                        key=run.key,
                        run=run.run,
                        amount=exact(amount),
                        currency=one.currency,
                        assumed=one.assumed,
                    )
                )
    return taken


def _when(ended: Terminated) -> tuple[int, int]:
    return ended.at_ms, ended.number


def _followed(ended: list[Terminated], run: Submitted) -> list[Terminated]:
    """
    Return the terminations in whose window a run was submitted, the last one first.
    """
    first = bisect_left(ended, run.created_ms - WINDOW_MS, key=lambda one: one.at_ms)
    last = bisect_right(ended, run.created_ms, key=lambda one: one.at_ms)
    return [one for one in reversed(ended[first:last]) if (one.key, one.run) != (run.key, run.run)]
