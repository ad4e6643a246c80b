"""
Which runs are alike, and how far they are followed once something is enforced.
"""

import pytest
from built import NOW
from hypothesis import given
from hypothesis import strategies as st
from past_runs import LIKE, lasting, run

from guard.core.likeness import End, Ladder, PastRun, Rung, group, known_at
from guard.core.spans import HOUR_MS
from guard.core.survival import Observation
from tests.changing import replace


def seen(hours, *, ended=True, entry=0.0):
    """
    Return an observation in hours.
    """
    return Observation(round(entry * HOUR_MS), round(hours * HOUR_MS), ended)


@pytest.mark.parametrize(
    ("changes", "rungs"),
    [
        pytest.param({}, [Rung.SAME_WORK, Rung.SAME_RESOURCES, Rung.ALL], id="all-known"),
        pytest.param({"user": None}, [Rung.SAME_RESOURCES, Rung.ALL], id="user-unknown"),
        pytest.param({"user": ""}, [Rung.SAME_RESOURCES, Rung.ALL], id="user-empty"),
        pytest.param({"user": "bob"}, [Rung.SAME_RESOURCES, Rung.ALL], id="another-user"),
        pytest.param({"stem": None}, [Rung.SAME_RESOURCES, Rung.ALL], id="name-unknown"),
        pytest.param({"stem": ""}, [Rung.SAME_RESOURCES, Rung.ALL], id="name-empty"),
        pytest.param({"stem": "eval"}, [Rung.SAME_RESOURCES, Rung.ALL], id="another-name"),
        pytest.param({"billing_codes": None}, [Rung.ALL], id="billing-code-unknown"),
        pytest.param({"billing_codes": "other"}, [Rung.ALL], id="another-billing-code"),
        pytest.param({"cards": None}, [Rung.SAME_WORK, Rung.ALL], id="cards-unknown"),
        pytest.param({"cards": 8}, [Rung.SAME_WORK, Rung.ALL], id="other-cards"),
    ],
)
def test_rungs(changes, rungs):
    """
    The ladder offers the groups that the job is known to belong to, the most alike first.
    """
    assert [rung for rung, _ in Ladder([run(30)]).rungs(replace(LIKE, **changes))] == rungs


def test_nobody_is_alike_for_being_unknown():
    """
    Runs whose users could not be read are no group, not even for a job whose user could not be read.
    """
    unknown = replace(LIKE, user=None, billing_codes=None)
    assert [rung for rung, _ in Ladder([run(30, like=unknown)]).rungs(unknown)] == [Rung.ALL]


def test_no_cards_are_a_number_too():
    """
    Runs on CPU flavors have 0 cards and are alike in that.
    """
    plain = replace(LIKE, cards=0)
    assert Rung.SAME_RESOURCES in [rung for rung, _ in Ladder([run(30, like=plain)]).rungs(plain)]


def test_without_history_there_is_no_group():
    """
    Not even that of all.
    """
    assert list(Ladder([]).rungs(LIKE)) == []


def test_a_group_is_made_once():
    """
    Many terminations of one moment ask the same groups.
    """
    ladder = Ladder([run(30)])
    (first, *_), (again, *_) = ladder.rungs(LIKE), ladder.rungs(LIKE)
    assert first[1] is again[1]


def test_groups_hold_their_own():
    """
    Each rung counts the runs that share its key.
    """
    others = [
        run(1, like=replace(LIKE, user="bob")),
        run(2, like=replace(LIKE, billing_codes="other")),
        run(3, like=replace(LIKE, cards=1)),
    ]
    sizes = {rung: one.size for rung, one in Ladder([run(4), *others]).rungs(LIKE)}
    assert sizes == {Rung.SAME_WORK: 2, Rung.SAME_RESOURCES: 2, Rung.ALL: 4}


def test_observations_are_ordered_and_what_still_runs_is_censored():
    """
    Without enforcement every run is followed to its end, or to when it was last seen.
    """
    made = group([run(5), run(2, End.UNSEEN), run(3, entry_ms=HOUR_MS)])
    assert made.observations == (seen(2, ended=False), seen(3, entry=1), seen(5))
    assert (made.size, made.guard_ended, made.enforced_at_ms, made.enforced_from_ms) == (3, 0, None, None)


@pytest.mark.parametrize(
    ("hours", "beyond"),
    [pytest.param(1.5, 3, id="before"), pytest.param(2, 2, id="at-an-end"), pytest.param(5, 0, id="after-the-last")],
)
def test_beyond(hours, beyond):
    """
    Beyond an elapsed time is what lasted longer, not what ended right then.
    """
    assert len(group(lasting(2, 3, 5)).beyond(round(hours * HOUR_MS))) == beyond


DAY_AGO = NOW - 24 * HOUR_MS
STOP = run(24, End.GUARD, exit_at_ms=DAY_AGO)


@pytest.mark.parametrize(
    ("other", "observed"),
    [
        pytest.param(run(60, exit_at_ms=DAY_AGO), seen(60), id="ended-by-the-moment-of-the-first-stop"),
        pytest.param(run(60, exit_at_ms=DAY_AGO + 1), seen(60 - 1 / HOUR_MS, ended=False), id="ended-just-after-it"),
        pytest.param(run(60), seen(36, ended=False), id="spared-and-old"),
        pytest.param(run(40), seen(24, ended=False), id="spared-and-young"),
        pytest.param(run(24), seen(24), id="ended-by-itself-at-the-shortest-stop"),
        pytest.param(run(20), seen(20), id="ended-by-itself-before-it"),
        pytest.param(run(60, End.GUARD), seen(36, ended=False), id="stopped-later"),
        pytest.param(run(60, End.UNSEEN), seen(36, ended=False), id="still-running"),
    ],
)
def test_enforcement_is_not_looked_behind(other, observed):
    """
    After the first stop no run is followed beyond the shortest time of a stop, whether it was stopped or spared.
    """
    made = group([STOP, other])
    assert sorted(made.observations) == sorted([seen(24, ended=False), observed])
    assert (made.guard_ended, made.enforced_at_ms, made.enforced_from_ms) == (
        1 + (other.end is End.GUARD),
        DAY_AGO,
        24 * HOUR_MS,
    )


def test_what_is_cut_before_it_was_first_seen_is_left_out():
    """
    A run that the guard found when enforcement had begun, already beyond the time of a stop, tells nothing.
    """
    late = run(60, entry_ms=40 * HOUR_MS)
    assert group([STOP, late]).observations == (seen(24, ended=False),)


def test_what_was_stopped_before_it_ran_cuts_nothing():
    """
    A policy for jobs that wait says nothing about how long jobs are let run.
    """
    waited = run(0, End.GUARD, exit_at_ms=DAY_AGO)
    made = group([waited, run(60)])
    assert made.observations == (seen(60),)
    assert made.enforced_at_ms is None


@pytest.mark.parametrize(
    ("made", "known"),
    [
        pytest.param(run(30, exit_at_ms=NOW - 1), run(30, exit_at_ms=NOW - 1), id="ended-before"),
        pytest.param(run(30, exit_at_ms=NOW), run(30, End.UNSEEN, exit_at_ms=NOW), id="ended-right-then"),
        pytest.param(run(30, exit_at_ms=NOW + HOUR_MS), run(29, End.UNSEEN, exit_at_ms=NOW), id="ended-later"),
        pytest.param(run(30, End.GUARD, exit_at_ms=NOW + HOUR_MS), run(29, End.UNSEEN, exit_at_ms=NOW), id="stopped-later"),
        pytest.param(run(30, End.GUARD, exit_at_ms=NOW - 1), run(30, End.GUARD, exit_at_ms=NOW - 1), id="stopped-before"),
        pytest.param(run(30, End.UNSEEN, exit_at_ms=NOW + HOUR_MS), run(29, End.UNSEEN, exit_at_ms=NOW), id="seen-later"),
        pytest.param(run(30, entry_ms=29 * HOUR_MS, exit_at_ms=NOW + HOUR_MS), None, id="first-seen-right-then"),
        pytest.param(
            run(30, entry_ms=29 * HOUR_MS - 1, exit_at_ms=NOW + HOUR_MS),
            run(29, End.UNSEEN, entry_ms=29 * HOUR_MS - 1, exit_at_ms=NOW),
            id="first-seen-just-before",
        ),
        pytest.param(run(30, exit_at_ms=NOW + 30 * HOUR_MS), None, id="begun-right-then"),
        pytest.param(run(0, End.GUARD, exit_at_ms=NOW), None, id="stopped-before-it-ran"),
    ],
)
def test_what_was_known_of_a_run(made, known):
    """
    How a run went on from a moment on does not show in what was known at that moment.
    """
    assert known_at(made, NOW) == known


def test_an_earlier_ladder_holds_no_later_end():
    """
    Whatever happened at that moment or later, the groups of then are the same, enforcement included.
    """
    others = lasting(20, 40, exit_at_ms=NOW - 1)
    running = [run(30 + later, End.OWN, exit_at_ms=NOW + later * HOUR_MS) for later in (0, 1, 50)]
    stopped = [run(30 + later, End.GUARD, exit_at_ms=NOW + later * HOUR_MS) for later in (0, 1, 50)]
    unborn = run(5, exit_at_ms=NOW + 5 * HOUR_MS)
    went, enforced = (Ladder([*others, *some, unborn]).before(NOW) for some in (running, stopped))
    (_, first), *_ = went.rungs(LIKE)
    assert first.observations == (seen(20), *[seen(30, ended=False)] * 3, seen(40))
    assert (first.size, first.guard_ended, first.enforced_at_ms) == (5, 0, None)
    assert [one for _, one in went.rungs(LIKE)] == [one for _, one in enforced.rungs(LIKE)]


def test_the_ladder_of_a_moment_is_made_once():
    """
    Many matches of one minute ask the same groups; the ladder itself stays as it is.
    """
    ladder = Ladder([run(30, exit_at_ms=NOW)])
    assert ladder.before(NOW) is ladder.before(NOW)
    assert ladder.before(NOW) is not ladder.before(NOW + 1)
    assert [one.observations for _, one in ladder.rungs(LIKE)] == [(seen(30),)] * 3


@given(
    began=st.integers(-100, 100),
    lasts=st.integers(1, 200),
    first_seen=st.integers(-100, 300),
    end=st.sampled_from(End),
    at=st.integers(-50, 350),
)
def test_looking_back_is_what_was_seen_then(began, lasts, first_seen, end, at):
    """
    What is known later of a run, cut to a moment, is what somebody who looked at that moment had seen of it.
    """
    ended, first_seen = began + lasts, max(began, first_seen)
    whole = PastRun(like=LIKE, entry_ms=min(first_seen, ended) - began, exit_ms=lasts, exit_at_ms=ended, end=end)
    seen_ms = min(at, ended) - began
    if ended < at:
        assert known_at(whole, at) == whole
    elif first_seen >= at:
        assert known_at(whole, at) is None
    else:
        assert known_at(whole, at) == replace(whole, exit_ms=seen_ms, exit_at_ms=at, end=End.UNSEEN)
