"""
The three numbers of a termination, by hand; the statistics below them have tests of their own.
"""

import math
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from built import NOW
from past_runs import LIKE, STOPPED, lasting, run

from guard.core.estimate import TABLE_ROWS, Estimate, Method, estimate, recompute
from guard.core.facts import UNREADABLE
from guard.core.likeness import End, Ladder, Rung
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from guard.core.survival import QUANTILE
from tests.changing import replace

METHOD = Method(horizon_ms=48 * HOUR_MS, min_ends=4)
# Beyond 24 hours these have 12, 24, 36 and 48 hours left; the mean is 30.
FOUR = [run(3), *lasting(36, 48, 60, 72)]


def estimated(runs=FOUR, *, method=METHOD, **changes):
    """
    Return the estimate of a job that cost 10 an hour and was ended after 24 hours.
    """
    return estimate(replace(STOPPED, **changes), Ladder(runs), method)


def test_expected_is_the_rate_times_the_mean_of_what_was_left():
    """
    Of four runs with 12, 24, 36 and 48 hours left the mean is 30 hours, and upper is the horizon.
    """
    found = estimated().figures
    assert (found.mean_ms, found.expected, found.upper, found.assumed) == (30 * HOUR_MS, Decimal(300), Decimal(480), None)
    assert found.rung is Rung.SAME_WORK


def test_lower_is_the_mean_of_the_limit_by_greenwood():
    """
    The curve of the four falls by a quarter at each end; lower is the area below its limits, 0.05 ** (1/4) before the first.
    """
    found, most = estimated().figures, 0.05**0.25
    greenwood = [1 / (4 * 3), 1 / (4 * 3) + 1 / (3 * 2), 1 / (4 * 3) + 1 / (3 * 2) + 1 / 2]
    limits = [
        min(most, share ** math.exp(QUANTILE * math.sqrt(total) / -math.log(share)))
        for share, total in zip((3 / 4, 2 / 4, 1 / 4), greenwood, strict=True)
    ]
    assert found.lower_ms == pytest.approx(12 * HOUR_MS * (most + sum(limits)), abs=2)
    assert float(found.lower) == pytest.approx(10 * 12 * (most + sum(limits)), abs=1e-4)
    assert found.spread_ms == pytest.approx(180**0.5 * HOUR_MS, abs=2)


def test_runs_that_all_reach_the_horizon_prove_no_certainty():
    """
    Where none of n ended in the window Greenwood sees no variance; lower is then what n runs can vouch for.
    """
    found = estimated(lasting(*[100] * 40)).figures
    assert found.expected == Decimal(480)
    assert float(found.lower) == pytest.approx(480 * 0.05 ** (1 / 40), abs=1e-4)


@pytest.mark.parametrize(
    ("auto_stop", "expected", "upper"),
    [
        pytest.param(UNREADABLE, 300, 480, id="unreadable-counts-as-none"),
        pytest.param(100 * HOUR_MS, 300, 480, id="after-the-horizon"),
        pytest.param(36 * HOUR_MS, 120, 120, id="all-reach-it"),
        pytest.param(48 * HOUR_MS, 210, 240, id="three-of-four-reach-it"),
        pytest.param(24 * HOUR_MS, 0, 0, id="it-was-about-to-stop"),
        pytest.param(20 * HOUR_MS, 0, 0, id="it-should-have-stopped"),
    ],
)
def test_the_own_stop_ends_what_is_claimed(auto_stop, expected, upper):
    """
    A job that would have stopped itself saves no more than until then.
    """
    found = estimated(auto_stop_ms=auto_stop).figures
    assert (found.expected, found.upper) == (Decimal(expected), Decimal(upper))
    assert 0 <= found.lower <= found.expected <= found.upper


@pytest.mark.parametrize(
    ("runs", "changes", "rung"),
    [
        pytest.param(FOUR, {}, Rung.SAME_WORK, id="enough"),
        pytest.param(FOUR[:-1], {}, None, id="one-end-too-few"),
        pytest.param([*FOUR[:-1], run(72, End.UNSEEN)], {}, None, id="one-still-running"),
        pytest.param([*FOUR[:-1], run(24)], {}, None, id="one-ended-right-then"),
        pytest.param([*FOUR[:-1], run(72, entry_ms=DAY_MS)], {}, Rung.SAME_WORK, id="one-seen-at-the-elapsed-time"),
        pytest.param([*FOUR[:-1], run(72, entry_ms=DAY_MS + 1)], {}, None, id="one-seen-only-later"),
        pytest.param([run(72, entry_ms=DAY_MS), *FOUR[:-1]], {"elapsed_ms": None}, None, id="no-clock"),
        pytest.param([], {}, None, id="no-history"),
        pytest.param(
            [*FOUR[:-1], run(72, like=replace(LIKE, user="bob"))], {}, Rung.SAME_RESOURCES, id="enough-one-rung-down"
        ),
        pytest.param([*FOUR[:-1], run(72, like=replace(LIKE, billing_codes="x"))], {}, Rung.ALL, id="enough-of-all"),
    ],
)
def test_a_group_counts_only_with_enough_behind_it(runs, changes, rung):
    """
    So many must have ended by themselves later, and so many been there at the elapsed time; else the next group is asked.
    """
    assert estimated(runs, **changes).figures.rung is rung


def test_the_default_is_thirty_natural_ends():
    """
    Twenty-nine are too few.
    """
    assert estimated(lasting(*[30] * 29), method=Method()).figures.rung is None
    assert estimated(lasting(*[30] * 30), method=Method()).figures.rung is Rung.SAME_WORK


@pytest.mark.parametrize(
    ("assumed_ms", "auto_stop", "money"),
    [
        pytest.param(0, UNREADABLE, 0, id="nothing-by-default"),
        pytest.param(6 * HOUR_MS, UNREADABLE, 60, id="as-configured"),
        pytest.param(6 * HOUR_MS, 25 * HOUR_MS, 10, id="not-beyond-the-own-stop"),
        pytest.param(90 * HOUR_MS, UNREADABLE, 480, id="not-beyond-the-horizon"),
    ],
)
def test_what_is_assumed_stands_apart(assumed_ms, auto_stop, money):
    """
    Without a group there is no expected saving, the lower one is 0, and the assumption has its own place.
    """
    found = estimated([], method=replace(METHOD, assumed_ms=assumed_ms), auto_stop_ms=auto_stop).figures
    assert (found.expected, found.assumed, found.lower) == (None, Decimal(money), Decimal(0))
    assert found.assumed <= found.upper


def test_the_record_says_what_was_asked_and_why_it_did_not_count():
    """
    Every rung that was tried is in the record with its size and ends; only the one that counts has its life table.
    """
    runs = [*FOUR[:-1], run(72, End.UNSEEN), run(80, like=replace(LIKE, user="bob"))]
    first, second = estimated(runs).inputs.evidence
    assert (first.rung, first.size, first.at_risk, first.ends_after, first.steps) == (Rung.SAME_WORK, 5, 4, 3, ())
    assert (second.rung, second.size, second.at_risk, second.ends_after) == (Rung.SAME_RESOURCES, 6, 5, 4)
    assert [(step.at_ms, step.at_risk, step.ended) for step in second.steps] == [
        (12 * HOUR_MS, 5, 1),
        (24 * HOUR_MS, 4, 1),
        (36 * HOUR_MS, 3, 1),
    ]


def test_enforcement_stands_in_the_record():
    """
    How many the guard ended, since when and from which elapsed time on, is told beside the figures.
    """
    stops = lasting(24, 25, end=End.GUARD, exit_at_ms=NOW + 9 * DAY_MS)
    (found,) = estimated([*FOUR, *stops]).inputs.evidence
    assert (found.guard_ended, found.enforced_at_ms, found.enforced_from_ms) == (2, NOW + 9 * DAY_MS, 24 * HOUR_MS)
    assert found.rung is Rung.SAME_WORK


def test_history_from_enforcement_alone_is_no_measurement():
    """
    A thousand runs that were stopped at 24 hours, and a hundred that were spared and ran for days, leave an assumption.
    """
    stopped = [run(24 + index / 1000, End.GUARD, exit_at_ms=NOW - index * MINUTE_MS) for index in range(1000)]
    spared = [run(60, exit_at_ms=NOW - index * MINUTE_MS) for index in range(100)]
    assert estimated([*stopped, *spared], elapsed_ms=DAY_MS).figures.rung is None


@pytest.mark.parametrize("runs", [FOUR, [], FOUR[:-1]], ids=["measured", "no-history", "too-few"])
def test_the_record_alone_gives_the_figures_again(runs):
    """
    Written as JSON, read back and worked out anew, every figure is the same; a changed one is noticed.
    """
    made = estimated(runs, per_hour=Fraction(10, 3))
    read = msgspec.json.decode(msgspec.json.encode(made), type=Estimate)
    assert read == made
    assert read.holds
    assert recompute(read.inputs) == made.figures
    assert not msgspec.structs.replace(read, figures=msgspec.structs.replace(read.figures, mean_ms=1)).holds


def test_the_record_stays_small():
    """
    However many runs there are, the life table has so many rows at most, and rounding claims a row's width less at most.
    """
    runs = lasting(*(24 + index / 100 for index in range(1, 6000)))
    made = estimated(runs)
    (evidence,) = made.inputs.evidence
    assert len(evidence.steps) <= TABLE_ROWS
    assert len(msgspec.json.encode(made)) < 8_000
    exact_ms = sum(min(one.exit_ms - DAY_MS, 48 * HOUR_MS) for one in runs) / len(runs)
    assert exact_ms - evidence.step_ms <= made.figures.mean_ms <= exact_ms


def test_time_that_nobody_saw_is_not_claimed():
    """
    Runs that were last seen after 36 hours say nothing of the 36 after that.
    """
    runs = [*lasting(25, 26, 27, 28), *lasting(*[36] * 96, end=End.UNSEEN)]
    found = estimated(runs).figures
    assert found.mean_ms <= 12 * HOUR_MS
    assert found.upper == Decimal(480)
