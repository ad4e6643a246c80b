"""
Every operator on a value, an absent and an unreadable fact, and what is made of the parts.
"""

from fractions import Fraction
from typing import Any

import pytest
from built import facts, regex

from guard.core.facts import ABSENT, UNREADABLE, Growing
from guard.core.judge import explain, judge, reason, show_fact, turning_points
from guard.core.policy import All, Condition, Not, Some
from guard.core.spans import DAY_MS, HOUR_MS
from guard.core.verdict import Verdict

NO, UNKNOWN, YES = Verdict.NO_MATCH, Verdict.UNKNOWN, Verdict.MATCH
HOLDS, FAILS, MISSING = (
    Condition("user", "eq", "ann"),
    Condition("user", "ne", "ann"),
    Condition("name", "ne", "anything"),
)
PARTS = facts(user="ann", name=UNREADABLE)


def verdict(op: str, operand: Any, fact: Any, **how: Any) -> Verdict:
    """
    Return the verdict of one condition on one fact.
    """
    return judge(Condition("user", op, operand), facts(user=fact), at_ms=0, **how)


OPERATORS = [
    pytest.param("eq", "ann", id="eq"),
    pytest.param("ne", "ann", id="ne"),
    pytest.param("in", ("ann", "bob"), id="in"),
    pytest.param("not_in", ("ann", "bob"), id="not_in"),
    pytest.param("glob", regex("a.*"), id="glob"),
    pytest.param("regex", regex("a.*"), id="regex"),
    pytest.param("gt", 1, id="gt"),
    pytest.param("gte", 1, id="gte"),
    pytest.param("lt", 1, id="lt"),
    pytest.param("lte", 1, id="lte"),
]


@pytest.mark.parametrize(("op", "operand"), OPERATORS)
def test_a_missing_fact_is_unknown(op, operand):
    """
    Whatever the operator, a missing fact is UNKNOWN, and `not` of it is UNKNOWN too.
    """
    for missing in (ABSENT, UNREADABLE):
        assert verdict(op, operand, missing) is UNKNOWN
        assert judge(Not(Condition("user", op, operand)), facts(user=missing), at_ms=0) is UNKNOWN


@pytest.mark.parametrize(("op", "operand"), OPERATORS)
def test_absence_in_an_exemption(op, operand):
    """
    In an exemption an absent fact is NO_MATCH for every operator, an unreadable one stays UNKNOWN.
    """
    assert verdict(op, operand, ABSENT, absent_is_no=True) is NO
    assert verdict(op, operand, UNREADABLE, absent_is_no=True) is UNKNOWN


@pytest.mark.parametrize(
    ("op", "operand", "fact", "expected"),
    [
        pytest.param("eq", "ann", "ann", YES, id="eq-same"),
        pytest.param("eq", "ann", "Ann", NO, id="eq-other-case"),
        pytest.param("ne", "ann", "ann", NO, id="ne-same"),
        pytest.param("ne", "ann", "bob", YES, id="ne-other"),
        pytest.param("eq", 2, 2, YES, id="eq-number"),
        pytest.param("eq", Fraction(1, 2), Fraction(2, 4), YES, id="eq-fraction"),
        pytest.param("ne", 2, 3, YES, id="ne-number"),
        pytest.param("in", ("ann", "bob"), "bob", YES, id="in-a-member"),
        pytest.param("in", ("ann", "bob"), "an", NO, id="in-a-part-of-a-member"),
        pytest.param("not_in", ("ann", "bob"), "bob", NO, id="not-in-a-member"),
        pytest.param("not_in", ("ann", "bob"), "cid", YES, id="not-in-another"),
        pytest.param("in", (1, 2), 2, YES, id="in-numbers"),
        pytest.param("glob", regex("an."), "ann", YES, id="glob"),
        pytest.param("glob", regex("an."), "anna", NO, id="glob-only-a-part"),
        pytest.param("regex", regex("an*"), "ann", YES, id="regex"),
        pytest.param("regex", regex("an*"), "anna", NO, id="regex-only-a-part"),
        pytest.param("regex", regex("5"), 5, NO, id="pattern-on-a-number"),
        pytest.param("gt", 2, 1, NO, id="gt-below"),
        pytest.param("gt", 2, 2, NO, id="gt-on"),
        pytest.param("gt", 2, 3, YES, id="gt-above"),
        pytest.param("gte", 2, 1, NO, id="gte-below"),
        pytest.param("gte", 2, 2, YES, id="gte-on"),
        pytest.param("gte", 2, 3, YES, id="gte-above"),
        pytest.param("lt", 2, 1, YES, id="lt-below"),
        pytest.param("lt", 2, 2, NO, id="lt-on"),
        pytest.param("lt", 2, 3, NO, id="lt-above"),
        pytest.param("lte", 2, 1, YES, id="lte-below"),
        pytest.param("lte", 2, 2, YES, id="lte-on"),
        pytest.param("lte", 2, 3, NO, id="lte-above"),
        pytest.param("gt", Fraction(1, 3), Fraction("0.33333333333333333333"), NO, id="fraction-just-below"),
        pytest.param("gt", Fraction(1, 3), Fraction("0.33333333333333333334"), YES, id="fraction-just-above"),
    ],
)
def test_comparisons(op, operand, fact, expected):
    """
    A comparison with a value is exact, on both sides of its edge.
    """
    assert verdict(op, operand, fact) is expected


@pytest.mark.parametrize(
    ("fact", "wanted", "forbidden"),
    [
        pytest.param("ann", YES, NO, id="value"),
        pytest.param(0, YES, NO, id="zero-is-a-value"),
        pytest.param(Growing(0, 0, 1), YES, NO, id="growing"),
        pytest.param(ABSENT, NO, YES, id="absent"),
        pytest.param(UNREADABLE, UNKNOWN, UNKNOWN, id="unreadable"),
    ],
)
def test_exists(fact, wanted, forbidden):
    """
    Only `exists` speaks of absence, in a policy and in an exemption alike.
    """
    for absent_is_no in (False, True):
        assert verdict("exists", True, fact, absent_is_no=absent_is_no) is wanted
        assert verdict("exists", False, fact, absent_is_no=absent_is_no) is forbidden


@pytest.mark.parametrize(
    ("at_ms", "over", "under"),
    [
        pytest.param(DAY_MS - 1, NO, YES, id="1-ms-below"),
        pytest.param(DAY_MS, NO, NO, id="on"),
        pytest.param(DAY_MS + 1, YES, NO, id="1-ms-above"),
    ],
)
def test_growing_facts_are_judged_at_the_moment(at_ms, over, under):
    """
    A growing fact has the value of the moment that is asked for.
    """
    grown = facts(duration=Growing(0, 0, 1))
    assert judge(Condition("duration", "gt", DAY_MS), grown, at_ms=at_ms) is over
    assert judge(Condition("duration", "lt", DAY_MS), grown, at_ms=at_ms) is under


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        pytest.param(All((HOLDS, MISSING)), UNKNOWN, id="all-of-yes-unknown"),
        pytest.param(All((MISSING, FAILS)), NO, id="all-of-unknown-no"),
        pytest.param(All((HOLDS, HOLDS)), YES, id="all-of-yes"),
        pytest.param(Some((FAILS, MISSING)), UNKNOWN, id="any-of-no-unknown"),
        pytest.param(Some((MISSING, HOLDS)), YES, id="any-of-unknown-yes"),
        pytest.param(Some((FAILS, FAILS)), NO, id="any-of-no"),
        pytest.param(Not(HOLDS), NO, id="not-yes"),
        pytest.param(Not(FAILS), YES, id="not-no"),
        pytest.param(Not(MISSING), UNKNOWN, id="not-unknown"),
        pytest.param(Not(Not(MISSING)), UNKNOWN, id="not-not-unknown"),
        pytest.param(Not(All((HOLDS, MISSING))), UNKNOWN, id="not-all-unknown"),
        pytest.param(Not(All((FAILS, MISSING))), YES, id="not-all-no"),
        pytest.param(All((Some((FAILS, Not(MISSING))), HOLDS)), UNKNOWN, id="deep-unknown"),
        pytest.param(Some((All((HOLDS, Not(Some((FAILS, FAILS))))), MISSING)), YES, id="deep-yes"),
    ],
)
def test_nesting(clause, expected):
    """
    Parts are joined by Kleene's rules at every depth, and the explanation has the same verdict.
    """
    assert judge(clause, PARTS, at_ms=0) is expected
    assert explain(clause, PARTS, at_ms=0).verdict is expected


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        pytest.param(Not(Condition("name", "eq", "x")), YES, id="not-of-absent"),
        pytest.param(All((HOLDS, Condition("name", "eq", "x"))), NO, id="all-with-absent"),
        pytest.param(Some((HOLDS, Condition("name", "eq", "x"))), YES, id="any-with-absent"),
    ],
)
def test_nested_absence_in_an_exemption(clause, expected):
    """
    That absence is NO_MATCH in an exemption holds inside `all`, `any` and `not` too.
    """
    assert judge(clause, facts(user="ann", name=ABSENT), at_ms=0, absent_is_no=True) is expected
    assert explain(clause, facts(user="ann", name=ABSENT), at_ms=0, absent_is_no=True).verdict is expected


@pytest.mark.parametrize(
    ("annotations", "op", "expected"),
    [
        pytest.param({"team": "infra"}, "eq", YES, id="there"),
        pytest.param({"team": "vision"}, "eq", NO, id="another"),
        pytest.param({"teams": "infra"}, "eq", UNKNOWN, id="absent"),
        pytest.param(UNREADABLE, "eq", UNKNOWN, id="unreadable"),
        pytest.param({}, "exists", NO, id="exists-absent"),
        pytest.param(UNREADABLE, "exists", UNKNOWN, id="exists-unreadable"),
    ],
)
def test_annotations(annotations, op, expected):
    """
    A missing annotation is absent, and each is unreadable if the annotations are.
    """
    condition = Condition("annotation.team", op, "infra" if op == "eq" else True)
    assert judge(condition, facts(annotations=annotations), at_ms=0) is expected


LINES = facts(
    duration=Growing(HOUR_MS, 1_000, 1),
    cost=Growing(Fraction(1), 0, Fraction(1, 3)),
    waiting=UNREADABLE,
    node_count=4,
    card_hours=Growing(5, 0, 0),
)


@pytest.mark.parametrize(
    ("clause", "turns"),
    [
        pytest.param(Condition("duration", "gt", HOUR_MS), [1_001], id="gt"),
        pytest.param(Condition("duration", "gte", HOUR_MS), [1_000], id="gte"),
        pytest.param(Condition("duration", "lt", HOUR_MS), [1_000], id="lt"),
        pytest.param(Condition("duration", "lte", HOUR_MS), [1_001], id="lte"),
        pytest.param(Condition("cost", "gt", Fraction(2)), [4], id="fraction-gt-on-a-millisecond"),
        pytest.param(Condition("cost", "gte", Fraction(2)), [3], id="fraction-gte-on-a-millisecond"),
        pytest.param(Condition("cost", "gt", Fraction(9, 4)), [4], id="fraction-between"),
        pytest.param(Condition("card_hours", "gt", Fraction(6)), [], id="stands"),
        pytest.param(Condition("duration", "exists", True), [], id="exists"),
        pytest.param(Condition("waiting", "gt", 1), [], id="unreadable"),
        pytest.param(Condition("node_count", "gt", 3), [], id="constant"),
        pytest.param(
            All(
                (
                    Not(Condition("duration", "lt", 0)),
                    Some((Condition("cost", "gte", Fraction(2)), Condition("waiting", "gt", 1))),
                )
            ),
            [1_000 - HOUR_MS, 3],
            id="nested",
        ),
    ],
)
def test_turning_points(clause, turns):
    """
    The moments at which a growing condition changes are exact, past ones too, at every depth.
    """
    assert list(turning_points(clause, LINES)) == turns


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        pytest.param(HOLDS, "user = ann", id="one"),
        pytest.param(MISSING, "name != anything (is unreadable)", id="missing"),
        pytest.param(All((HOLDS, HOLDS)), "user = ann; user = ann", id="all-of-yes"),
        pytest.param(All((HOLDS, MISSING)), "name != anything (is unreadable)", id="only-what-decided"),
        pytest.param(All((HOLDS, MISSING, FAILS)), "user != ann (is ann)", id="a-no-decides-all"),
        pytest.param(Some((FAILS, HOLDS)), "user = ann", id="a-yes-decides-any"),
        pytest.param(All((HOLDS, Not(FAILS))), "user = ann; not: user != ann (is ann)", id="not"),
        pytest.param(Not(Some((FAILS, FAILS))), "not: user != ann (is ann) and user != ann (is ann)", id="not-any"),
    ],
)
def test_reason(clause, sentence):
    """
    The reason names the conditions that decided, with their values.
    """
    assert reason(clause, PARTS, judge(clause, PARTS, at_ms=0), at_ms=0) == sentence


def test_the_reason_names_the_phase_only_if_nothing_else_decided():
    """
    The phase that every policy asks for is no news beside the other conditions.
    """
    phase, user = Condition("phase", "eq", "Running"), Condition("user", "ne", "bob")
    known = facts(phase="Running", user="ann")
    assert reason(All((phase, user)), known, Verdict.MATCH, at_ms=0) == "user != bob (is ann)"
    assert reason(All((phase,)), known, Verdict.MATCH, at_ms=0) == "phase = Running"


def test_an_explained_condition_says_when_it_turns():
    """
    A condition on a growing fact carries the moment at which it changes, others carry none.
    """
    trace = explain(All((Condition("duration", "gt", HOUR_MS), Condition("node_count", "gt", 3))), LINES, at_ms=0)
    assert [part.turns_at_ms for part in trace.parts] == [1_001, None]


def test_explanation_has_the_shape_of_the_clause():
    """
    Every part of a clause is in its explanation, with text, value and verdict.
    """
    trace = explain(All((Some((HOLDS, MISSING)), Not(FAILS))), PARTS, at_ms=0)
    assert [trace.text, *(part.text for part in trace.parts)] == ["all", "any", "not"]
    assert [(one.text, one.actual, one.verdict) for one in trace.parts[0].parts] == [
        ("user = ann", "ann", YES),
        ("name != anything", "unreadable", UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("name", "fact", "text"),
    [
        pytest.param("duration", Growing(DAY_MS, 0, 1), "24h0m0.005s", id="growing-span"),
        pytest.param("cost", Growing(Fraction(1, 3), 0, 0), "0.333333", id="money"),
        pytest.param("cards", 8, "8", id="integer"),
        pytest.param("user", "ann", "ann", id="text"),
        pytest.param("pool_id", ABSENT, "absent", id="absent"),
        pytest.param("user", UNREADABLE, "unreadable", id="unreadable"),
    ],
)
def test_show_fact(name, fact, text):
    """
    A fact is shown as it is at the moment, or why it has no value.
    """
    assert show_fact(name, fact, 5) == text
