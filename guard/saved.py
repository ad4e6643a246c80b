"""
What confirmed terminations saved, by the ledger: rows for people and machines, and the proof that each figure follows from
what is kept beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import msgspec

from guard.core.estimate import Estimate, recompute
from guard.core.records import Intent
from guard.core.spans import format_span
from guard.core.work import Basis
from guard.ports import Kept
from guard.report import iso

FIGURES = ("expected", "lower", "assumed", "upper")
KINDS = ("savings", "potential", "forecasts")


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


@dataclass(slots=True)
class Check:
    """
    What the recomputation of a ledger found, row by row: so many *terminations* and observed *matches*; of each kind of
    stored *figures* how many were worked out again, and how many of them came out equal; and *wrong*, a line for whatever
    did not.
    """

    terminations: int = 0
    estimates: int = 0
    matches: int = 0
    forecasts: int = 0
    figures: dict[str, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(KINDS, (0, 0)))
    wrong: list[str] = field(default_factory=list)

    def termination(self, row: SavedRow) -> None:
        """
        Take in a confirmed termination.
        """
        self.terminations += 1
        self.estimates += row.estimate is not None
        self.wrong += [f"intent {row.intent.number}: {text}" for text in differences(row)]
        stored = {name: getattr(row.intent, f"savings_{name}") for name in FIGURES}
        if row.estimate is not None:
            self._count("savings", stored, _again(row.estimate))

    def match(self, one: Kept) -> None:
        """
        Take in an observed match.
        """
        self.matches += 1
        self.forecasts += one.estimate is not None
        self.wrong += [f"match {one.number} ({one.policy}): {text}" for text in match_differences(one)]
        if one.estimate is not None:
            self._count("forecasts", {"expected": one.expected}, _again(one.estimate))
        self._count("potential", {"potential": one.potential}, {"potential": one.measured})

    def _count(self, kind: str, stored: Mapping[str, object], again: Mapping[str, object]) -> None:
        # An absent figure that follows from the ledger is none that anybody could read.
        found = [(amount, again.get(name)) for name, amount in stored.items() if (amount, again.get(name)) != (None, None)]
        total, equal = self.figures[kind]
        self.figures[kind] = total + len(found), equal + sum(amount == other for amount, other in found)

    @property
    def recomputed(self) -> int:
        """
        How many figures were worked out again.
        """
        return sum(total for total, _ in self.figures.values())

    @property
    def equal(self) -> int:
        """
        How many of them are equal to the stored ones.
        """
        return sum(equal for _, equal in self.figures.values())


def match_differences(one: Kept) -> list[str]:
    """
    Return which stored figures of an observed match do not follow from the ledger, in words; [] if all of them do.
    """
    found = []
    if one.potential != one.measured:
        found.append(f"potential is {one.potential}, and the end of its run gives {one.measured}")
    if one.estimate is None:
        return [*found, f"expected is {one.expected} without a forecast"] if one.expected is not None else found
    if one.basis is None or msgspec.structs.replace(one.estimate.inputs, evidence=()) != one.basis:
        found.append("its forecast is about another run than was recorded with the match")
    try:
        figures = recompute(one.estimate.inputs)
    except (ValueError, ArithmeticError) as error:
        return [*found, f"its inputs give no figures at all: {error}"]
    if figures != one.estimate.figures:
        found.append("its record of the figures is another one than its inputs give")
    if figures.expected != one.expected:
        found.append(f"expected is {one.expected}, and its inputs give {figures.expected}")
    return found


def _again(estimate: Estimate) -> dict[str, object]:
    try:
        figures = recompute(estimate.inputs)
    except (ValueError, ArithmeticError):
        return {}
    return {name: getattr(figures, name) for name in FIGURES}


def wrong(rows: Sequence[SavedRow]) -> list[str]:
    """
    Return a line for each figure that does not follow from the ledger.
    """
    check = Check()
    for row in rows:
        check.termination(row)
    return check.wrong
