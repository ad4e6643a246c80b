"""
A watched service for the tests of alerts and dashboards: simulator, real daemon and real Prometheus, all in a hurry.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e_stand import Daemon, Simulated, Site, daemon, needed, until
from rule_files import RULES

from guard.simulator import FLAVORS
from guard.simulator.knobs import Fault
from stack.monitoring import Prometheus, free_port

HOSTILE = '"}\n# HELP evil <script>alert(1)</script> \x1b[2J{{ .Values }} ${job} $__all 任务\u202e'
HOUR_S = 3600.0
ASCEND = FLAVORS["modelarts.bm.snt9.xlarge.8"]
POLICIES = """\
policies:
  - name: p100-eco-one-day
    mode: enforce
    match:
      billing_code: modelarts.vm.gpu.p100.eco
      node_count: {gt: 2}
      duration: {gt: 24h}
  - name: ascend-twelve-hours
    mode: observe
    match: {flavor_type: Ascend, duration: {gt: 12h}}
exemptions:
  - name: agreed
    match: {annotation.keep: "yes"}
    reason: These runs were agreed with the platform team.
    owner: platform-team
    until: 2099-12-31
"""
PRICES = """\
currency: CNY
prices: {modelarts.vm.gpu.p100.eco: 3.5}
"""


@dataclass(frozen=True, slots=True)
class Monitored:
    """
    The parts, all of which run.
    """

    service: Simulated
    site: Site
    guard: Daemon
    prometheus: Prometheus


def due_in(service: Simulated, seconds: float, job_id: str, **facts: Any) -> None:
    """
    Add a job that breaks the policy in so many seconds.
    """
    service.runs(job_id, hours=24 - seconds / HOUR_S, **facts)


@contextlib.contextmanager
def monitored(
    folder: Path, *, faults: tuple[Fault, ...] = (), rules: list[Path] = RULES, alertmanager: str = "", **settings: Any
) -> Iterator[Monitored]:
    """
    Run the parts on a service with jobs that are about to break a policy, that are spared, and that cannot be priced.
    """
    needed("prometheus")
    with Simulated(faults=faults) as service:
        stage(service)
        site = Site(folder, service.url)
        (site.policies / "economic.yaml").write_text(POLICIES)
        (folder / "prices.yaml").write_text(PRICES)
        site.set(armed=True, prices=str(folder / "prices.yaml"), scan_interval="1s", walk_interval="3s")
        site.set(**settings)
        prometheus = Prometheus(folder / "prometheus", free_port())
        with daemon(site) as guard:
            scraped = guard.url.removeprefix("http://")
            running = prometheus.running(
                guards=[scraped], rules=rules, scrape="1s", evaluate="1s", alertmanager=alertmanager
            )
            with running:
                until(lambda: prometheus.query("costguard_build_info"), "Prometheus has scraped the guard")
                break_the_policy(service)
                yield Monitored(service, site, guard, prometheus)


def stage(service: Simulated) -> None:
    """
    Put the jobs on the stage that are there from the beginning.
    """
    service.runs("overdue", hours=30, user="ann")
    service.runs("agreed", hours=40, annotations={"keep": "yes"})
    service.runs("observed", hours=13, flavor=ASCEND, node_count=2)
    service.runs("unpriced", hours=1, flavor=FLAVORS["modelarts.vm.pnt1.large.eco"], node_count=1)
    service.runs("clockless", hours=90, quirk="null-status")


def break_the_policy(service: Simulated) -> None:
    """
    Add jobs that are over the limit in some seconds, so that whoever scrapes sees it happen; and one that has just begun.
    """
    due_in(service, 5, "due-soon", name=HOSTILE, user=HOSTILE)
    due_in(service, 6, "refused")
    due_in(service, 7, "due-later", node_count=8)
    service.runs("newcomer", hours=0)
