"""
What confirmed terminations saved, by the ledger: rows for people and machines, and the proof that each figure follows from
what is kept beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from guard.core.estimate import Estimate, recompute
from guard.core.records import Intent
from guard.core.spans import format_span
from guard.core.work import Basis
from guard.report import iso

FIGURES = ("expected", "lower", "assumed", "upper")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRow:
    """
    One confirmed termination and its estimate; None without a price, or as long as there is none. *basis* is what only the
    ended job told, recorded with the outcome.
    """

    intent: Intent
    estimate: Estimate | None
    basis: Basis | None

    @property
    def method(self) -> str:
        """
        How the figures came about, in a few words.
        """
        if self.estimate is None:
            return "no price" if self.intent.savings_upper is None else "not estimated yet"
        return "assumed" if self.estimate.figures.rung is None else "Kaplan-Meier"

    @property
    def ends(self) -> int | None:
        """
        How many natural ends after its running time the group has that counted, else the largest that was asked.
        """
        tried = self.estimate.inputs.evidence if self.estimate is not None else ()
        return tried[-1].ends_after if tried else None


def differences(row: SavedRow) -> list[str]:
    """
    Return which stored figures do not follow from the ledger, in words; [] if all of them do.
    """
    intent, kept = row.intent, row.estimate
    stored = {name: getattr(intent, f"savings_{name}") for name in FIGURES}
    if kept is None:
        return [f"{name} is {stored[name]} without an estimate" for name in FIGURES[:3] if stored[name] is not None]
    draft, found, inputs = intent.draft, [], kept.inputs
    try:
        figures, same_rate = recompute(inputs), Fraction(inputs.per_hour) == Fraction(draft.cost_per_hour or 0)
    except (ValueError, ArithmeticError) as error:
        return [f"its inputs give no figures at all: {error}"]
    if not same_rate or inputs.currency != draft.currency:
        found.append(
            f"it counts at {inputs.per_hour} {inputs.currency} an hour, the intent at {draft.cost_per_hour or 'none'}"
        )
    if draft.work is not None and inputs.like != draft.work.like:
        found.append("it is about another job than the intent")
    told = Basis(elapsed_ms=inputs.elapsed_ms, auto_stop_ms=inputs.auto_stop_ms, horizon_ms=inputs.horizon_ms)
    if told != row.basis:
        found.append("its running time, auto_stop or horizon is another one than was recorded with the outcome")
    if figures != kept.figures:
        found.append("its record of the figures is another one than its inputs give")
    for name in FIGURES:
        if stored[name] != getattr(figures, name):
            found.append(f"{name} is {stored[name]}, and its inputs give {getattr(figures, name)}")
    return found


def saved_data(row: SavedRow) -> dict[str, Any]:
    """
    Return one termination as plain data; money is exact and stands as text.
    """
    intent, figures = row.intent, row.estimate.figures if row.estimate is not None else None
    amounts = {name: getattr(intent, f"savings_{name}") for name in ("lower", "expected", "upper", "assumed")}
    return {
        "intent": intent.number,
        "job": intent.draft.key.job_id,
        "name": intent.draft.facts.get("name", ""),
        "user": intent.draft.facts.get("user", ""),
        "target": intent.draft.target,
        "policy": intent.draft.policy,
        "accepted": iso(intent.accepted_ms),
        "currency": intent.draft.currency or None,
        **{name: None if amount is None else f"{amount:f}" for name, amount in amounts.items()},
        "group": figures.rung.value if figures is not None and figures.rung is not None else None,
        "ends": row.ends,
        "horizon": None if row.estimate is None else format_span(row.estimate.inputs.horizon_ms),
        "method": row.method,
    }


def wrong(rows: Sequence[SavedRow]) -> list[str]:
    """
    Return a line for each figure that does not follow from the ledger.
    """
    return [f"intent {row.intent.number}: {text}" for row in rows for text in differences(row)]
