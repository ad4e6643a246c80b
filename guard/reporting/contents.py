"""
What a report says of savings, potential, forecasts and harm, in sections with the sentences that belong beside the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from guard.core.harm import Hindsight
from guard.core.savings import exact
from guard.core.spans import format_span
from guard.core.totals import Total
from guard.reporting.sections import Cell, Column, Range, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """
    The savings of one user, policy, billing code, target or day, and what re-submissions took back of the expected and of
    the assumed ones.
    """

    label: str
    total: Total
    clawed_back: Decimal
    assumed_clawed_back: Decimal = Decimal(0)


def savings(saved: Sequence[Saved], *, by: str, horizon_ms: int, min_ends: int) -> Section:
    """
    Return the savings of confirmed terminations with their three numbers, the assumed ones apart, and the method.
    """
    columns = {
        "label": by.replace("_", " "),
        "terminations": "terminations",
        "lower": "saved: lower",
        "expected": "saved: expected",
        "upper": "saved: upper",
        "at_least": "at least, chance included",
        "clawed_back": "taken back",
        "assumed_terminations": "of these assumed",
        "assumed": "assumed saving",
        "assumed_clawed_back": "taken back of assumed",
    }
    rows: list[tuple[Cell, ...]] = []
    for one in saved:
        total = one.total
        rows.append(
            (
                one.label,
                total.measured + total.assumed,
                total.lower,
                total.expected,
                total.upper,
                total.at_least,
                one.clawed_back,
                total.assumed,
                total.assumed_money,
                one.assumed_clawed_back,
            )
        )
    return Section(
        key="savings",
        title="Savings of confirmed terminations",
        columns=_columns(columns),
        rows=tuple(rows),
        note=(
            f"Counted over {format_span(horizon_ms)} after each termination at most. Expected is the cost rate x the mean "
            f"time that like jobs still ran (Kaplan-Meier), where at least {min_ends} of them were seen to end later. "
            "Lower is the same at the one-sided 95 % limit (Greenwood), upper what the job could have cost at most. At "
            "least also allows for the chance in how long these very jobs would have run. Taken back is what was submitted "
            "again within 24 hours. What is assumed for want of like jobs is not in expected."
        ),
        charts=(
            Range(
                title=f"From lower to upper, by {columns['label']}; the mark and the figure are expected.",
                label="label",
                low="lower",
                middle="expected",
                high="upper",
            ),
        ),
    )


def potential(policies: Sequence[Hindsight]) -> Section:
    """
    Return what policies that only observe would have saved, measured.
    """
    columns = {
        "policy": "policy",
        "currency": "currency",
        "runs": "would have ended",
        "running": "still running",
        "cut_short": "ended by the guard",
        "lost": "lost from view",
        "potential": "measured to their own end",
        "so_far": "of those still running",
        "unpriced": "without a price",
    }
    return Section(
        key="potential",
        title="What policies that only observe would have saved",
        columns=_columns(columns),
        rows=tuple(tuple(getattr(one, key) for key in columns) for one in policies),
        note=(
            "Measured, not estimated: the cost from the deadline to the job's own end. A run that several policies would "
            "have ended is in the row of each, so rows do not add up."
        ),
        charts=(Range(title="Measured to their own end, by policy.", label="policy", high="potential"),),
    )


def forecasts(policies: Sequence[Hindsight], *, horizon_ms: int) -> Section:
    """
    Return how good the estimator of savings is: what it said of observed runs at the deadline, beside what they then cost.
    """
    columns = {
        "policy": "policy",
        "currency": "currency",
        "compared": "runs compared",
        "measured": "measured",
        "expected": "expected at the deadline",
        "ratio": "expected / measured",
        "assumed": "not compared: assumed",
        "unfollowed": "not compared: not seen to the horizon",
    }
    rows: list[tuple[Cell, ...]] = []
    for one in policies:
        # If nothing was compared, a pair of zeros would look like an estimator that is never wrong.
        figures = (one.measured, one.expected, _ratio(one.expected, one.measured)) if one.compared else (None, None, None)
        rows.append((one.policy, one.currency, one.compared, *figures, one.assumed, one.unfollowed))
    return Section(
        key="forecasts",
        title="How good the estimate of savings is, tried on them",
        columns=_columns(columns),
        rows=tuple(rows),
        note=(
            "Expected is what the estimator of savings said at the deadline, from what was known by then; measured is what "
            f"the same runs then cost over the same horizon ({format_span(horizon_ms)} now, for each run that of its day). "
            "Compared are runs whose deadline is a whole horizon ago, and none whose saving would have been assumed for "
            "want of like runs. Runs that were not seen to the horizon, because something else ended them or they were "
            "lost, are long ones: where there are many, measured is too low."
        ),
        charts=(
            Range(
                title="The bar and the figure are measured, the mark is expected.",
                label="policy",
                middle="expected",
                high="measured",
                told="measured",
            ),
        ),
    )


def _ratio(expected: Decimal, measured: Decimal) -> Decimal | None:
    return exact(Fraction(expected) / Fraction(measured)).quantize(Decimal("0.01")) if measured else None


def harm(policies: Sequence[Hindsight]) -> Section:
    """
    Return whom policies would have hurt: jobs that completed by themselves soon after the deadline.
    """
    columns = {"policy": "policy", "currency": "currency", "runs": "would have ended"}
    spans = [format_span(one.within_ms) for one in policies[0].harm] if policies else []
    for span in spans:
        columns |= {f"completed_{span}": f"completed within {span}", f"spent_{span}": f"spent in these by then, {span}"}
    rows: list[tuple[Cell, ...]] = []
    for one in policies:
        hurt: list[Cell] = []
        for each in one.harm:
            # A sum that lacks some of the jobs would look like the whole of it.
            hurt += [each.completed, None if each.unpriced else each.spent]
        rows.append((one.policy, one.currency, one.runs, *hurt))
    return Section(
        key="harm",
        title="Whom they would have hurt",
        columns=_columns(columns),
        rows=tuple(rows),
        note=(
            "Jobs that completed by themselves soon after the policy would have ended them, and what they "
            "had cost by that moment: the work that would have been lost but for a checkpoint."
        ),
    )


def _columns(titles: dict[str, str]) -> tuple[Column, ...]:
    return tuple(Column(key=key, title=title) for key, title in titles.items())
