"""
The fields that policies may ask for, and the facts of a job under those names.

The table is the vocabulary of policy files; ``facts_of`` works every field out of what was read of a job.
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from guard.core.clock import ClockRule, RunningTime, running_time, waiting_time
from guard.core.facts import ABSENT, UNREADABLE, Fact, Growing, Job, Missing, Resource
from guard.core.price import PriceBook
from guard.core.sighting import Sighting
from guard.core.spans import HOUR_MS
from guard.core.spend import money


class FieldType(enum.Enum):
    """
    The types of policy fields; the value is how an error names them.
    """

    TEXT = "text"
    INTEGER = "an integer"
    NUMBER = "a number"
    SPAN = "a span such as 90s, 15m, 24h, 7d or 1h30m"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """
    One field: its type, whether it *grows* with time and what it means.
    """

    type: FieldType
    meaning: str
    grows: bool = False


FIELDS: Mapping[str, FieldSpec] = {
    "billing_code": FieldSpec(FieldType.TEXT, "billing code of the flavor, for example modelarts.vm.gpu.p100.eco"),
    "unit_num": FieldSpec(FieldType.INTEGER, "billing units per node, not always cards"),
    "node_count": FieldSpec(FieldType.INTEGER, "nodes of the resource"),
    "cards": FieldSpec(FieldType.INTEGER, "accelerators of the resource: per node x nodes, 0 on CPU flavors"),
    "flavor_id": FieldSpec(FieldType.TEXT, "flavor of the resource"),
    "flavor_type": FieldSpec(FieldType.TEXT, "CPU, GPU or Ascend"),
    "accelerator": FieldSpec(FieldType.TEXT, "product name of the GPU or NPU"),
    "duration": FieldSpec(FieldType.SPAN, "running time of this run", grows=True),
    "age": FieldSpec(FieldType.SPAN, "time since the job was created", grows=True),
    "waiting": FieldSpec(FieldType.SPAN, "time spent in Creating and Pending", grows=True),
    "total_cards": FieldSpec(FieldType.INTEGER, "accelerators of all resources of the job"),
    "card_hours": FieldSpec(FieldType.NUMBER, "accelerators x hours of this run", grows=True),
    "cost": FieldSpec(FieldType.NUMBER, "cost of this run in the price book's currency", grows=True),
    "cost_rate": FieldSpec(FieldType.NUMBER, "cost per hour in the price book's currency"),
    "phase": FieldSpec(FieldType.TEXT, "phase of the job; only at the top level of match"),
    "pool_id": FieldSpec(FieldType.TEXT, "dedicated resource pool; absent in the public pool"),
    "user": FieldSpec(FieldType.TEXT, "who created the job"),
    "name": FieldSpec(FieldType.TEXT, "name of the job"),
    "id": FieldSpec(FieldType.TEXT, "id of the job"),
    "kind": FieldSpec(FieldType.TEXT, "kind of the job: job, hetero_job, ..."),
    "description": FieldSpec(FieldType.TEXT, "description of the job; may be absent"),
    "engine": FieldSpec(FieldType.TEXT, "engine of the algorithm; may be absent"),
    "image": FieldSpec(FieldType.TEXT, "image of the algorithm; may be absent"),
    "target": FieldSpec(FieldType.TEXT, "name of the target"),
    "region": FieldSpec(FieldType.TEXT, "region of the target"),
    "project": FieldSpec(FieldType.TEXT, "project id of the target"),
    "workspace": FieldSpec(FieldType.TEXT, "workspace id; 0 is the default workspace"),
}
ANNOTATION = "annotation."
ANNOTATION_SPEC = FieldSpec(FieldType.TEXT, "annotation of the job; may be absent")


def field_spec(name: str) -> FieldSpec | None:
    """
    Return the field of that name, or None if there is none; ``annotation.<key>`` is one for every key.
    """
    if name.startswith(ANNOTATION) and len(name) > len(ANNOTATION):
        return ANNOTATION_SPEC
    return FIELDS.get(name)


def field_type(name: str) -> FieldType:
    """
    Return the type of a field that is known to exist.
    """
    return ANNOTATION_SPEC.type if name.startswith(ANNOTATION) else FIELDS[name].type


@dataclass(frozen=True, slots=True)
class Facts:
    """
    The facts of one resource of a job, together with the job's own.
    """

    named: Mapping[str, Fact]
    annotations: Mapping[str, str] | Missing
    role: str = ""
    from_table: bool = False

    def get(self, name: str) -> Fact:
        """
        Return the fact of a known field.
        """
        if not name.startswith(ANNOTATION):
            return self.named[name]
        if isinstance(self.annotations, Missing):
            return UNREADABLE
        return self.annotations.get(name.removeprefix(ANNOTATION), ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What turns readings into facts beside the job itself: the operator's prices and the rule for the running time.
    """

    prices: PriceBook | None = None
    clock: ClockRule = ClockRule.SMALLER


def facts_of(
    job: Job,
    seen: Sighting,
    terms: Terms,
    *,
    now_ms: int,
    clock: RunningTime | None = None,
    asked: Collection[str] | None = None,
) -> tuple[Facts, ...]:
    """
    Return the facts of each resource of *job* at *now_ms*, at least one; *clock* is its running time, if that is known.

    Money and card-hours, which take longer to work out than all the rest, are left out if only others are *asked* for.
    A job without a readable resource has one of which every fact is unreadable.
    """
    resources = job.resources or (Resource(),)
    duration = (clock or running_time(job, seen, terms.clock, now_ms=now_ms)).fact
    # Of an elastic job that is not running it is not known when its running time was, so not on how many nodes.
    spent = duration if job.phase == "Running" or not job.node_counts else UNREADABLE
    sums: dict[str, Fact] = {}
    if asked is None or "card_hours" in asked:
        sums["card_hours"] = accumulated(job, spent, card_rate(resources))
    if asked is None or "cost" in asked or "cost_rate" in asked:
        sums["cost_rate"], sums["cost"] = money(job, terms.prices, duration, now_ms=now_ms)
    shared: dict[str, Fact] = {
        "duration": duration,
        "age": _age(job, now_ms),
        "waiting": waiting_time(job, seen, now_ms=now_ms),
        "total_cards": total_cards(resources),
        **sums,
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
    return tuple(
        Facts({**shared, **_resource_facts(one)}, job.annotations, one.role, from_table=one.source == "flavor table")
        for one in resources
    )


def _resource_facts(resource: Resource) -> dict[str, Fact]:
    return {
        "billing_code": resource.billing_code,
        "unit_num": resource.unit_num,
        "node_count": resource.node_count,
        "cards": cards_of(resource),
        "flavor_id": resource.flavor_id,
        "flavor_type": resource.flavor_type,
        "accelerator": resource.accelerator,
    }


def _age(job: Job, now_ms: int) -> Growing | Missing:
    created = job.create_time_ms
    if isinstance(created, Missing) or not 0 < created <= now_ms:
        return UNREADABLE
    return Growing(0, created, 1)


def cards_of(resource: Resource) -> int | Missing:
    """
    Return the accelerators of a resource: per node x nodes.
    """
    if isinstance(resource.cards_per_node, Missing):
        return UNREADABLE
    if isinstance(resource.node_count, Missing):
        return 0 if resource.cards_per_node == 0 else UNREADABLE
    return resource.cards_per_node * resource.node_count


def total_cards(resources: tuple[Resource, ...]) -> int | Missing:
    """
    Return the accelerators of all resources; unreadable if those of one are.
    """
    total = 0
    for resource in resources or (Resource(),):
        cards = cards_of(resource)
        if isinstance(cards, Missing):
            return UNREADABLE
        total += cards
    return total


def card_rate(resources: tuple[Resource, ...]) -> Fraction | Missing:
    """
    Return the card-hours that the job gathers per hour.
    """
    cards = total_cards(resources)
    return UNREADABLE if isinstance(cards, Missing) else Fraction(cards)


def accumulated(job: Job, duration: Fact, per_hour: Fraction | Missing) -> Growing | Missing:
    """
    Return the card-hours that a rate has summed up to over this run, growing while the job runs.

    The node counts of an elastic job scale the rate over time; time before the first of them counts for nothing, because
    the smaller sum is the safe one, and counts of the future are not there yet.
    """
    if not isinstance(duration, Growing) or isinstance(per_hour, Missing) or isinstance(job.node_counts, Missing):
        return UNREADABLE
    per_ms = Fraction(per_hour) / HOUR_MS
    grows = duration.per_ms
    if not job.node_counts:
        return Growing(per_ms * duration.value, duration.at_ms, per_ms * grows)
    nodes = job.resources[0].node_count if len(job.resources) == 1 else UNREADABLE
    if isinstance(nodes, Missing) or nodes <= 0:
        return UNREADABLE
    now = duration.at_ms
    counts = [(since, count) for since, count in job.node_counts if since <= now]
    if not counts:
        return UNREADABLE
    began = now - int(duration.value)
    ends = [since for since, _ in counts[1:]] + [now]
    node_ms = sum(count * max(0, end - max(since, began)) for (since, count), end in zip(counts, ends, strict=True))
    last = counts[-1][1]
    return Growing(per_ms * Fraction(node_ms, nodes), now, per_ms * Fraction(last, nodes) * grows)
