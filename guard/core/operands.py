"""
What stands behind a field in `match`: an operand, a list of them, or operators, checked strictly by the field's type.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from guard.core import patterns
from guard.core.facts import KNOWN_PHASES
from guard.core.fields import FieldSpec, FieldType
from guard.core.findings import Findings, did_you_mean
from guard.core.policy import Condition, Operand, Pattern, Scalar
from guard.core.spans import HOUR_MS, SECOND_MS, format_span, guess_span, parse_span
from guard.core.yamlnode import Kind, Listing, Mapping, Node, brief, describe
from guard.core.yamlnode import Scalar as ScalarNode
from guard.core.yamltext import Mark

ORDERING = ("gt", "gte", "lt", "lte")
EQUALITY = ("eq", "ne", "in", "not_in")
PATTERNS = ("glob", "regex")
OPERATORS = (*EQUALITY, *PATTERNS, *ORDERING, "exists")
LARGEST = 10**15
"""Numbers of policies end here: far above any cost, far below what takes long to compute with."""

_COMPILERS: dict[str, Callable[[str], Pattern]] = {"glob": patterns.glob, "regex": patterns.regex}
_LONGEST = 40
_SEPARATED = re.compile("[0-9]{1,3}(?:[_,' ][0-9]{3})+")
_SMALL_EXPONENT = re.compile(r"[^eE]*(?:[eE][-+]?[0-9]{1,2})?")


def operators_of(spec: FieldSpec) -> tuple[str, ...]:
    """
    Return the operators that a field takes. What grows takes no equality: it would hold for one millisecond.
    """
    if spec.grows:
        return (*ORDERING, "exists")
    if spec.type is FieldType.TEXT:
        return (*EQUALITY, *PATTERNS, "exists")
    return (*EQUALITY, *ORDERING, "exists")


def read_conditions(name: str, spec: FieldSpec, node: Node, findings: Findings) -> list[Condition]:
    """
    Return the conditions on one field: a scalar is `eq`, a list `in`, a mapping holds operators.
    """
    if not isinstance(node, Mapping):
        op, written = ("in", "a list") if isinstance(node, Listing) else ("eq", "a bare value")
        if op not in operators_of(spec):
            example = f"{{gt: {'24h' if spec.type is FieldType.SPAN else '100'}}}"
            message = f"{written} means '{op}', which does not fit a field that grows with time; write for example {example}"
            findings.add(node.mark, f"{name}: {message}")
            return []
        return _condition(name, spec, (op, node.mark, node), findings)
    if not node.entries:
        findings.add(node.mark, f"{name}: expected at least one operator, got an empty mapping")
    return [
        condition
        for key, value in node.entries
        for condition in _condition(name, spec, (key.text, key.mark, value), findings)
    ]


def _condition(name: str, spec: FieldSpec, entry: tuple[str, Mark, Node], findings: Findings) -> list[Condition]:
    op, mark, node = entry
    allowed = operators_of(spec)
    if op not in OPERATORS:
        hint = did_you_mean(op, allowed)
        findings.add(mark, f"{name}: unknown operator {brief(op)}{hint}; expected one of {', '.join(allowed)}")
        return []
    if op not in allowed:
        findings.add(mark, f"{name}: {_misplaced(op, spec)}; expected one of {', '.join(allowed)}")
        return []
    try:
        return [Condition(name, op, _operand(name, spec, op, node))]
    except _Unfit as wrong:
        for place, message in wrong.complaints:
            findings.add(place, f"{name}: {message}")
        return []


def _misplaced(op: str, spec: FieldSpec) -> str:
    if spec.grows and op in EQUALITY:
        return f"'{op}' does not fit a field that grows with time"
    return f"'{op}' does not fit {spec.type.value.partition(' such as ')[0]}"


class _Unfit(Exception):
    """
    An operand that its operator does not take; never leaves this module.
    """

    def __init__(self, *complaints: tuple[Mark, str]) -> None:
        self.complaints = complaints
        super().__init__(complaints)


def _operand(name: str, spec: FieldSpec, op: str, node: Node) -> Operand:
    if op == "exists":
        if isinstance(node, ScalarNode) and node.kind is Kind.BOOLEAN:
            return node.text.lower() == "true"
        raise _Unfit((node.mark, f"'exists' expected true or false, got {describe(node)}"))
    if op in ("in", "not_in"):
        return _members(name, spec, op, node)
    if op in ("eq", "ne") and isinstance(node, Listing):
        listing = "in" if op == "eq" else "not_in"
        raise _Unfit((node.mark, f"'{op}' expected one value, got a list (a list goes with '{listing}')"))
    value = _value(name, spec, node, known=op in EQUALITY)
    if op not in PATTERNS:
        return value
    try:
        return _COMPILERS[op](str(value))
    except ValueError as wrong:
        # What RE2 says may quote the file.
        raise _Unfit(
            (node.mark, f"{_as_written(str(value))} is not a valid {op}: {_as_written(str(wrong))[1:-1]}")
        ) from wrong


def _as_written(text: str) -> str:
    """
    Return an expression for a message as the file has it, because doubled backslashes would be another expression.
    """
    return f"'{text[:200]}'" if text.isprintable() and len(text) <= 200 else brief(text)


def _members(name: str, spec: FieldSpec, op: str, node: Node) -> tuple[Scalar, ...]:
    if not isinstance(node, Listing):
        raise _Unfit((node.mark, f"'{op}' expected a list, got {describe(node)}"))
    if not node.items:
        raise _Unfit((node.mark, f"'{op}' expected at least one value, got an empty list"))
    values: list[Scalar] = []
    complaints: list[tuple[Mark, str]] = []
    for item in node.items:
        try:
            values.append(_value(name, spec, item, known=True))
        except _Unfit as wrong:
            complaints += wrong.complaints
    if complaints:
        raise _Unfit(*complaints)
    return tuple(values)


def _value(name: str, spec: FieldSpec, node: Node, *, known: bool) -> Scalar:
    if not isinstance(node, ScalarNode):
        raise _Unfit((node.mark, f"expected {spec.type.value}, got {describe(node)}"))
    if spec.type is FieldType.TEXT:
        return _phase(node) if known and name == "phase" else _text(node)
    if spec.type is FieldType.SPAN:
        return _span(node)
    numeric = (Kind.INTEGER,) if spec.type is FieldType.INTEGER else (Kind.INTEGER, Kind.DECIMAL)
    if node.kind not in numeric:
        raise _Unfit((node.mark, f"expected {spec.type.value}, got {describe(node)}{_unquoted(node)}"))
    number = number_of(node)
    if number is None:
        raise _Unfit((node.mark, f"expected {spec.type.value} {_range(node.text)}, got {describe(node)}"))
    return int(number) if spec.type is FieldType.INTEGER else number


def _range(text: str) -> str:
    if len(text) > _LONGEST or not (text.startswith("0x") or _SMALL_EXPONENT.fullmatch(text)):
        return f"of at most {_LONGEST} characters, with an exponent of at most 2 digits"
    return "from -10^15 to 10^15"


def _text(node: ScalarNode) -> str:
    if node.kind is Kind.TEXT:
        return node.text
    hint = "" if node.kind is Kind.NOTHING else f' (text is written "{node.text[:200]}")'
    raise _Unfit((node.mark, f"expected text, got {describe(node)}{hint}"))


def _phase(node: ScalarNode) -> str:
    if node.kind is Kind.TEXT and node.text in KNOWN_PHASES:
        return node.text
    listed = ", ".join(sorted(KNOWN_PHASES))
    if node.kind is not Kind.TEXT:
        raise _Unfit((node.mark, f"expected one of {listed}, got {describe(node)}"))
    hint = did_you_mean(node.text, KNOWN_PHASES)
    raise _Unfit((node.mark, f"unknown phase {brief(node.text)}{hint}; expected one of {listed}"))


def _span(node: ScalarNode) -> int:
    span_ms = parse_span(node.text) if node.kind is Kind.TEXT else None
    if span_ms is not None:
        return span_ms
    number = number_of(node) if node.kind is Kind.INTEGER else None
    meant = _guess(int(number)) if number is not None and number > 0 else guess_span(node.text)
    hint = f" (write {meant}?)" if meant else ""
    raise _Unfit((node.mark, f"expected {FieldType.SPAN.value}, got {describe(node)}{hint}"))


def _guess(number: int) -> str:
    """
    Return the span that a bare number may have meant: seconds, or hours if it is small.
    """
    if number * SECOND_MS < HOUR_MS:
        return f"{number}s or {number}h"
    return format_span(number * SECOND_MS)


def _unquoted(node: ScalarNode) -> str:
    bare = ScalarNode(node.text, node.mark)
    if node.kind is Kind.TEXT and bare.kind in (Kind.INTEGER, Kind.DECIMAL):
        return " (numbers stand without quotes)"
    return " (numbers stand without separators)" if _SEPARATED.fullmatch(node.text) else ""


def number_of(node: ScalarNode) -> Fraction | None:
    """
    Return the exact value of an integer or a decimal, or None if it is out of range.
    """
    text = node.text
    if len(text) > _LONGEST:
        return None
    if text.startswith(("0x", "0o")):
        value = Fraction(int(text, 0))
    elif _SMALL_EXPONENT.fullmatch(text):
        value = Fraction(text)
    else:
        return None
    return value if abs(value) <= LARGEST else None
