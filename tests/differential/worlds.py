"""
Random jobs, each told twice: as the guard's own values, and as plain rows that other engines understand.

A row holds the facts of one resource under the names of the policy language, worked out here from what was drawn and not
by the guard. Prices are whole or quarters and spans nearly quarters of an hour, so floating-point numbers are exact enough
for engines that have no fractions: two different amounts are never nearer than 10^-8.
"""

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

from guard.core.facts import ABSENT, UNREADABLE, Job, JobKey, Missing, Resource
from guard.core.fields import Terms
from guard.core.price import Per, Price, PriceBook

NOW = 1_750_000_000_000
HOUR = 3_600_000
QUARTER = HOUR // 4
WAITING = ("Creating", "Pending")
PHASES = ("Running",) * 12 + ("Pending", "Pending", "Creating", "Completed", "Terminating")
PRICES = {"vm.gpu.p100.eco": 3.25, "vm.gpu.p100": 6.0, "vm.npu.910b": 12.5, "vm.cpu.8u": 0.25}
POOL_RATES = {"pool-a": 0.5, "pool-b": 0}
TERMS = Terms(
    prices=PriceBook(
        currency="CNY",
        entries=(
            *(Price(code=code, price=Fraction(price)) for code, price in PRICES.items()),
            Price(pool_id="pool-a", price=Fraction(POOL_RATES["pool-a"]), per=Per.NODE_HOUR),
        ),
    )
)
TEXTS = {
    "billing_code": tuple(PRICES),
    "flavor_id": ("p100.8", "p100.1", "910b.8"),
    "flavor_type": ("CPU", "GPU", "Ascend"),
    "accelerator": ("NVIDIA-P100", "NVIDIA-V100", "Ascend 910B"),
    "pool_id": ("pool-a", "pool-b"),
    "user": ("ann", "Ann", "bob", "d'Arc", "李雷"),
    "name": ("resnet-50", "resnet-101", "prod.train", "prod-train", "a[1]*?", "back\\slash", "two\nlines", "^a-z$"),
    "kind": ("job", "hetero_job", "edge_job"),
    "description": ("", "thesis of ann", "long\nrun", "8"),
    "engine": ("PyTorch", "MindSpore"),
    "image": ("swr/lab/torch:2.1", "swr/lab/torch:2.2"),
    "target": ("lab", "prod"),
    "workspace": ("0", "w1"),
    "annotation.team": ("vision", "speech", "NULL"),
    "annotation.stage": ("dev", "prod"),
}
Row = dict[str, Any]
"""Facts by name: text, a whole number, a float, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    One job as the guard reads it, and the same job as one row for each of its resources.
    """

    job: Job
    rows: tuple[Row, ...]


class Drawing:
    """
    Draws of jobs from one generator, in which each fact has no value with the probability *gaps*.
    """

    def __init__(self, rng: Random, gaps: float) -> None:
        self.rng = rng
        self.gaps = gaps

    def fact(self, value: Any) -> Any:
        """
        Return the value, or rarely that it is unreadable.
        """
        return UNREADABLE if self.rng.random() < self.gaps else value

    def lawful(self, value: Any) -> Any:
        """
        Return the value, that it is absent, or that it is unreadable.
        """
        return ABSENT if self.rng.random() < 2 * self.gaps else self.fact(value)

    def text(self, name: str) -> str:
        """
        Return one of the texts of that field.
        """
        return self.rng.choice(TEXTS[name])

    def span(self, longest: int) -> int:
        """
        Return nearly that many quarters of an hour at most, on the dot or a millisecond beside it.
        """
        return self.rng.randint(1, longest) * QUARTER + self.rng.choice((-1, 0, 1))

    def world(self, number: int) -> World:
        """
        Return the job of that number.
        """
        drawn = tuple(self._resource() for _ in range(self.rng.choice((1, 1, 1, 2, 3))))
        phase = self.fact(self.rng.choice(PHASES))
        duration = self.fact(0 if phase in WAITING else self.span(200))
        created = self.fact(NOW - 201 * QUARTER - self.span(200))
        stage = self.lawful(self.text("annotation.stage"))
        annotations = self.fact(
            {
                key: value
                for key, value in (("team", self.lawful(self.text("annotation.team"))), ("stage", stage))
                if isinstance(value, str)
            }
        )
        job = Job(
            key=JobKey(region=self.rng.choice(("cn-north-4", "cn-east-3")), project_id="0" * 32, job_id=f"job-{number}"),
            target=self.text("target"),
            read_at_ms=NOW,
            phase=phase,
            workspace=self.fact(self.text("workspace")),
            name=self.fact(self.text("name")),
            user=self.fact(self.text("user")),
            kind=self.fact(self.text("kind")),
            description=self.lawful(self.text("description")),
            engine=self.lawful(self.text("engine")),
            image=self.lawful(self.text("image")),
            pool_id=self.fact(self.rng.choice((ABSENT, ABSENT, self.text("pool_id")))),
            annotations=annotations,
            create_time_ms=created,
            start_time_ms=0 if phase in WAITING else ABSENT,
            duration_ms=duration,
            resources=drawn,
        )
        return World(job=job, rows=rows_of(job))

    def _resource(self) -> Resource:
        return Resource(
            billing_code=self.fact(self.text("billing_code")),
            unit_num=self.fact(self.rng.choice((1, 2, 8))),
            node_count=self.fact(self.rng.choice((1, 2, 3, 4, 8))),
            cards_per_node=self.fact(self.rng.choice((0, 1, 8))),
            flavor_id=self.fact(self.text("flavor_id")),
            flavor_type=self.fact(self.text("flavor_type")),
            accelerator=self.fact(self.text("accelerator")),
        )


def rows_of(job: Job) -> tuple[Row, ...]:
    """
    Return the facts of each resource at NOW by the words of the design, in plain arithmetic.
    """
    age = UNREADABLE if isinstance(job.create_time_ms, Missing) else NOW - job.create_time_ms
    duration = UNREADABLE if isinstance(job.phase, Missing) else job.duration_ms
    cards = [_cards(one) for one in job.resources]
    total = _sum(cards)
    rate: Any = UNREADABLE
    if job.pool_id is ABSENT:
        rate = _sum([_product(_price(one.billing_code), one.unit_num, one.node_count) for one in job.resources])
    elif isinstance(job.pool_id, str):
        rate = (
            _sum([_product(POOL_RATES[job.pool_id], one.node_count) for one in job.resources])
            if POOL_RATES[job.pool_id]
            else 0
        )
    # A waiting job is known not to have run only if both of its clocks could be read.
    waits = job.phase in WAITING and job.duration_ms == 0
    shared: Row = {
        "duration": duration,
        "age": age,
        "waiting": age if waits else UNREADABLE,
        "total_cards": total,
        "card_hours": _hourly(total, duration),
        "cost_rate": rate,
        "cost": _hourly(rate, duration),
        "phase": job.phase,
        "pool_id": job.pool_id,
        "user": job.user,
        "name": job.name,
        "id": job.key.job_id,
        "kind": job.kind,
        "description": job.description,
        "engine": job.engine,
        "image": job.image,
        "target": job.target,
        "region": job.key.region,
        "project": job.key.project_id,
        "workspace": job.workspace,
    }
    for key in ("team", "stage"):
        annotations = job.annotations
        shared[f"annotation.{key}"] = UNREADABLE if isinstance(annotations, Missing) else annotations.get(key, ABSENT)
    return tuple(
        {
            **shared,
            "billing_code": one.billing_code,
            "unit_num": one.unit_num,
            "node_count": one.node_count,
            "cards": has,
            "flavor_id": one.flavor_id,
            "flavor_type": one.flavor_type,
            "accelerator": one.accelerator,
        }
        for one, has in zip(job.resources, cards, strict=True)
    )


def _cards(resource: Resource) -> Any:
    return 0 if resource.cards_per_node == 0 else _product(resource.cards_per_node, resource.node_count)


def _price(code: Any) -> Any:
    return UNREADABLE if isinstance(code, Missing) else PRICES[code]


def _product(*factors: Any) -> Any:
    product: Any = 1
    for factor in factors:
        if isinstance(factor, Missing):
            return UNREADABLE
        product *= factor
    return product


def _sum(parts: list[Any]) -> Any:
    return UNREADABLE if any(isinstance(part, Missing) for part in parts) else sum(parts)


def _hourly(rate: Any, span_ms: Any) -> Any:
    spent = _product(rate, span_ms)
    return spent if isinstance(spent, Missing) else spent / HOUR
