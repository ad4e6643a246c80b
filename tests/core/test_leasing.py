"""
Who acts on which target, and how long a lease is trusted.
"""

import re

import pytest

from guard.core.leasing import Durations, Lease, Moves, moves, shares

PROJECTS = [("cn-north-4", f"project-{number:03}") for number in range(300)]
ONE, TWO, THREE = PROJECTS[:3]


@pytest.mark.parametrize(
    ("durations", "said"),
    [
        pytest.param({}, "", id="default"),
        pytest.param({"lease_ms": 20_001}, "", id="just-longer-than-the-deadline"),
        pytest.param({"lease_ms": 20_000}, r"lease_duration \(20s\) above lease_renew_deadline \(20s\)", id="as-long"),
        pytest.param({"renew_ms": 6_000}, r"deadline \(6s\) above 1.2 x lease_retry_period \(5s\)", id="one-chance-only"),
        pytest.param({"renew_ms": 6_001}, "", id="just-more-than-one-chance"),
        pytest.param({"call_ms": 22_000}, r"terminate_timeout \(22s\) \+ 2s for the clocks", id="a-call-outlasts-it"),
        pytest.param({"call_ms": 21_999}, "", id="a-call-just-fits"),
        pytest.param({"retry_ms": 0}, "lease_retry_period above 0s", id="renewed-without-a-pause"),
    ],
)
def test_durations_that_are_not_safe(durations, said):
    """
    What would let two replicas act at once, or none, is named with its numbers.
    """
    wrong = Durations(**durations).wrong()
    assert re.search(said, wrong) if said else wrong == ""


@pytest.mark.parametrize(
    ("for_ms", "trusted_ms"),
    [
        pytest.param(0, 20_000, id="the-deadline-counts"),
        pytest.param(8_000, 20_000, id="on-the-edge"),
        pytest.param(8_001, 19_999, id="the-call-counts"),
        pytest.param(10_000, 18_000, id="default-call"),
    ],
)
def test_a_call_ends_within_the_lease(for_ms, trusted_ms):
    """
    A lease is trusted for a call as long as the call is over, by every clock, before others may take the target.
    """
    assert Durations().trusted_ms(for_ms=for_ms) == trusted_ms


def test_shares_are_fair_and_whole():
    """
    Every project has one owner that serves it, and nobody has more than the mean rounded up.
    """
    for live in (1, 2, 3, 7):
        owners = shares({f"replica-{number}": PROJECTS for number in range(live)})
        assert set(owners) == set(PROJECTS)
        counts = [list(owners.values()).count(f"replica-{number}") for number in range(live)]
        assert max(counts) <= -(-300 // live)


def test_few_move_when_a_replica_comes_or_goes():
    """
    Of 300 projects on three replicas, not many more than the share of the one that goes move, and as few come back.
    """
    three = shares(dict.fromkeys("abc", PROJECTS))
    two = shares(dict.fromkeys("ab", PROJECTS))
    moved = sum(three[one] != two[one] for one in PROJECTS)
    assert 100 <= moved <= 110


def test_what_one_alone_serves_is_its():
    """
    A project that only a full replica serves goes to it all the same, and a visitor, who serves nothing, takes no share.
    """
    owners = shares({"a": PROJECTS[:5], "b": [ONE], "visitor": []})
    assert len(owners) == 5
    assert [owners[one] for one in PROJECTS[1:5]] == ["a"] * 4
    assert shares({"a": [ONE, TWO], "b": [ONE, TWO], "visitor": ()}) == shares({"a": [ONE, TWO], "b": [TWO, ONE]})
    assert shares({}) == {}


@pytest.mark.parametrize(
    ("lease", "owner", "overdue", "expected"),
    [
        pytest.param(None, "me", False, Moves(take=[ONE]), id="never-leased-and-mine"),
        pytest.param(None, "other", False, Moves(), id="never-leased-and-anothers"),
        pytest.param(None, "other", True, Moves(take=[ONE]), id="its-owner-does-not-come"),
        pytest.param(Lease(token=3), "me", False, Moves(take=[ONE]), id="free"),
        pytest.param(Lease(token=3, holder="dead"), "me", False, Moves(take=[ONE]), id="of-a-dead-one"),
        pytest.param(Lease(token=3, holder="dead", asked="other"), "other", False, Moves(), id="of-a-dead-one-for-another"),
        pytest.param(Lease(token=3, holder="other"), "me", False, Moves(ask=[ONE]), id="of-a-living-one"),
        pytest.param(Lease(token=3, holder="other"), "me", True, Moves(ask=[ONE]), id="of-a-living-one-is-never-taken"),
        pytest.param(Lease(token=3, holder="other", asked="me"), "me", False, Moves(), id="asked-for-already"),
        pytest.param(Lease(token=3, holder="other"), "other", False, Moves(), id="where-it-belongs"),
        pytest.param(Lease(token=3, holder="me"), "me", False, Moves(), id="mine"),
        pytest.param(Lease(token=3, holder="me"), "other", False, Moves(), id="kept-until-it-is-asked-for"),
        pytest.param(Lease(token=3, holder="me", asked="other"), "other", False, Moves(give=[ONE]), id="asked-by-its-owner"),
        pytest.param(Lease(token=3, holder="me", asked="else"), "other", False, Moves(), id="asked-by-who-is-not"),
    ],
)
def test_what_a_replica_does(lease, owner, overdue, expected):
    """
    A lease without a living holder is taken, one with a living holder is asked for, and given when its owner asks.
    """
    leases = {} if lease is None else {ONE: lease}
    due = [ONE] if overdue else []
    assert moves("me", [ONE], leases, {ONE: owner}, alive={"me", "other", "else"}, overdue=due) == expected
