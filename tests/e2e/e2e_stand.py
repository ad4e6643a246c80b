"""
What the end-to-end tests stand on: a simulated service in a thread, the guard as a process, and an oracle of its own.

The oracle knows the simulator's plans and arithmetic, and nothing of the guard's.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.core.records import Intent
from guard.errors import LedgerUnusable
from guard.ledger.opening import open_ledger
from guard.simulator import DEFAULT_PROJECT, FLAVORS, CallLog, Knobs, RunningServer, SimJob, World, create_app, serve

ROOT = Path(__file__).resolve().parents[2]
ACCESS, SECRET = "TESTACCESSKEY0000001", "test-secret-key-that-nobody-may-ever-see"
HOUR_MS = 3_600_000
P100 = FLAVORS["modelarts.vm.p100.large.eco"]
POLICY = """\
policies:
  - name: p100-eco-one-day
    mode: enforce
    match:
      billing_code: modelarts.vm.gpu.p100.eco
      node_count: {gt: 2}
      unit_num: {gte: 1}
      duration: {gt: 24h}
"""
BREAKS_NOTHING = {
    "two-nodes": {"hours": 90, "node_count": 2},
    "not-a-day-yet": {"hours": 23, "node_count": 8},
    "another-flavor": {"hours": 90, "node_count": 8, "flavor": FLAVORS["modelarts.vm.pnt1.large.eco"]},
    "clockless": {"hours": 90, "node_count": 4, "quirk": "null-status"},
    "strange-phase": {"hours": 90, "node_count": 4, "quirk": "28-unknown-phase"},
    "no-flavor": {"hours": 90, "node_count": 4, "quirk": "24-pool-without-flavor-detail"},
}


class Simulated:
    """
    A simulated service that answers at *url* from a thread of its own until the context ends.
    """

    def __init__(self, **knobs: Any) -> None:
        values = {"verify_signatures": True, "access_keys": {ACCESS: SECRET}, "terminate_seconds": 0.3, **knobs}
        self.world = World(Knobs(**values), time.time)
        self.calls = CallLog()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: RunningServer | None = None

    def __enter__(self) -> "Simulated":
        self._thread.start()
        self._server = self._do(serve(self.application()))
        return self

    def application(self) -> Any:
        """
        Return what answers.
        """
        return create_app(self.world, self.calls)

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._do(self._server.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _do(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=20)

    @property
    def url(self) -> str:
        """
        Where the service answers.
        """
        assert self._server is not None
        return self._server.url

    def runs(self, job_id: str, *, hours: float, node_count: int = 4, **facts: Any) -> SimJob:
        """
        Add a job that has been running for *hours*; by default on three or more economic P100 nodes.
        """
        started_ms = self.world.now_ms - round(hours * HOUR_MS)
        plan = {"flavor": P100, "name": job_id, "create_time_ms": started_ms - 60_000, "start_time_ms": started_ms}
        return self.world.add(SimJob(id=job_id, node_count=node_count, **{**plan, **facts}))

    def stage(self, *violators: str) -> None:
        """
        Add these jobs, which break the policy, and one job for every way in which a job only looks like it.
        """
        for index, job_id in enumerate(violators):
            self.runs(job_id, hours=25 + index)
        for job_id, facts in BREAKS_NOTHING.items():
            self.runs(job_id, **facts)

    def terminated(self) -> list[str]:
        """
        Return one job id per accepted termination.
        """
        return sorted(self.calls.accepted_terminations())

    def asked_to_end(self) -> list[str]:
        """
        Return one job id per terminate call that was answered, accepted or not.
        """
        return sorted(str(entry.job_id) for entry in self.calls.of("terminate"))


def violators(world: World) -> set[str]:
    """
    Return the jobs that break ``POLICY`` now, by the simulator's plans; whose facts a quirk spoils breaks nothing provably.
    """
    now_ms = world.now_ms
    return {
        job.id
        for job in world.live()
        if job.phase(now_ms) == "Running"
        and job.quirk is None
        and job.flavor is P100
        and job.node_count > 2
        and now_ms - (job.start_time_ms or now_ms) > 24 * HOUR_MS
    }


def environment_of(**more: str) -> dict[str, str]:
    """
    Return the whole environment of a guard process.
    """
    keys = {"HUAWEICLOUD_SDK_AK": ACCESS, "HUAWEICLOUD_SDK_SK": SECRET}
    system = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "PYTHONWARNINGS": "error"}
    return {**system, **keys, **more}


class Site:
    """
    A folder with settings, policies and a ledger, and the guard's commands run in it.
    """

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        self.folder = folder
        self.config = folder / "guard.yaml"
        self.ledger = folder / "guard.db"
        self.policies = folder / "policies"
        self.policies.mkdir()
        (self.policies / "economic.yaml").write_text(POLICY)
        self.target = {"name": "lab", "region": "cn-north-4", "project_id": DEFAULT_PROJECT, "endpoint": url}
        self.values: dict[str, Any] = {
            "targets": [self.target],
            "policies": str(self.policies),
            "ledger": f"sqlite:///{self.ledger}",
            "listen": "127.0.0.1:0",
            "limits": "none",
            "breaker": "none",
        }
        self.set(**settings)

    def set(self, **settings: Any) -> None:
        """
        Change settings in the settings file.
        """
        self.values |= settings
        self.config.write_text(yaml.safe_dump(self.values))

    def guard(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """
        Run a command to its end.
        """
        return subprocess.run(
            [sys.executable, "-m", "guard", *words],
            cwd=self.folder,
            env=environment_of(GUARD_CONFIG=str(self.config), **environment),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def scan(self, *words: str, **environment: str) -> Any:
        """
        Run ``guard scan`` and return its report.
        """
        done = self.guard("scan", "--output", "json", *words, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    def intents(self) -> list[Intent]:
        """
        Return what the ledger has on record, oldest first; nothing if there is no ledger yet.
        """

        async def read() -> list[Intent]:
            ledger = await open_ledger(self.values["ledger"], read_only=True)
            try:
                return sorted(await ledger.intents(limit=1000), key=lambda one: one.number)
            finally:
                await ledger.aclose()

        try:
            return asyncio.run(read())
        except LedgerUnusable:
            return []

    def outcomes(self) -> dict[str, str]:
        """
        Return the outcome of every intent, by job; "" of an open one.
        """
        return {one.draft.key.job_id: one.outcome.value if one.outcome else "" for one in self.intents()}


class Daemon:
    """
    A ``guard run`` process, its log and its endpoints.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """
        Return the events of the log, all or of one name.
        """
        lines = [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")
        ]
        return [line for line in lines if name in ("", line["event"])]

    @property
    def url(self) -> str:
        """
        Where its endpoints are.
        """
        return f"http://127.0.0.1:{self.events('guard.started')[0]['port']}"

    def get(self, path: str) -> tuple[int, str]:
        """
        Ask one of its endpoints.
        """
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def series(self) -> dict[str, float]:
        """
        Return its metrics as they are exposed.
        """
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def terminations(self) -> dict[str, int]:
        """
        Return the closed intents by outcome, as its metrics count them.
        """
        found: Counter[str] = Counter()
        for name, value in self.series().items():
            if name.startswith("costguard_terminations_total{") and value:
                found[name.partition('outcome="')[2].partition('"')[0]] += int(value)
        return dict(found)

    def is_ready(self) -> bool:
        """
        Tell whether it says that it is of use; it must not have ended.
        """
        assert self.process.poll() is None, self.log.read_text()
        return bool(self.events("guard.started")) and self.get("/readyz")[0] == 200

    def end(self, number: int = signal.SIGTERM, *, within: float = 20) -> int:
        """
        Send a signal and return the exit code.
        """
        self.process.send_signal(number)
        return self.process.wait(timeout=within)


@contextlib.contextmanager
def daemon(site: Site, *, wait: bool = True, **environment: str) -> Iterator[Daemon]:
    """
    Run the daemon, until it is ready if *wait*; it is gone when the context ends.
    """
    log = site.folder / f"log-{time.monotonic_ns()}"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "guard", "run"],
            cwd=site.folder,
            env=environment_of(GUARD_CONFIG=str(site.config), **environment),
            stdout=stream,
            stderr=stream,
            text=True,
        )
    try:
        running = Daemon(process, log)
        if wait:
            until(running.is_ready, "the daemon is ready")
        yield running
    finally:
        process.kill()
        process.wait(timeout=20)


def until(condition: Callable[[], object], wanted: str, *, within: float = 20.0) -> None:
    """
    Wait until a condition holds; the test fails with what was *wanted* if it never does.
    """
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {wanted}"
        time.sleep(0.05)


def settles(read: Callable[[], object], wanted: object, *, within: float = 30.0) -> None:
    """
    Wait until what is read is as *wanted*; else the test fails with the difference.
    """
    deadline = time.monotonic() + within
    while (got := read()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert got == wanted


def free_port() -> int:
    """
    Return a port on the loopback that nobody listens on.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def needed(program: str, environment: Mapping[str, str] = os.environ) -> str:
    """
    Return the path of a program that a test needs; without it the test is skipped, or fails where nothing may be skipped.
    """
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed; .ci/debian says from which package it comes"
        pytest.fail(reason) if environment.get("GUARD_TEST_NO_SKIPS") else pytest.skip(reason)
    return found


def no_secret(*texts: str | bytes) -> None:
    """
    Fail if a credential stands in one of the texts.
    """
    for text in texts:
        content = text if isinstance(text, bytes) else text.encode()
        assert SECRET.encode() not in content
        assert ACCESS.encode() not in content
