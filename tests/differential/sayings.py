"""
Random conditions in the language of policy files, as the mappings that stand behind `match`.

Operands are taken from the jobs that are to be judged, so that equality and both edges of every comparison are met often.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from random import Random
from typing import Any

from worlds import TEXTS, WAITING, Row

from guard.core.facts import Missing
from guard.core.load import load
from guard.core.policy import PolicySet

SECOND = 1_000
ORDER = ("gt", "gte", "lt", "lte")
SPANS = ("duration", "age", "waiting")
GROWING = (*SPANS, "card_hours", "cost")
NUMBERS = ("unit_num", "node_count", "cards", "total_cards", "cost_rate")
PHASES = ("Creating", "Pending", "Running", "Failed", "Completed", "Terminating")
PLAIN = (*TEXTS, "id", "region", "project", *NUMBERS)
WHILE_RUNNING = ("duration", "card_hours", "cost")
Match = dict[str, Any]


def matches(rng: Random, rows: Sequence[Row], count: int) -> list[Match]:
    """
    Return that many random matches about these rows: of policies for running jobs, for waiting ones, and of any phase.
    """
    return [_Saying(rng, rows).match() for _ in range(count)]


def policies(said: Sequence[Match]) -> PolicySet:
    """
    Return the policies that the guard's loader makes of these matches. JSON is YAML.
    """
    listed = [{"name": f"p{number}", "match": match} for number, match in enumerate(said)]
    return load([("said.yaml", json.dumps({"policies": listed}).encode())], zone=UTC)


def exemptions(said: Sequence[Match]) -> PolicySet:
    """
    Return the exemptions that the guard's loader makes of these matches; they last for ever.
    """
    listed = [
        {"name": f"e{number}", "match": match, "reason": "r", "owner": "o", "until": "9000-01-01"}
        for number, match in enumerate(said)
    ]
    return load([("said.yaml", json.dumps({"exemptions": listed}).encode())], zone=UTC)


def conditions(match: Match) -> Iterator[tuple[str, str, Any]]:
    """
    Yield field, operator and operand of every condition, with scalars and lists spelt out.
    """
    for key, node in match.items():
        if key in ("all", "any"):
            for item in node:
                yield from conditions(item)
        elif key == "not":
            yield from conditions(node)
        else:
            yield from ((key, op, operand) for op, operand in operators(node))


def operators(node: Any) -> list[tuple[str, Any]]:
    """
    Return the operators behind a field: a scalar is `eq`, a list is `in`.
    """
    if isinstance(node, dict):
        return list(node.items())
    return [("in" if isinstance(node, list) else "eq", node)]


def with_phase(match: Match) -> Match:
    """
    Return the match of a policy with the condition on the phase that the language adds if none is written.
    """
    named = {field for field, _, _ in conditions(match)}
    if "phase" in named:
        return match
    return {**match, "phase": list(WAITING) if "waiting" in named else "Running"}


def plain(field: str, operand: Any) -> Any:
    """
    Return an operand as a value of its row: spans in milliseconds, all else as it stands.
    """
    return int(operand.removesuffix("s")) * SECOND if field in SPANS and isinstance(operand, str) else operand


class _Saying:
    """
    One match in the making.
    """

    def __init__(self, rng: Random, rows: Sequence[Row]) -> None:
        self.rng = rng
        self.rows = rows

    def match(self) -> Match:
        """
        Return a whole match, with the phase at its top or nowhere.
        """
        kind = self.rng.random()
        if kind < 0.1:
            names = tuple(name for name in PLAIN + GROWING if name not in WHILE_RUNNING)
            return {**self._group(names, depth=2), "waiting": self._operators("waiting")}
        names = tuple(name for name in PLAIN + GROWING if name != "waiting")
        group = self._group(names, depth=3)
        return {**group, "phase": self._operators("phase")} if kind < 0.25 else group

    def _group(self, names: Sequence[str], *, depth: int) -> Match:
        group: Match = {}
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            word = self.rng.random() if depth else 1.0
            if word < 0.3:
                group["any"] = self._items(names, depth)
            elif word < 0.4:
                group["all"] = self._items(names, depth)
            elif word < 0.55:
                group["not"] = self._group(names, depth=depth - 1)
            else:
                # Time and money are what policies are about.
                name = self.rng.choice(names if self.rng.random() < 0.7 else [one for one in GROWING if one in names])
                group[name] = self._operators(name)
        return group

    def _items(self, names: Sequence[str], depth: int) -> list[Match]:
        return [self._group(names, depth=depth - 1) for _ in range(self.rng.choice((1, 2, 2, 3)))]

    def _operators(self, name: str) -> Any:
        if name in GROWING:
            ops: tuple[str, ...] = (*ORDER, *ORDER, "exists")
        elif name in NUMBERS:
            ops = (*ORDER, "eq", "ne", "in", "not_in", "exists", "bare", "bare list")
        else:
            ops = ("eq", "ne", "in", "not_in", "glob", "regex", "exists", "bare", "bare list")
        op = self.rng.choice(ops)
        if op.startswith("bare"):
            return self._operand(name, "in" if op.endswith("list") else "eq")
        said = {op: self._operand(name, op)}
        if self.rng.random() < 0.2:
            other = self.rng.choice([one for one in ops if not one.startswith("bare")])
            said[other] = self._operand(name, other)
        return said

    def _operand(self, name: str, op: str) -> Any:
        if op == "exists":
            return self.rng.random() < 0.7
        if op in ("in", "not_in"):
            return [self._value(name) for _ in range(self.rng.choice((1, 2, 3)))]
        value = self._value(name)
        if op == "glob":
            return _glob(self.rng, value)
        return _regex(self.rng, value) if op == "regex" else value

    def _value(self, name: str) -> Any:
        if name == "phase":
            return self.rng.choice((*PHASES, "Running", "Running"))
        values = [row[name] for row in self.rows if not isinstance(row[name], Missing)]
        if name in TEXTS:
            return self.rng.choice((*values, *TEXTS[name]))
        value = self.rng.choice(values or [0])
        if name in SPANS:
            return f"{round(value / SECOND) + self.rng.choice((0, 0, 0, 900))}s"
        if name in ("card_hours", "cost"):
            return round(value * 4) / 4
        return value + self.rng.choice((0, 0, 0, 1)) if name in NUMBERS else value


def _pieces(rng: Random, text: str) -> Iterator[tuple[str, str]]:
    """
    Yield each character of a text, and what is to become of it; now and then the end is cut off, or may be anything.
    """
    kept = len(text) if rng.random() < 0.5 else rng.randint(0, len(text))
    for char in text[:kept]:
        yield char, rng.choice(("same",) * 8 + ("one", "class", "other class", "many", "often"))
    if kept < len(text) and rng.random() < 0.7:
        yield "", "many"


def _glob(rng: Random, text: str) -> str:
    """
    Return a glob near a text, of what shells, Python and SQLite read alike but for the sign of an inverted class.
    """
    glob = ""
    for char, fate in _pieces(rng, text):
        literal = f"[{char}]" if char in tuple("*?[") else char
        member = char if char.isalnum() else "x"
        fates = {"one": "?", "class": f"[0{member}]", "other class": f"[!{member}-]", "many": "*", "often": "*?"}
        glob += fates.get(fate, literal)
    return glob


def _regex(rng: Random, text: str) -> str:
    """
    Return an expression near a text, of what RE2 and Python read alike.
    """
    regex = ""
    for char, fate in _pieces(rng, text):
        literal = f"\\{char}" if char in tuple("\\.*+?()[]{}|^$") else char
        member = char if char.isalnum() else "x"
        fates = {"one": ".", "class": f"[0-9{member}]", "other class": f"[^{member}]", "many": ".*", "often": r"\w+"}
        regex += fates.get(fate, literal)
    return f"(?:{regex}|ann)" if rng.random() < 0.2 else regex
