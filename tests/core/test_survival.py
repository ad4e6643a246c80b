"""
Kaplan-Meier against ``lifelines``, and the corners that no library says anything about.
"""

import itertools
import math
from random import Random

import lifelines
import numpy as np
import pytest
from lifelines.utils import restricted_mean_survival_time

from guard.core.survival import (
    LifeTable,
    Observation,
    Step,
    life_table,
    remaining,
    restricted_mean,
    survival,
    survival_limits,
)

CLOSE = 1e-9
MS_IN_TEST = 100_000


def sample(seed: int, *, entries: bool = False) -> list[Observation]:
    """
    Return 5 to 300 runs, many with the same times, some censored; with *entries* half of them were entered late.

    Late entries are odd and all other times are even, so that no convention about ties of entries with ends matters.
    """
    rng = Random(seed)
    ties, censored = rng.choice([2, 50, 2_000]), rng.choice([0.0, 0.2, 0.8])
    rows = []
    for _ in range(rng.randint(5, 300)):
        exit_ms = 2 * math.ceil(rng.expovariate(1) * MS_IN_TEST / ties + 0.001) * ties
        late = entries and rng.random() < 0.5
        entry_ms = 2 * rng.randrange(exit_ms // 2) + 1 if late else 0
        rows.append(Observation(entry_ms, exit_ms, rng.random() >= censored))
    # Somebody must have been there from the beginning: lifelines refuses a curve that falls to 0 before others enter.
    return [*rows, *(Observation(0, 40 * MS_IN_TEST, False) for _ in range(2))]


def fitted(rows: list[Observation]) -> lifelines.KaplanMeierFitter:
    """
    Return what lifelines makes of the same runs; alpha 0.1 on two sides is 0.05 on one.
    """
    entry, exits, ended = zip(*rows, strict=True)
    late = {"entry": np.array(entry)} if any(entry) else {}
    return lifelines.KaplanMeierFitter(alpha=0.1).fit(np.array(exits), np.array(ended), **late)


def area(fit: lifelines.KaplanMeierFitter, column: str, until_ms: int, most: float) -> float:
    """
    Return the area below a curve of lifelines up to a time, where it is never taken above *most*.
    """
    curve = getattr(fit, column).loc[: until_ms - 1].iloc[:, 0]
    return float((np.minimum(curve.to_numpy(), most) * np.diff([*curve.index, until_ms])).sum())


@pytest.mark.parametrize("seed", range(200))
def test_against_lifelines(seed):
    """
    Survival, Greenwood limit and restricted mean of both are those of lifelines on random samples, half entered late.
    """
    rows = sample(seed, entries=seed % 2 == 1)
    table, fit = life_table(rows), fitted(rows)
    times = [step.at_ms for step in table.steps]
    theirs = fit.survival_function_.loc[times].to_numpy()[:, 0]
    limits = fit.confidence_interval_.loc[times].to_numpy()[:, 0]
    assert survival(table) == pytest.approx(theirs, rel=CLOSE, abs=CLOSE)
    assert survival_limits(table) == pytest.approx(limits, rel=CLOSE, abs=CLOSE)
    for until_ms in (1, MS_IN_TEST // 3, MS_IN_TEST, 3 * MS_IN_TEST, 40 * MS_IN_TEST):
        ours = restricted_mean(table, until_ms, watched=1_000)
        mean, most = restricted_mean_survival_time(fit, t=until_ms), 0.05 ** (1 / 1_000)
        assert ours.mean_ms == pytest.approx(mean, rel=CLOSE)
        assert ours.lower_ms == pytest.approx(area(fit, "confidence_interval_", until_ms, most), rel=CLOSE)
        points, moment = [0, *(at for at in times if at < until_ms), until_ms], 0.0
        for (left, right), share in zip(itertools.pairwise(points), [1.0, *survival(table)], strict=False):
            moment += share * (right**2 - left**2)
        assert ours.spread_ms == pytest.approx(math.sqrt(max(0.0, moment - mean**2)), rel=1e-6, abs=1e-3 * until_ms)
        assert 0 <= ours.lower_ms <= ours.mean_ms <= until_ms


@pytest.mark.parametrize("seed", range(20))
def test_the_remaining_time_is_conditional(seed):
    """
    The remaining time after an elapsed time is the area beyond it over the survival there, as lifelines has it.
    """
    rows, elapsed_ms, until_ms = sample(seed), MS_IN_TEST // 2 + 1, 2 * MS_IN_TEST
    fit = fitted(rows)
    beyond = restricted_mean_survival_time(fit, t=elapsed_ms + until_ms) - restricted_mean_survival_time(fit, t=elapsed_ms)
    ours = restricted_mean(remaining(rows, elapsed_ms), until_ms, watched=len(rows))
    assert ours.mean_ms == pytest.approx(beyond / fit.predict(elapsed_ms), rel=CLOSE)


def test_a_censored_run_was_at_risk_until_then():
    """
    Of a natural end and a censoring at the same time, the end comes first.
    """
    rows = [Observation(0, 5, True), Observation(0, 5, False), Observation(0, 9, True)]
    assert life_table(rows) == LifeTable((Step(5, 3, 1), Step(9, 1, 1)), 9)


def test_a_late_entry_counts_from_the_next_millisecond():
    """
    A run that was first seen at the elapsed time at which another ended was not at risk of that.
    """
    rows = [Observation(0, 5, True), Observation(0, 6, True), Observation(5, 9, True)]
    assert life_table(rows).steps == (Step(5, 2, 1), Step(6, 2, 1), Step(9, 1, 1))


@pytest.mark.parametrize("entry_ms", [5, 6])
def test_what_was_never_observed_tells_nothing(entry_ms):
    """
    A run that had ended by the time it was first seen is not a run that was watched.
    """
    assert life_table([Observation(entry_ms, 5, True)]) == LifeTable((), 0)


def test_no_runs_no_time():
    """
    Without history nothing is claimed.
    """
    assert restricted_mean(life_table([]), 100, watched=0) == (0.0, 0.0, 0.0)


def test_time_that_nobody_saw_is_not_counted():
    """
    Where everything is censored at 24, the mean is 24 and not the horizon of 168.
    """
    rows = [Observation(0, 24, False) for _ in range(50)]
    assert restricted_mean(life_table(rows), 168, watched=50).mean_ms == 24


def test_what_all_ran_out_of_has_no_limit_above_nothing():
    """
    A curve that falls to 0 has the limit 0 there, and adds nothing after it.
    """
    table = life_table([Observation(0, 2, True), Observation(0, 4, True)])
    assert survival(table) == [0.5, 0.0]
    assert survival_limits(table)[1] == 0.0
    assert restricted_mean(table, 10, watched=2).mean_ms == 3


@pytest.mark.parametrize("watched", [1, 30, 1_000])
def test_runs_that_all_last_prove_no_certainty(watched):
    """
    Where none ended Greenwood sees no variance; lower is then what so many runs can vouch for.
    """
    table = life_table([Observation(0, 200, True) for _ in range(watched)])
    assert restricted_mean(table, 100, watched=watched) == (100, pytest.approx(100 * 0.05 ** (1 / watched)), 0)


SHAPES = {
    "exponential": lambda rng: rng.expovariate(1 / 50),
    "most-reach-the-horizon": lambda rng: rng.expovariate(1 / 2_000),
    "one-in-twenty-fails-at-once": lambda rng: 1 if rng.random() < 0.05 else 300,
    "half-fail-early": lambda rng: 5 if rng.random() < 0.5 else 300,
    "log-normal": lambda rng: rng.lognormvariate(3.7, 1.2),
}


@pytest.mark.parametrize("censored", [False, True], ids=["seen-to-the-end", "censored"])
@pytest.mark.parametrize("draw", SHAPES.values(), ids=SHAPES)
def test_the_limit_holds_as_often_as_it_says(draw, censored):
    """
    Of samples of 40 runs at least 93 % (95 % less the chance of 300 samples) have a lower limit below the true mean.
    """
    rng = Random(5)
    truth = sum(min(max(1, round(draw(rng))), 100) for _ in range(50_000)) / 50_000
    held = 0
    for _ in range(300):
        rows = []
        for _ in range(40):
            lasts, left = max(1, round(draw(rng))), round(rng.expovariate(1 / 150)) + 1 if censored else 1_000_000
            rows.append(Observation(0, min(lasts, left), lasts <= left))
        held += restricted_mean(life_table(rows), 100, watched=40).lower_ms <= truth
    assert held >= 0.93 * 300


@pytest.mark.parametrize(
    ("row", "rounded"),
    [
        pytest.param(Observation(0, 100, True), (), id="ended-at-the-elapsed-time"),
        pytest.param(Observation(0, 101, True), (Step(0, 1, 1),), id="ended-just-after-it"),
        pytest.param(Observation(0, 109, True), (Step(0, 1, 1),), id="down"),
        pytest.param(Observation(0, 110, True), (Step(10, 1, 1),), id="on-the-grid"),
        pytest.param(Observation(100, 110, True), (Step(10, 1, 1),), id="entered-at-the-elapsed-time"),
        pytest.param(Observation(101, 119, True), (), id="entered-and-ended-between"),
        pytest.param(Observation(101, 120, True), (Step(20, 1, 1),), id="entered-later"),
    ],
)
def test_rounding_never_makes_a_run_longer(row, rounded):
    """
    Ends are rounded down and entries up, and a run that ended within the elapsed time is not among those beyond it.
    """
    assert remaining([row], 100, step_ms=10).steps == rounded
