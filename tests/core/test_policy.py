"""
The policy model: text, digest and meaning.
"""

from fractions import Fraction

import pytest
from built import OVER_A_DAY, policy, regex

from guard.core.policy import Act, All, Condition, Mode, Not, Some, asks_for_money, conditions
from guard.core.spans import DAY_MS, HOUR_MS
from tests.changing import replace


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        pytest.param(Condition("user", "eq", "ann"), "user = ann", id="text"),
        pytest.param(Condition("node_count", "ne", 2), "node_count != 2", id="integer"),
        pytest.param(Condition("duration", "gt", DAY_MS), "duration > 24h", id="span"),
        pytest.param(Condition("duration", "lte", DAY_MS + 1), "duration <= 24h0m0.001s", id="span-millisecond"),
        pytest.param(Condition("cost", "gte", Fraction(3, 2)), "cost >= 1.5", id="money"),
        pytest.param(Condition("cost", "lt", Fraction(2)), "cost < 2", id="less"),
        pytest.param(Condition("pool_id", "exists", True), "pool_id exists", id="exists"),
        pytest.param(Condition("annotation.a", "exists", False), "annotation.a does not exist", id="not-exists"),
        pytest.param(Condition("user", "not_in", ("a", "b")), "user not in [a, b]", id="list"),
        pytest.param(Condition("name", "regex", regex("a.*")), "name regex a.*", id="pattern"),
    ],
)
def test_condition_reads_as_text(condition, text):
    """
    A condition is shown in the language of policy files.
    """
    assert str(condition) == text


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        pytest.param("abc", True, id="whole"),
        pytest.param("abcd", False, id="a-part-is-not-enough"),
        pytest.param("ABC", False, id="case-counts"),
        pytest.param("abc\n", False, id="line-break-counts"),
    ],
)
def test_pattern_fits_the_whole_text(text, fits):
    """
    A pattern fits whole texts only, case-sensitive.
    """
    assert regex("a[b]c").fits(text) is fits


def test_conditions_in_order():
    """
    Every condition of a clause is found, in order, however deep it stands.
    """
    first, second, third = (Condition("user", "eq", text) for text in "abc")
    assert list(conditions(All((first, Some((Not(second), All((third,)))))))) == [first, second, third]


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param(policy(OVER_A_DAY, description="d", place="b.yaml:3"), True, id="description-and-place"),
        pytest.param(policy(Condition("duration", "gt", DAY_MS + 1)), False, id="operand"),
        pytest.param(policy(Condition("duration", "gte", DAY_MS)), False, id="operator"),
        pytest.param(policy(Condition("age", "gt", DAY_MS)), False, id="field"),
        pytest.param(policy(Not(OVER_A_DAY)), False, id="not"),
        pytest.param(policy(OVER_A_DAY, mode=Mode.OBSERVE), False, id="mode"),
        pytest.param(policy(OVER_A_DAY, action=Act.NOTIFY), False, id="action"),
        pytest.param(policy(OVER_A_DAY, name="other"), False, id="name"),
    ],
)
def test_digest_changes_with_the_meaning(changed, same):
    """
    The digest changes with what the policy does, and with nothing else.
    """
    assert (changed.digest == policy(OVER_A_DAY).digest) is same


def test_digest_tells_patterns_apart():
    """
    The text and the kind of a pattern are part of the digest, although its compiled form is not.
    """
    one = policy(Condition("name", "glob", regex("a.*")))
    kinds = [one, policy(Condition("name", "regex", regex("a.*"))), policy(Condition("name", "glob", regex("a.+")))]
    assert len({each.digest for each in kinds}) == 3
    assert replace(one).digest == policy(Condition("name", "glob", regex("a.*"))).digest
    assert len(one.digest) == 12


@pytest.mark.parametrize(
    ("mode", "action", "terminates"),
    [
        pytest.param(Mode.ENFORCE, Act.TERMINATE, True, id="enforce-terminate"),
        pytest.param(Mode.ENFORCE, Act.NOTIFY, False, id="enforce-notify"),
        pytest.param(Mode.OBSERVE, Act.TERMINATE, False, id="observe-terminate"),
        pytest.param(Mode.OBSERVE, Act.NOTIFY, False, id="observe-notify"),
    ],
)
def test_only_enforce_and_terminate_terminates(mode, action, terminates):
    """
    A policy terminates only if it is in enforce and asks for it.
    """
    assert policy(OVER_A_DAY, mode=mode, action=action).terminates is terminates


def test_observe_is_the_default():
    """
    A policy of which no mode is said observes.
    """
    assert type(policy())(name="p", clause=All((Condition("duration", "gt", HOUR_MS),))).terminates is False


@pytest.mark.parametrize(
    ("clause", "asks"),
    [
        pytest.param(Condition("cost", "gt", 9), True, id="cost"),
        pytest.param(Not(All((Condition("user", "eq", "a"), Condition("cost_rate", "gt", 9)))), True, id="inside"),
        pytest.param(Condition("duration", "gt", 9), False, id="time"),
    ],
)
def test_what_asks_for_money(clause, asks):
    """
    A clause asks for money if one of its conditions does, however deep it stands.
    """
    assert asks_for_money(clause) is asks
