"""
How many list calls discovery costs, and how soon it sees a new job: in sped-up time, from the simulator's own log.
"""

import math
import tempfile
import time
from pathlib import Path

from benchmarks.daemon import Site, running
from benchmarks.figures import Figure, Result, percentile
from benchmarks.fleet import Fleet
from benchmarks.service import simulated

PAGE = 50
RELIST_S = 60
SEEN_WITHIN_S = 15


def run(*, quick: bool) -> Result:
    """
    Watch a large project into which new jobs come, with the guard's own intervals.
    """
    jobs, per_hour, speed, minutes = (60, 3_600, 40.0, 3) if quick else (10_000, 200, 10.0, 30)
    fleet = Fleet(jobs=jobs, new_per_hour=per_hour, speed=speed, origin=time.time(), started=time.monotonic(), described=0.2)
    with tempfile.TemporaryDirectory() as folder, simulated(fleet) as service:
        # What finds new jobs is left at its default: that is what operators get.
        site = Site(
            folder=Path(folder), url=service.url, settings={"scan_interval": None, "walk_interval": None, "api_rate": None}
        )
        with running(site, fleet=fleet) as guard:
            guard.wait_for("scan.finished", timeout_s=60)
            began = service.news()["now"]
            time.sleep(minutes * 60 / speed)
            news, log = service.news(), service.log()
            spans = (news["now"] - began) / 3600
            lists = [entry for entry in log if entry["operation"] == "list" and entry["at"] >= began]
            troubles = sum(guard.metric("costguard_scheduler_events_total").values())
    # The newest ones may still be on their way to a list.
    counted = [one for one, at in news["created"].items() if began <= at <= news["now"] - 90]
    seen_s = [news["shown"].get(one, math.inf) - news["created"][one] for one in counted]
    per_hour_seen, relisting = len(lists) / spans, 3600 / RELIST_S * math.ceil(jobs / PAGE)
    result = Result(name="calls", details={"lists": len(lists), "new_jobs": len(counted), "hours": spans})
    p99 = percentile(seen_s, 0.99)
    result.figures = [
        Figure(
            name=f"list calls an hour, {jobs:,} running, {per_hour} new an hour",
            value=per_hour_seen,
            unit="calls",
            bare=relisting,
            bare_is="re-listing all each 60 s",
            ratio=per_hour_seen / relisting,
            wanted="<= 10 %",
            met=per_hour_seen <= relisting / 10,
        ),
        Figure(
            name="new job seen, p50", value=percentile(seen_s, 0.5), unit="s", bare=RELIST_S / 2, bare_is="mean, each 60 s"
        ),
        Figure(name="new job seen, p99", value=p99, unit="s", wanted=f"<= {SEEN_WITHIN_S} s", met=p99 <= SEEN_WITHIN_S),
        Figure(name="scheduler events", value=troubles, unit="events"),
    ]
    result.notes.append(
        f"{minutes} minutes at {speed:g} times real time; a job counts as seen when a list's answer first holds it. The "
        "bare calls are worked out: pages of 50 of the running jobs, sixty times an hour."
    )
    return result
