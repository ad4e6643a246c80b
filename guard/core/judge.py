"""
A clause judged on the facts of one resource at one moment, in three values, with the reason.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, assert_never

from guard.core.facts import Bent, Fact, Growing, Missing, Stepped
from guard.core.fields import Facts, field_type
from guard.core.policy import All, Clause, Condition, Not, Pattern, Some, show
from guard.core.verdict import Verdict, every, some

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}

_JOINTS: Mapping[type, tuple[str, Callable[[Sequence[Verdict]], Verdict]]] = {
    All: ("all", every),
    Some: ("any", some),
    Not: ("not", lambda verdicts: verdicts[0].negated),
}

# The verdict of a part that decides, and what it comes to if no part decides and none is UNKNOWN.
_JOINED: Mapping[type, tuple[Verdict, Verdict]] = {
    All: (Verdict.NO_MATCH, Verdict.MATCH),
    Some: (Verdict.MATCH, Verdict.NO_MATCH),
}


def judge(clause: Clause, facts: Facts, *, at_ms: int, absent_is_no: bool = False) -> Verdict:
    """
    Return the verdict on *clause* if the facts stay as they are until *at_ms*.

    A condition on a missing fact is UNKNOWN whatever its operator; only `exists` speaks of absence. With *absent_is_no*
    (exemptions) a condition on an absent fact is NO_MATCH.
    """
    match clause:
        case Condition():
            return _holds(clause, facts.get(clause.field), at_ms, absent_is_no)
        case All() | Some():
            decides, found = _JOINED[type(clause)]
            for part in clause.parts:
                verdict = judge(part, facts, at_ms=at_ms, absent_is_no=absent_is_no)
                if verdict is decides:
                    return verdict
                if verdict is Verdict.UNKNOWN:
                    found = verdict
            return found
        case Not():
            return judge(clause.part, facts, at_ms=at_ms, absent_is_no=absent_is_no).negated
    assert_never(clause)


def _holds(condition: Condition, fact: Fact, at_ms: int, absent_is_no: bool) -> Verdict:
    if isinstance(fact, Stepped):
        fact = fact.at(at_ms)
    if condition.op == "exists":
        if fact is Missing.UNREADABLE:
            return Verdict.UNKNOWN
        return Verdict.of((fact is not Missing.ABSENT) is condition.operand)
    if isinstance(fact, Missing):
        return Verdict.NO_MATCH if absent_is_no and fact is Missing.ABSENT else Verdict.UNKNOWN
    value = fact.at(at_ms) if isinstance(fact, Growing | Bent) else fact
    return Verdict.of(_compare(condition, value))


def _compare(condition: Condition, value: str | int | Fraction) -> bool:
    operand = condition.operand
    if isinstance(operand, Pattern):
        return isinstance(value, str) and operand.fits(value)
    if isinstance(operand, tuple):
        return (value in operand) is (condition.op == "in")
    if condition.op in _ORDER:
        return _ORDER[condition.op](value, operand)
    return (value == operand) is (condition.op == "eq")


def turning_points(clause: Clause, facts: Facts) -> Iterable[int]:
    """
    Yield the milliseconds, past ones too, at which a condition of the clause changes its value as its fact grows or
    takes a step.
    """
    match clause:
        case Condition(field=name, op=op, operand=operand):
            fact = facts.get(name)
            if isinstance(fact, Stepped):
                yield from (
                    since
                    for since, _ in fact.steps
                    if judge(clause, facts, at_ms=since - 1) is not judge(clause, facts, at_ms=since)
                )
            elif op in _ORDER and isinstance(fact, Growing | Bent) and isinstance(operand, int | Fraction):
                turn = fact.reaches(operand, strictly=op in ("gt", "lte"))
                if turn is not None:
                    yield turn
        case Not():
            yield from turning_points(clause.part, facts)
        case All() | Some():
            for part in clause.parts:
                yield from turning_points(part, facts)
        case _:
            assert_never(clause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """
    How a clause came to its verdict: its text, the actual value of a condition, and the traces of its parts.

    *turns_at_ms* is the moment, past or future, at which a condition on a fact that grows or steps changes its
    value.
    """

    text: str
    verdict: Verdict
    actual: str = ""
    turns_at_ms: int | None = None
    parts: tuple["Trace", ...] = ()


def explain(clause: Clause, facts: Facts, *, at_ms: int, absent_is_no: bool = False) -> Trace:
    """
    Return the trace of ``judge`` with the same arguments.
    """
    if isinstance(clause, Condition):
        fact = facts.get(clause.field)
        verdict = _holds(clause, fact, at_ms, absent_is_no)
        turns = turning_points(clause, facts) if isinstance(fact, Growing | Bent | Stepped) else ()
        turns_at_ms = min(turns, key=lambda turn: (turn <= at_ms, abs(turn - at_ms)), default=None)
        return Trace(text=str(clause), verdict=verdict, actual=show_fact(clause.field, fact, at_ms), turns_at_ms=turns_at_ms)
    inner = (clause.part,) if isinstance(clause, Not) else clause.parts
    text, joined = _JOINTS[type(clause)]
    parts = tuple(explain(part, facts, at_ms=at_ms, absent_is_no=absent_is_no) for part in inner)
    # From the verdicts of the parts, which are there: to judge each part anew at every depth costs twice as much.
    return Trace(text=text, verdict=joined([part.verdict for part in parts]), parts=parts)


def show_fact(name: str, fact: Fact, at_ms: int) -> str:
    """
    Return a fact as a person reads it at *at_ms*: its value in the language of policy files, or why it has none.
    """
    if isinstance(fact, str):
        return fact
    if isinstance(fact, Stepped):
        fact = fact.at(at_ms)
    if isinstance(fact, Missing):
        return str(fact)
    return show(fact.at(at_ms) if isinstance(fact, Growing | Bent) else fact, field_type(name))


def reason(clause: Clause, facts: Facts, verdict: Verdict, *, at_ms: int, absent_is_no: bool = False) -> str:
    """
    Return one sentence that names the conditions which decided: those with the *verdict* of the whole, and their values.

    The phase is named only if nothing else decided.
    """
    decisive = list(_decisive(clause, facts, verdict, at_ms, absent_is_no))
    return "; ".join([one for one in decisive if not one.startswith("phase ")] or decisive)


def _decisive(clause: Clause, facts: Facts, wanted: Verdict, at_ms: int, absent_is_no: bool) -> Iterable[str]:
    if isinstance(clause, Condition):
        text, actual = str(clause), show_fact(clause.field, facts.get(clause.field), at_ms)
        yield text if text.endswith(f" = {actual}") else f"{text} (is {actual})"
    elif isinstance(clause, Not):
        yield f"not: {' and '.join(_decisive(clause.part, facts, wanted.negated, at_ms, absent_is_no))}"
    else:
        for part in clause.parts:
            if judge(part, facts, at_ms=at_ms, absent_is_no=absent_is_no) is wanted:
                yield from _decisive(part, facts, wanted, at_ms, absent_is_no)
