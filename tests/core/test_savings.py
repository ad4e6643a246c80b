"""
What a termination saved at most, and what a run has cost.
"""

from decimal import Decimal
from fractions import Fraction

import pytest
from built import NOW, P100_NODES, running

from guard.core.facts import ABSENT, UNREADABLE
from guard.core.price import plain_book
from guard.core.savings import Prices, exact, settle, upper_savings
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS


@pytest.mark.parametrize(
    ("money", "shown"),
    [
        pytest.param(Fraction(0), "0", id="zero"),
        pytest.param(Fraction(5, 2), "2.5", id="exact"),
        pytest.param(Fraction(1, 3), "0.3333333333", id="ten-places"),
        pytest.param(Fraction(2, 3), "0.6666666667", id="rounded"),
        pytest.param(Fraction(1, 2 * 10**10), "0", id="half-to-even"),
        pytest.param(Fraction(10**30 + 1), "1" + "0" * 29 + "1", id="more-digits-than-a-context"),
        pytest.param(Fraction(-1, 4), "-0.25", id="negative"),
    ],
)
def test_exact(money, shown):
    """
    Money of any size has ten exact places.
    """
    assert exact(money) == Decimal(shown)
    assert exact(money).as_tuple().exponent == -10


@pytest.mark.parametrize(
    ("auto_stop", "running_ms", "saved"),
    [
        pytest.param(ABSENT, HOUR_MS, Fraction(240), id="to-the-horizon"),
        pytest.param(UNREADABLE, HOUR_MS, Fraction(240), id="unreadable-counts-as-none"),
        pytest.param(
            25 * HOUR_MS - 1, HOUR_MS, Fraction(240) - Fraction(10, HOUR_MS), id="own-stop-1-ms-before-the-horizon"
        ),
        pytest.param(25 * HOUR_MS, HOUR_MS, Fraction(240), id="own-stop-on-the-horizon"),
        pytest.param(25 * HOUR_MS + 1, HOUR_MS, Fraction(240), id="own-stop-after-the-horizon"),
        pytest.param(3 * HOUR_MS, HOUR_MS, Fraction(20), id="own-stop"),
        pytest.param(HOUR_MS, HOUR_MS, Fraction(0), id="own-stop-now"),
        pytest.param(HOUR_MS, HOUR_MS + 1, Fraction(0), id="own-stop-past"),
    ],
)
def test_upper_savings(auto_stop, running_ms, saved):
    """
    The upper bound ends at the horizon or at the job's own stop, whichever is first, and is never negative.
    """
    assert upper_savings(Fraction(10), running_ms, auto_stop_ms=auto_stop, horizon_ms=DAY_MS) == saved


PRICES = Prices(book=plain_book("CNY", {str(P100_NODES.billing_code): Fraction(10, 8)}), per_hour=Fraction(10))


@pytest.mark.parametrize(
    ("changes", "cost", "upper"),
    [
        pytest.param({}, "20", "240", id="final-duration"),
        pytest.param({"duration_ms": 0}, "20", "240", id="by-the-start"),
        pytest.param({"duration_ms": UNREADABLE, "start_time_ms": NOW - HOUR_MS}, "10", "240", id="by-a-later-start"),
        pytest.param({"duration_ms": 0, "start_time_ms": 0}, None, "240", id="no-clock"),
        pytest.param({"duration_ms": 0, "start_time_ms": 0, "auto_stop_ms": HOUR_MS}, None, "10", id="no-clock-own-stop"),
        pytest.param({"duration_ms": 1}, "0.0000027778", "240", id="one-millisecond"),
        pytest.param({"auto_stop_ms": 3 * HOUR_MS}, "20", "10", id="own-stop"),
        pytest.param({"node_counts": ((NOW - 2 * HOUR_MS, 4), (NOW - HOUR_MS, 2))}, "15", "240", id="elastic"),
        pytest.param({"node_counts": UNREADABLE}, None, "240", id="elastic-unreadable"),
    ],
)
def test_settle(changes, cost, upper):
    """
    A run's cost is exact where its time is known, and unknown, not 0, where it is not.
    """
    job = running(2 * HOUR_MS, **{"phase": "Terminated", **changes})
    settled = settle(job, PRICES, stopped_ms=NOW, horizon_ms=DAY_MS)
    assert settled == (None if cost is None else Decimal(cost), Decimal(upper))


def test_a_stop_before_the_start():
    """
    A call that was accepted before the job's clock began has cost nothing.
    """
    job = running(HOUR_MS, duration_ms=ABSENT)
    assert settle(job, PRICES, stopped_ms=NOW - 2 * HOUR_MS, horizon_ms=DAY_MS) == (Decimal(0), Decimal(240))


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        pytest.param({}, "20", id="to-its-end"),
        pytest.param({"start_time_ms": NOW - 3 * HOUR_MS}, "19.8333333333", id="a-start-that-says-otherwise"),
        pytest.param({"start_time_ms": NOW}, "20", id="a-start-after-the-end"),
        pytest.param({"start_time_ms": 0}, "19.8333333333", id="without-a-start"),
    ],
)
def test_a_run_that_went_on_after_the_call(changes, cost):
    """
    The minute until a job had ended is paid for with the nodes that it had at its end, not with those before its start.
    """
    job = running(2 * HOUR_MS, phase="Terminated", node_counts=((NOW - 2 * HOUR_MS, 4),), **changes)
    assert settle(job, PRICES, stopped_ms=NOW - MINUTE_MS, horizon_ms=DAY_MS)[0] == Decimal(cost)
