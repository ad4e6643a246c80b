"""
What a benchmark hands back, and the arithmetic that all of them share: percentiles, medians of alternating rounds, fits.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    One measured number. *bare* is the same work without the guard, of the same run, and *ratio* compares the two; *met* is
    None where nothing is promised.
    """

    name: str
    value: float
    unit: str
    bare: float | None = None
    bare_is: str = ""
    ratio: float | None = None
    wanted: str = ""
    met: bool | None = None


@dataclass(slots=True, kw_only=True)
class Result:
    """
    The figures of one benchmark; *notes* say in sentences how to read them, *details* hold the raw rounds.
    """

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)


def percentile(values: Sequence[float], share: float) -> float:
    """
    Return the smallest value that at least *share* of the values do not exceed; NaN if there are none.
    """
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """
    What alternating rounds measured, in the order in which they ran.
    """

    ours: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """
        The median of the rounds' own ratios, ours over bare.
        """
        return statistics.median(ours / bare for ours, bare in zip(self.ours, self.bare, strict=True))

    @property
    def medians(self) -> tuple[float, float]:
        """
        The median of ours and that of the bare ones.
        """
        return statistics.median(self.ours), statistics.median(self.bare)


def alternating(ours: Callable[[], float], bare: Callable[[], float], *, rounds: int) -> Rounds:
    """
    Measure both in turn, so that whatever else the machine does meets both alike.
    """
    pairs = [(ours(), bare()) for _ in range(rounds)]
    return Rounds(ours=tuple(one for one, _ in pairs), bare=tuple(one for _, one in pairs))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """
    Return the slope of the least-squares line through the logarithms: 1 is linear, 2 quadratic.
    """
    xs, ys = [math.log(one) for one in sizes], [math.log(one) for one in seconds]
    return statistics.linear_regression(xs, ys).slope
