"""
The alerts on their whole way: a daemon on a simulator with faults, Prometheus, Alertmanager, and a webhook that is told.

The rules are the chart's own; only the time that a condition must last (``for``) is a second here.
"""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from e2e_stand import needed, until
from monitored import HOSTILE, monitored
from rule_files import ALERTS, ROOT, RULES

from guard.simulator.knobs import Fault
from stack.monitoring import alertmanager, free_port

pytestmark = [pytest.mark.server, pytest.mark.stack]

# One job may not be ended, and the answers about another are a page of some proxy.
FAULTS = (
    Fault(
        operation="terminate", kind="status", status=403, code="ModelArts.0213", message="No permission.", job_id="refused"
    ),
    Fault(operation="show", kind="html", status=200, job_id="due-later"),
)
WANTED = {
    "CostGuardTerminationRefused",
    "CostGuardTerminationFailed",
    "CostGuardJobsHeldBack",
    "CostGuardUnpricedJobs",
    "CostGuardOneUserSeen",
    "CostGuardClockOff",
    "CostGuardReloadFailed",
    "CostGuardPaused",
    "CostGuardDown",
}


@contextlib.contextmanager
def webhook(told: list[dict[str, Any]]) -> Iterator[str]:
    """
    Receive the alerts of an Alertmanager on loopback, into *told*; yields the address.
    """

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """
            Stay silent.
            """

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hurried(folder: Path) -> list[Path]:
    """
    Write the rules into a folder with every ``for`` a second long.
    """
    written = []
    for path in RULES:
        written.append(folder / path.name)
        written[-1].write_text(re.sub(r"^(\s+for:) \S+$", r"\1 1s", path.read_text(), flags=re.MULTILINE))
    return written


def test_alerts_arrive(tmp_path):
    """
    Nine different alerts reach the webhook, each with words, a severity and a runbook that exists, and no job's name.
    """
    needed("prometheus-alertmanager")
    told: list[dict[str, Any]] = []
    port = free_port()

    def fired() -> set[str]:
        return {one["labels"]["alertname"] for one in told if one["status"] == "firing"}

    with webhook(told) as url, alertmanager(tmp_path / "alertmanager", port, url):
        watched = monitored(tmp_path, faults=FAULTS, rules=hurried(tmp_path), alertmanager=f"127.0.0.1:{port}")
        with watched as parts:
            early = {"CostGuardTerminationRefused", "CostGuardTerminationFailed", "CostGuardJobsHeldBack"}
            until(lambda: fired() >= early, "the alerts of terminations that went wrong", within=60)
            parts.service.world.knobs = replace(parts.service.world.knobs, clock_offset_seconds=90.0)
            assert parts.site.guard("pause", "--reason", "test").returncode == 0
            parts.service.runs("during-the-pause", hours=30)
            (parts.site.policies / "economic.yaml").write_text("policies: [")
            until(lambda: fired() >= WANTED - {"CostGuardDown"}, "the alerts of a guard that runs", within=60)
            assert parts.guard.end() == 0
            until(lambda: fired() >= WANTED, "the dead man", within=60)
    known = {(one["alert"], one["labels"]["severity"]) for one in ALERTS}
    for one in told:
        notes, labels = one["annotations"], one["labels"]
        assert (labels["alertname"], labels["severity"]) in known
        assert (ROOT / "docs/runbooks" / notes["runbook_url"].rpartition("/")[2]).is_file()
        assert not re.search(r"<no value>|error|%!|NaN|\{\{", notes["summary"] + notes["description"]), notes
    text = json.dumps(told, ensure_ascii=False)
    assert HOSTILE not in text
    assert "evil" not in text
