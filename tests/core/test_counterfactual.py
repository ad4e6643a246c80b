"""
Estimates against a world in which it is known how long every job would have run.

The same at full size, with twenty seeds, stands among the benchmarks; its figures are in the README.
"""

import pytest

from benchmarks.counterfactual import FAMILIES, MANY_KINDS, ONE_KIND, World, enforced
from guard.core.likeness import Rung
from guard.core.totals import totals


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_expected_is_the_truth(family):
    """
    After 10,000 jobs were watched, what is expected of the next ones is within 5 % of the truth, and the bounds hold.
    """
    outcome = enforced(World(family=family, mix=MANY_KINDS, history=10_000, later=3_000), 1)
    found = totals(outcome.estimates)["CNY"]
    assert found.measured > 500
    assert found.assumed < 20
    assert abs(found.expected / outcome.measured_truth - 1) < 0.05
    assert found.at_least <= found.lower <= outcome.truth <= found.upper
    assert all(one.holds for one in outcome.estimates[:20])
    assert {one.figures.rung for one in outcome.estimates} >= {Rung.SAME_WORK, Rung.SAME_RESOURCES}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_was_enforced_from_the_first_day_is_never_measured(family):
    """
    A history that the policy itself has cut at its limit leaves every figure assumed, and nothing expected.
    """
    outcome = enforced(World(family=family, mix=ONE_KIND, history=1_000, later=1_000, armed_ms=0), 1)
    found = totals(outcome.estimates)["CNY"]
    assert (found.measured, found.expected, found.lower) == (0, 0, 0)
    assert found.assumed == len(outcome.estimates) > 500
    assert outcome.truth <= found.upper
