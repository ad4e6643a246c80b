"""
Faults around a running daemon: the service, the network, the disk. What was meant is done in the end, once, or not at all.
"""

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
from e2e_stand import daemon, environment_of, settles, until

from guard.simulator import Fault, changed
from tests.postgres import Server

pytestmark = pytest.mark.server
QUICK = {"armed": True, "scan_interval": "1s", "walk_interval": "2s"}
USABLE = "costguard_ledger_usable"


def troubled(simulated, *faults, **knobs):
    """
    Put faults in place of those that were there.
    """
    simulated.world.knobs = changed(simulated.world.knobs, {"faults": [asdict(one) for one in faults], **knobs})


def told(running):
    """
    What the daemon tells of itself, as a program reads it.
    """
    return json.loads(running.get("/statusz?format=json")[1])


def beat(running):
    """
    When the daemon's heart beat last, by its ledger.
    """
    return told(running)["ledger"]["holders"][0]["beat"]


def test_a_network_that_breaks_everything(site, simulated):
    """
    A third of all calls are slow, reset, cut in half, empty, a proxy's page or another's answer: each violator is ended
    once, or its record says why it was not, and nobody else is touched.
    """
    kinds = ("slow", "reset_before", "reset_after", "truncated", "html", "empty", "duplicated")
    troubled(simulated, *(Fault(operation="*", kind=kind, seconds=0.3, rate=0.05) for kind in kinds), latency_seconds=0.02)
    wanted = [f"job-{number}" for number in range(6)]
    simulated.stage(*wanted)
    site.set(**QUICK)
    with daemon(site, wait=False) as running:
        until(lambda: set(wanted) <= set(site.outcomes()), "each violator has its intent", within=60)
        until(lambda: "" not in site.outcomes().values(), "each intent has its outcome", within=60)
        assert running.end() == 0
    assert "Traceback" not in running.log.read_text()
    outcomes = site.outcomes()
    assert set(outcomes) == set(wanted)
    assert set(outcomes.values()) <= {"confirmed", "failed"}
    assert simulated.terminated() == [job for job in wanted if outcomes[job] == "confirmed"]
    assert len(simulated.terminated()) >= 3


def test_a_storm_of_429(site, simulated):
    """
    While every call is throttled nothing is done, nothing ends and nothing is lost; after it each violator is ended once.
    """
    site.set(**QUICK)
    with daemon(site) as running:
        troubled(simulated, Fault(operation="*", kind="status", status=429, code="APIGW.0308", retry_after=0.2))
        simulated.stage("forgotten", "sweep")
        until(lambda: running.series()['costguard_api_throttled_total{operation="list"}'] >= 3, "calls are throttled")
        assert running.get("/livez")[0] == 200
        assert simulated.asked_to_end() == []
        troubled(simulated)
        settles(running.terminations, {"confirmed": 2}, within=60)
        assert running.end() == 0
    assert simulated.terminated() == ["forgotten", "sweep"]


def test_credentials_that_end_in_the_middle_of_a_walk(site, simulated):
    """
    The second page of a walk is refused with 401 once: credentials are renewed, the walk is complete, and the kill is made.
    """
    for number in range(120):
        simulated.runs(f"small-{number:03}", hours=30, node_count=1)
    simulated.runs("forgotten", hours=30)
    troubled(simulated, Fault(operation="list", kind="status", status=401, code="APIGW.0301", after=1, times=1))
    site.set(**QUICK)
    with daemon(site) as running:
        settles(running.terminations, {"confirmed": 1})
        assert running.events("scan.finished")[0]["complete"]
        assert [entry.status for entry in simulated.calls.of("list")].count(401) == 1
        assert running.end() == 0


def test_a_wrong_project_and_a_name_that_nobody_knows(site, simulated):
    """
    One target is another's project, one has an address that no DNS knows: both are told by name, and the third is served.
    """
    wrong = {"name": "wrong", "region": "cn-north-1", "project_id": "f" * 32, "endpoint": simulated.url}
    lost = {"name": "lost", "region": "cn-north-2", "project_id": "e" * 32, "endpoint": "https://nowhere.invalid"}
    simulated.stage("forgotten")
    site.set(**QUICK, targets=[site.target, wrong, lost])
    with daemon(site, wait=False) as running:
        until(lambda: running.events("guard.started"), "it has started")
        settles(running.terminations, {"confirmed": 1}, within=60)
        until(
            lambda: {one["target"] for one in running.events("scan.failed")} == {"wrong", "lost"}, "both are told", within=60
        )
        status = {one["target"]: one for one in told(running)["targets"]}
        assert status["lab"]["health"] == "ok"
        assert (status["wrong"]["health"], "Invalid project id" in status["wrong"]["error"]) == ("failing", True)
        assert (status["lost"]["health"], "no answer from nowhere.invalid" in status["lost"]["error"]) == ("failing", True)
        assert running.get("/readyz")[0] == 503
        assert running.end(within=60) == 0
    assert simulated.terminated() == ["forgotten"]


def test_a_service_whose_clock_jumps(site, simulated):
    """
    A service whose clock is ten minutes ahead closes the gate by name; when it is right again, the job is ended.
    """
    site.set(**QUICK)
    with daemon(site) as running:
        troubled(simulated, clock_offset_seconds=600.0)
        until(
            lambda: abs(running.series()['costguard_clock_offset_seconds{target="lab"}']) > 500,
            "the jump is seen",
            within=60,
        )
        simulated.stage("forgotten")
        held = 'costguard_held_back_jobs{policy="p100-eco-one-day",reason="clock"}'
        until(lambda: running.series()[held] == 1, "the job is held back", within=60)
        assert told(running)["targets"][0]["closed"].startswith("clock: ")
        assert simulated.asked_to_end() == []
        troubled(simulated, clock_offset_seconds=0.0)
        until(lambda: simulated.terminated() == ["forgotten"], "the job is ended", within=60)
        assert running.end() == 0


@contextlib.contextmanager
def full(site, running):
    """
    A disk without room for one byte more in any file of the daemon, as far as the daemon can tell.
    """
    wal = site.ledger.with_name(site.ledger.name + "-wal")
    before = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    # Its log is far shorter than that.
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def read_only(site, running):
    """
    A disk on which the daemon cannot write anything, its log included.
    """
    before = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def locked(site, running):
    """
    Another process that holds the ledger's file for itself.
    """
    connection = sqlite3.connect(site.ledger, isolation_level=None, timeout=30)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextlib.contextmanager
def removed(site, running):
    """
    Somebody who moves the ledger's file away and later back.
    """
    away = site.ledger.with_name("away.db")
    site.ledger.rename(away)
    try:
        yield
    finally:
        away.rename(site.ledger)


@pytest.mark.parametrize("trouble", [full, read_only, locked, removed])
def test_no_record_no_act(site, simulated, trouble):
    """
    While the ledger takes nothing, nothing is sent, and metric, readiness, status and log say why; afterwards the job is
    ended once without anybody's help, and is on record.
    """
    site.set(**QUICK)
    with daemon(site) as running:
        until(lambda: running.get("/readyz")[0] == 200, "it is ready", within=60)
        assert running.series()[USABLE] == 1
        with trouble(site, running):
            simulated.stage("forgotten")
            until(lambda: running.series()[USABLE] == 0, "the metric falls", within=60)
            until(lambda: running.get("/readyz")[0] == 503, "it is not ready", within=60)
            status = told(running)
            assert any("ledger" in one for one in (*status["objections"], *status["closed"]))
            # Long enough for the next look, which finds the job.
            time.sleep(3)
            assert simulated.asked_to_end() == []
            assert running.process.poll() is None
        settles(running.terminations, {"confirmed": 1}, within=60)
        until(lambda: running.series()[USABLE] == 1, "the metric rises", within=60)
        until(lambda: running.get("/readyz")[0] == 200, "it is ready", within=60)
        last = beat(running)
        until(lambda: beat(running) > last, "the heart goes on beating")
        assert trouble is read_only or running.events("ledger.failed") or running.events("turn.failed")
        assert running.end() == 0
    assert simulated.terminated() == ["forgotten"]
    assert site.outcomes() == {"forgotten": "confirmed"}


def test_a_postgresql_that_crashes(site, simulated):
    """
    While the server of the ledger is gone nothing is sent, and it is told; when it is back, the job is ended once by itself.
    """
    server = Server()
    try:
        site.set(**QUICK, ledger=server.url())
        with daemon(site) as running:
            server.stop(signal.SIGQUIT)
            simulated.stage("forgotten")
            until(lambda: running.series()[USABLE] == 0, "the metric falls", within=60)
            until(lambda: running.get("/readyz")[0] == 503, "it is not ready", within=60)
            time.sleep(3)
            assert simulated.asked_to_end() == []
            server.start()
            settles(running.terminations, {"confirmed": 1}, within=90)
            until(lambda: running.series()[USABLE] == 1, "the metric rises", within=60)
            assert running.end() == 0
        assert simulated.terminated() == ["forgotten"]
        assert server.run("SELECT outcome FROM intents") == [("confirmed",)]
    finally:
        server.close()


@pytest.mark.parametrize("command", ["run", "scan"])
def test_a_ledger_that_may_not_be_written_at_the_start(site, simulated, tmp_path, command):
    """
    A guard that may read its ledger and not write it does not act: one message, exit code 4, nothing sent.
    """
    simulated.stage("forgotten")
    site.scan()
    site.set(armed=True)
    for path in (site.folder, *site.folder.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    # Rights bind root too once it has laid down the capability to override them.
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bound, sys.executable, "-m", "guard", command],
        cwd=site.folder,
        env=environment_of(GUARD_CONFIG=str(site.config)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    site.folder.chmod(0o755)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot" in done.stderr
    assert simulated.asked_to_end() == []
