"""
Clauses as alternatives: sets of literals of which one must hold as a whole.

Kleene's `all` is the smallest and `any` the largest of three ordered values, so they commute with the questions "is it
MATCH?" and "is it at least UNKNOWN?", and De Morgan's laws hold. Each question about a clause is therefore the same
question about its alternatives, whatever nests in it.
"""

from dataclasses import dataclass
from itertools import product
from typing import assert_never

from guard.core.policy import All, Clause, Condition, Not, Some


@dataclass(frozen=True, slots=True)
class Literal:
    """
    A condition, or its `not`.
    """

    condition: Condition
    negated: bool = False


Alternative = tuple[Literal, ...]


def alternatives(clause: Clause, *, most: int) -> tuple[Alternative, ...] | None:
    """
    Return the alternatives of a clause, or None if there are more than *most* of them (they may double with every `any`).
    """
    found = _alternatives(clause, most, negated=False)
    return None if found is None else tuple(found)


def _alternatives(clause: Clause, most: int, *, negated: bool) -> list[Alternative] | None:
    match clause:
        case Condition():
            return [(Literal(clause, negated),)]
        case Not():
            return _alternatives(clause.part, most, negated=not negated)
        case All() | Some():
            joined: list[Alternative] = [()] if isinstance(clause, All) is not negated else []
            for part in clause.parts:
                more = _alternatives(part, most, negated=negated)
                if more is None:
                    return None
                if isinstance(clause, All) is not negated:
                    joined = [_both(left, right) for left, right in product(joined, more)]
                else:
                    joined = [*joined, *more]
                joined = list(dict.fromkeys(joined))
                if len(joined) > most:
                    return None
            return joined
        case _:
            assert_never(clause)


def _both(left: Alternative, right: Alternative) -> Alternative:
    return tuple(dict.fromkeys((*left, *right)))
