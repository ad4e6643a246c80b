"""
A world in which it is known how long every job would have run: what the savings are measured against.

A fleet starts jobs evenly. The guard comes when some already run, watches for a while, is armed with a policy that ends
every run after a limit, and goes on. Estimates are made from what it could see then; the truth is what it could not.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from random import Random
from statistics import NormalDist

from guard.core.estimate import Estimate, Method, Stopped, estimate
from guard.core.likeness import End, Ladder, Likeness, PastRun
from guard.core.savings import exact
from guard.core.spans import DAY_MS, HOUR_MS

BEFORE_MS = 10 * DAY_MS
PERIOD_MS = 90 * DAY_MS
LIMIT_MS = 24 * HOUR_MS
HORIZON_MS = 72 * HOUR_MS
REFRESHED_MS = 30 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """
    A distribution of run times: *draw* hours, and the *share* that lasts longer than so many hours; both at scale 1.
    """

    name: str
    draw: Callable[[Random], float]
    share: Callable[[float], float]


_STANDARD = NormalDist()
_SHORT, _LONG = NormalDist(4, 1), NormalDist(60, 15)
FAMILIES = (
    Family(name="exponential", draw=lambda rng: rng.expovariate(1 / 36), share=lambda hours: math.exp(-hours / 36)),
    Family(
        name="log-normal",
        draw=lambda rng: 20 * math.exp(1.2 * rng.gauss(0, 1)),
        share=lambda hours: 1 - _STANDARD.cdf(math.log(hours / 20) / 1.2),
    ),
    Family(
        name="bimodal",
        draw=lambda rng: rng.gauss(4, 1) if rng.random() < 0.5 else rng.gauss(60, 15),
        share=lambda hours: 1 - 0.5 * _SHORT.cdf(hours) - 0.5 * _LONG.cdf(hours),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """
    What kinds of jobs there are: users by their share, stems by how much longer they run, billing codes by price and cards.
    """

    users: dict[str, int]
    stems: dict[str, float]
    codes: dict[str, tuple[Fraction, int]]


MANY_KINDS = Mix(
    users={"ann": 40, "bob": 20, "cy": 15, "dee": 10, "eve": 10, "fay": 5},
    stems={"tune": 0.7, "train": 1.0, "pretrain": 1.4},
    codes={"p100": (Fraction(10), 8), "v100": (Fraction(16), 16), "ascend": (Fraction(24), 64)},
)
ONE_KIND = Mix(users={"ann": 1}, stems={"train": 1.0}, codes={"p100": (Fraction(10), 8)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueRun:
    """
    A run as it would go if nobody ended it.
    """

    like: Likeness
    per_hour: Fraction
    scale: float
    started_ms: int
    lasts_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    How long runs last, of what kinds they are, how many start in the first period and how many in the second one.

    The guard comes at 0 and enforces from *armed_ms* on.
    """

    family: Family
    mix: Mix
    history: int
    later: int
    armed_ms: int = PERIOD_MS


def fleet(world: World, rng: Random, *, jobs: int, from_ms: int, to_ms: int) -> list[TrueRun]:
    """
    Return jobs that start evenly in that time.
    """
    mix = world.mix
    runs = []
    for user in rng.choices(list(mix.users), list(mix.users.values()), k=jobs):
        stem, scale = rng.choice(list(mix.stems.items()))
        code, (per_hour, cards) = rng.choice(list(mix.codes.items()))
        runs.append(
            TrueRun(
                like=Likeness(user=user, stem=stem, billing_codes=code, cards=cards),
                per_hour=per_hour,
                scale=scale,
                started_ms=rng.randrange(from_ms, to_ms),
                lasts_ms=max(60_000, round(scale * world.family.draw(rng) * HOUR_MS)),
            )
        )
    return runs


def seen(run: TrueRun, *, armed_ms: float, now_ms: int, spared: bool = False) -> PastRun | None:
    """
    Return what the guard knows of a run at *now_ms*, None if nothing: it looks since 0 and enforces since *armed_ms*.
    """
    entry_ms, exit_ms, end = max(0, -run.started_ms), run.lasts_ms, End.OWN
    stops_ms = max(LIMIT_MS + 1, armed_ms - run.started_ms)
    if not spared and stops_ms < exit_ms:
        exit_ms, end = int(stops_ms), End.GUARD
    if run.started_ms + exit_ms > now_ms:
        exit_ms, end = now_ms - run.started_ms, End.UNSEEN
    if entry_ms >= exit_ms:
        return None
    return PastRun(like=run.like, entry_ms=entry_ms, exit_ms=exit_ms, exit_at_ms=run.started_ms + exit_ms, end=end)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """
    What the guard ended: its *estimates*, and what the runs would really have cost up to the horizon (*truth*).

    Of those whose estimate was measured, that is *measured_truth*, and *mean_truth* what such runs cost on average, by
    numerical integration of the known distribution.
    """

    estimates: list[Estimate] = field(default_factory=list)
    truth: Decimal = Decimal(0)
    measured_truth: Decimal = Decimal(0)
    mean_truth: float = 0.0


def enforced(world: World, seed: int) -> Outcome:
    """
    Live through both periods, and estimate each termination when it happens.

    The history is read anew every 30 days, since that of a real guard grows too.
    """
    family, armed_ms = world.family, world.armed_ms
    rng = Random(f"{family.name} {seed}")
    runs = fleet(world, rng, jobs=round(world.history * BEFORE_MS / PERIOD_MS), from_ms=-BEFORE_MS, to_ms=0)
    runs += fleet(world, rng, jobs=world.history, from_ms=0, to_ms=PERIOD_MS)
    runs += fleet(world, rng, jobs=world.later, from_ms=PERIOD_MS, to_ms=2 * PERIOD_MS)
    method, outcome = Method(horizon_ms=HORIZON_MS), Outcome()
    truth = measured_truth = Fraction(0)
    stops = sorted(_stops(runs, armed_ms), key=lambda one: one[0])
    ladder, read_ms, known = Ladder(()), armed_ms - REFRESHED_MS, {}
    for at_ms, run in stops:
        if at_ms >= read_ms + REFRESHED_MS:
            read_ms += (at_ms - read_ms) // REFRESHED_MS * REFRESHED_MS
            past = (seen(one, armed_ms=armed_ms, now_ms=read_ms) for one in runs if one.started_ms < read_ms)
            ladder, known = Ladder([one for one in past if one is not None]), {}
        elapsed_ms = at_ms - run.started_ms
        question = (run.like, elapsed_ms)
        if question not in known:
            stopped = Stopped(like=run.like, elapsed_ms=elapsed_ms, per_hour=run.per_hour, currency="CNY")
            known[question] = estimate(stopped, ladder, method)
        outcome.estimates.append(known[question])
        cost = run.per_hour * min(run.lasts_ms - elapsed_ms, HORIZON_MS) / HOUR_MS
        truth += cost
        if known[question].figures.rung is not None:
            measured_truth += cost
            outcome.mean_truth += float(run.per_hour) * mean_remaining_h(family, run.scale, elapsed_ms / HOUR_MS)
    outcome.truth, outcome.measured_truth = exact(truth), exact(measured_truth)
    return outcome


def _stops(runs: list[TrueRun], armed_ms: int) -> Iterator[tuple[int, TrueRun]]:
    for run in runs:
        at_ms = max(run.started_ms + LIMIT_MS + 1, armed_ms)
        if run.started_ms + run.lasts_ms > at_ms:
            yield at_ms, run


def mean_remaining_h(family: Family, scale: float, elapsed_h: float, *, parts: int = 200) -> float:
    """
    Return the true mean of the hours that remain after so many, up to the horizon, by Simpson's rule.
    """
    width = HORIZON_MS / HOUR_MS / parts
    shares = [family.share((elapsed_h + width * index) / scale) for index in range(parts + 1)]
    area = shares[0] + shares[-1] + 4 * sum(shares[1:-1:2]) + 2 * sum(shares[2:-1:2])
    return area * width / 3 / shares[0]
