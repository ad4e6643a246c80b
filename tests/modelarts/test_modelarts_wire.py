"""
Jobs as the service's documents show them, in every way in which those contradict each other.
"""

import json
from typing import Any

import pytest
from calling import HOUR_MS, NOW_MS, wire_job
from hypothesis import given
from hypothesis import strategies as st

from guard.core.facts import ABSENT, UNREADABLE, Job, JobKey, Resource
from guard.modelarts.flavors import filled, lacks_detail, parse_flavors
from guard.modelarts.readings import agreed, lawful_text, whole
from guard.modelarts.wire import Origin, Unparsable, parse_answer, parse_item, parse_page
from guard.modelarts.workspaces import Workspace, parse_workspaces
from tests.changing import replace

ORIGIN = Origin(target="lab", region="cn-north-4", project_id="p" * 32, read_at_ms=NOW_MS)
PLAIN = Resource(
    billing_code="modelarts.vm.gpu.p100.eco",
    unit_num=1,
    node_count=2,
    cards_per_node=4,
    flavor_id="modelarts.vm.p100.large.eco",
    flavor_type="GPU",
    accelerator="NVIDIA-P100",
)
START = NOW_MS - HOUR_MS
_RES = "spec__resource"
_INFO = f"{_RES}__flavor_detail__flavor_info"
NPU_TEXT = {"npu": {"unit_num": "8", "product_name": "snt9b"}}


def read(value: object) -> Job:
    job = parse_item(json.dumps(value).encode(), ORIGIN)
    assert job is not None
    return job


def facts(job: Job) -> dict[str, Any]:
    only = job.resources[0] if len(job.resources) == 1 else Resource()
    names = (*Job.__struct_fields__, *Resource.__struct_fields__)
    return {name: getattr(job, name, None) if name in Job.__struct_fields__ else getattr(only, name) for name in names}


def test_a_plain_job():
    """
    Every fact of a job that the documents describe is read.
    """
    assert read(wire_job()) == Job(
        key=JobKey(region="cn-north-4", project_id="p" * 32, job_id="job-1"),
        target="lab",
        read_at_ms=NOW_MS,
        phase="Running",
        secondary_phase="Running",
        workspace="0",
        name="train",
        user="alice",
        kind="job",
        description="a test",
        engine="PyTorch",
        image="lab/train:1",
        pool_id=ABSENT,
        annotations={"owner": "vision"},
        create_time_ms=NOW_MS - 2 * HOUR_MS,
        start_time_ms=START,
        duration_ms=HOUR_MS,
        node_counts=((START, 2),),
        auto_stop_ms=ABSENT,
        resources=(PLAIN,),
    )


TASKS = [
    {
        "role": "learner",
        "algorithm": {"inputs": {"name": "d"}, "outputs": {}, "engine": {"engine_name": "TensorFlow"}},
        "task_resource": {
            "flavor_id": "f.gpu",
            "flavor_type": "GPU",
            "billing": {"code": "c.gpu", "unit_num": 1},
            "flavor_info": {"gpu": {"unit_num": 8, "product_name": "V100"}},
        },
    },
    {
        "role": "worker",
        "task_resource": {"flavor_id": "f.cpu", "node_count": 3, "flavor_type": "CPU", "billing": {"code": "c.cpu"}},
    },
]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({f"{_RES}__policy": "economic"}, {"billing_code": PLAIN.billing_code}, id="01-policy"),
        pytest.param({f"{_INFO}__gpu": {"unit_num": 1, "product_nume": "P4"}}, {"accelerator": "P4"}, id="02-product-nume"),
        pytest.param({"status__start_time": str(START)}, {"start_time_ms": START}, id="03-start-time-text"),
        pytest.param({"status__start_time": 0}, {"start_time_ms": 0}, id="03-start-time-zero"),
        pytest.param({"status__node_count_metrics": None}, {"node_counts": ()}, id="04-metrics-null"),
        pytest.param(
            {"status__node_count_metrics": [[START + 5, 1], [START, 2]]},
            {"node_counts": ((START, 2), (START + 5, 1))},
            id="04-metrics-unsorted",
        ),
        pytest.param({"metadata__ai_project": "default-ai-project"}, {"name": "train"}, id="05-ai-project"),
        pytest.param({"metadata__annotations": None}, {"annotations": {}}, id="06-no-annotations"),
        pytest.param({"metadata__description": ""}, {"description": ABSENT}, id="07-description-empty"),
        pytest.param({"metadata__description": None}, {"description": ABSENT}, id="07-description-missing"),
        pytest.param({f"{_RES}__flavor_detail__attributes": {"x": True}}, {"flavor_type": "GPU"}, id="08-attributes"),
        pytest.param({f"{_INFO}__max_num": 16, f"{_INFO}__disk": {"size": "50"}}, {"cards_per_node": 4}, id="09-max-num"),
        pytest.param({"spec__is_hosted_log": True}, {"kind": "job"}, id="10-hosted-log"),
        pytest.param({"algorithm__outputs": [{"period": "30s"}, {"period": 30}]}, {"engine": "PyTorch"}, id="11-period"),
        pytest.param({"algorithm__engine__v1_compatible": False}, {"engine": "PyTorch"}, id="12-v1-compatible"),
        pytest.param(
            {f"{_RES}__flavor_detail__flavor_type": "Ascend", _INFO: NPU_TEXT},
            {"cards_per_node": 8, "accelerator": "snt9b"},
            id="13-npu-text",
        ),
        pytest.param({f"{_INFO}__memory": {"size": "64", "unit": 64}}, {"cards_per_node": 4}, id="14-memory-unit"),
        pytest.param({f"{_RES}__flavor_detail__billing__unit_num": 2}, {"unit_num": 2}, id="15-unit-num-is-not-cards"),
        pytest.param({"algorithm__environments": [{"A": "b"}]}, {"image": "lab/train:1"}, id="16-environments-list"),
        pytest.param({"algorithm__environments": {}}, {"image": "lab/train:1"}, id="16-environments-object"),
        pytest.param({"algorithm__inputs": {}, "algorithm__outputs": {}}, {"engine": "PyTorch"}, id="18-inputs"),
        pytest.param({"status__tasks": None}, {"phase": "Running"}, id="19-no-status-tasks"),
        pytest.param({f"{_INFO}__gpu__memory": "sixteen"}, {"cards_per_node": 4}, id="20-gpu-memory"),
        pytest.param({f"{_RES}__flavor_detail__flavor_type": "Ascend"}, {"cards_per_node": UNREADABLE}, id="22-other-block"),
        pytest.param({f"{_INFO}__gpu": {"unit_num": 1}}, {"accelerator": UNREADABLE, "cards_per_node": 1}, id="23-no-name"),
        pytest.param(
            {f"{_RES}__pool_id": "pool-1", f"{_RES}__flavor_detail": None, f"{_RES}__pool_info": {"accelerator_num": 8.0}},
            {"pool_id": "pool-1", "billing_code": UNREADABLE, "cards_per_node": 8},
            id="24-pool",
        ),
        pytest.param(
            {f"{_RES}__flavor_id": None, f"{_RES}__flavor_detail": None},
            {"flavor_id": UNREADABLE, "flavor_type": UNREADABLE, "cards_per_node": UNREADABLE},
            id="24-no-flavor",
        ),
        pytest.param({"spec__schedule_policy": {"priority": 0}}, {"name": "train"}, id="25-priority"),
        pytest.param({"metadata__user_name": ""}, {"user": UNREADABLE}, id="26-user-empty"),
        pytest.param({"metadata__user_name": None}, {"user": UNREADABLE}, id="26-user-missing"),
        pytest.param(
            {f"{_RES}__node_count": 2.0, "status__duration": 3.6e6, "metadata__create_time": float(START)},
            {"node_count": 2, "duration_ms": HOUR_MS, "create_time_ms": START},
            id="27-floats",
        ),
        pytest.param({"kind": "quantum_job", "x": [None]}, {"kind": "quantum_job"}, id="28-unknown-kind-and-key"),
        pytest.param({"status__phase": "Hibernating"}, {"phase": "Hibernating"}, id="28-unknown-phase"),
        pytest.param({"status": 7}, {"phase": UNREADABLE, "duration_ms": UNREADABLE}, id="status-no-object"),
        pytest.param(
            {"status": None}, {"phase": UNREADABLE, "duration_ms": ABSENT, "start_time_ms": ABSENT}, id="no-status"
        ),
        pytest.param({"spec": None}, {"pool_id": UNREADABLE, "auto_stop_ms": UNREADABLE, "resources": ()}, id="no-spec"),
        pytest.param({"spec__resource": "big"}, {"pool_id": UNREADABLE, "resources": ()}, id="resource-no-object"),
        pytest.param({f"{_RES}__pool_id": 5}, {"pool_id": UNREADABLE}, id="pool-id-number"),
        pytest.param(
            {"metadata__create_time": START // 1000}, {"create_time_ms": START // 1000 * 1000}, id="create-seconds"
        ),
        pytest.param({"status__start_time": START // 1000}, {"start_time_ms": START // 1000}, id="start-seconds-as-read"),
        pytest.param({"status__duration": None}, {"duration_ms": ABSENT}, id="duration-missing"),
        pytest.param({"status__duration": 0}, {"duration_ms": 0}, id="duration-zero"),
        pytest.param({"status__duration": "3600000"}, {"duration_ms": HOUR_MS}, id="duration-text"),
        pytest.param({"status__duration": -1}, {"duration_ms": UNREADABLE}, id="duration-negative"),
        pytest.param({"status__duration": True}, {"duration_ms": UNREADABLE}, id="duration-bool"),
        pytest.param({"status__duration": 1.5}, {"duration_ms": UNREADABLE}, id="duration-fraction"),
        pytest.param({"status__duration": "1h"}, {"duration_ms": UNREADABLE}, id="duration-words"),
        pytest.param({"status__duration": 2**80}, {"duration_ms": UNREADABLE}, id="duration-huge"),
        pytest.param({"status__node_count_metrics": {}}, {"node_counts": UNREADABLE}, id="metrics-object"),
        pytest.param({"status__node_count_metrics": [[1]]}, {"node_counts": UNREADABLE}, id="metrics-short"),
        pytest.param({"status__node_count_metrics": [[START, "two"]]}, {"node_counts": UNREADABLE}, id="metrics-words"),
        pytest.param({"metadata__annotations": {"a": None, "b": "c"}}, {"annotations": {"b": "c"}}, id="annotation-null"),
        pytest.param({"metadata__annotations": {"keep": True}}, {"annotations": UNREADABLE}, id="annotation-bool"),
        pytest.param({"metadata__annotations": []}, {"annotations": UNREADABLE}, id="annotations-list"),
        pytest.param({"status__secondary_phase": 4}, {"secondary_phase": UNREADABLE}, id="secondary-number"),
        pytest.param({"algorithm": None}, {"engine": ABSENT, "image": ABSENT}, id="no-algorithm"),
        pytest.param({"algorithm": "x"}, {"engine": UNREADABLE, "image": UNREADABLE}, id="algorithm-text"),
        pytest.param(
            {"spec__auto_stop": {"time_unit": "HOURS", "duration": 2}}, {"auto_stop_ms": 2 * HOUR_MS}, id="auto-stop"
        ),
        pytest.param(
            {"spec__auto_stop": {"time_unit": "DAYS", "duration": 2}}, {"auto_stop_ms": UNREADABLE}, id="auto-days"
        ),
        pytest.param({"spec__auto_stop": {"time_unit": "HOURS", "duration": 0}}, {"auto_stop_ms": UNREADABLE}, id="auto-0"),
        pytest.param({"spec__auto_stop": 3}, {"auto_stop_ms": UNREADABLE}, id="auto-stop-number"),
        pytest.param({f"{_RES}__flavor_detail__flavor_type": "CPU"}, {"cards_per_node": 0}, id="cpu-has-no-cards"),
        pytest.param({f"{_INFO}__gpu__unit_num": "many"}, {"cards_per_node": UNREADABLE}, id="cards-words"),
        pytest.param(
            {_INFO: None, f"{_RES}__main_container_allocated_resources": {"accelerator_num": 2.0}},
            {"cards_per_node": 2},
            id="cards-allocated",
        ),
        pytest.param({"tasks": "x"}, {"resources": ()}, id="tasks-no-list"),
        pytest.param({"tasks": []}, {"resources": (PLAIN,)}, id="tasks-empty"),
        pytest.param({"tasks": [{"role": "worker"}]}, {"resources": (PLAIN,)}, id="tasks-without-resource"),
    ],
)
def test_inconsistencies(changes, expected):
    """
    Each contradiction of the vendor's documents changes its own fact and no other job's.
    """
    job = read(wire_job(**changes))
    assert {name: facts(job)[name] for name in expected} == expected


@pytest.mark.parametrize("changes", [{}, {"spec__resource": None}], ids=["with-resource", "tasks-alone"])
def test_heterogeneous_jobs_have_a_resource_per_task(changes):
    """
    17: a task's resource counts instead of the job's, and a node count that it lacks is unreadable.
    """
    job = read(wire_job(kind="hetero_job", tasks=TASKS, algorithm=None, **changes))
    learner, worker = job.resources
    assert (learner.role, learner.node_count, learner.cards_per_node, learner.billing_code) == (
        "learner",
        UNREADABLE,
        8,
        "c.gpu",
    )
    assert (worker.role, worker.node_count, worker.cards_per_node, worker.unit_num) == ("worker", 3, 0, UNREADABLE)
    assert (job.pool_id, job.engine, job.image) == (ABSENT, "TensorFlow", ABSENT)


def test_tasks_that_disagree_about_the_job():
    """
    Tasks in different pools leave the job's pool unreadable, and tasks that share one give it.
    """
    pools = [{"task_resource": {"pool_id": pool}} for pool in ("a", "b")]
    assert read(wire_job(tasks=pools, spec__resource=None)).pool_id is UNREADABLE
    assert read(wire_job(tasks=pools[:1] * 2, spec__resource=None)).pool_id == "a"


@pytest.mark.parametrize(
    "item",
    [
        pytest.param("a job", id="text"),
        pytest.param(None, id="null"),
        pytest.param([1], id="list"),
        pytest.param({}, id="empty"),
        pytest.param(wire_job(metadata__id=""), id="empty-id"),
        pytest.param(wire_job(metadata__id=7), id="number-id"),
        pytest.param(wire_job(metadata__id=".."), id="dots"),
        pytest.param(wire_job(metadata__id=None), id="no-id"),
        pytest.param(wire_job(metadata__id="a" * 257), id="longer-than-an-index-takes"),
    ],
)
def test_items_without_a_usable_id(item):
    """
    21: an item that cannot be identified is none, and the jobs beside it are read.
    """
    body = json.dumps({"count": 99, "total": 0, "items": [wire_job("a"), item, wire_job("b")]}).encode()
    assert [None if job is None else job.key.job_id for job in parse_page(body, ORIGIN)] == ["a", None, "b"]


def test_items_that_cannot_be_decoded():
    """
    Text that is no Unicode spoils its own item only.
    """
    good = json.dumps(wire_job("a")).encode()
    bad = json.dumps(wire_job("b")).encode().replace(b"alice", b"\xff\xfe")
    assert [job and job.key.job_id for job in parse_page(b'{"items":[' + bad + b"," + good + b"]}", ORIGIN)] == [None, "a"]


def test_numbers_that_are_none():
    """
    NaN and Infinity, which strict JSON lacks, are unreadable facts of their own job and not the end of the list.
    """
    odd = wire_job("odd", status__duration=float("nan"), status__start_time=float("inf"))
    jobs = parse_page(json.dumps({"items": [odd, wire_job("even"), 5]}).encode(), ORIGIN)
    assert [job and job.key.job_id for job in jobs] == ["odd", "even", None]
    assert jobs[0] is not None
    assert (jobs[0].duration_ms, jobs[0].start_time_ms, jobs[0].phase) == (UNREADABLE, UNREADABLE, "Running")


@pytest.mark.parametrize("hostile", ["a\0b", "a\ud800b"], ids=["nul", "half-a-surrogate"])
def test_text_that_cannot_be_written(hostile):
    """
    Text that a database or a path cannot hold is unreadable where it is a fact, and no id.
    """
    job = read(wire_job(metadata__name=hostile, metadata__annotations={"note": hostile}))
    assert (job.name, job.annotations) == (UNREADABLE, UNREADABLE)
    assert parse_item(json.dumps(wire_job(hostile)).encode(), ORIGIN) is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<html>", b"[]", b"{}", b'{"items":null}', b'{"items":7}', b'{"items":{}}', b"\xff", b"[" * 9999]
)
def test_bodies_that_are_no_list(body):
    """
    A body without a list of items is an error, never an empty list.
    """
    with pytest.raises(Unparsable):
        parse_page(body, ORIGIN)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_bodies_that_are_no_job(body):
    """
    A show answer that is no object is broken; one without an id names no job.
    """
    assert parse_answer(b"{}", ORIGIN) is None
    with pytest.raises(Unparsable):
        parse_answer(body, ORIGIN)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_PATHS = [
    *("kind", "metadata", "status", "spec", "tasks", "algorithm", "status__phase", "status__node_count_metrics"),
    *("metadata__annotations", "spec__resource", "spec__auto_stop", _INFO, f"{_RES}__flavor_detail", f"{_INFO}__gpu"),
]


@given(st.sampled_from(_PATHS), _JSON)
def test_no_value_anywhere_breaks_the_reading(path, value):
    """
    Whatever stands in a field, the item becomes a job or none, and nothing is raised.
    """
    item = wire_job()
    *parents, key = path.split("__")
    owner: Any = item
    for parent in parents:
        owner = owner[parent]
    owner[key] = value
    job = parse_item(json.dumps(item).encode(), ORIGIN)
    assert job is None or job.key.job_id


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), ("12", 12), ("12.0", 12), (12.0, 12), ("12.5", None), (True, None), ("", None), ("-1", None), ("9" * 30, None)],
)
def test_whole_numbers(value, number):
    """
    Counts may come as integers, integral floats or digits in text, and in no other form.
    """
    assert whole(value) == (UNREADABLE if number is None else number)


def test_texts_that_may_be_missing():
    """
    A missing, null or empty text is lawful where the field is; another type is not.
    """
    assert [lawful_text(value) for value in (None, "", "x", 3, {})] == [ABSENT, ABSENT, "x", UNREADABLE, UNREADABLE]
    assert [agreed(values) for values in ([], ["a", "a"], ["a", "b"])] == [ABSENT, "a", UNREADABLE]


ROW = {
    "flavor_id": "f1",
    "flavor_type": "Ascend",
    "billing": {"code": "c1", "unit_num": 2},
    "flavor_info": {"npu": {"unit_num": "8", "product_name": "snt9"}},
}


def table(*rows: object) -> Any:
    return parse_flavors(json.dumps({"flavors": list(rows)}).encode())


def test_a_bare_resource_is_filled_from_the_table():
    """
    A job of no pool takes the row of no pool, keeps its node count, and says where the facts come from.
    """
    bare = read(wire_job(spec__resource__flavor_id="f1", spec__resource__flavor_detail=None))
    assert lacks_detail(bare)
    (resource,) = filled(bare, table(ROW, {**ROW, "pool_id": "p", "billing": {"code": "other"}})).resources
    assert resource == Resource(
        billing_code="c1",
        unit_num=2,
        node_count=2,
        cards_per_node=8,
        flavor_id="f1",
        flavor_type="Ascend",
        accelerator="snt9",
        source="flavor table",
    )


@pytest.mark.parametrize(
    ("pool", "rows", "code"),
    [
        pytest.param("p", [{**ROW, "pool_id": "p"}], "c1", id="row-of-the-pool"),
        pytest.param("p", [ROW], UNREADABLE, id="no-row-of-the-pool"),
        pytest.param(5, [ROW], UNREADABLE, id="pool-unreadable"),
        pytest.param("", [ROW, {**ROW, "billing": {"code": "c2"}}], UNREADABLE, id="rows-disagree"),
        pytest.param("", [ROW, ROW], "c1", id="rows-agree"),
        pytest.param("", [{**ROW, "pool_id": 3}, "junk", {"flavor_type": "GPU"}], UNREADABLE, id="junk-rows"),
    ],
)
def test_which_row_counts(pool, rows, code):
    """
    Only the row of the job's own pool fills it, and none if it cannot be told which.
    """
    changes = {"spec__resource__flavor_id": "f1", "spec__resource__flavor_detail": None, "spec__resource__pool_id": pool}
    assert filled(read(wire_job(**changes)), table(*rows)).resources[0].billing_code == code


def test_what_a_job_says_itself_stands():
    """
    The table adds to what the job says and replaces nothing of it.
    """
    described = read(wire_job(spec__resource__flavor_id="f1"))
    assert filled(described, table(ROW)) == described
    told = wire_job(spec__resource__flavor_id="f1", spec__resource__flavor_detail=None)
    told["spec"]["resource"]["pool_info"] = {"accelerator_num": 1}
    assert filled(read(told), table(ROW)).resources[0].cards_per_node == 1
    assert lacks_detail(replace(described, resources=()))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"flavors":{}}', b"\xff"])
def test_a_broken_flavor_table(body):
    """
    A table that cannot be read is an error, not an empty table.
    """
    with pytest.raises(Unparsable):
        parse_flavors(body)


def test_workspaces():
    """
    Workspaces have an id and perhaps a name, and one without an id spoils the list, because its jobs would be missed.
    """
    body = b'{"workspaces":[{"id":"0","name":"default"},{"id":"w","name":null}]}'
    assert parse_workspaces(body) == (Workspace(id="0", name="default"), Workspace(id="w"))
    for broken in (b"", b"{}", b'{"workspaces":[{"name":"x"}]}', b'{"workspaces":[7]}'):
        with pytest.raises(Unparsable):
            parse_workspaces(broken)
