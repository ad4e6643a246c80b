"""
How long runs last of which some were not seen to their end: the Kaplan-Meier estimate, in whole milliseconds.

A run is observed from *entry* to *exit*, both elapsed running time: it is at risk at the times t with entry < t <= exit.
Entry is above 0 for a run that was first seen while it was already running (left truncation): a shorter one would not have
been seen at all, so it may not count before. A run that has not *ended* by itself at its exit is censored: it was at risk
until then, and a natural end at the same time comes first.

Statistics are floats. Money is not made here.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95
QUANTILE = NormalDist().inv_cdf(CONFIDENCE)
"""The standard normal quantile of a one-sided limit."""


class Observation(NamedTuple):
    """
    What was seen of one run, in milliseconds of elapsed running time.
    """

    entry_ms: int
    exit_ms: int
    ended: bool


class Step(NamedTuple):
    """
    One row of a life table: how many runs were at risk at this time, and how many of them ended.
    """

    at_ms: int
    at_risk: int
    ended: int


class LifeTable(NamedTuple):
    """
    The times at which runs ended, in order, and how long any run was observed at all.

    After *known_until_ms* nothing is known; if the last run was censored there, the curve stays above 0 until then.
    """

    steps: tuple[Step, ...]
    known_until_ms: int


class RestrictedMean(NamedTuple):
    """
    The mean time up to a limit, the variance of this *estimate*, and the *spread*: the standard deviation of single runs.
    """

    mean_ms: float
    variance_ms2: float
    spread_ms: float

    @property
    def lower_ms(self) -> float:
        """
        The one-sided 95 % lower limit of the mean, by the normal approximation; never below 0.
        """
        return max(0.0, self.mean_ms - QUANTILE * math.sqrt(self.variance_ms2))


def life_table(observations: Iterable[Observation]) -> LifeTable:
    """
    Return the life table of runs; one that was left before it was entered tells nothing and is ignored. O(n log n).
    """
    entries: Counter[int] = Counter()
    exits: Counter[int] = Counter()
    ends: Counter[int] = Counter()
    for entry_ms, exit_ms, ended in observations:
        if entry_ms < exit_ms:
            entries[entry_ms] += 1
            exits[exit_ms] += 1
            if ended:
                ends[exit_ms] += 1
    steps = []
    at_risk = 0
    entering, leaving = iter(sorted(entries.items())), iter(sorted(exits.items()))
    entry, left = next(entering, None), next(leaving, None)
    for at_ms, number in sorted(ends.items()):
        while entry is not None and entry[0] < at_ms:
            at_risk += entry[1]
            entry = next(entering, None)
        while left is not None and left[0] < at_ms:
            at_risk -= left[1]
            left = next(leaving, None)
        steps.append(Step(at_ms, at_risk, number))
    return LifeTable(tuple(steps), max(exits, default=0))


def survival(table: LifeTable) -> list[float]:
    """
    Return the share of runs that last longer than each step (Kaplan and Meier 1958): the product of 1 - ended / at risk.
    """
    shares, share = [], 1.0
    for _, at_risk, ended in table.steps:
        share *= (at_risk - ended) / at_risk
        shares.append(share)
    return shares


def survival_limits(table: LifeTable) -> list[float]:
    """
    Return the one-sided 95 % lower limit of the survival at each step: exponential Greenwood.

    That is S ** exp(z * sqrt(G) / -log S) with Greenwood's sum G of ended / (at risk * (at risk - ended)), the limit on the
    scale of log(-log S) (Kalbfleisch and Prentice 2002, section 1.4; ``lifelines`` computes the same). It is 0 where S is.
    """
    limits, total = [], 0.0
    for share, (_, at_risk, ended) in zip(survival(table), table.steps, strict=True):
        if not share:
            limits.append(0.0)
            continue
        total += ended / (at_risk * (at_risk - ended))
        limits.append(share ** math.exp(QUANTILE * math.sqrt(total) / -math.log(share)))
    return limits


def restricted_mean(table: LifeTable, until_ms: int) -> RestrictedMean:
    """
    Return the mean of min(time, until_ms): the area below the curve up to *until_ms*, with Greenwood's variance of it.

    The variance is the sum over the steps of A² * ended / (at risk * (at risk - ended)), where A is the area below the
    curve from that step to the limit (Meier 1975; Klein and Moeschberger 2003, formula 4.5.2; also ``print.rmean`` of R's
    package survival). A step that ends all has no area after it and adds nothing.

    Where no run was observed any more, the curve is taken as 0 (Efron 1967): time that nobody saw is not counted. The
    usual way, to leave it flat, is how an estimate of censored runs comes to return the whole horizon.
    """
    end_ms = min(until_ms, table.known_until_ms)
    steps = [step for step in table.steps if step.at_ms < end_ms]
    area = variance = moment = 0.0
    later_ms = end_ms
    for (at_ms, at_risk, ended), share in zip(reversed(steps), reversed(survival(table)[: len(steps)]), strict=True):
        area += share * (later_ms - at_ms)
        moment += share * (later_ms**2 - at_ms**2)
        if at_risk > ended:
            variance += area**2 * ended / (at_risk * (at_risk - ended))
        later_ms = at_ms
    mean = area + later_ms
    return RestrictedMean(mean, variance, math.sqrt(max(0.0, moment + later_ms**2 - mean**2)))


def remaining(observations: Sequence[Observation], elapsed_ms: int, *, step_ms: int = 1) -> LifeTable:
    """
    Return the life table of the time that runs still had after *elapsed_ms*, given that they lasted longer.

    Times are rounded to multiples of *step_ms*, so that a table can be kept: ends down, so that no run is taken for
    longer than it was, and entries up.
    """
    return life_table(
        Observation(
            -1 if entry_ms <= elapsed_ms else -((elapsed_ms - entry_ms) // step_ms) * step_ms,
            (exit_ms - elapsed_ms) // step_ms * step_ms,
            ended,
        )
        for entry_ms, exit_ms, ended in observations
        if exit_ms > elapsed_ms
    )
