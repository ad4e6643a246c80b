"""
How soon a restarted guard knows its deadlines, and how soon a check of the policies ends.
"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.daemon import Site, running
from benchmarks.figures import ROUNDS, Figure, Result, alternating
from benchmarks.fleet import Fleet
from benchmarks.memory import seconds_between
from benchmarks.service import ROOT, Simulated, simulated
from guard.simulator.jobs import HOUR_MS

QUEUE_READY = "fleet.recalled"
SILENT: dict[str, object] = {"latency_seconds": 3600.0}


def run(*, quick: bool) -> Result:
    """
    Start the daemon on a ledger that knows a large project while no list answers; then time the commands.
    """
    jobs, rounds = (100, 1) if quick else (100_000, ROUNDS)
    result = Result(name="start")
    with tempfile.TemporaryDirectory() as folder:
        ready_s, begun_s, rows_s, known = _restarted(Path(folder), jobs)
    result.figures = [
        Figure(
            name=f"deadline queue ready, {known:,} of {jobs:,} jobs in the ledger, no list answered",
            value=ready_s,
            unit="s",
            bare=rows_s,
            bare_is="reading the rows with sqlite3",
            ratio=ready_s / rows_s,
            wanted="ready before any list",
            met=ready_s < float("inf") and known == jobs,
        ),
        Figure(name="from the process's start to guard.started", value=begun_s, unit="s"),
    ]
    if ready_s == float("inf"):
        result.notes.append(
            f"no queue: this guard does not log {QUEUE_READY!r}, which is to be said once the deadlines of the jobs in the "
            "ledger are queued."
        )
    got = alternating(lambda: _seconds("-m", "guard", "validate", "policies"), lambda: _seconds("-c", "pass"), rounds=rounds)
    ours, bare = got.medians
    result.details |= {"validate_s": got.ours, "pass_s": got.bare}
    result.figures.append(
        Figure(name="guard validate policies/", value=ours, unit="s", bare=bare, bare_is="python -c pass", ratio=got.ratio)
    )
    return result


def _restarted(folder: Path, jobs: int) -> tuple[float, float, float, int]:
    with simulated(Fleet(jobs=jobs, due=jobs // 2, due_spread_ms=HOUR_MS, frozen=True)) as service:
        _learn(folder, service, jobs)
    known, rows_s = _bare_reading(folder / "guard.db")
    with simulated(Fleet(jobs=1, knobs=SILENT)) as silent:
        site = Site(folder=folder, url=silent.url)
        with running(site) as guard:
            started = guard.wait_for("guard.started", timeout_s=60)
            begun_s = time.monotonic() - guard.began
            ready = guard.wait_for(QUEUE_READY, timeout_s=1 if jobs < 1000 else 60)
            if started is None or ready is None:
                return float("inf"), begun_s, rows_s, known
            ready_s = begun_s + seconds_between(started["timestamp"], ready["timestamp"])
            return ready_s, begun_s, rows_s, known


def _learn(folder: Path, service: Simulated, jobs: int) -> None:
    """
    Let a guard of its own walk the project once, so that the ledger knows it as a daemon leaves it.
    """
    with running(Site(folder=folder, url=service.url)) as guard:
        event = guard.wait_for("scan.finished", timeout_s=30 if jobs < 1000 else 600)
    if event is None:
        raise RuntimeError("the project was not walked")


def _bare_reading(ledger: Path) -> tuple[int, float]:
    with sqlite3.connect(ledger) as connection:
        began = time.perf_counter()
        rows = connection.execute("SELECT * FROM sightings").fetchall()
        return len(rows), time.perf_counter() - began


def _seconds(*words: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own commands
    return time.perf_counter() - began
