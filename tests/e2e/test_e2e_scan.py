"""
``guard scan`` as a person runs it, against a service on a socket; who may be terminated is said by an oracle.
"""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys

import pytest
from e2e_stand import BREAKS_NOTHING, Site, daemon, environment_of, no_secret, until, violators

from guard.simulator import populate
from guard.simulator.world import DEFAULT_PROJECT

pytestmark = pytest.mark.server

# Port 9 (discard) is one at which nobody answers.
NOBODY = json.dumps([{"name": "lab", "region": "r", "project_id": "p", "endpoint": "http://127.0.0.1:9"}])


def test_armed_it_terminates_exactly_the_violators_and_once(site, simulated):
    """
    Among a busy team's jobs the armed scan ends exactly those that break the policy, and a second scan sends nothing.
    """
    site.set(armed=True)
    simulated.stage("forgotten", "sweep", "night-run")
    populate(simulated.world, 400, seed=11, quirk_share=0)
    wanted = violators(simulated.world)
    assert {"forgotten", "sweep", "night-run"} <= wanted
    report = site.scan()
    assert simulated.terminated() == sorted(wanted)
    assert site.outcomes() == dict.fromkeys(wanted, "confirmed")
    assert {row["job"] for row in report["rows"]} == wanted
    again = site.scan()
    assert simulated.asked_to_end() == sorted(wanted)
    assert again["rows"] == []
    fates = simulated.world.fates()
    assert {job for job, fate in fates.items() if fate["why"] == "terminated"} == wanted
    assert all(fate["accepted_terminations"] == (job in wanted) for job, fate in fates.items())


def test_savings_that_cannot_be_reckoned_are_said_and_the_scan_reports(site, simulated):
    """
    A row of savings that nobody can read costs its figure, a log line, and nothing else.
    """
    site.set(armed=True)
    simulated.stage("forgotten")
    site.scan()
    with contextlib.closing(sqlite3.connect(site.ledger)) as database, database:
        database.execute("UPDATE intents SET basis = '{'")
    simulated.runs("night-run", hours=30)
    done = site.guard("scan", "--output", "json")
    assert done.returncode == 0
    assert [row["job"] for row in json.loads(done.stdout)["rows"]] == ["night-run"]
    assert "turn.failed" in done.stderr
    assert "intent 1: " in done.stderr
    assert simulated.terminated() == ["forgotten", "night-run"]


def test_no_quirk_of_the_service_ends_a_job_that_breaks_nothing(site, simulated):
    """
    With every oddity of the wire on every other job, nothing ends but long P100 jobs, and a hidden fact spares its job.
    """
    site.set(armed=True)
    simulated.stage("forgotten")
    populate(simulated.world, 150, seed=12, quirk_share=0.5)
    sure = violators(simulated.world)
    site.scan()
    ended = set(simulated.terminated())
    assert sure <= ended
    assert not ended & set(BREAKS_NOTHING)
    for job_id in ended:
        job = simulated.world.job(job_id)
        assert job.flavor.id == "modelarts.vm.p100.large.eco"
        assert job.node_count > 2
        assert job.quirk not in ("null-status", "28-unknown-phase", "no-flavor-detail", "24-pool-without-flavor-detail")


def test_disarmed_is_the_default(site, simulated):
    """
    Without ``armed`` nothing is sent; each match says that it was held back, and why it matched.
    """
    simulated.stage("forgotten")
    report = site.scan()
    assert simulated.asked_to_end() == []
    assert site.intents() == []
    assert [(row["job"], row["action"]) for row in report["rows"]] == [("forgotten", "held back: disarmed")]
    assert "duration > 24h" in report["rows"][0]["why"]
    assert "disarmed" in report["note"]


def test_paused_nothing_is_sent_until_resumed(site, simulated):
    """
    A pause file and ``guard pause`` hold everything back, and what was held back is done after they are lifted.
    """
    pause_file = site.folder / "stop"
    pause_file.touch()
    site.set(armed=True, pause_file=str(pause_file))
    simulated.stage("forgotten")
    (by_file,) = site.scan()["rows"]
    pause_file.unlink()
    done = site.guard("pause", "--reason", "stocktaking", "--for", "2h", "--by", "dana")
    assert (done.returncode, done.stderr) == (0, "")
    (by_command,) = site.scan()["rows"]
    assert (by_file["action"], by_command["action"]) == ("held back: paused", "held back: paused")
    assert by_file["held"] == f"pause file {pause_file} exists"
    assert by_command["held"] == "paused by dana: stocktaking"
    assert simulated.asked_to_end() == []
    assert site.guard("resume").returncode == 0
    site.scan()
    assert simulated.terminated() == ["forgotten"]


def test_the_default_limits_hold_a_flood_back(site, simulated):
    """
    With the limits that are on by default a policy that matches everything ends three of eight, oldest deadlines first.
    """
    del site.values["limits"]
    site.set(armed=True)
    for index in range(8):
        simulated.runs(f"job-{index}", hours=30 + index)
    report = site.scan()
    assert simulated.terminated() == ["job-5", "job-6", "job-7"]
    held = [row["job"] for row in report["rows"] if row["action"] == "held back: limit"]
    assert held == ["job-4", "job-3", "job-2", "job-1", "job-0"]


def test_the_report_as_json_and_as_a_table(site, simulated):
    """
    JSON holds targets, rows, doubts and the note; the table says the same with whole ids, and neither holds a secret.
    """
    simulated.stage("forgotten")
    long_id = "0b9b4a3e-2f68-4c64-9f0a-7d3f5f1c2a11"
    simulated.runs(long_id, hours=48, name="markup [red]\x1b[31m", user="")
    report = site.scan()
    assert set(report) == {"targets", "rows", "unknown", "exempt_by_unknown", "note"}
    (target,) = report["targets"]
    assert (target["target"], target["complete"], target["error"]) == ("lab", True, "")
    assert target["jobs"] == len(simulated.world.live())
    assert set(report["rows"][0]) == {"job", "target", "name", "user", "policy", "action", "why", "held", "late"}
    assert report["unknown"] == {"p100-eco-one-day": 2}
    done = site.guard("scan")
    assert long_id in done.stdout
    assert "\x1b" not in done.stdout
    assert "held back: disarmed" in done.stdout
    assert done.stderr == ""
    no_secret(done.stdout, json.dumps(report), site.ledger.read_bytes())


def test_against_a_simulator_in_a_process_of_its_own(tmp_path):
    """
    ``guard simulate`` prints settings and keys with which an armed scan runs as they are; SIGINT ends it quietly.
    """
    knobs = tmp_path / "knobs.json"
    knobs.write_text('{"terminate_seconds": 0.3}')
    command = [sys.executable, "-m", "guard", "simulate", "--port", "0", "--jobs", "900", "--knobs", str(knobs)]
    process = subprocess.Popen(
        command,
        env={**environment_of(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        lines = []
        while not lines or not lines[-1].startswith("export"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        keys = dict(word.split("=") for word in lines[-1].split()[1:])
        url = next(line for line in lines if "endpoint:" in line).partition("endpoint: ")[2].split("}")[0]
        assert DEFAULT_PROJECT in "".join(lines)
        site = Site(tmp_path, url, armed=True)
        site.scan(**keys)
        ended = {job for job, outcome in site.outcomes().items() if outcome == "confirmed"}
        assert ended
        log = subprocess.run(
            [sys.executable, "-c", f"import urllib.request as u; print(u.urlopen('{url}/_simulator/log').read().decode())"],
            capture_output=True,
            text=True,
            check=True,
        )
        accepted = {entry["job_id"] for entry in json.loads(log.stdout) if entry["accepted"]}
        assert accepted == ended
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize(
    ("words", "environment", "code", "said"),
    [
        pytest.param((), {}, 0, "No job matches a policy.", id="as-asked"),
        pytest.param(("--wait", "30"), {}, 1, "--wait: expected a span such as 30s, 15m or 24h, got '30'", id="bad-input"),
        pytest.param(("--no-such-option",), {}, 2, "No such option", id="usage"),
        pytest.param((), {"GUARD_TARGETS": NOBODY}, 3, "target lab: could not be read", id="no-target"),
        pytest.param((), {"GUARD_LEDGER": "sqlite:////none/guard.db"}, 4, "make it", id="ledger"),
    ],
)
def test_exit_codes(site, words, environment, code, said):
    """
    0 as asked, 1 bad input, 2 usage, 3 no target could be read, 4 the ledger cannot be used.
    """
    done = site.guard("scan", *words, **environment)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_one_readable_target_is_enough(site, simulated):
    """
    A target that cannot be read is named and does not hinder the other one; the scan ended as asked.
    """
    simulated.stage("forgotten")
    dead = {**site.target, "name": "dead", "region": "cn-north-1", "endpoint": "http://127.0.0.1:9"}
    site.set(armed=True, targets=[dead, site.target])
    report = site.scan()
    assert [one["target"] for one in report["targets"] if one["error"]] == ["dead"]
    assert simulated.terminated() == ["forgotten"]


def test_beside_a_running_daemon_it_only_reports(site, simulated):
    """
    While a daemon holds the ledger an armed scan sends nothing and names the holder.
    """
    simulated.stage("forgotten")
    with daemon(site) as running:
        report = site.scan(GUARD_ARMED="true")
        assert simulated.asked_to_end() == []
        assert str(running.process.pid) in report["note"]
        assert report["rows"][0]["action"] == "held back: lease"
        until(running.is_ready, "the daemon goes on")
        assert running.end() == 0
