"""
The savings of many terminations together.
"""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from past_runs import STOPPED, lasting

from guard.core.estimate import Method, estimate
from guard.core.likeness import Ladder
from guard.core.spans import HOUR_MS
from guard.core.survival import QUANTILE
from guard.core.totals import totals
from tests.changing import replace

METHOD = Method(horizon_ms=48 * HOUR_MS, min_ends=4, assumed_ms=HOUR_MS)
MEASURED = estimate(STOPPED, Ladder(lasting(36, 48, 60, 72)), METHOD)
ASSUMED = estimate(STOPPED, Ladder([]), METHOD)


def test_measured_and_assumed_are_never_summed():
    """
    Expected money is of the measured ones alone, and what was assumed has its own sum.
    """
    found = totals([MEASURED, ASSUMED, MEASURED])["CNY"]
    assert (found.measured, found.assumed) == (2, 1)
    assert (found.expected, found.assumed_money) == (Decimal(600), Decimal(10))
    assert (found.lower, found.upper) == (2 * MEASURED.figures.lower, Decimal(3 * 480))


def test_chance_is_allowed_for():
    """
    What the runs that were ended would really have cost varies around their mean, less so in proportion the more there are.
    """
    for number in (1, 100):
        found = totals([MEASURED] * number)["CNY"]
        history = number * float(MEASURED.figures.expected - MEASURED.figures.lower)
        chance = QUANTILE * math.sqrt(number) * 10 * MEASURED.figures.spread_ms / HOUR_MS
        assert float(found.at_least) == pytest.approx(max(0, number * 300 - math.hypot(history, chance)), abs=1e-6)
        assert found.at_least <= found.lower


def test_chance_of_any_size_is_reckoned():
    """
    Money beyond every float is garbage from the wire, and does not hide the rest.
    """
    found = totals([estimate(replace(STOPPED, per_hour=Fraction(10**400)), Ladder(lasting(36, 48, 60, 72)), METHOD)])["CNY"]
    assert 0 <= found.at_least < found.lower


def test_currencies_stand_apart():
    """
    There is no sum over currencies.
    """
    other = estimate(replace(STOPPED, currency="USD"), Ladder([]), METHOD)
    assert {name: one.assumed for name, one in totals([ASSUMED, other, other]).items()} == {"CNY": 1, "USD": 2}


def test_nothing_saved_nothing_said():
    """
    Without terminations there is no total.
    """
    assert totals([]) == {}
