"""
The policies of the simulation, and an oracle that judges them without a line of the guard: plain Python over plain facts.

A clause is a tuple: ("all" | "any", clause, ...), ("not", clause) or (field, operator, operand). Three values are True,
False and None for UNKNOWN. Spans are in milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

ECO = "modelarts.vm.gpu.p100.eco"
FULL = "modelarts.vm.gpu.v100"
SPANS = frozenset({"duration", "waiting", "age"})
WAITING = frozenset({"Creating", "Pending"})
TERMINABLE = WAITING | {"Running"}


class Absent:
    """
    The value of a fact that a job lawfully lacks; an unreadable one is None.
    """


Clause = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A policy, or an exemption if it has no *mode*.
    """

    name: str
    clause: Clause
    mode: str = ""
    action: str = "terminate"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """
    What stands in the policy folder; *broken* is a folder whose file cannot be taken.
    """

    policies: tuple[Rule, ...]
    exemptions: tuple[Rule, ...] = ()
    broken: bool = False

    def text(self) -> str:
        """
        The set as a policy file.
        """
        if self.broken:
            return "policies: [{name: long, match: {duration: {gt: soon}}}]"
        policies = ", ".join(
            f"{{name: {one.name}, mode: {one.mode}, action: {one.action}, match: {_yaml(one.clause)}}}"
            for one in self.policies
        )
        exemptions = ", ".join(
            f"{{name: {one.name}, match: {_yaml(one.clause)}, reason: r, owner: o, until: 2099-01-01}}"
            for one in self.exemptions
        )
        return f"policies: [{policies}]\n" + (f"exemptions: [{exemptions}]\n" if exemptions else "")

    def terminating(self, facts: Mapping[str, Any]) -> str | None:
        """
        The policy that asks for a termination on these facts, or None; an exemption that may apply spares the job.
        """
        if facts["phase"] not in TERMINABLE or self.spares(facts):
            return None
        for one in self.policies:
            if one.mode == "enforce" and one.action == "terminate" and verdict(one, facts) is True:
                return one.name
        return None

    def spares(self, facts: Mapping[str, Any]) -> bool:
        """
        Whether an exemption applies, or may.
        """
        return any(_judge(one.clause, facts, absent=False) is not False for one in self.exemptions)


def verdict(rule: Rule, facts: Mapping[str, Any]) -> bool | None:
    """
    Judge a policy; a job in another phase than it is about is no match, whatever its facts.
    """
    phases = WAITING if "waiting" in _fields(rule.clause) else {"Running"}
    return _judge(rule.clause, facts, absent=None) if facts["phase"] in phases else False


def _judge(clause: Clause, facts: Mapping[str, Any], *, absent: bool | None) -> bool | None:
    kind = clause[0]
    if kind == "not":
        inner = _judge(clause[1], facts, absent=absent)
        return None if inner is None else not inner
    if kind in ("all", "any"):
        found = [_judge(one, facts, absent=absent) for one in clause[1:]]
        decisive = kind == "any"
        return decisive if decisive in found else None if None in found else not decisive
    _, operator, operand = clause
    value = facts.get(kind)
    if operator == "exists":
        return None if value is None else (value is not Absent) is operand
    if value is Absent:
        return absent
    if value is None:
        return None
    if operator == "gt":
        return bool(value > operand)
    return bool((value == operand) is (operator == "eq"))


def _fields(clause: Clause) -> set[str]:
    if clause[0] in ("all", "any", "not"):
        return {name for one in clause[1:] for name in _fields(one)}
    return {clause[0]}


def _yaml(clause: Clause) -> str:
    kind = clause[0]
    if kind == "not":
        return f"{{not: {_yaml(clause[1])}}}"
    if kind in ("all", "any"):
        return f"{{{kind}: [{', '.join(_yaml(one) for one in clause[1:])}]}}"
    _, operator, operand = clause
    if operator == "exists":
        value = "true" if operand else "false"
    elif kind in SPANS:
        value = f"{operand // 1000}s"
    else:
        value = str(operand)
    return f"{{{kind}: {{{operator}: {value}}}}}"


def money(code: str | None, units: int, nodes: int | None, running_ms: int | None, prices: Mapping[str, int]) -> Any:
    """
    The cost of a run so far: price x units x nodes x time.
    """
    if code is None or nodes is None or running_ms is None or code not in prices:
        return None
    return Fraction(prices[code] * units * nodes * running_ms, 3_600_000)


def book_text(prices: Mapping[str, int]) -> str:
    """
    A price book.
    """
    return "currency: CNY\nprices: {" + ", ".join(f"{code}: {price}" for code, price in prices.items()) + "}\n"


def shown(rules: Sequence[Rule]) -> str:
    """
    Rules for a reader.
    """
    return "; ".join(
        f"{one.name} ({f'{one.mode}, {one.action}' if one.mode else 'exemption'}) {_yaml(one.clause)}" for one in rules
    )
