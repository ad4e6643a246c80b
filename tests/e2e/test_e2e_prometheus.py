"""
The exposition before the real consumers: promtool judges the text, and Prometheus scrapes a running daemon.
"""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from e2e_stand import daemon, free_port, needed, until

from guard import __version__

pytestmark = pytest.mark.server


def test_promtool_accepts_the_exposition(site, simulated):
    """
    ``promtool check metrics`` finds nothing to say about names, units, types and help of a daemon that has acted.
    """
    promtool = needed("promtool")
    site.set(armed=True)
    simulated.stage("forgotten")
    with daemon(site) as running:
        until(lambda: running.terminations() == {"confirmed": 1}, "it has acted")
        text = running.get("/metrics")[1]
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_prometheus_scrapes_a_running_daemon(site, tmp_path):
    """
    The real Prometheus scrapes the daemon and answers a query for its build.
    """
    prometheus = needed("prometheus")
    listen = f"127.0.0.1:{free_port()}"

    def answered(query: str) -> list[dict[str, object]]:
        url = f"http://{listen}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.URLError:
            return []

    with daemon(site) as running:
        config = tmp_path / "prometheus.yml"
        job = {"job_name": "guard", "scrape_interval": "1s", "static_configs": [{"targets": [running.url[7:]]}]}
        config.write_text(json.dumps({"scrape_configs": [job]}))
        options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}", f"--web.listen-address={listen}"]
        with (tmp_path / "prometheus.log").open("w") as log:
            process = subprocess.Popen([prometheus, *options], stdout=log, stderr=log)
        try:
            until(lambda: answered("costguard_build_info"), "Prometheus knows the build")
            assert answered("costguard_build_info")[0]["metric"]["version"] == __version__
            assert answered('up{job="guard"}')[0]["value"][1] == "1"
            scans = answered('sum(costguard_scans_total{outcome="complete"})')
            assert float(scans[0]["value"][1]) >= 1
        finally:
            process.terminate()
            process.wait(timeout=20)
