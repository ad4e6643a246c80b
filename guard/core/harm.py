"""
What a policy would have done, measured on runs that nobody ended: what it would have saved, and whom it would have hurt.

A policy that only observes meets its deadlines and lets the runs go on, so both are known, not estimated.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from guard.core.likeness import End
from guard.core.periods import Period, Stretch, unscaled
from guard.core.savings import exact
from guard.core.spans import HOUR_MS

WITHIN_MS = (HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS)


def match_ms(deadline_ms: int | None, seen_ms: int) -> int:
    """
    Return from when on a run would not have gone on: from its deadline, but not before the match was seen, because a policy
    saves nothing of the time before it was there.
    """
    return max(deadline_ms or 0, seen_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """
    What an estimate at the match said that ending the run would save within *horizon_ms*; None if it was *assumed*.
    """

    horizon_ms: int
    expected: Decimal | None

    @property
    def assumed(self) -> bool:
        """
        Whether too few like runs were known.
        """
        return self.expected is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """
    The match of a policy that let the run go on: from when on it would not have run, the currency of its cost, and what was
    forecast then in that currency, if anything was.
    """

    policy: str
    currency: str
    from_ms: int
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """
    A run that a policy would have ended at *deadline_ms* and did not; *end* says what ended it at *end_ms*.

    While it runs, *end* is UNSEEN and *end_ms* is when it was last seen; so it stays of one that was *lost* from view before
    anybody read how it ended. *phase* is the last one that was read. Costs are
    None if they are not known: *spent* until the deadline, *after* from there to *end_ms*, and *within* from there to
    *end_ms* or the horizon of the *forecast*, whichever is first; without a forecast there is nothing to hold it against.
    """

    policy: str
    currency: str
    deadline_ms: int
    end_ms: int
    end: End
    phase: str
    spent: Decimal | None
    after: Decimal | None
    within: Decimal | None = None
    forecast: Forecast | None = None
    lost: bool = False

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
    One policy in hindsight. Of the *runs* that it would have ended, *running* still run, the guard ended *cut_short* by
    another policy (or by this one, enforced since), and *lost* were lost from view.

    *potential* is the cost from the deadline to the own end of those that had one, *so_far* that of those that still run;
    *unpriced* of both are in neither.

    *compared* are the runs of which it is known what they cost up to the horizon of their forecast and what that expected:
    *measured* and *expected* sum these two. A run counts as soon as its deadline is a whole horizon ago and not before,
    however it went: to take those that have ended would be to take the short ones. Of those whose deadline is so long ago,
    the forecast of *assumed* was an assumption, which is compared with nothing, and *unfollowed* were ended by the
    guard or lost from view before the horizon: they ran for long, so where there are many the others are short ones.
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
    lost: int = 0
    assumed: int = 0
    unfollowed: int = 0


def spared(match: Match, run: Stretch, end: End, phase: str, *, over: bool = True) -> Spared:
    """
    Return a run that a policy let go on; its cost lies evenly on its running time, as in every report (``core.periods``).

    It is *over* once its end is on record.
    """

    def cost(from_ms: int, to_ms: int) -> Decimal | None:
        if run.amount is None:
            return None
        part = run.within(Period(from_ms, to_ms)) if from_ms < to_ms else None
        return Decimal(0) if part is None else unscaled(part.amount)

    within = None
    if match.forecast is not None:
        within = cost(match.from_ms, min(run.ended_ms + 1, match.from_ms + match.forecast.horizon_ms))
    return Spared(
        policy=match.policy,
        currency=match.currency,
        deadline_ms=match.from_ms,
        end_ms=run.ended_ms,
        end=end,
        phase=phase,
        spent=cost(run.ended_ms - run.running_ms, match.from_ms),
        after=cost(match.from_ms, run.ended_ms + 1),
        within=within,
        forecast=match.forecast,
        lost=over and end is End.UNSEEN,
    )


def hindsight(runs: Iterable[Spared], *, now_ms: int) -> list[Hindsight]:
    """
    Return what each policy would have done, in the order of their names and currencies. It holds no run beyond its turn.

    A run that had ended by its deadline was never to be ended and is ignored; one that ended in that millisecond counts.
    """
    sums: dict[tuple[str, str], _Sums] = {}
    for one in runs:
        if one.after_ms >= 0:
            sums.setdefault((one.policy, one.currency), _Sums()).add(one, now_ms)
    return [sums[key].hindsight(*key) for key in sorted(sums)]


@dataclass(slots=True)
class _Amount:
    """
    A sum of money, and how many amounts were not known.
    """

    money: Fraction = Fraction(0)
    known: int = 0
    unknown: int = 0

    def add(self, money: Decimal | None) -> None:
        if money is None:
            self.unknown += 1
        else:
            self.known += 1
            self.money += Fraction(money)


@dataclass(slots=True)
class _Sums:
    """
    One policy in one currency, run by run.
    """

    runs: int = 0
    running: int = 0
    cut_short: int = 0
    lost: int = 0
    assumed: int = 0
    unfollowed: int = 0
    potential: _Amount = field(default_factory=_Amount)
    so_far: _Amount = field(default_factory=_Amount)
    measured: _Amount = field(default_factory=_Amount)
    expected: _Amount = field(default_factory=_Amount)
    harm: tuple[_Amount, ...] = field(default_factory=lambda: tuple(_Amount() for _ in WITHIN_MS))

    def add(self, one: Spared, now_ms: int) -> None:
        self.runs += 1
        if one.end is End.OWN:
            self.potential.add(one.after)
            for within_ms, hurt in zip(WITHIN_MS, self.harm, strict=True):
                if one.phase == "Completed" and one.after_ms <= within_ms:
                    hurt.add(one.spent)
        elif one.lost:
            self.lost += 1
        elif one.end is End.UNSEEN:
            self.running += 1
            self.so_far.add(one.after)
        else:
            self.cut_short += 1
        if one.forecast is not None and one.deadline_ms + one.forecast.horizon_ms <= now_ms:
            self._compare(one, one.forecast)

    def _compare(self, one: Spared, forecast: Forecast) -> None:
        if forecast.assumed:
            self.assumed += 1
        elif one.end is not End.OWN and one.after_ms < forecast.horizon_ms:
            # One that still runs was not seen since, and counts when it is.
            self.unfollowed += one.lost or one.end is End.GUARD
        elif one.within is not None:
            self.measured.add(one.within)
            self.expected.add(forecast.expected)

    def hindsight(self, policy: str, currency: str) -> Hindsight:
        return Hindsight(
            policy=policy,
            currency=currency,
            runs=self.runs,
            running=self.running,
            cut_short=self.cut_short,
            potential=exact(self.potential.money),
            so_far=exact(self.so_far.money),
            unpriced=self.potential.unknown + self.so_far.unknown,
            harm=tuple(
                Harm(within_ms=within_ms, completed=one.known + one.unknown, spent=exact(one.money), unpriced=one.unknown)
                for within_ms, one in zip(WITHIN_MS, self.harm, strict=True)
            ),
            compared=self.measured.known,
            measured=exact(self.measured.money),
            expected=exact(self.expected.money),
            lost=self.lost,
            assumed=self.assumed,
            unfollowed=self.unfollowed,
        )
