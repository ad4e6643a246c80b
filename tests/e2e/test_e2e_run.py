"""
``guard run`` as a process: it starts, serves, reloads, drains and ends; and it survives sudden death in every state.
"""

import re
import signal
import subprocess
import time
from dataclasses import asdict

import pytest
from e2e_stand import POLICY, Simulated, Site, daemon, no_secret, settles, until

from guard.core.protocol import State
from guard.simulator import Fault, changed
from tests.changing import replace

pytestmark = pytest.mark.server


def test_a_whole_life(site, simulated):
    """
    It starts, is ready, acts, serves its metrics, drains at SIGTERM and exits 0; ledger, metrics and service agree.
    """
    site.set(armed=True)
    simulated.stage("forgotten", "sweep")
    with daemon(site) as running:
        until(lambda: running.terminations() == {"confirmed": 2}, "both are confirmed")
        assert running.get("/livez") == (200, "ok\n")
        status, said = running.get("/readyz")
        assert status == 200
        assert re.fullmatch(r"ok\ntarget lab: walked \d+ s ago, .*\d+ jobs watched, \d+ deadlines queued\n", said)
        series = running.series()
        assert series["costguard_armed"] == 1
        assert series['costguard_termination_lateness_seconds_count{target="lab"}'] == 2
        metrics = running.get("/metrics")[1]
        assert running.end() == 0
    assert site.outcomes() == {"forgotten": "confirmed", "sweep": "confirmed"}
    assert simulated.asked_to_end() == ["forgotten", "sweep"]
    events = [event["event"] for event in running.events()]
    assert [event for event in events if event != "audit.head"][-2:] == ["guard.stopping", "guard.stopped"]
    verified = site.guard("audit", "verify", "--head", str(running.log))
    assert verified.returncode == 0
    assert re.fullmatch(r"nothing was changed in \d+ entries of 2 chains; (\d+) of \1 kept heads met\n", verified.stdout)
    no_secret(metrics, running.log.read_bytes(), site.ledger.read_bytes())


def test_a_job_is_ended_at_the_second_at_which_it_breaks_the_policy(site, simulated):
    """
    A job that is a few seconds short of its limit is spared until then, and ended without waiting for the next walk.
    """
    site.set(armed=True, scan_interval="1h", walk_interval="1h")
    simulated.runs("nearly", hours=24 - 8 / 3600)
    with daemon(site) as running:
        assert simulated.asked_to_end() == []
        until(lambda: simulated.terminated() == ["nearly"], "the job is ended")
        until(lambda: running.terminations() == {"confirmed": 1}, "the end is confirmed")
        (intent,) = site.intents()
        assert intent.draft.deadline_ms == simulated.world.job("nearly").start_time_ms + 24 * 3_600_000 + 1
        assert 0 <= intent.lateness_ms < 5000


def test_policies_are_taken_anew_and_a_bad_file_changes_nothing(site, simulated):
    """
    SIGHUP takes a changed folder at once; a broken file keeps the old set, lowers the gauge and is logged with its line.
    """
    simulated.stage("forgotten")
    file = site.policies / "economic.yaml"
    gauge = "costguard_config_last_reload_successful"

    def named() -> set[str]:
        return {name.partition('policy="')[2].partition('"')[0] for name in running.series() if "policy_info{" in name}

    with daemon(site) as running:
        assert named() == {"p100-eco-one-day"}
        file.write_text(POLICY.replace("p100-eco-one-day", "renamed"))
        running.process.send_signal(signal.SIGHUP)
        until(lambda: named() == {"renamed"}, "the new set is in force")
        file.write_text(POLICY + "  - name: broken\n    match: {duration: {gt: 24}}\n")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: running.series()[gauge] == 0, "the gauge falls")
        assert named() == {"renamed"}
        (refused,) = running.events("policies.refused")
        assert "economic.yaml:10:" in refused["error"]
        assert "broken" in refused["error"]
        file.write_text(POLICY)
        until(lambda: running.series()[gauge] == 1, "a mended folder is taken by itself")
        assert named() == {"p100-eco-one-day"}


def test_a_second_daemon_is_refused(site, simulated):
    """
    Another daemon on the same ledger ends with 4 and names who holds it; the first goes on.
    """
    with daemon(site) as running:
        done = site.guard("run")
        assert done.returncode == 4
        assert f"pid {running.process.pid}" in done.stderr
        assert "stop it first" in done.stderr
        assert "Traceback" not in done.stderr
        assert running.is_ready()


def test_a_pause_is_obeyed_by_the_running_daemon(site, simulated):
    """
    ``guard pause`` beside the daemon stops it before its next call, and ``guard resume`` lets it act at once.
    """
    site.set(armed=True, scan_interval="1s", walk_interval="1s")
    with daemon(site) as running:
        assert site.guard("pause", "--reason", "stocktaking").returncode == 0
        simulated.stage("forgotten")
        held = 'costguard_held_back_jobs{policy="p100-eco-one-day",reason="paused"}'
        until(lambda: running.series()[held] == 1, "the job is held back")
        until(lambda: running.series()["costguard_paused"] == 1, "the pause is shown")
        assert simulated.asked_to_end() == []
        assert site.guard("resume").returncode == 0
        until(lambda: simulated.terminated() == ["forgotten"], "the job is ended")


def test_the_second_sigterm_ends_at_once(tmp_path):
    """
    The first SIGTERM waits for a termination on its way, the second one does not, and the intent stays open.
    """
    with Simulated(terminate_seconds=600) as simulated:
        site = Site(tmp_path, simulated.url, armed=True)
        simulated.stage("forgotten")
        with daemon(site) as running:
            until(lambda: simulated.terminated() == ["forgotten"], "the call is accepted")
            running.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(timeout=1.5)
            began = time.monotonic()
            assert running.end() == 0
            assert time.monotonic() - began < 3
        assert site.outcomes() == {"forgotten": ""}


HELD_FOR_S = 60.0
LATE_S = 6.0
STATES = {
    # A job for each state in which a sudden death finds its intent, and the faults that hold it there.
    "unread": (State.INTENDED, [Fault(operation="show", kind="slow", seconds=HELD_FOR_S)]),
    "never-arrives": (State.SENDING, [Fault(operation="terminate", kind="slow", seconds=HELD_FOR_S)]),
    "arrives-late": (State.SENDING, [Fault(operation="terminate", kind="slow", seconds=LATE_S)]),
    "unanswered": (
        State.SENDING,
        [
            Fault(operation="show", kind="slow", times=1),
            Fault(operation="terminate", kind="reset_after", times=1),
            Fault(operation="show", kind="slow", seconds=HELD_FOR_S),
        ],
    ),
    "throttled": (State.DENIED, [Fault(operation="terminate", kind="status", status=429, retry_after=50)]),
    "accepted": (State.ACCEPTED, []),
}


def killed_in_every_state(site: Site, simulated: Simulated) -> None:
    """
    Let an armed daemon come into every state of the kill protocol, and kill it there.
    """
    faults = []
    for job_id, (_, several) in STATES.items():
        simulated.runs(job_id, hours=30)
        faults += [{**asdict(fault), "job_id": job_id} for fault in several]
    simulated.stage()
    simulated.world.knobs = changed(simulated.world.knobs, {"faults": faults, "terminate_seconds": HELD_FOR_S})
    site.set(armed=True, confirm_timeout="8s", scan_interval="1s", walk_interval="1s")
    reached = {job_id: state for job_id, (state, _) in STATES.items()}

    def unanswered_was_carried_out() -> bool:
        return "unanswered" in simulated.calls.accepted_terminations()

    with daemon(site, wait=False) as running:
        until(unanswered_was_carried_out, "the call without an answer is carried out")
        settles(lambda: {one.draft.key.job_id: one.state for one in site.intents()}, reached)
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
    assert {one.draft.key.job_id: one.state for one in site.intents()} == reached
    simulated.world.knobs = changed(simulated.world.knobs, {"faults": [], "terminate_seconds": 0.3})
    for job in simulated.world.live():
        if job.stop is not None:
            job.stop = replace(job.stop, effect_ms=simulated.world.now_ms + 500)


def test_killed_in_every_state_and_started_again_armed(site, simulated):
    """
    After a SIGKILL in every state the next start ends every intent, and no job's termination is accepted twice.
    """
    killed_in_every_state(site, simulated)
    with daemon(site) as running:
        settles(running.terminations, {"confirmed": len(STATES)})
        until(lambda: len(simulated.calls.of("terminate")) >= len(STATES) + 1, "the late call arrives")
        until(lambda: running.series()["costguard_ledger_open_intents"] == 0, "the gauge follows")
        assert running.end() == 0
    assert site.outcomes() == dict.fromkeys(STATES, "confirmed")
    assert simulated.terminated() == sorted(STATES)


def test_killed_in_every_state_and_started_again_disarmed(site, simulated):
    """
    A disarmed start sends nothing: what was sent is only read until it settles, what was not ends held back.
    """
    killed_in_every_state(site, simulated)
    site.set(armed=False)
    expected = {
        "unread": "held_back",
        "never-arrives": "unconfirmed",
        "arrives-late": "confirmed",
        "unanswered": "confirmed",
        "throttled": "held_back",
        "accepted": "confirmed",
    }
    with daemon(site) as running:
        settles(site.outcomes, expected)
        settles(running.terminations, {"confirmed": 3, "held_back": 2, "unconfirmed": 1})
        assert running.end() == 0
    assert simulated.terminated() == ["accepted", "arrives-late", "unanswered"]
    assert sorted(set(simulated.asked_to_end())) == ["accepted", "arrives-late", "throttled", "unanswered"]
    assert simulated.asked_to_end().count("throttled") == 1


def test_killed_again_and_again(site, simulated):
    """
    A daemon that is killed at arbitrary moments gets done in the end, with one accepted call per job and no other job.
    """
    wanted = [f"job-{index}" for index in range(12)]
    simulated.stage(*wanted)
    site.set(armed=True, scan_interval="1s", walk_interval="1s")
    simulated.world.knobs = changed(simulated.world.knobs, {"latency_seconds": 0.05})
    for pause in (0.0, 0.1, 0.2, 0.4):
        with daemon(site, wait=False) as running:
            until(lambda: running.events("guard.started"), "it has started")
            time.sleep(pause)
            running.end(signal.SIGKILL)
    with daemon(site) as running:
        settles(running.terminations, {"confirmed": len(wanted)})
    assert simulated.terminated() == sorted(wanted)
    assert site.outcomes() == dict.fromkeys(wanted, "confirmed")


def test_refused_keys_do_not_end_the_daemon(site, simulated):
    """
    With keys that are refused the daemon stays up, says so in its log and metrics, shows no secret and ends nothing.
    """
    simulated.stage("forgotten")
    site.set(armed=True, scan_interval="1s", walk_interval="1s")
    wrong = "wrong-and-just-as-secret"
    with daemon(site, wait=False, HUAWEICLOUD_SDK_SK=wrong) as running:
        until(lambda: running.events("scan.failed"), "the walk fails")
        until(lambda: running.series()['costguard_scans_total{outcome="failed",target="lab"}'] >= 1, "it is counted")
        assert running.get("/livez")[0] == 200
        assert "401" in running.events("scan.failed")[0]["error"]
        assert running.end() == 0
    assert simulated.asked_to_end() == []
    assert wrong not in running.log.read_text()
    no_secret(running.log.read_bytes(), site.ledger.read_bytes())
