"""
The resident memory of a daemon that holds a large project, beside that of one that holds a single job.
"""

import tempfile
from datetime import datetime
from pathlib import Path

from benchmarks.daemon import Site, running
from benchmarks.figures import Figure, Result
from benchmarks.fleet import Fleet
from benchmarks.policies import many
from benchmarks.service import simulated

LIMIT_MIB = 200


def run(*, quick: bool) -> Result:
    """
    Let the daemon walk the project once with a hundred policies, and read the peak from the system.
    """
    jobs, policies, timeout_s = (200, 5, 30) if quick else (100_000, 100, 600)
    result = Result(name="memory")
    empty, _, _ = _peak(1, policies, timeout_s)
    peak, held, seconds = _peak(jobs, policies, timeout_s)
    all_held = held == jobs
    result.figures = [
        Figure(
            name=f"peak RSS, {held:,.0f} of {jobs:,} jobs held, {policies} policies",
            value=peak,
            unit="MiB",
            bare=empty,
            bare_is="with 1 job",
            ratio=peak / empty,
            wanted=f"< {LIMIT_MIB} MiB",
            met=all_held and peak < LIMIT_MIB,
        ),
        Figure(name="each further job", value=(peak - empty) * 1024 / max(held - 1, 1), unit="KiB"),
        Figure(name="from start to the end of the first cycle", value=seconds, unit="s"),
    ]
    if not all_held:
        result.notes.append(
            f"the daemon held {held:,.0f} of {jobs:,} jobs, so this is not yet the figure that is asked for."
        )
    return result


def _peak(jobs: int, policies: int, timeout_s: float) -> tuple[float, float, float]:
    fleet = Fleet(jobs=jobs, described=0.2, frozen=True)
    with tempfile.TemporaryDirectory() as folder, simulated(fleet) as service:
        site = Site(folder=Path(folder), url=service.url, policies=[many(policies)])
        with running(site) as guard:
            event = guard.wait_for("scan.finished", timeout_s=timeout_s)
            if event is None:
                return guard.memory_mib("VmHWM"), 0.0, float("nan")
            started = guard.events("guard.started")[0]["timestamp"]
            # The gauges are shown after the walk; what that costs belongs to the peak.
            guard.metric("costguard_jobs")
            return guard.memory_mib("VmHWM"), float(event["jobs"]), seconds_between(started, event["timestamp"])


def seconds_between(first: str, last: str) -> float:
    """
    Return the seconds between two moments of a log.
    """
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
