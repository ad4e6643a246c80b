"""
What can never hold: formulas over the states of facts, and a bounded search that refutes them.

In Kleene's logic a verdict is MATCH exactly if it is in the clause's normal form over the states of single facts, so the
question whether a clause can be MATCH is one about ordinary sets. Known beside the clauses is that `waiting` is unreadable
outside Creating and Pending (design section 3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from guard.core.facts import WAITING_PHASES
from guard.core.policy import All, Clause, Condition, Not, Some
from guard.core.regions import Region, holding, not_holding, possible, readable, unreadable


@dataclass(frozen=True, slots=True)
class Where:
    """
    The fact of a field is in a region.
    """

    field: str
    region: Region


@dataclass(frozen=True, slots=True)
class Both:
    """
    All parts hold; true without parts.
    """

    parts: tuple["Formula", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """
    At least one part holds; false without parts.
    """

    parts: tuple["Formula", ...]


Formula = Where | Both | Either

_WAITS = Where("phase", holding(Condition("phase", "in", tuple(sorted(WAITING_PHASES)))))
_WAITS_NOT = Where("phase", not_holding(Condition("phase", "in", tuple(sorted(WAITING_PHASES)))))
_LAWFUL_WAITING = Either((_WAITS, Where("waiting", unreadable("waiting"))))


def all_readable(fields: Iterable[str]) -> Formula:
    """
    Return the formula for "whatever can be read of *fields* was read"; `waiting` can be in Creating and Pending only.
    """
    names = set(fields)
    parts: list[Formula] = [Where(name, readable(name)) for name in sorted(names - {"waiting"})]
    if "waiting" in names:
        waits = Both((_WAITS, Where("waiting", readable("waiting"))))
        parts.append(Either((waits, Both((_WAITS_NOT, Where("waiting", unreadable("waiting")))))))
    return Both(tuple(parts))


def matches(clause: Clause) -> Formula:
    """
    Return the formula for "the verdict on the clause is MATCH".
    """
    return _formula(clause, wanted=True)


def fails(clause: Clause) -> Formula:
    """
    Return the formula for "the verdict on the clause is not MATCH", so NO_MATCH or UNKNOWN.
    """
    return _formula(clause, wanted=False)


def _formula(clause: Clause, *, wanted: bool, negated: bool = False) -> Formula:
    """
    Return the formula for "the clause (its `not`, if *negated*) is MATCH", or for the contrary unless that is *wanted*.
    """
    match clause:
        case Condition():
            region = holding(clause, negated=negated) if wanted else not_holding(clause, negated=negated)
            return Where(clause.field, region)
        case Not():
            return _formula(clause.part, wanted=wanted, negated=not negated)
        case All() | Some():
            parts = tuple(_formula(part, wanted=wanted, negated=negated) for part in clause.parts)
            # Each of `negated` and of the contrary turns "all" into "any".
            return Both(parts) if (isinstance(clause, All) is not negated) is wanted else Either(parts)
        case _:
            assert_never(clause)


class _Spent(Exception):
    """
    The work that was allowed is done; never leaves this module.
    """


class Refuter:
    """
    Refutes formulas within bounds: so much work for one question, so much for all. Beyond them it proves nothing more.
    """

    def __init__(self, *, per_question: int = 20_000, altogether: int = 1_000_000) -> None:
        self._per_question = per_question
        self._altogether = altogether
        self._left = 0

    def refutes(self, *formulas: Formula) -> bool:
        """
        Tell whether it is proven that no facts make all *formulas* hold at once.
        """
        return self._open(formulas) is False

    def allows(self, *formulas: Formula) -> bool:
        """
        Tell whether the search came to an end and nothing but opaque patterns can keep all *formulas* from holding at once.
        """
        return self._open(formulas) is True

    def _open(self, formulas: Sequence[Formula]) -> bool | None:
        self._left = allowed = min(self._per_question, self._altogether)
        try:
            return self._search((*formulas, _LAWFUL_WAITING))
        except _Spent:
            return None
        finally:
            self._altogether -= allowed - max(self._left, 0)

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise _Spent

    def _search(self, formulas: Sequence[Formula]) -> bool:
        # Depth first over the alternatives, on an explicit stack; the first one that nothing contradicts ends it.
        open_ends: list[tuple[dict[str, Region], Sequence[Formula]]] = [({}, formulas)]
        while open_ends:
            box, agenda = open_ends.pop()
            self._spend(len(box) + len(agenda))
            narrowed, choices = dict(box), list[Either]()
            if not self._narrow(narrowed, agenda, choices):
                continue
            if not choices:
                return True
            # The smallest choice first: it is the likeliest to leave nothing to choose.
            choices.sort(key=lambda choice: len(choice.parts), reverse=True)
            chosen = choices.pop()
            self._spend(len(chosen.parts) * (1 + len(narrowed) + len(choices)))
            open_ends += [(narrowed, (part, *choices)) for part in reversed(chosen.parts)]
        return False

    def _narrow(self, box: dict[str, Region], agenda: Sequence[Formula], choices: list[Either]) -> bool:
        """
        Take what must hold into *box* and what is left to choose into *choices*; tell whether a state is left everywhere.
        """
        todo = list(agenda)
        while todo:
            formula = todo.pop()
            match formula:
                case Both():
                    self._spend(len(formula.parts))
                    todo += formula.parts
                case Either():
                    choices.append(formula)
                case Where(field=name, region=region):
                    known = box[name] if name in box else possible(name)
                    self._spend(known.work(region))
                    box[name] = known.meet(region)
                    if box[name].is_empty:
                        return False
                case _:
                    assert_never(formula)
        return True
