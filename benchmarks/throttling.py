"""
A service that answers ten calls a second: nothing is lost, and terminations do not wait behind walks.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.daemon import Guard, Site, running
from benchmarks.figures import Figure, Result, percentile
from benchmarks.fleet import Fleet
from benchmarks.lateness import LIMIT_MS, settle
from benchmarks.service import now_ms, simulated

PER_SECOND = 10
NEW_PER_HOUR = 360.0
CATCH_UP_S = 12.0


def run(*, quick: bool) -> Result:
    """
    Let jobs fall due at once while walks go on, behind a limit of ten calls a second.
    """
    jobs, due, lead_s = (60, 5, 4) if quick else (1_000, 100, 25)
    knobs: dict[str, object] = {"terminate_seconds": 2.0, "rate_limit_per_second": PER_SECOND}
    fleet = Fleet(jobs=jobs, due=due, due_from_ms=now_ms() + lead_s * 1000, knobs=knobs, new_per_hour=NEW_PER_HOUR)
    with tempfile.TemporaryDirectory() as folder, simulated(fleet) as service:
        with running(
            Site(
                folder=Path(folder),
                url=service.url,
                settings={"scan_interval": "5s", "walk_interval": "5s", "api_rate": None},
            )
        ) as guard:
            guard.wait_for("scan.finished", timeout_s=lead_s)
            # Before it every job is new.
            known = set(service.news()["created"])
            settle(guard, fleet, until_ms=fleet.due_from_ms + (5_000 if quick else 120_000))
            throttled = sum(guard.metric("costguard_api_throttled_total").values())
            time.sleep(2.0 if quick else CATCH_UP_S)
            by_then = service.news()["now"]
            found, told = _mean(guard, "discovery_lag_seconds"), _mean(guard, "termination_lateness_seconds")
        accepted, starts, log, news = service.accepted(), service.starts(), service.log(), service.news()
    late_s = [at - (starts[job] + LIMIT_MS + 1) / 1000 for job, at in accepted.items()]
    ideal_s, last_s = 2 * due / PER_SECOND, max(late_s, default=float("inf"))
    since = [entry for entry in log if fleet.due_from_ms / 1000 <= entry["at"] <= fleet.due_from_ms / 1000 + last_s]
    lists = sum(entry["operation"] == "list" and entry["status"] == 200 for entry in since)
    lost = due - len(accepted)
    born, shown = news["created"], news["shown"]
    seen_s = [shown[job] - born[job] for job in born.keys() - known if shown.get(job, math.inf) <= by_then]
    result = Result(name="throttling", details={"throttled": throttled, "calls_since_due": len(since)})
    result.figures = [
        Figure(
            name=f"{due} due at once, {PER_SECOND} calls/s, until all accepted",
            value=last_s,
            unit="s",
            bare=ideal_s,
            bare_is="two calls each, nothing else",
            ratio=last_s / ideal_s,
        ),
        Figure(name="half of them accepted", value=percentile(late_s, 0.5), unit="s"),
        Figure(name="not stopped", value=lost, unit="jobs", wanted="0", met=lost == 0),
        Figure(name="list answers before the last termination", value=lists, unit="calls", wanted="kills go first"),
        Figure(name="calls refused with 429", value=throttled, unit="calls", wanted="the bucket adapts"),
        _told_beside("mean lateness by costguard_termination_lateness_seconds", told, late_s),
        _told_beside("mean lag of new jobs by costguard_discovery_lag_seconds", found, seen_s),
    ]
    return result


def _told_beside(name: str, told_s: float, logged_s: Sequence[float]) -> Figure:
    """
    Return what the guard tells of a lag beside what the simulator's log says of it.
    """
    logged = statistics.fmean(logged_s) if logged_s else math.nan
    return Figure(
        name=name, value=told_s, unit="s", bare=logged, bare_is="by the simulator's log", wanted="the lag metrics tell it"
    )


def _mean(guard: Guard, name: str) -> float:
    """
    Return the mean of what a histogram of the guard has observed.
    """
    total, count = (sum(guard.metric(f"costguard_{name}_{part}").values()) for part in ("sum", "count"))
    return total / count if count else math.nan
