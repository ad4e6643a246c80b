"""
The grammar of `match`: fields, `all`, `any` and `not`, nesting freely, and the rules about phases.
"""

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field

from guard.core.fields import ANNOTATION, FIELDS, field_spec
from guard.core.findings import Findings, did_you_mean
from guard.core.operands import OPERATORS, read_conditions
from guard.core.policy import All, Clause, Condition, Not, Some
from guard.core.yamlnode import Listing, Mapping, Node, brief, describe
from guard.core.yamltext import Mark

WORDS = ("all", "any", "not")
_OTHER_WORDS = {"and": "all", "or": "any", "none": "not"}
WHILE_RUNNING = ("duration", "card_hours", "cost")
"""Fields that have a value only while a job runs, as `waiting` has one only before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """
    The reading of one `match`: its findings, and where each field is first mentioned.
    """

    findings: Findings
    mentions: dict[str, Mark] = field(default_factory=dict)


def read_policy_match(node: Node, findings: Findings) -> All:
    """
    Return the clause of a policy, which begins with the default condition on the phase if none is written.
    """
    reading = _Reading(findings=findings)
    parts = _entries(node, reading, "match", top=True)
    _check_waiting(reading)
    if "phase" not in reading.mentions:
        parts = [_default_phase(reading.mentions), *parts]
    return All(tuple(parts))


def read_exemption_match(node: Node, findings: Findings) -> All:
    """
    Return the clause of an exemption, which has no default phase.
    """
    return All(tuple(_entries(node, _Reading(findings=findings), "match", top=True)))


def _default_phase(mentions: Dictionary[str, Mark]) -> Condition:
    if "waiting" in mentions:
        return Condition("phase", "in", ("Creating", "Pending"))
    return Condition("phase", "eq", "Running")


def _check_waiting(reading: _Reading) -> None:
    waiting = reading.mentions.get("waiting")
    if waiting is None:
        return
    for name in WHILE_RUNNING:
        if name in reading.mentions:
            message = f"{name}: may not stand beside 'waiting' (line {waiting.line}): a job never waits and runs at once"
            reading.findings.add(reading.mentions[name], message)


def _entries(node: Node, reading: _Reading, where: str, *, top: bool = False) -> list[Clause]:
    if not isinstance(node, Mapping):
        reading.findings.add(node.mark, f"{where}: expected a mapping of conditions, got {describe(node)}")
        return []
    if not node.entries:
        reading.findings.add(node.mark, f"{where}: expected at least one condition, got an empty mapping")
    parts: list[Clause] = []
    for key, value in node.entries:
        match key.text:
            case "all":
                parts.append(All(_items(value, reading, key.text)))
            case "any":
                parts.append(Some(_items(value, reading, key.text)))
            case "not":
                parts.append(Not(_joined(_entries(value, reading, key.text))))
            case name:
                spec = field_spec(name)
                if spec is None:
                    reading.findings.add(key.mark, f"{where}: unknown field {brief(name)}{_meant(name)}")
                    continue
                if name == "phase" and not top:
                    message = f"phase: may stand only at the top level of match, got it inside '{where}'"
                    reading.findings.add(key.mark, message)
                reading.mentions.setdefault(name, key.mark)
                parts += read_conditions(name, spec, value, reading.findings)
    return parts


def _meant(name: str) -> str:
    if name in OPERATORS:
        return "; an operator stands behind a field, as in 'duration: {gt: 24h}'"
    known = (*FIELDS, f"{ANNOTATION}<key>")
    hint = did_you_mean(_OTHER_WORDS.get(name.lower(), name), (*known, *WORDS))
    return hint or f"; expected one of {', '.join(known)}"


def _items(node: Node, reading: _Reading, where: str) -> tuple[Clause, ...]:
    if not isinstance(node, Listing):
        reading.findings.add(node.mark, f"{where}: expected a list of conditions, got {describe(node)}")
        return ()
    if not node.items:
        reading.findings.add(node.mark, f"{where}: expected at least one item, got an empty list")
    return tuple(_joined(_entries(item, reading, where)) for item in node.items)


def _joined(parts: list[Clause]) -> Clause:
    return parts[0] if len(parts) == 1 else All(tuple(parts))
