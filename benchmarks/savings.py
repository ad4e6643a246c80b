"""
Whether the savings that are claimed are those that were made, and how fast the estimate is.

Worlds in which every run time is known (``counterfactual``): what the guard expects to have saved, beside what it did.
"""

import random
import time

from benchmarks import RESULTS
from benchmarks.counterfactual import FAMILIES, MANY_KINDS, ONE_KIND, World, enforced
from benchmarks.figures import Figure, Result, alternating
from benchmarks.plot import Range, ranges
from guard.core.spans import DAY_MS, HOUR_MS
from guard.core.survival import Observation, life_table, remaining, restricted_mean
from guard.core.totals import totals

SEEDS, QUICK_SEEDS = 20, 2
HISTORY, LATER = 10_000, 20_000
ROWS, QUICK_ROWS = 1_000_000, 2_000
WANTED_ERROR, WANTED_SHARE = 5.0, 95.0
MIXES = {"many kinds of jobs": MANY_KINDS, "one kind": ONE_KIND}


def run(*, quick: bool) -> Result:
    """
    Live through the worlds with so many seeds, and plot every total.
    """
    result = Result(name="savings")
    seeds = QUICK_SEEDS if quick else SEEDS
    panels = {}
    for title, mix in MIXES.items():
        for family in FAMILIES:
            size = (300, 300) if quick else (HISTORY, LATER)
            lived = [_lived(World(family=family, mix=mix, history=size[0], later=size[1]), seed) for seed in range(seeds)]
            panels[f"{family.name}, {title}"] = lived
            result.details[f"{family.name}, {title}"] = lived
    if not quick:
        shown = {name: [Range(*(one[key] for key in _PLOTTED)) for one in lived] for name, lived in panels.items()}
        plot = ranges("Savings over the true counterfactual cost, one line for each seed", shown)
        (RESULTS / "savings.svg").write_text(plot, encoding="utf-8")
    for title in MIXES:
        result.figures += _figures(title, [one for name, lived in panels.items() if name.endswith(title) for one in lived])
    result.figures += [_enforced_alone(quick=quick), *_speed(quick=quick)]
    result.notes.append(
        f"{HISTORY:,} jobs in 90 days of watching (left-truncated and censored), then {LATER:,} under a policy that ends "
        f"them after 24 h, horizon 72 h; {SEEDS} seeds for each of {len(FAMILIES)} distributions, plot in savings.svg. The "
        "truth is what the very runs that were ended would have cost. With one kind of jobs all estimates stand on one "
        "curve and all their errors are one: the hardest case for a sum of lower limits, which are limits of a mean. "
        "at_least allows for the chance of the runs themselves, too."
    )
    return result


_PLOTTED = ("at_least", "lower", "expected", "upper")


def _lived(world: World, seed: int) -> dict[str, float]:
    """
    Return the totals of one world over its truth.
    """
    outcome = enforced(world, seed)
    found = totals(outcome.estimates)["CNY"]
    truth, measured = float(outcome.truth), max(float(outcome.measured_truth), 1e-9)
    return {
        "terminations": len(outcome.estimates),
        "assumed": found.assumed,
        "at_least": float(found.at_least) / truth,
        "lower": float(found.lower) / truth,
        "expected": float(found.expected) / measured,
        "upper": float(found.upper) / truth,
        "mean_truth": outcome.mean_truth / measured,
    }


def _figures(title: str, lived: list[dict[str, float]]) -> list[Figure]:
    worst = 100 * max(abs(one["expected"] - 1) for one in lived)
    share = 100 / len(lived)
    bounded = share * sum(one["lower"] <= 1 <= one["upper"] for one in lived)
    least = share * sum(one["at_least"] <= 1 <= one["upper"] for one in lived)
    of_mean = share * sum(one["lower"] <= one["mean_truth"] for one in lived)
    promised = title != "one kind"
    return [
        Figure(
            name=f"expected against the truth, worst of {len(lived)} totals, {title}",
            value=worst,
            unit="%",
            wanted=f"<= {WANTED_ERROR:g} %",
            met=worst <= WANTED_ERROR,
        ),
        Figure(name=f"mean error, {title}", value=share * sum(one["expected"] - 1 for one in lived), unit="%"),
        Figure(
            name=f"truth within [lower, upper], {title}",
            value=bounded,
            unit="% of totals",
            wanted=f">= {WANTED_SHARE:g} %" if promised else "",
            met=bounded >= WANTED_SHARE if promised else None,
        ),
        Figure(
            name=f"truth within [at_least, upper], {title}",
            value=least,
            unit="% of totals",
            wanted=f">= {WANTED_SHARE:g} %",
            met=least >= WANTED_SHARE,
        ),
        Figure(name=f"mean truth above lower, {title}", value=of_mean, unit="% of totals"),
    ]


def _enforced_alone(*, quick: bool) -> Figure:
    measured = 0
    for family in FAMILIES:
        for seed in range(1 if quick else 3):
            size = 200 if quick else 3_000
            outcome = enforced(World(family=family, mix=MANY_KINDS, history=size, later=size, armed_ms=0), seed)
            measured += totals(outcome.estimates)["CNY"].measured
    return Figure(name="measured on enforcement alone", value=measured, unit="terminations", wanted="0", met=measured == 0)


def _speed(*, quick: bool) -> list[Figure]:
    """
    Return how long one estimate takes on a large group, and the whole table beside ``lifelines``, in turn.
    """
    import lifelines
    import numpy as np
    from lifelines.utils import restricted_mean_survival_time

    rng = random.Random(1)
    size = QUICK_ROWS if quick else ROWS
    rows = [Observation(0, round(rng.expovariate(1 / 20) * HOUR_MS) + 1, rng.random() < 0.7) for _ in range(size)]
    exits, ended = np.array([one.exit_ms for one in rows]), np.array([one.ended for one in rows])

    def timed_ours() -> float:
        began = time.process_time()
        restricted_mean(life_table(rows), 6 * DAY_MS, watched=size)
        return time.process_time() - began

    def timed_theirs() -> float:
        began = time.process_time()
        restricted_mean_survival_time(lifelines.KaplanMeierFitter().fit(exits, ended), t=6 * DAY_MS)
        return time.process_time() - began

    began = time.process_time()
    restricted_mean(remaining(rows, DAY_MS, step_ms=DAY_MS // 240), DAY_MS, watched=size)
    one = Figure(name=f"one estimate from {size:,} like runs", value=time.process_time() - began, unit="s")
    rounds = alternating(timed_ours, timed_theirs, rounds=3)
    ours, theirs = rounds.medians
    whole = Figure(
        name=f"Kaplan-Meier and restricted mean of {size:,} runs",
        value=ours,
        unit="s",
        bare=theirs,
        bare_is="lifelines",
        ratio=rounds.ratio,
    )
    return [one, whole]
