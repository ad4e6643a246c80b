"""
Days of a busy project in minutes: memory stays flat, no deadline is missed, no run of the scheduler fails.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.daemon import Site, running
from benchmarks.figures import Figure, Result, percentile
from benchmarks.fleet import Fleet
from benchmarks.service import simulated

SPEED = 480.0
PER_HOUR = 30
LIMIT_HOURS = 6
# A real second on a busy machine is eight minutes of these days, so late is what no restart of a walk explains.
MISSED_S = 3 * SPEED


def run(*, quick: bool, minutes: float = 10.0) -> Result:
    """
    Run so many real minutes, in which new jobs come, run and break the limit all the time.
    """
    seconds = 5.0 if quick else minutes * 60
    origin, started = time.time(), time.monotonic()
    fleet = Fleet(
        jobs=300, new_per_hour=PER_HOUR, new_are_due=True, speed=SPEED, origin=origin, started=started, described=0.2
    )
    rss: list[float] = []
    with tempfile.TemporaryDirectory() as folder, simulated(fleet) as service:
        site = Site(
            folder=Path(folder),
            url=service.url,
            limit=f"{LIMIT_HOURS}h",
            settings={"scan_interval": None, "walk_interval": None},
        )
        with running(site, fleet=fleet) as guard:
            for _ in range(20):
                time.sleep(seconds / 20)
                rss.append(guard.memory_mib())
            accepted, now, starts = service.accepted(), service.news()["now"], service.starts()
            events = guard.metric("costguard_scheduler_events_total")
            failed = [one["event"] for one in guard.events() if one.get("level") == "error"]
    due_s = {job: start / 1000 + LIMIT_HOURS * 3600 + 0.001 for job, start in starts.items() if job.startswith("new-")}
    late_s = [accepted[job] - at for job, at in due_s.items() if job in accepted]
    missed = sum(at + MISSED_S < now and accepted.get(job, now) > at + MISSED_S for job, at in due_s.items())
    early, troubles = sum(one < 0 for one in late_s), sum(events.values())
    # At 10 % the memory of the first day stands; single readings jump with what is on its way.
    first, last = statistics.median(rss[1:4]), statistics.median(rss[-3:])
    result = Result(name="soak", details={"rss_mib": rss, "events": events, "errors": failed[:20], "minutes": seconds / 60})
    result.figures = [
        Figure(
            name=f"RSS after {(seconds * SPEED) / 86_400:.1f} days",
            value=last,
            unit="MiB",
            bare=first,
            bare_is="at 10 %",
            ratio=last / first,
            wanted="within 5 %",
            met=abs(last / first - 1) <= 0.05,
        ),
        Figure(name="terminations", value=len(late_s), unit="jobs"),
        Figure(name="real lateness, p99", value=percentile(late_s, 0.99) / SPEED * 1000, unit="ms"),
        Figure(name="missed deadlines", value=missed, unit="jobs", wanted="0", met=missed == 0),
        Figure(name="early terminations", value=early, unit="jobs", wanted="0", met=early == 0),
        Figure(name="scheduler events", value=troubles, unit="events", wanted="0", met=troubles == 0),
    ]
    result.notes.append(
        f"time runs {SPEED:.0f} times as fast for {seconds:.0f} s; {PER_HOUR} new jobs an hour break a limit of "
        f"{LIMIT_HOURS} h; a deadline is missed if three real seconds pass without an accepted call. One service second is "
        f"{1000 / SPEED:.1f} ms, so whole seconds in the service's Date matter little here."
    )
    return result
