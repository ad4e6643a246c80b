"""
Savings of many terminations together.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from guard.core.estimate import Estimate
from guard.core.savings import PLACES, exact
from guard.core.spans import HOUR_MS
from guard.core.survival import QUANTILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """
    The savings of all terminations in one currency.

    *expected* sums the *measured* terminations and *assumed_money* the *assumed* ones; *lower* and *upper* sum the bounds of
    both. *at_least* is the lower limit of what was really saved, chance included, where *lower* is that of what such
    terminations save on average.
    """

    currency: str
    measured: int
    assumed: int
    expected: Decimal
    assumed_money: Decimal
    lower: Decimal
    upper: Decimal
    at_least: Decimal


def totals(estimates: Iterable[Estimate]) -> dict[str, Total]:
    """
    Return the totals by currency.
    """
    sums = Sums()
    for one in estimates:
        sums.add(one)
    return sums.totals()


class Sums:
    """
    Totals as they grow, estimate by estimate, of which none is held.

    The limits of single terminations add up, because errors of one history are common to all that stand on it: their sum
    is the limit if all errors are one, and lies below it otherwise. But the runs that were ended would each have lasted
    shorter or longer than the mean, and that chance is not in the limit of a mean. *at_least* adds it: expected -
    sqrt((sum of rate x (mean - lower))² + z² x sum of (rate x spread)²), a one-sided 95 % prediction limit for runs that end
    independently of each other (Hahn and Meeker 1991, chapter 4, for a sum).
    """

    __slots__ = ("_by_currency",)

    def __init__(self) -> None:
        self._by_currency: dict[str, _Sum] = {}

    def add(self, one: Estimate) -> None:
        """
        Take in one more estimate.
        """
        self._by_currency.setdefault(one.inputs.currency, _Sum()).add(one)

    def totals(self) -> dict[str, Total]:
        """
        Return the totals so far by currency.
        """
        return {currency: one.total(currency) for currency, one in self._by_currency.items()}


@dataclass(slots=True)
class _Sum:
    """
    The sums of one currency.
    """

    measured: int = 0
    assumed: int = 0
    expected: Fraction = Fraction(0)
    assumed_money: Fraction = Fraction(0)
    lower: Fraction = Fraction(0)
    upper: Fraction = Fraction(0)
    at_stake: Fraction = Fraction(0)
    chance: Fraction = Fraction(0)

    def add(self, one: Estimate) -> None:
        figures, per_hour = one.figures, Fraction(one.inputs.per_hour)
        self.lower += Fraction(figures.lower)
        self.upper += Fraction(figures.upper)
        if figures.expected is not None:
            self.measured += 1
            self.expected += Fraction(figures.expected)
            self.at_stake += Fraction(figures.expected) - Fraction(figures.lower)
            self.chance += (per_hour * figures.spread_ms / HOUR_MS) ** 2
        else:
            self.assumed += 1
        if figures.assumed is not None:
            self.assumed_money += Fraction(figures.assumed)

    def total(self, currency: str) -> Total:
        allowance = _root(self.at_stake**2 + Fraction(QUANTILE) ** 2 * self.chance)
        return Total(
            currency=currency,
            measured=self.measured,
            assumed=self.assumed,
            expected=exact(self.expected),
            assumed_money=exact(self.assumed_money),
            lower=exact(self.lower),
            upper=exact(self.upper),
            at_least=exact(max(Fraction(0), self.expected - allowance)),
        )


def _root(square: Fraction) -> Fraction:
    """
    Return the square root, rounded up at the place to which money is kept.
    """
    unit = 10**PLACES
    return Fraction(math.isqrt(math.ceil(square * unit**2) - 1) + 1 if square else 0, unit)
