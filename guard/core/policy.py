"""
The policy model: clauses of conditions, policies, exemptions and the set of them that is in force.

Values in here are right by construction: only ``load`` builds them from text, and it refuses whatever the field's type does
not allow.
"""

import enum
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, assert_never

from guard.core.fields import FieldType, field_type
from guard.core.spans import format_number, format_span

MONEY = frozenset({"cost", "cost_rate"})
SYMBOLS = {"eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Mode(enum.StrEnum):
    """
    What a match of a policy leads to: nothing but a report, or the act.
    """

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Act(enum.StrEnum):
    """
    What a policy in enforce asks for.
    """

    TERMINATE = "terminate"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    A glob or an RE2 expression over a whole text; *compiled* tells what fits it.
    """

    text: str
    compiled: Any = field(compare=False, repr=False)

    def fits(self, text: str) -> bool:
        """
        Tell whether the whole *text* fits.
        """
        return self.compiled.fullmatch(text) is not None

    @property
    def prefix(self) -> str | None:
        """
        What a text that fits begins with, if that alone decides; None if more does.
        """
        found: str | None = getattr(self.compiled, "prefix", None)
        return found


Scalar = str | int | Fraction
Operand = Scalar | bool | Pattern | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """
    One comparison of a field; spans are whole milliseconds.
    """

    field: str
    op: str
    operand: Operand

    def __str__(self) -> str:
        if isinstance(self.operand, tuple):
            listed = ", ".join(show(value, field_type(self.field)) for value in self.operand)
            return f"{self.field} {self.op.replace('_', ' ')} [{listed}]"
        return _said(self.field, self.op, self.operand)


@dataclass(frozen=True, slots=True)
class All:
    """
    Kleene's `all` of one or more parts.
    """

    parts: tuple["Clause", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """
    Kleene's `any` of one or more parts.
    """

    parts: tuple["Clause", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """
    Kleene's `not`.
    """

    part: "Clause"


Clause = Condition | All | Some | Not


def conditions(clause: Clause) -> Iterator[Condition]:
    """
    Yield every condition of a clause, in order.
    """
    match clause:
        case Condition():
            yield clause
        case Not():
            yield from conditions(clause.part)
        case All() | Some():
            for part in clause.parts:
                yield from conditions(part)
        case _:
            assert_never(clause)


def asks_for_money(clause: Clause) -> bool:
    """
    Tell whether a clause asks what a job costs.
    """
    return any(condition.field in MONEY for condition in conditions(clause))


@functools.lru_cache(maxsize=4096, typed=True)
def _said(name: str, op: str, operand: Scalar | bool | Pattern) -> str:
    if isinstance(operand, bool):
        return f"{name} {'exists' if operand else 'does not exist'}"
    if isinstance(operand, Pattern):
        return f"{name} {op} {operand.text}"
    return f"{name} {SYMBOLS[op]} {show(operand, field_type(name))}"


def show(value: Scalar, kind: FieldType) -> str:
    """
    Return a value of a field as a policy file would write it.
    """
    if isinstance(value, str):
        return value
    if kind is FieldType.SPAN:
        return format_span(int(value))
    return format_number(value, places=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    A named rule. *clause* already holds the condition on the phase, whether it was written or is the default.
    """

    name: str
    clause: All
    mode: Mode = Mode.OBSERVE
    action: Act = Act.TERMINATE
    description: str = ""
    place: str = ""
    digest: str = field(init=False, compare=False, repr=False)
    fields: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Once: every intent bears the digest, and every decision asks for the fields.
        object.__setattr__(self, "fields", frozenset(one.field for one in conditions(self.clause)))
        meaning = repr((self.name, self.mode.value, self.action.value, self.clause))
        object.__setattr__(self, "digest", hashlib.sha256(meaning.encode()).hexdigest()[:12])

    @property
    def terminates(self) -> bool:
        """
        Whether a match leads to a termination: mode enforce, action terminate.
        """
        return self.mode is Mode.ENFORCE and self.action is Act.TERMINATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """
    A named rule that spares jobs until *until_ms* (the first millisecond at which it no longer holds).
    """

    name: str
    clause: All
    reason: str
    owner: str
    until_ms: int
    place: str = ""
    fields: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", frozenset(one.field for one in conditions(self.clause)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """
    All policies and exemptions in force, in order of file name, then position.
    """

    policies: tuple[Policy, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
