"""
Pages read the short way: the same facts as the tolerant reading, shared where they repeat, and slim.
"""

import json
import tracemalloc
from typing import Any

import pytest
from calling import HOUR_MS, NOW_MS, wire_job

from guard.core.facts import UNREADABLE
from guard.modelarts.pages import Pages
from guard.modelarts.wire import Origin, Unparsable, parse_page
from guard.simulator import FLAVORS, QUIRKS, Knobs, SimJob, Task
from guard.simulator.jobs import render

ORIGIN = Origin(target="lab", region="cn-north-4", project_id="p1", read_at_ms=NOW_MS)
P100 = FLAVORS["modelarts.vm.p100.large.eco"]


def page(*items: Any) -> bytes:
    return json.dumps({"items": items, "total": 9}).encode()


@pytest.mark.parametrize("quirk", [None, *sorted(QUIRKS)])
@pytest.mark.parametrize("flavor", sorted(FLAVORS))
def test_both_readings_agree_on_every_quirk(quirk, flavor):
    """
    Whatever is odd about a job, plain or heterogeneous, its facts and those of its neighbours are the tolerant reading's.
    """
    facts: dict[str, Any] = {"create_time_ms": NOW_MS - HOUR_MS, "start_time_ms": NOW_MS - 1000, "auto_stop_hours": 3}
    task = Task(role="learner", flavor=FLAVORS[flavor], node_count=2)
    jobs = [
        SimJob(id="plain", flavor=FLAVORS[flavor], quirk=quirk, annotations={"a": "b"}, description="d", **facts),
        SimJob(id="hetero", kind="hetero_job", tasks=(task, task), quirk=quirk, pool_id="pool-1", **facts),
        SimJob(id="image", flavor=P100, image="lab/train:1", pool_id="pool-1", **facts),
    ]
    body = page(*(render(job, Knobs(), NOW_MS) for job in jobs))
    pages = Pages()
    assert list(pages.read(body, ORIGIN)) == list(parse_page(body, ORIGIN))
    assert list(pages.read(body, ORIGIN)) == list(parse_page(body, ORIGIN))


PATHS = [
    *("kind", "metadata", "status", "spec", "algorithm", "tasks", "spec__resource", "spec__auto_stop", "algorithm__engine"),
    *(
        f"metadata__{key}"
        for key in ("id", "name", "create_time", "user_name", "annotations", "description", "workspace_id")
    ),
    *(f"status__{key}" for key in ("phase", "secondary_phase", "duration", "start_time", "node_count_metrics")),
    *("algorithm__engine__engine_name", "algorithm__engine__image_url", "spec__resource__node_count"),
    *("spec__resource__flavor_detail", "spec__resource__pool_id", "spec__resource__flavor_id"),
]
VALUES = [
    *(None, "", "x", "\0", "a\0b", "\ud800", "é😀", 0, 7, -1, 2**63, 10**12, 10**30, 1.0, 1.5, True, [], {}),
    *([[1, 2]], [[10**12, 1], [5, 2]], [[1]], [{}], [None], [{"role": "x", "task_resource": {"node_count": 2}}]),
    *({"a": None}, {"a": "b"}, {"duration": 2, "time_unit": "HOURS"}, ".", ".."),
    [{"algorithm": {"engine": {"engine_name": "A"}}}, {"algorithm": {"engine": {"engine_name": "B"}}}],
]


@pytest.mark.parametrize("path", PATHS)
def test_both_readings_agree_on_every_type(path):
    """
    Any value at any place that is read gives what the tolerant reading makes of it, alone and among good jobs.
    """
    pages = Pages()
    for value in VALUES:
        for body in (page(wire_job(**{path: value})), page(wire_job("a"), wire_job(**{path: value}), wire_job("z"))):
            assert list(pages.read(body, ORIGIN)) == list(parse_page(body, ORIGIN)), value


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"items":{}}', b'{"items":[{"metadata":{"id":"a"}}', b"<html>"])
def test_what_is_no_page(body):
    """
    A body that is no list of jobs is unparsable.
    """
    with pytest.raises(Unparsable):
        Pages().read(body, ORIGIN)


def test_what_a_constant_stands_for():
    """
    A job without a status keeps the facts that it has.
    """
    (job,) = Pages().read(page(wire_job(status=None)), ORIGIN)
    assert job is not None
    assert (job.phase, job.name) == (UNREADABLE, "train")


def test_what_repeats_is_shared():
    """
    Equal texts and resources of different pages are one object each, and a page has one moment of reading.
    """
    pages = Pages()
    first, second = (pages.read(page(wire_job("a"), wire_job("b")), ORIGIN) for _ in range(2))
    one, other = first[0], second[1]
    assert one is not None
    assert other is not None
    for name in ("phase", "secondary_phase", "workspace", "user", "kind", "engine", "image", "resources", "read_at_ms"):
        assert getattr(one, name) is getattr(other, name), name
    with pytest.raises(AttributeError):
        one.name = "x"  # type: ignore[misc]


def test_a_job_is_slim():
    """
    A job takes about a kilobyte, a fifth of them described, once its flavor and its user were seen.
    """
    facts: dict[str, Any] = {"create_time_ms": NOW_MS - HOUR_MS, "start_time_ms": NOW_MS - 1000, "flavor": P100}
    described: dict[str, Any] = {"annotations": {"team": "vision", "ticket": "T-1"}, "description": "fine-tuning" * 6}
    bodies = []
    for first in range(0, 2000, 50):
        jobs = [
            SimJob(id=f"{n:08}-aaaa-bbbb-cccc-123456789abc", name=f"train-{n}", **facts, **(described if n % 5 == 0 else {}))
            for n in range(first, first + 50)
        ]
        bodies.append(page(*(render(job, Knobs(), NOW_MS) for job in jobs)))
    pages = Pages()
    pages.read(bodies[0], ORIGIN)
    tracemalloc.start()
    try:
        kept = [job for body in bodies for job in pages.read(body, ORIGIN)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(kept) < 1100
