"""
Jobs: how the service shows them, what each quirk changes, and what their phases do by time.
"""

import copy
import dataclasses

import pytest
from simulated import HOUR_MS, NOW_MS, P100, running

from guard.simulator import FLAVORS, POOL_FLAVORS, QUIRKS, Knobs, SimJob, Task, render

NPU = FLAVORS["modelarts.bm.snt9.xlarge.2"]
HETERO = {"flavor": None, "kind": "hetero_job", "tasks": (Task(role="learner", flavor=P100, node_count=2),)}
DEFAULTS = Knobs()


def test_rendered_like_the_documented_example():
    """
    A running job has the fields and units of the vendor's example: milliseconds, counts as numbers, flags as text.
    """
    shown = render(running(node_count=2), DEFAULTS, NOW_MS)
    assert shown["kind"] == "job"
    assert shown["metadata"]["create_time"] == NOW_MS - 2 * HOUR_MS
    assert shown["status"] == {
        "phase": "Running",
        "secondary_phase": "Running",
        "duration": HOUR_MS,
        "start_time": NOW_MS - HOUR_MS,
        "node_count_metrics": [[NOW_MS - HOUR_MS, 2]],
        "tasks": ["worker-0", "worker-1"],
    }
    resource = shown["spec"]["resource"]
    assert resource["policy"] == "economic"
    assert resource["flavor_detail"] == {
        "flavor_type": "GPU",
        "billing": {"code": "modelarts.vm.gpu.p100.eco", "unit_num": 1},
        "attributes": {
            "is_economic_policy_supported": "true",
            "is_multi_devices_supported": "false",
            "is_multi_nodes_supported": "true",
        },
        "flavor_info": {
            "cpu": {"arch": "x86", "core_num": 8},
            "gpu": {"unit_num": 1, "product_name": "NVIDIA-P100", "memory": "8GB"},
            "memory": {"size": 64, "unit": "GB"},
        },
    }


def test_npu_counts_are_text_and_two_cards_are_two_units():
    """
    An Ascend flavor shows its cards as text, and the two-card flavor is billed as two units of the one-card code.
    """
    detail = render(running(flavor=NPU), DEFAULTS, NOW_MS)["spec"]["resource"]["flavor_detail"]
    assert detail["flavor_info"]["npu"]["unit_num"] == "2"
    assert detail["billing"] == {"code": "modelarts.kat1.xlarge", "unit_num": 2}


def test_heterogeneous_and_pool_jobs():
    """
    A heterogeneous job shows its flavors by role and without node counts; a pool job shows its pool and no billing.
    """
    hetero = render(running(**HETERO), DEFAULTS, NOW_MS)
    assert hetero["tasks"][0]["task_resource"]["billing"]["code"] == P100.code
    assert "node_count" not in hetero["tasks"][0]["task_resource"]
    assert hetero["status"]["tasks"] == ["learner-0", "learner-1"]
    assert "flavor_detail" not in hetero["spec"]["resource"]
    pool = POOL_FLAVORS["modelarts.pool.visual.8xlarge"]
    resource = render(running(flavor=pool, pool_id="pool-1"), DEFAULTS, NOW_MS)["spec"]["resource"]
    assert resource["pool_id"] == "pool-1"
    assert "billing" not in resource["flavor_detail"]


@pytest.mark.parametrize(
    ("duration", "first", "later"),
    [
        pytest.param("ticks", HOUR_MS, HOUR_MS + 5, id="ticks"),
        pytest.param("still", HOUR_MS, HOUR_MS, id="still"),
        pytest.param("zero", 0, 0, id="zero"),
        pytest.param("ahead", 2 * HOUR_MS, 2 * HOUR_MS + 5, id="ahead"),
    ],
)
def test_duration_while_running(duration, first, later):
    """
    A running job's duration ticks, stands, is 0 or an hour ahead, as the knob says.
    """
    job, knobs = running(), Knobs(duration=duration)
    assert [render(job, knobs, NOW_MS + wait)["status"]["duration"] for wait in (0, 5)] == [first, later]


def test_duration_of_an_ended_job_is_its_run():
    """
    Once a job has ended its duration is right under every knob.
    """
    job = running(end_time_ms=NOW_MS)
    assert render(job, Knobs(duration="zero"), NOW_MS + HOUR_MS)["status"]["duration"] == HOUR_MS


def test_timestamps_are_of_the_services_clock():
    """
    A service whose clock is wrong shows wrong moments and right spans.
    """
    status = render(running(), Knobs(clock_offset_seconds=60), NOW_MS)["status"]
    assert (status["start_time"], status["duration"]) == (NOW_MS - HOUR_MS + 60_000, HOUR_MS)


PLAN = {"queued_time_ms": NOW_MS, "start_time_ms": NOW_MS + 10, "end_time_ms": NOW_MS + 20}


@pytest.mark.parametrize(
    ("facts", "wait_ms", "phase"),
    [
        pytest.param({}, -1, "Creating", id="creating"),
        pytest.param({}, 0, "Pending", id="queued"),
        pytest.param({}, 9, "Pending", id="still-queued"),
        pytest.param({}, 10, "Running", id="started"),
        pytest.param({}, 19, "Running", id="nearly-done"),
        pytest.param({}, 20, "Completed", id="done"),
        pytest.param({"ends_as": "Failed"}, 20, "Failed", id="failed"),
        pytest.param({"start_time_ms": None, "end_time_ms": None}, HOUR_MS, "Pending", id="never-starts"),
        pytest.param({"end_time_ms": None, "auto_stop_hours": 1}, HOUR_MS + 9, "Running", id="before-auto-stop"),
        pytest.param({"end_time_ms": None, "auto_stop_hours": 1}, HOUR_MS + 10, "Terminated", id="auto-stop"),
    ],
)
def test_planned_phases(facts, wait_ms, phase):
    """
    A job goes through its plan at the planned millisecond.
    """
    job = SimJob(id="x", create_time_ms=NOW_MS - 5, flavor=P100, **{**PLAN, **facts})
    assert job.phase(NOW_MS + wait_ms) == phase


def test_auto_stop_is_shown():
    """
    A job with auto-stop shows it in hours.
    """
    spec = render(running(auto_stop_hours=2), DEFAULTS, NOW_MS)["spec"]
    assert spec["auto_stop"] == {"time_unit": "HOURS", "duration": 2}


@pytest.mark.parametrize("quirk", sorted(QUIRKS))
def test_every_quirk_changes_a_job(quirk):
    """
    Each quirk changes the rendering of at least one sort of job, and leaves the next rendering of others alone.
    """
    sorts = [running(), running(flavor=NPU), running(**HETERO)]
    plain = [render(job, DEFAULTS, NOW_MS) for job in sorts]
    quirky = [render(dataclasses.replace(job, quirk=quirk), DEFAULTS, NOW_MS) for job in sorts]
    changes = [before != after or repr(before) != repr(after) for before, after in zip(plain, quirky, strict=True)]
    assert any(changes)
    assert [render(job, DEFAULTS, NOW_MS) for job in sorts] == plain


@pytest.mark.parametrize("quirk", sorted(QUIRKS))
def test_quirks_bear_each_other(quirk):
    """
    A quirk applied to a job that another one has made bare changes what is there and raises nothing.
    """
    bare = QUIRKS["null-status"](QUIRKS["no-flavor-detail"](render(running(), DEFAULTS, NOW_MS)))
    assert QUIRKS[quirk](copy.deepcopy(bare)) is not None


@pytest.mark.parametrize(
    "facts", [pytest.param({"quirk": "99-none"}, id="quirk"), pytest.param({"ends_as": "Running"}, id="end")]
)
def test_jobs_that_cannot_be(facts):
    """
    An unknown quirk or an end that is none is refused when the job is made.
    """
    with pytest.raises(ValueError, match=r"quirk|ends_as"):
        running(**facts)
