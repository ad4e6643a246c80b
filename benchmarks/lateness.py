"""
How late a deadline is kept: from due to the accepted call, by the simulator's own log and the jobs' own start times.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.daemon import Guard, Site, running
from benchmarks.figures import Figure, Result, percentile
from benchmarks.fleet import Fleet
from benchmarks.service import Simulated, now_ms, simulated

LIMIT_MS = 24 * 3_600_000
SCAN_S = 60.0


def run(*, quick: bool) -> Result:
    """
    Arm the daemon over jobs whose deadlines are spread over two minutes, without and with walks beside it.
    """
    jobs, spread_s, lead_s, beyond_s = (20, 1, 4, 2) if quick else (10_000, 120, 30, 60)
    fleet = Fleet(jobs=jobs, due=jobs, due_spread_ms=spread_s * 1000, knobs={"terminate_seconds": 2.0})
    result = Result(name="lateness")
    for what, interval, p99_ms, worst_ms in (("without walks", "60m", 100, None), ("with walks", "2s", 250, 1000)):
        late_ms, seen = measured(replace(fleet, due_from_ms=now_ms() + lead_s * 1000), interval, beyond_s)
        scans = scan_only_ms(fleet)
        result.details[what] = seen
        for name, share, limit_ms in (("p50", 0.5, 20), ("p99", 0.99, p99_ms), ("max", 1.0, worst_ms)):
            value = percentile(late_ms, share)
            wanted = None if limit_ms is None or (name == "p50" and worst_ms) else limit_ms
            result.figures.append(
                Figure(
                    name=f"{name} {what}",
                    value=value,
                    unit="ms",
                    bare=percentile(scans, share),
                    bare_is="scan-only at 60 s",
                    wanted=f"<= {wanted} ms" if wanted else "",
                    met=len(late_ms) == jobs and value <= wanted if wanted else None,
                )
            )
        early = sum(one < 0 for one in late_ms)
        result.figures.append(Figure(name=f"early {what}", value=early, unit="calls", wanted="0", met=early == 0))
        lost = jobs - len(late_ms)
        result.figures.append(Figure(name=f"not stopped {what}", value=lost, unit="jobs", wanted="0", met=lost == 0))
    result.notes.append(
        f"{jobs} running jobs, deadlines spread over {spread_s} s; scan-only is worked out, not run: every job waits for "
        "the next of the scans that start every 60 s and take no time themselves, which is the least that scanning can do."
    )
    return result


def measured(fleet: Fleet, interval: str, beyond_s: float) -> tuple[list[float], dict[str, object]]:
    """
    Run the daemon over a fleet until every due job was stopped, or so long beyond; return the lateness of each in ms.
    """
    with tempfile.TemporaryDirectory() as folder, simulated(fleet) as service:
        site = Site(folder=Path(folder), url=service.url, settings={"walk_interval": interval})
        with running(site) as guard:
            ready = guard.wait_for("scan.finished", timeout_s=20.0 + beyond_s)
            ready_s = time.monotonic() - guard.began
            settle(guard, fleet, until_ms=fleet.due_from_ms + fleet.due_spread_ms + round(beyond_s * 1000))
            accepted, starts = service.accepted(), service.starts()
            seen = {
                "first walk complete": bool(ready and ready["complete"]),
                "ready after s": ready_s,
                "ready before the first was due": now_ms() > fleet.due_from_ms and ready is not None,
                "walks": len(guard.events("scan.finished")),
                "calls": _by_operation(service),
                "troubles": [one["event"] for one in guard.events() if one.get("level") in ("error", "critical")][:20],
            }
    return [at * 1000 - (starts[job] + LIMIT_MS + 1) for job, at in accepted.items()], seen


def settle(guard: Guard, fleet: Fleet, *, until_ms: int) -> None:
    """
    Wait until all due jobs of the fleet were stopped by the guard's own count, or that moment has come.
    """
    time.sleep(max(0.0, (fleet.due_from_ms + fleet.due_spread_ms - now_ms()) / 1000))
    while now_ms() < until_ms and guard.accepted() < fleet.due:
        if guard.process.poll() is not None:
            return
        time.sleep(0.5)


def scan_only_ms(fleet: Fleet) -> list[float]:
    """
    Return how late each job of the fleet would be if scans that take no time started every minute.
    """
    every_ms = SCAN_S * 1000
    due = [index * fleet.due_spread_ms / max(fleet.due, 1) for index in range(fleet.due)]
    # The scans are not in step with the deadlines; half an interval after the first one is as good as any.
    phases = [(one - every_ms / 2) % every_ms for one in due]
    return [0.0 if phase == 0 else every_ms - phase for phase in phases]


def _by_operation(service: Simulated) -> dict[str, int]:
    counts: dict[str, int] = {}
    for entry in service.log():
        name = f"{entry['operation']} {entry['status']}"
        counts[name] = counts.get(name, 0) + 1
    return counts
