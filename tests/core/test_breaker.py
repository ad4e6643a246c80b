"""
The breaker: what counts as a jump, for whom it is open, and the first jobs of a policy.
"""

from fractions import Fraction

import pytest

from guard.core.breaker import Breaker, BreakerRules, Cause, Scope, Share, jumped, repriced
from guard.core.facts import JobKey
from guard.core.hold import unconfirmed_hold

OPEN = Breaker(scope=Scope.POLICY, name="day", cause=Cause.MATCHES, text="it jumped", by="the guard", opened_ms=100)


def share(count: int, of: int) -> Share:
    """
    Return so many of so many.
    """
    return Share(count=count, of=of)


@pytest.mark.parametrize(
    ("now", "level", "opens"),
    [
        pytest.param(share(20, 100), share(0, 100), True, id="on-the-number"),
        pytest.param(share(19, 100), share(0, 100), False, id="below-the-number"),
        pytest.param(share(45, 100), share(25, 100), True, id="against-a-high-level"),
        pytest.param(share(44, 100), share(25, 100), False, id="below-against-a-high-level"),
        pytest.param(share(90, 100), share(90, 100), False, id="always-so"),
        pytest.param(share(10, 20), share(0, 20), True, id="ten-jobs"),
        pytest.param(share(9, 20), share(0, 20), False, id="fewer-than-ten-jobs"),
        pytest.param(share(10, 10), share(1, 10), False, id="nine-more"),
        pytest.param(share(15, 20), share(0, 200), False, id="only-a-part-was-read-yet"),
        pytest.param(share(40, 50), share(0, 200), True, id="a-part-is-enough"),
        pytest.param(share(0, 0), share(0, 0), False, id="nothing-at-all"),
        pytest.param(share(10, 10), share(0, 0), True, id="a-fleet-that-was-empty"),
    ],
)
def test_a_jump(now, level, opens):
    """
    It takes 20 per cent of the jobs, and ten jobs, more than the level, against the larger of both fleets.
    """
    assert jumped(now, level, by_percent=Fraction(20)) is opens


@pytest.mark.parametrize(
    ("now", "level", "said"),
    [
        pytest.param({"a": Fraction(3)}, {"a": Fraction(1)}, "", id="on-the-factor"),
        pytest.param(
            {"a": Fraction(301, 100)}, {"a": Fraction(1)}, "a costs 3.01 per node and hour instead of 1", id="above"
        ),
        pytest.param({"a": Fraction(1)}, {"a": Fraction(3)}, "", id="down-on-the-factor"),
        pytest.param({"a": Fraction(1)}, {"a": Fraction(4)}, "a costs 1 per node and hour instead of 4", id="down"),
        pytest.param({"a": Fraction(0)}, {"a": Fraction(1)}, "a costs 0 per node and hour instead of 1", id="to-nothing"),
        pytest.param({"a": Fraction(1)}, {"a": Fraction(0)}, "a costs 1 per node and hour instead of 0", id="from-nothing"),
        pytest.param({"a": Fraction(0)}, {"a": Fraction(0)}, "", id="nothing-stays-nothing"),
        pytest.param({"a": Fraction(9)}, {"b": Fraction(1)}, "", id="new-and-gone"),
    ],
)
def test_a_price_that_changed(now, level, said):
    """
    Only a price that both know counts, in both directions, and the message tells both.
    """
    assert repriced(now, level, factor=Fraction(3)) == said


@pytest.mark.parametrize(
    ("scope", "name", "covered"),
    [
        pytest.param(Scope.ALL, "", True, id="all"),
        pytest.param(Scope.TARGET, "lab", True, id="this-target"),
        pytest.param(Scope.TARGET, "day", False, id="another-target"),
        pytest.param(Scope.POLICY, "day", True, id="this-policy"),
        pytest.param(Scope.POLICY, "lab", False, id="another-policy"),
    ],
)
def test_whom_it_is_open_for(scope, name, covered):
    """
    A breaker holds back for its policy or target, or for all.
    """
    made = Breaker(scope=scope, name=name, cause=Cause.PRICES, text="t", by="", opened_ms=0)
    assert made.covers("lab", "day") is covered
    assert made.covers("lab", "") is (covered and scope is not Scope.POLICY)


@pytest.mark.parametrize(
    ("until_ms", "closed_ms", "now_ms", "holds"),
    [
        pytest.param(None, None, 10**15, True, id="until-somebody-closes-it"),
        pytest.param(200, None, 199, True, id="before-its-end"),
        pytest.param(200, None, 200, False, id="at-its-end"),
        pytest.param(None, 150, 151, False, id="closed"),
        pytest.param(200, 150, 120, False, id="closed-whatever-the-clock-says"),
    ],
)
def test_how_long_it_is_open(until_ms, closed_ms, now_ms, holds):
    """
    It is open until somebody closes it, or until its time is over.
    """
    made = Breaker(
        scope=Scope.ALL, name="", cause=Cause.PRICES, text="t", by="", opened_ms=100, until_ms=until_ms, closed_ms=closed_ms
    )
    assert made.holds(now_ms) is holds


def test_what_it_says():
    """
    The hold names for whom and why, and where to look.
    """
    assert OPEN.hold.reason == "breaker"
    assert OPEN.hold.text == "the breaker is open for policy day: it jumped; see guard breaker"
    assert str(share(3, 9)) == "3 of 9 jobs"


def test_the_defaults():
    """
    Unless said otherwise a new policy acts on three jobs, and every anomaly has a number.
    """
    rules = BreakerRules()
    assert (rules.first_enforce, rules.match_jump, rules.unreadable_jump) == (3, 20, 10)
    assert (rules.price_factor, rules.reset_after_ms) == (3, None)


def key(job_id: str) -> JobKey:
    """
    Return the key of a job.
    """
    return JobKey(region="r", project_id="p", job_id=job_id)


@pytest.mark.parametrize(
    ("acted", "first", "held"),
    [
        pytest.param(None, 3, False, id="confirmed"),
        pytest.param(set(), None, False, id="switched-off"),
        pytest.param({"a", "b"}, 3, False, id="room-for-one"),
        pytest.param({"a", "b", "c"}, 3, True, id="used-up"),
        pytest.param({"a", "b", "c", "d"}, 3, True, id="more-than-used-up"),
        pytest.param({"a", "b", "own"}, 3, False, id="the-same-job-again"),
        pytest.param(set(), 0, True, id="none-at-all"),
    ],
)
def test_a_policy_that_nobody_confirmed(acted, first, held):
    """
    It acts on the first few jobs and on those again, and then waits for a person.
    """
    jobs = None if acted is None else {key(one) for one in acted}
    hold = unconfirmed_hold("day", jobs, key("own"), first_enforce=first)
    assert (hold is not None) is held
    if hold is not None:
        assert hold.reason == "first_enforce"
        assert hold.text.endswith("guard breaker confirm --policy day")
