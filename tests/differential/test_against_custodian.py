"""
The policy language against Cloud Custodian's own value filters, on what both express.

Each match is said twice, to the guard's loader and to the filter registry of Cloud Custodian, which then filters the rows of
all jobs. What its words need so as to mean the same: its `regex-case` is not anchored at the end, so the expression ends
with one; absence is asked for with `present` and `absent`, which are words of its own and so no texts of these tests.

The languages differ in two points only. On a fact that is absent, and on one whose type is not that of the operand, Cloud
Custodian has two values where the guard has three: `ne` and `not-in` hold there, orders do not, `not` turns either round.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from c7n.filters.core import FilterRegistry
from sayings import NUMBERS, Match, conditions, matches, operators, plain, policies, with_phase
from worlds import NOW, TERMS, Drawing, Row, World

from guard.core.decide import decide
from guard.core.facts import ABSENT, UNREADABLE
from guard.core.policy import Policy, PolicySet
from guard.core.sighting import observe
from guard.core.verdict import Verdict

BLOCKS = 200
JOBS = 10
POLICIES = 10
NAMES = {
    "eq": ("eq", "equal"),
    "ne": ("ne", "not-equal"),
    "in": ("in",),
    "not_in": ("ni", "not-in"),
    "gt": ("gt", "greater-than"),
    "gte": ("gte", "ge"),
    "lt": ("lt", "less-than"),
    "lte": ("lte", "le"),
    "glob": ("glob",),
    "regex": ("regex-case",),
}


class Rows:
    """
    What Cloud Custodian asks of a kind of resources: its model, and the key that tells two of them apart.
    """

    id = "row"

    def get_model(self) -> "Rows":
        """
        Return what knows the key.
        """
        return self


class Pair(NamedTuple):
    """
    What both said of one policy and one job; *alike* if no fact that the policy asks for is absent or of another type.
    """

    guard: Verdict
    custodian: bool
    alike: bool


def filters_of(match: Match, rng: Random) -> list[dict[str, Any]]:
    """
    Return a match in the words of Cloud Custodian, which has several for most of the operators.
    """
    said: list[dict[str, Any]] = []
    for key, node in match.items():
        if key in ("all", "any"):
            said.append({{"all": "and", "any": "or"}[key]: [{"and": filters_of(item, rng)} for item in node]})
        elif key == "not":
            said.append({"not": filters_of(node, rng)})
        else:
            said += [_filter(key, op, plain(key, operand), rng) for op, operand in operators(node)]
    return said


def _filter(field: str, op: str, operand: Any, rng: Random) -> dict[str, Any]:
    if op == "exists":
        return {"type": "value", "key": field, "value": "present" if operand else "absent"}
    if op == "eq" and rng.random() < 0.5:
        return {field: operand}
    if op == "regex":
        operand = f"(?as:{operand})\\Z"
    return {"type": "value", "key": field, "op": rng.choice(NAMES[op]), "value": operand}


def resource_of(row: Row, number: str, rng: Random) -> dict[str, Any]:
    """
    Return a row as Cloud Custodian would read it: without what is absent, and with odd values for what is unreadable.
    """
    told: dict[str, Any] = {"row": number, "annotation": {}}
    for field, fact in row.items():
        if fact is ABSENT:
            continue
        where, key = (told["annotation"], field.removeprefix("annotation.")) if "." in field else (told, field)
        numeric = not isinstance(fact, str) and field in (*NUMBERS, "duration", "age", "waiting", "card_hours", "cost")
        where[key] = (rng.choice(("8", "n/a", [])) if numeric else rng.choice((8, 0, []))) if fact is UNREADABLE else fact
    return told


def pairs_of(block: int) -> list[Pair]:
    """
    Return what both say of every policy of a block on every job of it.
    """
    rng = Random(f"custodian {block}")
    drawing = Drawing(rng, gaps=0.02)
    worlds = [drawing.world(number) for number in range(JOBS)]
    said = matches(rng, [row for world in worlds for row in world.rows], POLICIES)
    resources = {
        f"{number}/{index}": resource_of(row, f"{number}/{index}", rng)
        for number, world in enumerate(worlds)
        for index, row in enumerate(world.rows)
    }
    pairs = []
    for match, policy in zip(said, policies(said).policies, strict=True):
        whole = with_phase(match)
        root = FilterRegistry("rows.filters").factory({"and": filters_of(whole, rng)}, Rows())
        left = {one["row"].split("/")[0] for one in root.validate().process(list(resources.values()))}
        for number, world in enumerate(worlds):
            pairs.append(Pair(verdict_on(policy, world), str(number) in left, alike(whole, world.rows)))
    return pairs


def verdict_on(policy: Policy, world: World) -> Verdict:
    """
    Return the guard's verdict at NOW on a job that was seen once.
    """
    seen = observe(None, world.job)
    return decide(PolicySet(policies=(policy,)), world.job, seen, TERMS, now_ms=NOW).judgements[0].verdict


def alike(match: Match, rows: Sequence[Row]) -> bool:
    """
    Tell whether all facts that a match asks for are there and of their type; `exists` may ask for an absent one.
    """
    return all(
        row[field] is not UNREADABLE and (row[field] is not ABSENT or op == "exists")
        for field, op, _ in conditions(match)
        for row in rows
    )


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """
    All pairs of this module, drawn once.
    """
    return [pair for block in range(BLOCKS) for pair in pairs_of(block)]


def test_the_verdicts_are_equal(pairs):
    """
    On 20,000 policies and jobs with all facts there, a MATCH is what Cloud Custodian keeps and a NO_MATCH what it drops.
    """
    assert len(pairs) == 20_000
    shared = [pair for pair in pairs if pair.alike]
    assert [pair for pair in shared if pair.guard is not Verdict.of(pair.custodian)] == []
    counted = Counter(pair.guard for pair in shared)
    assert len(shared) >= 0.6 * len(pairs)
    assert counted[Verdict.MATCH] >= 0.25 * len(shared)
    assert counted[Verdict.NO_MATCH] >= 0.25 * len(shared)


def test_the_listed_differences_are_all(pairs):
    """
    Where facts are absent or of another type the guard says UNKNOWN or the same, and Cloud Custodian keeps some of these.
    """
    unknown = [pair for pair in pairs if pair.guard is Verdict.UNKNOWN]
    assert not any(pair.alike for pair in unknown)
    assert all(pair.guard in (Verdict.UNKNOWN, Verdict.of(pair.custodian)) for pair in pairs)
    assert sum(pair.custodian for pair in unknown) >= 0.1 * len(unknown) > 0
