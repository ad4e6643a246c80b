"""
What a confirmed termination saved: expected, lower and upper, with everything that they were worked out from.

The three numbers are kept with their inputs, the life table among them, so that ``recompute`` gives them again from one
record alone, years later and whatever became of the history.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import msgspec

from guard.core.facts import ABSENT, Missing
from guard.core.likeness import Group, Ladder, Likeness, Rung
from guard.core.savings import exact, left_ms
from guard.core.spans import DAY_MS, HOUR_MS
from guard.core.survival import LifeTable, Step, remaining, restricted_mean

TABLE_ROWS = 240
"""A kept life table has at most so many rows over the window; times between them are rounded down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """
    The operator's settings: the *horizon*, how many natural ends a group needs, and the time that is assumed without them.
    """

    horizon_ms: int = DAY_MS
    min_ends: int = 30
    assumed_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """
    A run that was ended: after which running time (None if no clock could be read), and what it cost *per_hour* then.
    """

    like: Likeness
    elapsed_ms: int | None
    per_hour: Fraction
    currency: str
    auto_stop_ms: int | Missing = ABSENT


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a group of like runs says about the time after an elapsed time.

    Of *size* runs in the group the guard ended *guard_ended*; what enforcement may have touched is left out (``likeness``).
    *at_risk* were watched at the elapsed time and lasted longer, *ends_after* ended by themselves later. The life table is
    one of the remaining time, in multiples of *step_ms*; it stands only in the evidence that counts.
    """

    rung: Rung
    size: int
    guard_ended: int
    enforced_at_ms: int | None
    enforced_from_ms: int | None
    at_risk: int
    ends_after: int
    step_ms: int
    known_until_ms: int = 0
    steps: tuple[Step, ...] = ()

    def counts(self, min_ends: int) -> bool:
        """
        Tell whether there is enough: so many natural ends, and as many at risk from the first; late entries alone do not do.
        """
        return self.ends_after >= min_ends and self.at_risk >= min_ends


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything that the figures follow from. *per_hour* is exact money as text, a fraction where no decimal is exact.

    *evidence* are the rungs of the ladder that were tried, in order; only the last one can count.
    """

    like: Likeness
    elapsed_ms: int | None
    auto_stop_ms: int | None
    per_hour: str
    currency: str
    horizon_ms: int
    min_ends: int
    assumed_ms: int
    evidence: tuple[Evidence, ...] = ()


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """
    The savings of one termination, in money and in the running time that they stand for.

    Measured: *rung* names the group, *expected* is money and *assumed* is None. Assumed: the other way round, and *lower* is
    0; the two are never summed. lower <= expected <= upper. *spread_ms* is the standard deviation of a single run's
    remaining time, which a total needs.
    """

    rung: Rung | None
    mean_ms: int
    lower_ms: int
    spread_ms: int
    upper_ms: int
    expected: Decimal | None
    assumed: Decimal | None
    lower: Decimal
    upper: Decimal


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """
    The figures of one termination beside their inputs, as the ledger keeps them; ``msgspec.json`` writes and reads it.
    """

    inputs: Inputs
    figures: Figures

    @property
    def holds(self) -> bool:
        """
        Whether the figures are those that follow from the inputs.
        """
        return recompute(self.inputs) == self.figures


def estimate(stopped: Stopped, ladder: Ladder, method: Method) -> Estimate:
    """
    Return the savings of a termination by the first group of like runs that says enough (design section 6).
    """
    return estimated(basis_of(stopped, method), ladder)


def basis_of(stopped: Stopped, method: Method) -> Inputs:
    """
    Return the inputs of an estimate without any evidence yet: the run and the method.
    """
    return Inputs(
        like=stopped.like,
        elapsed_ms=stopped.elapsed_ms,
        auto_stop_ms=None if isinstance(stopped.auto_stop_ms, Missing) else stopped.auto_stop_ms,
        per_hour=str(stopped.per_hour),
        currency=stopped.currency,
        horizon_ms=method.horizon_ms,
        min_ends=method.min_ends,
        assumed_ms=method.assumed_ms,
    )


def estimated(basis: Inputs, ladder: Ladder) -> Estimate:
    """
    Return the estimate that follows from a run and the groups of like runs.

    It takes time in proportion to the runs of the groups that are asked.
    """
    evidence: list[Evidence] = []
    if basis.elapsed_ms is not None:
        window_ms = left_ms(basis.elapsed_ms, auto_stop_ms=basis.auto_stop_ms, horizon_ms=basis.horizon_ms)
        for rung, group in ladder.rungs(basis.like):
            evidence.append(_asked(rung, group, basis.elapsed_ms, window_ms, basis.min_ends))
            if evidence[-1].counts(basis.min_ends):
                break
    inputs = msgspec.structs.replace(basis, evidence=tuple(evidence))
    return Estimate(inputs=inputs, figures=recompute(inputs))


def recompute(inputs: Inputs) -> Figures:
    """
    Return the figures that follow from the inputs.

    *expected* is the rate x the restricted mean of the remaining time, up to the horizon or the job's own ``auto_stop``.
    *lower* takes the same at the one-sided 95 % limit of the curve by Greenwood (``survival.restricted_mean``).
    """
    per_hour = Fraction(inputs.per_hour)
    upper_ms = left_ms(inputs.elapsed_ms or 0, auto_stop_ms=inputs.auto_stop_ms, horizon_ms=inputs.horizon_ms)
    upper = exact(per_hour * upper_ms / HOUR_MS)
    evidence = next((one for one in inputs.evidence if one.counts(inputs.min_ends)), None)
    if evidence is None:
        assumed_ms = min(inputs.assumed_ms, upper_ms)
        return Figures(
            rung=None,
            mean_ms=assumed_ms,
            lower_ms=0,
            spread_ms=0,
            upper_ms=upper_ms,
            expected=None,
            assumed=exact(per_hour * assumed_ms / HOUR_MS),
            lower=exact(Fraction(0)),
            upper=upper,
        )
    table = LifeTable(evidence.steps, evidence.known_until_ms)
    mean = restricted_mean(table, upper_ms, watched=evidence.at_risk)
    mean_ms = math.floor(mean.mean_ms)
    lower_ms = math.floor(mean.lower_ms)
    return Figures(
        rung=evidence.rung,
        mean_ms=mean_ms,
        lower_ms=lower_ms,
        spread_ms=math.ceil(mean.spread_ms),
        upper_ms=upper_ms,
        expected=exact(per_hour * mean_ms / HOUR_MS),
        assumed=None,
        lower=exact(per_hour * lower_ms / HOUR_MS),
        upper=upper,
    )


def _asked(rung: Rung, group: Group, elapsed_ms: int, window_ms: int, min_ends: int) -> Evidence:
    beyond = group.beyond(elapsed_ms)
    step_ms = max(1, math.ceil(window_ms / TABLE_ROWS))
    evidence = Evidence(
        rung=rung,
        size=group.size,
        guard_ended=group.guard_ended,
        enforced_at_ms=group.enforced_at_ms,
        enforced_from_ms=group.enforced_from_ms,
        at_risk=sum(one.entry_ms <= elapsed_ms for one in beyond),
        ends_after=sum(one.ended for one in beyond),
        step_ms=step_ms,
    )
    if not evidence.counts(min_ends):
        return evidence
    table = remaining(beyond, elapsed_ms, step_ms=step_ms)
    return msgspec.structs.replace(
        evidence,
        known_until_ms=min(table.known_until_ms, window_ms),
        steps=tuple(step for step in table.steps if step.at_ms < window_ms),
    )
