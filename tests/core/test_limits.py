"""
How many terminations are allowed, and when an inventory is too old to say so.
"""

from fractions import Fraction

import pytest
from built import NOW

from guard.core.facts import Inventory
from guard.core.limits import Allowance, Fleet, Limits, allowance, is_stale
from guard.core.spans import HOUR_MS, MINUTE_MS

TOTAL, PERCENT = "max_terminations", "max_percent_of_running"


@pytest.mark.parametrize(
    ("limits", "jobs", "allowed"),
    [
        pytest.param(None, 1000, Allowance(total=None), id="no-limits"),
        pytest.param(Limits(max_terminations=None, max_percent_of_running=None), 9, Allowance(total=None), id="removed"),
        pytest.param(Limits(), 0, Allowance(total=3, limit=PERCENT), id="at-least-three"),
        pytest.param(Limits(), 15, Allowance(total=3, limit=PERCENT), id="share-rounded-down"),
        pytest.param(Limits(), 16, Allowance(total=4, limit=PERCENT), id="share"),
        pytest.param(Limits(), 79, Allowance(total=19, limit=PERCENT), id="share-just-below-the-number"),
        pytest.param(Limits(), 84, Allowance(total=20, limit=TOTAL), id="number"),
        pytest.param(Limits(max_terminations=2), 1000, Allowance(total=2, limit=TOTAL), id="number-below-three"),
        pytest.param(Limits(max_terminations=0), 1000, Allowance(total=0, limit=TOTAL), id="none-at-all"),
        pytest.param(Limits(max_terminations=None), 400, Allowance(total=100, limit=PERCENT), id="percentage-alone"),
        pytest.param(Limits(max_percent_of_running=None), 1, Allowance(total=20, limit=TOTAL), id="number-alone"),
        pytest.param(
            Limits(max_percent_of_running=Fraction("12.5")), 31, Allowance(total=3, limit=PERCENT), id="fraction-below"
        ),
        pytest.param(Limits(max_percent_of_running=Fraction("12.5")), 32, Allowance(total=4, limit=PERCENT), id="fraction"),
    ],
)
def test_allowance(limits, jobs, allowed):
    """
    The smaller of the limits counts, a share is rounded down, and the percentage allows at least 3.
    """
    assert allowance(limits, Fleet(running=jobs)) == allowed


def test_defaults():
    """
    Unless said otherwise the limits are on: 20 terminations and 25 % in an hour.
    """
    assert Limits() == Limits(window_ms=3_600_000, max_terminations=20, max_percent_of_running=Fraction(25))


def inventory(*, started_at_ms=NOW - MINUTE_MS, finished_at_ms=NOW):
    """
    Return a complete inventory.
    """
    return Inventory(target="lab", jobs=0, complete=True, started_at_ms=started_at_ms, finished_at_ms=finished_at_ms)


@pytest.mark.parametrize(
    ("walk_ms", "age_ms", "stale"),
    [
        pytest.param(MINUTE_MS, 3 * HOUR_MS - 1, False, id="below"),
        pytest.param(MINUTE_MS, 3 * HOUR_MS, False, id="on"),
        pytest.param(MINUTE_MS, 3 * HOUR_MS + 1, True, id="above"),
        pytest.param(2 * HOUR_MS, 6 * HOUR_MS, False, id="slow-walk-on"),
        pytest.param(2 * HOUR_MS, 6 * HOUR_MS + 1, True, id="slow-walk-above"),
    ],
)
def test_stale_after_three_walks(walk_ms, age_ms, stale):
    """
    An inventory is stale beyond three walks, each as long as it took or as the schedule says, whichever is longer.
    """
    newest = inventory(started_at_ms=NOW - age_ms - walk_ms, finished_at_ms=NOW - age_ms)
    assert is_stale(newest, walk_every_ms=HOUR_MS, now_ms=NOW) is stale


def test_no_inventory_is_stale():
    """
    A target that was never walked completely holds back.
    """
    assert is_stale(None, walk_every_ms=HOUR_MS, now_ms=NOW) is True
