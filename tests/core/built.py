"""
Jobs and policies as values, with as little said as a test needs.
"""

from fractions import Fraction
from typing import Any

import re2

from guard.core.decide import Decision, decide
from guard.core.facts import Job, JobKey, Resource
from guard.core.fields import Facts, Terms
from guard.core.policy import Act, All, Clause, Condition, Exemption, Mode, Pattern, Policy, PolicySet
from guard.core.price import plain_book
from guard.core.sighting import Sighting, observe
from guard.core.spans import DAY_MS, HOUR_MS
from tests.changing import replace

NOW = 1_750_000_000_000
KEY = JobKey(region="cn-north-4", project_id="0" * 32, job_id="job-1")
P100 = "modelarts.vm.gpu.p100.eco"
P100_NODES = Resource(
    billing_code=P100,
    unit_num=2,
    node_count=4,
    cards_per_node=8,
    flavor_id="modelarts.p100.8",
    flavor_type="GPU",
    accelerator="NVIDIA-P100",
)
CPU_NODES = Resource(
    billing_code="modelarts.vm.cpu.8u",
    unit_num=1,
    node_count=8,
    cards_per_node=0,
    flavor_id="modelarts.cpu.8u",
    flavor_type="CPU",
    accelerator="none",
    role="worker",
)
BOOK = plain_book("CNY", {P100: Fraction(3), "modelarts.vm.cpu.8u": Fraction(1, 10)})
TERMS = Terms(prices=BOOK)
RUNNING = Condition("phase", "eq", "Running")


def key(job_id: str) -> JobKey:
    """
    Return the identity of another job of the same project.
    """
    return replace(KEY, job_id=job_id)


def running(elapsed_ms: int = 25 * HOUR_MS, **changes: Any) -> Job:
    """
    Return a Running job whose two clocks both say *elapsed_ms* at NOW, created an hour before it started.
    """
    job = Job(
        key=KEY,
        target="lab",
        read_at_ms=NOW,
        phase="Running",
        workspace="0",
        name="resnet-50",
        user="ann",
        kind="job",
        create_time_ms=NOW - elapsed_ms - HOUR_MS,
        start_time_ms=NOW - elapsed_ms,
        duration_ms=elapsed_ms,
        resources=(P100_NODES,),
    )
    return replace(job, **changes)


def pending(age_ms: int = 3 * HOUR_MS, **changes: Any) -> Job:
    """
    Return a Pending job that was created *age_ms* before NOW and never ran.
    """
    return running(
        0, **{"phase": "Pending", "create_time_ms": NOW - age_ms, "start_time_ms": 0, "duration_ms": 0, **changes}
    )


def policy(*parts: Clause, **changes: Any) -> Policy:
    """
    Return a policy in enforce that terminates Running jobs on which all *parts* hold.
    """
    built = Policy(name="one-day", clause=All((RUNNING, *parts)), mode=Mode.ENFORCE, action=Act.TERMINATE)
    return replace(built, **changes)


def exemption(*parts: Clause, **changes: Any) -> Exemption:
    """
    Return an exemption for which all *parts* must hold and which lasts a day beyond NOW.
    """
    built = Exemption(name="spare", clause=All(parts), reason="thesis", owner="ann", until_ms=NOW + DAY_MS)
    return replace(built, **changes)


def regex(text: str) -> Pattern:
    """
    Return a pattern that is a regular expression.
    """
    return Pattern(text, re2.compile(text))


def facts(**named: Any) -> Facts:
    """
    Return the facts of one resource that are named, and no others.
    """
    annotations = named.pop("annotations", {})
    return Facts(named, annotations)


def decided(
    job: Job, *policies: Policy, exemptions: tuple[Exemption, ...] = (), seen: Sighting | None = None, now_ms: int = NOW
) -> Decision:
    """
    Return the decision on a job that was seen only once, unless *seen* says more.
    """
    memory = observe(None, job) if seen is None else seen
    return decide(PolicySet(policies=policies, exemptions=exemptions), job, memory, TERMS, now_ms=now_ms)


OVER_A_DAY = Condition("duration", "gt", DAY_MS)
