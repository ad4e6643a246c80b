"""
What was spent in a period: exact sums, and runs that are cut at its borders.
"""

import itertools
from datetime import UTC, date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.periods import Period, Stretch, Sum, midnight_ms, scaled, unscaled
from guard.core.spans import DAY_MS, HOUR_MS

DAY_1 = 1_764_547_200_000  # 2025-12-01T00:00:00Z


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("12.5", 125_000_000_000, id="exact"),
        pytest.param("-0.0000000001", -1, id="the-smallest"),
        pytest.param("1E+3", 10_000_000_000_000, id="exponent"),
        pytest.param("12345678901234567890.0123456789", 123456789012345678900123456789, id="more-digits-than-a-context"),
    ],
)
def test_money_as_a_whole_number(money, amount):
    """
    Money becomes a whole number of its ten places, and comes back.
    """
    assert scaled(Decimal(money)) == amount
    assert unscaled(amount) == Decimal(money)


@pytest.mark.parametrize(
    ("ended", "running", "inside"),
    [
        pytest.param(2 * HOUR_MS, HOUR_MS, Sum(1, 0, HOUR_MS, 100), id="within"),
        pytest.param(HOUR_MS, 2 * HOUR_MS, Sum(1, 0, HOUR_MS, 50), id="began-before"),
        pytest.param(DAY_MS + HOUR_MS, 4 * HOUR_MS, Sum(1, 0, 3 * HOUR_MS, 75), id="ended-after"),
        pytest.param(DAY_MS + HOUR_MS, DAY_MS + 2 * HOUR_MS, Sum(1, 0, DAY_MS, 93), id="beyond-both"),
        pytest.param(0, HOUR_MS, None, id="ended-when-it-begins"),
        pytest.param(DAY_MS, HOUR_MS, Sum(1, 0, HOUR_MS, 100), id="ended-when-it-ends"),
        pytest.param(DAY_MS + HOUR_MS, HOUR_MS, None, id="began-when-it-ends"),
        pytest.param(0, 0, Sum(1, 0, 0, 100), id="never-ran-ended-when-it-begins"),
        pytest.param(DAY_MS, 0, None, id="never-ran-ended-when-it-ends"),
        pytest.param(1, 1, Sum(1, 0, 1, 100), id="one-millisecond"),
    ],
)
def test_a_run_in_a_day(ended, running, inside):
    """
    What lies in the day counts, to the millisecond; its money pro rata.
    """
    assert Stretch(DAY_1 + ended, running, 100).within(Period(DAY_1, DAY_1 + DAY_MS)) == inside


def test_unknown_cost_is_counted_and_not_zero():
    """
    A run without a known cost adds its time and says that its money is missing.
    """
    day, whole = Period(DAY_1, DAY_1 + DAY_MS), Sum()
    for one in (Stretch(DAY_1 + HOUR_MS, HOUR_MS, None), Stretch(DAY_1, 0, None), Stretch(DAY_1 + HOUR_MS, HOUR_MS, 7)):
        whole.add(one.within(day))
    assert whole == Sum(3, 2, 2 * HOUR_MS, 7)


@given(
    st.integers(0, 10**6),
    st.integers(1, 10**6),
    st.integers(0, 10**30),
    st.lists(st.integers(0, 2 * 10**6), min_size=1, max_size=6),
)
def test_periods_that_follow_each_other_add_up(began, running, amount, borders):
    """
    However a run is cut, its parts are its cost and its time, to the last place.
    """
    cuts = sorted({0, *borders, 3 * 10**6})
    run = Stretch(began + running, running, amount)
    parts = [part for first, last in itertools.pairwise(cuts) if (part := run.within(Period(first, last)))]
    assert sum(part.amount for part in parts) == amount
    assert sum(part.running_ms for part in parts) == running


@pytest.mark.parametrize(
    ("zone", "begin", "end", "days"),
    [
        pytest.param(UTC, 0, 2 * DAY_MS, [("2025-12-01", DAY_MS), ("2025-12-02", DAY_MS)], id="whole-days"),
        pytest.param(UTC, HOUR_MS, DAY_MS + 1, [("2025-12-01", 23 * HOUR_MS), ("2025-12-02", 1)], id="parts-of-days"),
        pytest.param(
            ZoneInfo("Asia/Shanghai"), 0, DAY_MS, [("2025-12-01", 16 * HOUR_MS), ("2025-12-02", 8 * HOUR_MS)], id="shanghai"
        ),
        pytest.param(UTC, 5, 5, [], id="none"),
    ],
)
def test_days_of_a_period(zone, begin, end, days):
    """
    A period is the sum of its days, which begin at midnight by the wall clock.
    """
    found = list(Period(DAY_1 + begin, DAY_1 + end).days(zone))
    assert [(day, part.to_ms - part.from_ms) for day, part in found] == days


def test_a_day_on_which_the_clocks_change():
    """
    The last Sunday of October has 25 hours in Berlin.
    """
    berlin = ZoneInfo("Europe/Berlin")
    whole = Period(1_761_256_800_000, 1_761_256_800_000 + 4 * DAY_MS)
    lengths = {day: part.to_ms - part.from_ms for day, part in whole.days(berlin)}
    assert lengths["2025-10-26"] == 25 * HOUR_MS
    assert lengths["2025-10-25"] == DAY_MS
    assert midnight_ms(date(2025, 10, 26), berlin) == 1_761_429_600_000
