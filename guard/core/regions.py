"""
The states of a fact for which a condition has one verdict: sets of values, and whether a missing fact belongs to them.

Numbers and spans are never below 0; integers and spans are whole. Text is a finite set, or all text but some; what a glob
or an expression fits is known only for a finite set, otherwise the pattern is opaque and equal to nothing but itself.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from guard.core.facts import ABSENT, UNREADABLE, Missing
from guard.core.fields import ANNOTATION, FieldType, field_type
from guard.core.policy import Condition, Pattern

LAWFULLY_ABSENT = frozenset({"pool_id", "description", "engine", "image"})
"""Fields that a job may lack, beside every annotation (design section 3); any other missing fact is unreadable."""

Cut = tuple[int | Fraction | float, int]
"""A place between numbers: just before a number (n, 0) or just after it (n, 1)."""

_LOWEST: Cut = (0, 0)
_HIGHEST: Cut = (math.inf, 0)


@dataclass(frozen=True, slots=True)
class Numbers:
    """
    The numbers between pairs of cuts, in order and without overlap.
    """

    spans: tuple[tuple[Cut, Cut], ...] = ((_LOWEST, _HIGHEST),)

    @property
    def is_empty(self) -> bool:
        """
        Whether no number is left.
        """
        return not self.spans

    def work(self, other: "Numbers") -> int:
        """
        Return how many steps it takes to meet another set.
        """
        return len(self.spans) + len(other.spans)

    def meet(self, other: "Numbers") -> "Numbers":
        """
        Return the numbers that are in both.
        """
        found = []
        mine, theirs = list(reversed(self.spans)), list(reversed(other.spans))
        while mine and theirs:
            begin, end = max(mine[-1][0], theirs[-1][0]), min(mine[-1][1], theirs[-1][1])
            if begin < end:
                found.append((begin, end))
            (mine if mine[-1][1] == end else theirs).pop()
        return Numbers(tuple(found))

    def inverted(self) -> "Numbers":
        """
        Return all other numbers from 0 up.
        """
        found = []
        begin = _LOWEST
        for before, after in (*self.spans, (_HIGHEST, _HIGHEST)):
            if begin < before:
                found.append((begin, before))
            begin = after
        return Numbers(tuple(found))


Shape = tuple[str, Pattern]
"""A pattern and its operator: the same text means one thing as a glob and another as an expression."""


@dataclass(frozen=True, slots=True)
class Texts:
    """
    The texts of *members* (None: every text) that are not *excluded*, fit all of *fits* and none of *misfits*.
    """

    members: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    fits: frozenset[Shape] = frozenset()
    misfits: frozenset[Shape] = frozenset()

    @property
    def is_empty(self) -> bool:
        """
        Whether surely no text is left.
        """
        return self.members == frozenset() or bool(self.fits & self.misfits)

    def work(self, other: "Texts") -> int:
        """
        Return how many steps it takes to meet another set.
        """
        members = len(self.members or ()) + len(other.members or ())
        patterns = len(self.fits) + len(other.fits) + len(self.misfits) + len(other.misfits)
        return len(self.excluded) + len(other.excluded) + members * (1 + patterns) + patterns

    def meet(self, other: "Texts") -> "Texts":
        """
        Return the texts that are in both.
        """
        known = [members for members in (self.members, other.members) if members is not None]
        excluded, fits, misfits = self.excluded | other.excluded, self.fits | other.fits, self.misfits | other.misfits
        if not known:
            return Texts(None, excluded, fits, misfits)
        return Texts(
            frozenset(
                text
                for text in known[0].intersection(*known) - excluded
                if all(pattern.fits(text) for _, pattern in fits) and not any(pattern.fits(text) for _, pattern in misfits)
            )
        )


@dataclass(frozen=True, slots=True)
class Region:
    """
    The states of one fact: the values that it may have, and the ways in which it may be missing.
    """

    values: Numbers | Texts
    missing: frozenset[Missing] = frozenset()

    @property
    def is_empty(self) -> bool:
        """
        Whether surely no state is left.
        """
        return not self.missing and self.values.is_empty

    def meet(self, other: "Region") -> "Region":
        """
        Return the states that are in both regions, which are of the same field.
        """
        # The field's type makes both of one kind, which a type checker cannot know.
        values: Any = self.values
        return Region(values.meet(other.values), self.missing & other.missing)

    def work(self, other: "Region") -> int:
        """
        Return how many steps it takes to meet another region of the same field.
        """
        values: Any = self.values
        return 1 + int(values.work(other.values))


def possible(field: str) -> Region:
    """
    Return every state that the fact of a field can have.
    """
    lawful = field.startswith(ANNOTATION) or field in LAWFULLY_ABSENT
    return Region(_all(field), frozenset({ABSENT, UNREADABLE} if lawful else {UNREADABLE}))


def readable(field: str) -> Region:
    """
    Return every state but unreadable.
    """
    return Region(_all(field), possible(field).missing - {UNREADABLE})


def unreadable(field: str) -> Region:
    """
    Return the one state of a fact that cannot be read.
    """
    return Region(_none(field), frozenset({UNREADABLE}))


def below(field: str, limit: int) -> Region:
    """
    Return the states in which the fact is not a number from *limit* up: smaller, or missing.
    """
    return Region(Numbers(((_LOWEST, (limit, 0)),)), possible(field).missing)


def holding(condition: Condition, *, negated: bool = False) -> Region:
    """
    Return the states for which the condition (its `not`, if *negated*) is MATCH.
    """
    missing: frozenset[Missing] = frozenset()
    if condition.op == "exists" and condition.operand is negated:
        missing = possible(condition.field).missing - {UNREADABLE}
    return Region(_values(condition, negated=negated), missing)


def not_holding(condition: Condition, *, negated: bool = False) -> Region:
    """
    Return the states for which the condition (its `not`, if *negated*) is not MATCH: NO_MATCH or UNKNOWN.
    """
    missing = possible(condition.field).missing - holding(condition, negated=negated).missing
    return Region(_values(condition, negated=not negated), missing)


def excludes_nothing(condition: Condition) -> bool:
    """
    Tell whether the condition holds for every value that its field can have.
    """
    return _values(condition, negated=True).is_empty


def _all(field: str) -> Numbers | Texts:
    return Texts() if field_type(field) is FieldType.TEXT else Numbers()


def _none(field: str) -> Numbers | Texts:
    return Texts(frozenset()) if field_type(field) is FieldType.TEXT else Numbers(())


def _values(condition: Condition, *, negated: bool) -> Numbers | Texts:
    name, op, operand = condition.field, condition.op, condition.operand
    if isinstance(operand, bool):
        return _none(name) if operand is negated else _all(name)
    if isinstance(operand, Pattern):
        shapes = frozenset({(op, operand)})
        return Texts(misfits=shapes) if negated else Texts(fits=shapes)
    negated ^= op in ("ne", "not_in")
    listed = operand if isinstance(operand, tuple) else (operand,)
    if field_type(name) is FieldType.TEXT:
        texts = frozenset(str(text) for text in listed)
        return Texts(excluded=texts) if negated else Texts(texts)
    numbers = _numbers(op, [number for number in listed if not isinstance(number, str)], whole=_is_whole(name))
    return numbers.inverted() if negated else numbers


def _is_whole(field: str) -> bool:
    return field_type(field) in (FieldType.INTEGER, FieldType.SPAN)


def _numbers(op: str, operands: list[int | Fraction], *, whole: bool) -> Numbers:
    found: list[tuple[Cut, Cut]] = []
    for number in sorted(set(operands)):
        before: Cut = (number, 0)
        after: Cut = (number + 1, 0) if whole else (number, 1)
        spans = {
            "gt": (after, _HIGHEST),
            "gte": (before, _HIGHEST),
            "lt": (_LOWEST, before),
            "lte": (_LOWEST, after),
        }
        found.append(spans.get(op, (before, after)))
    clipped = ((max(begin, _LOWEST), end) for begin, end in found)
    return Numbers(tuple((begin, end) for begin, end in clipped if begin < end))
