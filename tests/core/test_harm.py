"""
What a policy that only observes would have saved, and whom it would have hurt.
"""

from decimal import Decimal

import pytest
from built import NOW

from guard.core.harm import Forecast, Match, Spared, hindsight, match_ms, spared
from guard.core.likeness import End
from guard.core.periods import Stretch, scaled
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from tests.changing import replace

ENDED = Spared(
    policy="one-day",
    currency="CNY",
    deadline_ms=NOW - 3 * DAY_MS,
    end_ms=NOW - 3 * DAY_MS + 2 * HOUR_MS,
    end=End.OWN,
    phase="Completed",
    spent=Decimal(240),
    after=Decimal(20),
    within=Decimal(20),
    forecast=Forecast(horizon_ms=DAY_MS, expected=Decimal(35)),
)


def after(span_ms, **changes):
    """
    Return a run that went on so long after its deadline.
    """
    return replace(ENDED, end_ms=ENDED.deadline_ms + span_ms, **changes)


def looked_back(*spared):
    """
    Return the only policy in hindsight, at NOW.
    """
    (found,) = hindsight(spared, now_ms=NOW)
    return found


@pytest.mark.parametrize(
    ("run", "completed"),
    [
        pytest.param(after(0), (1, 1, 1), id="in-the-millisecond-of-the-deadline"),
        pytest.param(after(HOUR_MS), (1, 1, 1), id="on-the-first-hour"),
        pytest.param(after(HOUR_MS + 1), (0, 1, 1), id="just-after-it"),
        pytest.param(after(4 * HOUR_MS), (0, 1, 1), id="on-the-fourth-hour"),
        pytest.param(after(4 * HOUR_MS + 1), (0, 0, 1), id="just-after-that"),
        pytest.param(after(DAY_MS), (0, 0, 1), id="on-the-day"),
        pytest.param(after(DAY_MS + 1), (0, 0, 0), id="a-day-and-a-millisecond"),
        pytest.param(after(MINUTE_MS, phase="Failed"), (0, 0, 0), id="a-failure-is-no-loss"),
        pytest.param(after(MINUTE_MS, phase="Terminated"), (0, 0, 0), id="nor-is-what-a-person-stopped"),
        pytest.param(after(MINUTE_MS, phase="Terminated", end=End.GUARD), (0, 0, 0), id="nor-what-another-policy-ended"),
        pytest.param(after(MINUTE_MS, phase="Running", end=End.UNSEEN), (0, 0, 0), id="nor-what-still-runs"),
    ],
)
def test_harm(run, completed):
    """
    Only what completed by itself is hurt, counted up to both borders of each span, with what it had cost by the deadline.
    """
    harm = looked_back(run).harm
    assert tuple(one.completed for one in harm) == completed
    assert tuple(one.spent for one in harm) == tuple(240 * Decimal(number) for number in completed)


def test_a_cost_that_is_unknown_is_counted_not_taken_for_nothing():
    """
    Runs without a price are told beside the sums.
    """
    found = looked_back(after(MINUTE_MS, spent=None, after=None), ENDED)
    assert [(one.completed, one.spent, one.unpriced) for one in found.harm] == [
        (1, Decimal(0), 1),
        (2, Decimal(240), 1),
        (2, Decimal(240), 1),
    ]
    assert (found.potential, found.unpriced) == (Decimal(20), 1)


def test_what_ended_before_its_deadline_was_never_to_be_ended():
    """
    It is in no figure at all.
    """
    assert hindsight([after(-1)], now_ms=NOW) == []


def test_potential_is_to_the_own_end_and_apart_from_what_still_runs():
    """
    What another policy ended is in neither sum, since nobody knows how long it would have gone on.
    """
    found = looked_back(
        ENDED,
        replace(ENDED, end=End.UNSEEN, phase="Running", after=Decimal(7)),
        replace(ENDED, end=End.GUARD, phase="Terminated", after=Decimal(500)),
        replace(ENDED, end=End.UNSEEN, phase="Running", after=Decimal(900), lost=True),
    )
    assert (found.runs, found.running, found.cut_short, found.lost) == (4, 1, 1, 1)
    assert (found.potential, found.so_far) == (Decimal(20), Decimal(7))


ASSUMED = Forecast(horizon_ms=DAY_MS, expected=None)
YOUNG = replace(ENDED, deadline_ms=NOW - DAY_MS + 1, end_ms=NOW - DAY_MS + 2)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        pytest.param(ENDED, (1, 0, 0), id="ended"),
        pytest.param(replace(ENDED, deadline_ms=NOW - DAY_MS, end_ms=NOW), (1, 0, 0), id="a-whole-horizon-ago"),
        pytest.param(YOUNG, (0, 0, 0), id="less-than-a-horizon-ago"),
        pytest.param(replace(YOUNG, forecast=ASSUMED), (0, 0, 0), id="assumed-less-than-a-horizon-ago"),
        pytest.param(
            replace(YOUNG, forecast=Forecast(horizon_ms=1, expected=Decimal(35))), (1, 0, 0), id="a-shorter-horizon"
        ),
        pytest.param(after(DAY_MS, end=End.UNSEEN), (1, 0, 0), id="still-runs-after-the-horizon"),
        pytest.param(after(DAY_MS - 1, end=End.UNSEEN), (0, 0, 0), id="runs-and-was-not-seen-at-the-horizon-yet"),
        pytest.param(after(DAY_MS, end=End.UNSEEN, lost=True), (1, 0, 0), id="lost-from-view-after-it"),
        pytest.param(after(DAY_MS - 1, end=End.UNSEEN, lost=True), (0, 0, 1), id="lost-from-view-before-it"),
        pytest.param(after(DAY_MS, end=End.GUARD), (1, 0, 0), id="cut-short-after-the-horizon"),
        pytest.param(after(DAY_MS - 1, end=End.GUARD), (0, 0, 1), id="cut-short-before-it"),
        pytest.param(replace(ENDED, within=None), (0, 0, 0), id="of-unknown-cost"),
        pytest.param(replace(ENDED, forecast=None), (0, 0, 0), id="without-a-forecast"),
        pytest.param(replace(ENDED, forecast=ASSUMED), (0, 1, 0), id="would-have-been-assumed"),
        pytest.param(after(DAY_MS - 1, end=End.GUARD, forecast=ASSUMED), (0, 1, 0), id="assumed-and-cut-short"),
    ],
)
def test_forecasts_are_compared_with_the_same_runs(run, told):
    """
    Measured and expected are summed over the same runs, those that are known up to the horizon of their forecast, however
    they went; why others are not compared is counted.
    """
    found, compared = looked_back(run), told[0]
    assert (found.compared, found.assumed, found.unfollowed) == told
    assert (found.measured, found.expected) == (20 * compared, 35 * compared)


@pytest.mark.parametrize(("deadline_ms", "from_ms"), [(None, 7), (6, 7), (7, 7), (8, 8)])
def test_a_match_begins_at_the_deadline_but_not_before_it_was_seen(deadline_ms, from_ms):
    """
    A policy saves nothing of the time before it was there.
    """
    assert match_ms(deadline_ms, 7) == from_ms


def test_policies_and_currencies_stand_apart():
    """
    Each policy and each currency has a line of its own, in order.
    """
    runs = [ENDED, replace(ENDED, policy="big"), replace(ENDED, currency="USD"), ENDED]
    found = hindsight(runs, now_ms=NOW)
    assert [(one.policy, one.currency, one.runs) for one in found] == [
        ("big", "CNY", 1),
        ("one-day", "CNY", 2),
        ("one-day", "USD", 1),
    ]


@pytest.mark.parametrize(
    ("from_hours", "costs"),
    [
        pytest.param(10, (100, 200, 50), id="in-the-middle"),
        pytest.param(0, (0, 300, 50), id="from-the-beginning"),
        pytest.param(30, (300, 0, 0), id="at-its-end"),
        pytest.param(40, (300, 0, 0), id="after-its-end"),
    ],
)
def test_the_cost_of_a_run_is_parted_at_the_match(from_hours, costs):
    """
    What was spent until the match, after it, and within the horizon after it, evenly over the running time.
    """
    run = Stretch(NOW, 30 * HOUR_MS, scaled(Decimal(300)))
    forecast = Forecast(horizon_ms=5 * HOUR_MS, expected=Decimal(1))
    match = Match(policy="p", currency="CNY", from_ms=NOW + (from_hours - 30) * HOUR_MS, forecast=forecast)
    found = spared(match, run, End.OWN, "Completed")
    assert (found.spent, found.after, found.within) == tuple(map(Decimal, costs))
    assert (found.deadline_ms, found.end_ms, found.end, found.phase) == (match.from_ms, NOW, End.OWN, "Completed")
    assert found.forecast == forecast
    unknown = spared(match, Stretch(NOW, 30 * HOUR_MS, None), End.OWN, "Completed")
    assert (unknown.spent, unknown.after, unknown.within) == (None, None, None)
    assert spared(replace(match, forecast=None), run, End.OWN, "Completed").within is None


@pytest.mark.parametrize(
    ("end", "over", "lost"), [(End.UNSEEN, True, True), (End.UNSEEN, False, False), (End.OWN, True, False)]
)
def test_what_is_over_and_was_not_read_is_lost(end, over, lost):
    """
    A run whose end is on record and that nobody saw ending does not run any more.
    """
    match = Match(policy="p", currency="CNY", from_ms=NOW - HOUR_MS)
    assert spared(match, Stretch(NOW, 30 * HOUR_MS, 1), end, "Running", over=over).lost is lost
