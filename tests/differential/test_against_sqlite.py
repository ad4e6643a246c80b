"""
The policy language against SQL's three-valued logic in SQLite: every field, every operator, every nesting.

A fact without a value is NULL, and SQL itself carries it through comparisons, AND, OR, NOT and the `any` over the
resources of a job. Said by hand is only what SQL has no word for: `exists`, which tells an absent fact from an unreadable
one by a column of its own; a regular expression, which a registered function judges by Python's `re`; and the `!` of an
inverted class in a glob, which is `^` in SQLite.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from random import Random
from typing import Any, NamedTuple

import pytest
from sayings import Match, conditions, exemptions, matches, operators, plain, policies, with_phase
from worlds import NOW, TERMS, Drawing, World

from guard.core.decide import decide
from guard.core.facts import ABSENT, Missing
from guard.core.fields import FIELDS, field_spec
from guard.core.operands import operators_of
from guard.core.policy import Exemption, Policy, PolicySet
from guard.core.sighting import observe
from guard.core.verdict import Verdict

BLOCKS = 200
JOBS = 10
RULES = 10
SQL_OPERATORS = {
    "eq": "=",
    "ne": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "glob": "GLOB",
    "regex": "REGEXP",
    "in": "IN",
    "not_in": "NOT IN",
}
VERDICTS = {1: Verdict.MATCH, 0: Verdict.NO_MATCH, None: Verdict.UNKNOWN}


class Said(NamedTuple):
    """
    What both said of one rule and one job; *asks_absence* if the rule names a fact that the job lacks.
    """

    guard: Verdict
    sqlite: Verdict
    asks_absence: bool


class Query:
    """
    A match as one SQL expression, and the values of its parameters in order.

    With *absent_is_no* (exemptions) a condition on an absent fact is false instead of NULL.
    """

    def __init__(self, match: Match, *, absent_is_no: bool) -> None:
        self.values: list[Any] = []
        self.absent_is_no = absent_is_no
        self.text = self._joined(match)

    def _joined(self, match: Match) -> str:
        return "(" + " AND ".join(self._parts(match)) + ")"

    def _parts(self, match: Match) -> Iterator[str]:
        for key, node in match.items():
            if key in ("all", "any"):
                word = {"all": " AND ", "any": " OR "}[key]
                yield "(" + word.join([self._joined(item) for item in node]) + ")"
            elif key == "not":
                yield f"(NOT {self._joined(node)})"
            else:
                for op, operand in operators(node):
                    yield self._condition(key, op, plain(key, operand))

    def _condition(self, field: str, op: str, operand: Any) -> str:
        state = f'"{field} state"'
        if op == "exists":
            self.values += [operand, not operand]
            return f"(CASE {state} WHEN 'value' THEN ? WHEN 'absent' THEN ? END)"
        listed = operand if isinstance(operand, list) else [operand]
        self.values += [inverted_by_caret(one) if op == "glob" else one for one in listed]
        places = "(" + ", ".join("?" * len(listed)) + ")" if isinstance(operand, list) else "?"
        compared = f'("{field}" {SQL_OPERATORS[op]} {places})'
        return f"(CASE {state} WHEN 'absent' THEN 0 ELSE {compared} END)" if self.absent_is_no else compared


def inverted_by_caret(glob: str) -> str:
    """
    Return a glob with its inverted classes as SQLite writes them.
    """
    return re.sub(r"\[(!?)(.[^]]*)\]", lambda found: f"[{'^' if found[1] else ''}{found[2]}]", glob, flags=re.DOTALL)


def fits(expression: str, text: str | None) -> bool | None:
    """
    Tell whether the whole text fits the expression; NULL of NULL.
    """
    return None if text is None else re.fullmatch(expression, text, re.DOTALL | re.ASCII) is not None


def stored(worlds: Sequence[World]) -> sqlite3.Connection:
    """
    Return a database in memory with one row for each resource of each job; its columns have no type, so nothing is turned
    into another type.
    """
    database = sqlite3.connect(":memory:")
    database.create_function("regexp", 2, fits, deterministic=True)
    names = list(worlds[0].rows[0])
    columns = ", ".join(f'"{name}", "{name} state"' for name in names)
    database.execute(f"CREATE TABLE facts (job, {columns})")
    for number, world in enumerate(worlds):
        for row in world.rows:
            values: list[Any] = [number]
            for name in names:
                fact = row[name]
                values += [None, fact.value] if isinstance(fact, Missing) else [fact, "value"]
            database.execute(f"INSERT INTO facts VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - only places
    return database


def answers(database: sqlite3.Connection, match: Match, *, absent_is_no: bool = False) -> list[Verdict]:
    """
    Return SQLite's verdict on every job, in order: whether the match is true of one of its rows.
    """
    query = Query(match, absent_is_no=absent_is_no)
    # IN a subquery is SQL's own `any` in three values.
    text = (
        f"SELECT 1 IN (SELECT {query.text} FROM facts WHERE job = n) FROM (SELECT DISTINCT job AS n FROM facts) ORDER BY n"  # noqa: S608 - the test's own text
    )
    return [VERDICTS[answer] for (answer,) in database.execute(text, query.values)]


def block_of(kind: str, block: int) -> tuple[list[World], list[Match]]:
    """
    Return the jobs and the matches of a block: many facts have no value.
    """
    rng = Random(f"{kind} {block}")
    drawing = Drawing(rng, gaps=0.12)
    worlds = [drawing.world(number) for number in range(JOBS)]
    return worlds, matches(rng, [row for world in worlds for row in world.rows], RULES)


def policies_of(block: int) -> Iterator[Said]:
    """
    Yield what both say of every policy of a block on every job of it.
    """
    worlds, said = block_of("policies", block)
    with closing(stored(worlds)) as database:
        for match, policy in zip(said, policies(said).policies, strict=True):
            whole = with_phase(match)
            for world, sqlite in zip(worlds, answers(database, whole), strict=True):
                yield Said(verdict_on(policy, world), sqlite, asks_absence(whole, world))


def exemptions_of(block: int) -> Iterator[Said]:
    """
    Yield what both say of every exemption of a block on every job of it.
    """
    worlds, said = block_of("exemptions", block)
    with closing(stored(worlds)) as database:
        for match, exemption in zip(said, exemptions(said).exemptions, strict=True):
            for world, sqlite in zip(worlds, answers(database, match, absent_is_no=True), strict=True):
                yield Said(spared_by(exemption, world), sqlite, asks_absence(match, world))


def verdict_on(policy: Policy, world: World) -> Verdict:
    """
    Return the guard's verdict on a job that was seen once.
    """
    seen = observe(None, world.job)
    return decide(PolicySet(policies=(policy,)), world.job, seen, TERMS, now_ms=NOW).judgements[0].verdict


def spared_by(exemption: Exemption, world: World) -> Verdict:
    """
    Return the guard's verdict of an exemption; what does not spare the job is a NO_MATCH.
    """
    decision = decide(PolicySet(exemptions=(exemption,)), world.job, observe(None, world.job), TERMS, now_ms=NOW)
    return decision.spared[0].verdict if decision.spared else Verdict.NO_MATCH


def asks_absence(match: Match, world: World) -> bool:
    """
    Tell whether a match names a fact that the job lacks.
    """
    return any(row[field] is ABSENT for field, _, _ in conditions(match) for row in world.rows)


@pytest.mark.parametrize(
    ("told", "blocks"),
    [pytest.param(policies_of, BLOCKS, id="policies"), pytest.param(exemptions_of, BLOCKS // 2, id="exemptions")],
)
def test_the_verdicts_are_those_of_sql(told, blocks):
    """
    On 20,000 policies and jobs and on 10,000 exemptions the guard's verdicts are SQL's true, false and NULL, all frequent.
    """
    said = [one for block in range(blocks) for one in told(block)]
    assert len(said) == blocks * JOBS * RULES
    assert [one for one in said if one.guard is not one.sqlite] == []
    counted = Counter(one.guard for one in said)
    assert min(counted[verdict] for verdict in Verdict) >= 0.15 * len(said)
    assert sum(one.asks_absence for one in said) >= 0.1 * len(said)


def test_everything_was_asked():
    """
    The matches of these tests name every field of the language with every operator that it takes, and nest all its words.
    """
    every = [match for block in range(BLOCKS) for match in block_of("policies", block)[1]]
    asked = {(field, op) for match in every for field, op, _ in conditions(match)}
    specs = {**FIELDS, "annotation.team": field_spec("annotation.team"), "annotation.stage": field_spec("annotation.stage")}
    assert asked == {(field, op) for field, spec in specs.items() for op in operators_of(spec)}
    words = Counter(word for match in every for word in ("all", "any", "not") if f"'{word}': " in str(match))
    assert min(words[word] for word in ("all", "any", "not")) >= 100
