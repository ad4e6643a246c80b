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

    The limits of single terminations add up, because errors of one history are common to all that stand on it: their sum
    is the limit if all errors are one, and lies below it otherwise. But the runs that were ended would each have lasted
    shorter or longer than the mean, and that chance is not in the limit of a mean. *at_least* adds it: expected -
    sqrt((sum of rate x (mean - lower))² + z² x sum of (rate x spread)²), a one-sided 95 % prediction limit for runs that end
    independently of each other (Hahn and Meeker 1991, chapter 4, for a sum).
    """
    by_currency: dict[str, list[Estimate]] = {}
    for one in estimates:
        by_currency.setdefault(one.inputs.currency, []).append(one)
    return {currency: _total(currency, ones) for currency, ones in by_currency.items()}


def _total(currency: str, estimates: list[Estimate]) -> Total:
    expected = assumed_money = lower = upper = at_stake = chance = Fraction(0)
    measured = 0
    for one in estimates:
        figures, per_hour = one.figures, Fraction(one.inputs.per_hour)
        lower += Fraction(figures.lower)
        upper += Fraction(figures.upper)
        if figures.expected is not None:
            measured += 1
            expected += Fraction(figures.expected)
            at_stake += Fraction(figures.expected) - Fraction(figures.lower)
            chance += (per_hour * figures.spread_ms / HOUR_MS) ** 2
        if figures.assumed is not None:
            assumed_money += Fraction(figures.assumed)
    allowance = _root(at_stake**2 + Fraction(QUANTILE) ** 2 * chance)
    return Total(
        currency=currency,
        measured=measured,
        assumed=len(estimates) - measured,
        expected=exact(expected),
        assumed_money=exact(assumed_money),
        lower=exact(lower),
        upper=exact(upper),
        at_least=exact(max(Fraction(0), expected - allowance)),
    )


def _root(square: Fraction) -> Fraction:
    """
    Return the square root, rounded up at the place to which money is kept.
    """
    unit = 10**PLACES
    return Fraction(math.isqrt(math.ceil(square * unit**2) - 1) + 1 if square else 0, unit)
