"""
Terminations: what is accepted, how it ends, and what the record says afterwards.
"""

import pytest
from simulated import HOUR_MS, NOW, NOW_MS, HandClock, asking, running, show, terminate, world_of

from guard.simulator import CallLog

ACTIONS = "/v2/0123456789abcdef0123456789abcdef/training-jobs/job-1/actions"


def phases(response):
    """
    The phase and the secondary phase of an answer.
    """
    status = response.json()["status"]
    return status["phase"], status["secondary_phase"]


@pytest.mark.parametrize(
    ("knobs", "ended", "why"),
    [
        pytest.param({}, ("Terminated", "Terminated"), "terminated", id="stops"),
        pytest.param({"terminate_fails_rate": 1.0}, ("Abnormal", "TerminatedFailed"), "terminate_failed", id="fails"),
        pytest.param(
            {"finishes_while_terminating_rate": 1.0}, ("Completed", "Completed"), "finished", id="finishes-by-itself"
        ),
    ],
)
def test_termination(knobs, ended, why):
    """
    An accepted termination shows Terminating until its time is over, then its outcome, and the fate says when and why.
    """
    clock = HandClock()
    world = world_of(running(), clock=clock, terminate_seconds=20, **knobs)
    accepted = terminate(world)
    assert (accepted.status_code, phases(accepted)) == (202, ("Terminating", "Terminating"))
    clock.seconds = NOW + 19.9
    assert phases(show(world)) == ("Terminating", "Terminating")
    assert [job.id for job in world.live()] == ["job-1"]
    clock.seconds = NOW + 60
    assert phases(show(world)) == ended
    assert show(world).json()["status"]["duration"] == HOUR_MS + 20_000
    assert world.fates() == {"job-1": {"phase": ended[0], "ended_at": NOW + 20, "why": why, "accepted_terminations": 1}}
    assert world.live() == []


@pytest.mark.parametrize("repeat", [409, 202])
@pytest.mark.parametrize("wait", [pytest.param(1, id="terminating"), pytest.param(60, id="ended")])
def test_repeated_termination(repeat, wait):
    """
    A second termination is refused with 2796 or accepted without effect, as the knob says, and the record counts it.
    """
    clock, log = HandClock(), CallLog()
    world = world_of(running(), clock=clock, repeat_terminate=repeat)
    terminate(world, log=log)
    clock.seconds += wait
    assert terminate(world, log=log).status_code == repeat
    assert log.accepted_terminations() == ["job-1"] * (1 if repeat == 409 else 2)
    clock.seconds = NOW + 60
    assert world.fates()["job-1"]["ended_at"] == NOW + 20


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        pytest.param({"queued_time_ms": NOW_MS + 1, "start_time_ms": NOW_MS + 2}, 202, id="creating"),
        pytest.param({"start_time_ms": None}, 202, id="pending"),
        pytest.param({"end_time_ms": NOW_MS}, 409, id="completed"),
        pytest.param({"end_time_ms": NOW_MS, "ends_as": "Abnormal"}, 409, id="abnormal"),
    ],
)
def test_what_may_be_terminated(facts, status):
    """
    Waiting jobs may be terminated and ended ones may not.
    """
    assert terminate(world_of(running(**facts))).status_code == status


def test_a_job_stopped_while_waiting_never_ran():
    """
    A job that is terminated before its start shows no start and no duration, even after its planned start.
    """
    clock = HandClock()
    world = world_of(running(start_time_ms=NOW_MS + 60_000), clock=clock)
    terminate(world)
    clock.seconds += 3600
    status = show(world).json()["status"]
    assert (status["phase"], status["start_time"], status["duration"]) == ("Terminated", 0, 0)


def test_fates_without_a_termination():
    """
    Jobs that end by their plan are finished or failed, and live ones have no end.
    """
    world = world_of(
        running("live"),
        running("done", end_time_ms=NOW_MS),
        running("broke", end_time_ms=NOW_MS, ends_as="Failed"),
        running("auto", auto_stop_hours=1),
    )
    assert {key: fate["why"] for key, fate in world.fates().items()} == {
        "live": None,
        "done": "finished",
        "broke": "failed",
        "auto": "finished",
    }
    assert world.fates()["live"]["ended_at"] is None


def test_restart_begins_a_new_run():
    """
    A restarted job runs again from now on, for as long as it was planned, and its duration falls.
    """
    clock = HandClock()
    world = world_of(running(end_time_ms=NOW_MS), clock=clock)
    clock.seconds += 60
    world.restart("job-1")
    status = show(world).json()["status"]
    assert (status["phase"], status["start_time"], status["duration"]) == ("Running", NOW_MS + 60_000, 0)
    clock.seconds += 3600
    assert show(world).json()["status"]["phase"] == "Completed"


def test_restart_over_the_api():
    """
    The restart action is for ended jobs only.
    """
    world = world_of(running())

    def restart():
        return asking(world, lambda client: client.post(ACTIONS, json={"action_type": "restart"}))

    refused = restart()
    assert (refused.status_code, refused.json()["error_code"]) == (409, "ModelArts.2813")
    world.job("job-1").end_time_ms = NOW_MS
    assert restart().status_code == 202


@pytest.mark.parametrize(
    ("url", "body", "code"),
    [
        pytest.param(ACTIONS, b"terminate", "2787", id="no-json"),
        pytest.param(ACTIONS, b"[]", "2787", id="no-object"),
        pytest.param(ACTIONS, b"{}", "2788", id="no-action"),
        pytest.param(ACTIONS, b'{"action_type": "delete"}', "2812", id="unknown-action"),
        pytest.param(ACTIONS.replace("job-1", "job-2"), b'{"action_type": "terminate"}', "2775", id="unknown-job"),
    ],
)
def test_refused_actions(url, body, code):
    """
    A wrong action is HTTP 400 with the documented code, and nothing is terminated.
    """
    world, log = world_of(running()), CallLog()
    response = asking(world, lambda client: client.post(url, content=body), log)
    assert (response.status_code, response.json()["error_code"]) == (400, f"ModelArts.{code}")
    assert log.accepted_terminations() == []
    assert world.fates()["job-1"]["accepted_terminations"] == 0


def test_outcomes_depend_on_the_seed_and_not_on_the_order():
    """
    With rates between 0 and 1 each job's outcome is drawn from the seed and its id.
    """

    def outcomes(names):
        clock = HandClock()
        world = world_of(*(running(name) for name in names), clock=clock, terminate_fails_rate=0.5, seed=7)
        for name in names:
            terminate(world, name)
        clock.seconds += 60
        return {name: fate["phase"] for name, fate in world.fates().items()}

    names = [f"job-{n}" for n in range(12)]
    assert outcomes(names) == outcomes(names[::-1])
    assert set(outcomes(names).values()) == {"Terminated", "Abnormal"}


def test_a_world_refuses_what_cannot_be():
    """
    A second job of one id and a job of no workspace are errors of the one who sets up the world.
    """
    world = world_of(running())
    with pytest.raises(ValueError, match="taken"):
        world.add(running())
    with pytest.raises(ValueError, match="workspace"):
        world.add(running("job-2", workspace="nowhere"))
