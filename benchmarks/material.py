"""
The material of the decision benchmark: jobs and policies out of one seed, each policy also as plain Python.
"""

import json
from collections.abc import Iterator
from datetime import UTC
from fractions import Fraction
from random import Random
from typing import Any

from guard.core.facts import UNREADABLE, Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.load import load
from guard.core.policy import PolicySet
from guard.core.price import plain_book
from guard.core.sighting import Sighting, observe

NOW = 1_750_000_000_000
HOUR = 3_600_000
PRICES = {"vm.gpu.p100": 12, "vm.gpu.v100": 24, "vm.npu.910b": 40, "vm.cpu.8u": 2}
CODES = tuple(PRICES)
TERMS = Terms(prices=plain_book("CNY", {code: Fraction(price) for code, price in PRICES.items()}))
USERS = tuple(f"user-{number}" for number in range(400))
LISTED = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "==", "ne": "!="}
Match = dict[str, Any]
Watched = tuple[Job, Sighting]


def policies(rng: Random, *, count: int = 100, of_all: int = 20, nested: int = 30) -> list[Match]:
    """
    Return the matches of policies for Running jobs: *of_all* for any billing code, the rest in equal parts for each code.

    Of the first, and of those of each code, the same share nests `any` and `not`; a tenth is about money, a tenth about age.
    """
    made = []
    for number in range(count):
        match: Match = {"phase": "Running"}
        if number >= of_all:
            match["billing_code"] = CODES[number % len(CODES)]
        # 7 is prime to the number of codes, so every code gets its share of each kind.
        kind = number * 7 % count
        limit = f"{rng.randint(12, 96)}h"
        if kind < nested:
            match |= _nested(rng, kind, limit)
        elif kind < nested + count // 10:
            match |= {"unit_num": {"gte": rng.choice((1, 2, 4))}, "cost": {"gt": rng.randint(500, 50_000)}}
        elif kind < nested + count // 5:
            match |= {"node_count": {"gt": rng.randint(1, 8)}, "age": {"gt": f"{rng.randint(100, 400)}h"}}
        else:
            match |= {
                "node_count": {"gt": rng.randint(1, 8)},
                "unit_num": {"gte": rng.choice((1, 2, 4, 8))},
                "duration": {"gt": limit},
            }
        made.append(match)
    return made


def _nested(rng: Random, kind: int, limit: str) -> Match:
    some = rng.sample(USERS, 3)
    match kind % 5:
        case 0:
            return {"not": {"user": some}, "duration": {"gt": limit}}
        case 1:
            many = {"node_count": {"gte": 8}, "duration": {"gt": limit}}
            return {"any": [many, {"duration": {"gt": f"{rng.randint(100, 200)}h"}}]}
        case 2:
            return {"not": {"any": [{"name": {"glob": "debug-*"}}, {"unit_num": {"lt": 4}}]}, "duration": {"gte": limit}}
        case 3:
            old = {"age": {"gt": f"{rng.randint(200, 500)}h"}}
            return {"any": [{"user": some[0], "duration": {"gt": "6h"}}, old], "node_count": {"gte": 2}}
        case _:
            return {"any": [{"unit_num": 8}, {"not": {"node_count": {"lte": 4}}}], "duration": {"gt": limit}}


def loaded(matches: list[Match]) -> PolicySet:
    """
    Return the policies that the guard's loader makes of these matches.
    """
    listed = [{"name": f"p{number}", "match": match} for number, match in enumerate(matches)]
    return load([("policies.yaml", json.dumps({"policies": listed}).encode())], zone=UTC)


def jobs(rng: Random, count: int) -> list[Watched]:
    """
    Return Running jobs as they were seen once: a tenth has two or three resources, and a twentieth lacks a fact.
    """
    return [_job(rng, number) for number in range(count)]


def _job(rng: Random, number: int) -> Watched:
    spent = int(rng.random() ** 3 * 100 * HOUR) + 1_000
    read_ms = NOW - rng.randint(0, 60_000)
    hetero = rng.random() < 0.1
    facts: dict[str, Any] = {
        "name": f"{rng.choice(('debug', 'train', 'eval'))}-{number}",
        "user": rng.choice(USERS),
        "create_time_ms": read_ms - spent - int(rng.random() ** 2 * 400 * HOUR),
        "start_time_ms": read_ms - spent - rng.randint(0, 5_000),
        "duration_ms": spent,
    }
    resources = [_resource(rng) for _ in range(rng.choice((2, 3)) if hetero else 1)]
    if rng.random() < 0.05:
        lost = rng.choice((*facts, "start_time_ms and duration_ms", "billing_code", "unit_num", "node_count"))
        if lost in resources[0]:
            resources[0][lost] = UNREADABLE
        else:
            facts |= dict.fromkeys(lost.split(" and "), UNREADABLE)
    job = Job(
        key=JobKey(region="cn-north-4", project_id="0" * 32, job_id=f"job-{number}"),
        target="lab",
        read_at_ms=read_ms,
        phase="Running",
        workspace="0",
        kind="hetero_job" if hetero else "job",
        resources=tuple(Resource(cards_per_node=8, **one) for one in resources),
        **facts,
    )
    return job, observe(None, job)


def _resource(rng: Random) -> dict[str, Any]:
    return {
        "billing_code": rng.choice(CODES),
        "unit_num": rng.choice((1, 2, 4, 8)),
        "node_count": rng.choice((1, 1, 1, 2, 2, 4, 8, 16)),
    }


def is_whole(job: Job) -> bool:
    """
    Tell whether a job lacks nothing that the policies ask for.
    """
    facts = [job.name, job.user, job.create_time_ms, job.start_time_ms, job.duration_ms]
    for one in job.resources:
        facts += [one.billing_code, one.unit_num, one.node_count]
    return UNREADABLE not in facts


BY_HAND = '''
def rows_of(job, now_ms):
    """Return the plain facts of each resource; what is missing is 0 or empty, which no limit matches."""
    def plain(fact, nothing):
        return nothing if isinstance(fact, Missing) else fact
    created, start = plain(job.create_time_ms, now_ms), plain(job.start_time_ms, now_ms)
    duration = plain(job.duration_ms, 0) and job.duration_ms + now_ms - job.read_at_ms
    duration = min(duration, now_ms - start)
    rate = sum(
        PRICES.get(one.billing_code, 0) * plain(one.unit_num, 0) * plain(one.node_count, 0) for one in job.resources
    )
    return [
        (job.phase, plain(job.user, ""), plain(job.name, ""), duration, now_ms - created, rate * duration,
         one.billing_code, plain(one.unit_num, 0), plain(one.node_count, 0))
        for one in job.resources
    ]

def from_rows(rows):
    """Return the numbers of the policies that match, some twice."""
    found = []
    for phase, user, name, duration, age, cost, billing_code, unit_num, node_count in rows:
@
    return found

def from_job(job, now_ms):
    """Return the numbers of the policies that match, some twice; facts are read once for each job, as anyone would."""
    found = []
    phase = job.phase
    user, name = job.user, job.name
    created, start, duration = job.create_time_ms, job.start_time_ms, job.duration_ms
    age = 0 if created is UNREADABLE else now_ms - created
    duration = 0 if duration is UNREADABLE else duration + now_ms - job.read_at_ms
    duration = 0 if start is UNREADABLE else min(duration, now_ms - start)
    resources = job.resources
    rate = 0
    for one in resources:
        if one.unit_num is not UNREADABLE and one.node_count is not UNREADABLE:
            rate += PRICES.get(one.billing_code, 0) * one.unit_num * one.node_count
    cost = rate * duration
    for one in resources:
        billing_code, unit_num, node_count = one.billing_code, one.unit_num, one.node_count
        if unit_num is UNREADABLE:
            unit_num = 0
        if node_count is UNREADABLE:
            node_count = 0
        if name is UNREADABLE:
            name = ""
@
    return found
'''
"""What a person would write: one plain `if` for each policy, cheapest condition first. ``@`` is where these stand."""


def by_hand(matches: list[Match]) -> str:
    """
    Return the source of the functions that a person would write for these policies.
    """
    ifs = "\n".join(
        f"        if {' and '.join(_python(match))}:\n            found.append({number})"
        for number, match in enumerate(matches)
    )
    return BY_HAND.replace("@", ifs)


def _python(match: Match) -> Iterator[str]:
    for key, node in match.items():
        match key:
            case "any":
                yield "(" + " or ".join(" and ".join(_python(item)) for item in node) + ")"
            case "not":
                yield "not (" + " and ".join(_python(node)) + ")"
            case _ if isinstance(node, dict):
                for op, operand in node.items():
                    if op == "glob":
                        yield f"{key}.startswith({operand.removesuffix('*')!r})"
                    else:
                        yield f"{key} {LISTED[op]} {plain(key, operand)!r}"
            case _ if isinstance(node, list):
                yield f"{key} in {tuple(node)!r}"
            case _:
                yield f"{key} == {node!r}"


def plain(key: str, operand: Any) -> Any:
    """
    Return an operand as a plain number: spans in milliseconds, money times milliseconds per hour.
    """
    if key in ("duration", "age"):
        return int(operand.removesuffix("h")) * HOUR
    return operand * HOUR if key == "cost" else operand
