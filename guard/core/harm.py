"""
What a policy would have done, measured on runs that nobody ended: what it would have saved, and whom it would have hurt.

A policy that only observes meets its deadlines and lets the runs go on, so both are known, not estimated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from guard.core.likeness import End
from guard.core.periods import Period, Stretch, unscaled
from guard.core.savings import exact
from guard.core.spans import HOUR_MS

WITHIN_MS = (HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """
    A run that a policy would have ended at *deadline_ms* and did not; *end* says what ended it at *end_ms*.

    While it runs, *end* is UNSEEN and *end_ms* is when it was last seen. *phase* is the last one that was read. Costs are
    None if they are not known: *spent* until the deadline, *after* from there to *end_ms*, and *within* from there to
    *end_ms* or the horizon after the deadline, whichever is first. *expected* is what an estimate at the deadline, over that
    horizon, would have said: None if it would have been an assumption.
    """

    policy: str
    currency: str
    deadline_ms: int
    end_ms: int
    end: End
    phase: str
    spent: Decimal | None
    after: Decimal | None
    within: Decimal | None
    expected: Decimal | None = None

    @property
    def after_ms(self) -> int:
        """
        How long it went on after the deadline.
        """
        return self.end_ms - self.deadline_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """
    How many of the runs that a policy would have ended *completed* within so many milliseconds after the deadline.

    *spent* is what they had cost by then, which would have been lost but for a checkpoint; *unpriced* are not in it.
    """

    within_ms: int
    completed: int
    spent: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """
    One policy in hindsight. Of the *runs* that it would have ended, *running* still run and the guard ended *cut_short* by
    another policy.

    *potential* is the cost from the deadline to the own end of those that had one, *so_far* that of those that still run;
    *unpriced* of both are in neither.

    *compared* are the runs of which it is known what they cost up to the horizon and what an estimate would have said:
    *measured* and *expected* sum these two. A run counts as soon as its deadline is a whole horizon ago and not before,
    however it went: to take those that have ended would be to take the short ones.
    """

    policy: str
    currency: str
    runs: int
    running: int
    cut_short: int
    potential: Decimal
    so_far: Decimal
    unpriced: int
    harm: tuple[Harm, ...]
    compared: int
    measured: Decimal
    expected: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """
    The match of a policy that let the run go on: from when on it would not have run, and the currency of its cost.
    """

    policy: str
    currency: str
    from_ms: int


def spared(match: Match, run: Stretch, end: End, phase: str, *, horizon_ms: int) -> Spared:
    """
    Return a run that a policy let go on; its cost lies evenly on its running time, as in every report (``core.periods``).
    """

    def cost(from_ms: int, to_ms: int) -> Decimal | None:
        if run.amount is None:
            return None
        part = run.within(Period(from_ms, to_ms)) if from_ms < to_ms else None
        return Decimal(0) if part is None else unscaled(part.amount)

    return Spared(
        policy=match.policy,
        currency=match.currency,
        deadline_ms=match.from_ms,
        end_ms=run.ended_ms,
        end=end,
        phase=phase,
        spent=cost(run.ended_ms - run.running_ms, match.from_ms),
        after=cost(match.from_ms, run.ended_ms + 1),
        within=cost(match.from_ms, min(run.ended_ms + 1, match.from_ms + horizon_ms)),
    )


def hindsight(runs: Iterable[Spared], *, horizon_ms: int, now_ms: int) -> list[Hindsight]:
    """
    Return what each policy would have done, in the order of their names and currencies.

    A run that had ended by its deadline was never to be ended and is ignored; one that ended in that millisecond counts.
    """
    by_policy: dict[tuple[str, str], list[Spared]] = {}
    for one in runs:
        if one.after_ms >= 0:
            by_policy.setdefault((one.policy, one.currency), []).append(one)
    return [_of(*key, by_policy[key], (horizon_ms, now_ms)) for key in sorted(by_policy)]


def _of(policy: str, currency: str, runs: Sequence[Spared], window: tuple[int, int]) -> Hindsight:
    horizon_ms, now_ms = window
    own = [one for one in runs if one.end is End.OWN]
    running = [one for one in runs if one.end is End.UNSEEN]
    known = [one for one in runs if one.deadline_ms + horizon_ms <= now_ms and _seen_through(one, horizon_ms)]
    pairs = [(one.within, one.expected) for one in known if one.within is not None and one.expected is not None]
    return Hindsight(
        policy=policy,
        currency=currency,
        runs=len(runs),
        running=len(running),
        cut_short=len(runs) - len(own) - len(running),
        potential=_sum(one.after for one in own),
        so_far=_sum(one.after for one in running),
        unpriced=sum(one.after is None for one in (*own, *running)),
        harm=tuple(_harm(own, within_ms) for within_ms in WITHIN_MS),
        compared=len(pairs),
        measured=_sum(within for within, _ in pairs),
        expected=_sum(expected for _, expected in pairs),
    )


def _seen_through(one: Spared, horizon_ms: int) -> bool:
    return one.end is End.OWN or one.after_ms >= horizon_ms


def _harm(own: Sequence[Spared], within_ms: int) -> Harm:
    hurt = [one for one in own if one.phase == "Completed" and one.after_ms <= within_ms]
    return Harm(
        within_ms=within_ms,
        completed=len(hurt),
        spent=_sum(one.spent for one in hurt),
        unpriced=sum(one.spent is None for one in hurt),
    )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return exact(sum((Fraction(one) for one in amounts if one is not None), Fraction(0)))
