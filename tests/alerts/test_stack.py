"""
The first look: ``python -m stack`` as a person runs it, and the files of the compose variant.
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import deque

import pytest
import yaml
from e2e_stand import needed
from rule_files import ALERTS, ROOT

from guard.demo import PRICES
from guard.settings import load_settings

STACK = ROOT / "stack"
COMPOSE = yaml.safe_load((STACK / "compose.yaml").read_text())


@pytest.mark.server
def test_the_stack_shows_a_termination_and_ends(tmp_path):
    """
    It prints where everything is, shows a termination in Prometheus within a minute, and Ctrl-C leaves nothing behind.
    """
    needed("prometheus")
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "stack"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        seen = told(process, "the first termination stands in Prometheus", within=90)
        prometheus = re.search(r"^Prometheus\s+(http://127\.0\.0\.1:\d+)$", seen, re.MULTILINE)
        guard = re.search(r"^guard\s+(http://127\.0\.0\.1:\d+/metrics)", seen, re.MULTILINE)
        assert prometheus is not None
        assert guard is not None
        with urllib.request.urlopen(f"{prometheus[1]}/api/v1/rules", timeout=5) as answer:  # noqa: S310
            assert b"CostGuardDown" in answer.read()
        with urllib.request.urlopen(guard[1], timeout=5) as answer:  # noqa: S310
            assert b"costguard_armed 1.0" in answer.read()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=40)
        assert process.returncode == 0, rest
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.wait(timeout=10)


def told(process: subprocess.Popen[str], wanted: str, *, within: float) -> str:
    """
    Return what was printed up to a line.
    """
    lines: deque[str] = deque()
    deadline = time.monotonic() + within
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if wanted in line:
            return "".join(lines)
        assert time.monotonic() < deadline, "".join(lines)
    raise AssertionError("".join(lines))


def test_compose_mounts_what_there_is():
    """
    Every file that a service mounts is in the repository, and each address is on this machine only.
    """
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (STACK / source).exists(), source
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert service["image"].rpartition(":")[2] != "latest"


def test_compose_settings_load():
    """
    The guard's settings in the compose variant are good, ask for the simulator's port, and have the demo's prices.
    """
    settings = load_settings(STACK / "guard.yaml")
    assert settings.armed
    port = COMPOSE["services"]["simulator"]["command"][2]
    assert settings.targets[0].endpoint == f"http://127.0.0.1:{port}"
    assert yaml.safe_load((STACK / "prices.yaml").read_text()) == yaml.safe_load(PRICES)


def test_compose_prometheus_config_is_valid(tmp_path):
    """
    promtool accepts the configuration, with the rules where the compose file mounts them.
    """
    text = (STACK / "prometheus.yml").read_text()
    assert "/etc/prometheus/rules/*.yaml" in text
    mounted = "../helm/cost-guard/rules:/etc/prometheus/rules:ro"
    assert mounted in COMPOSE["services"]["prometheus"]["volumes"]
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus/rules", str(ROOT / "helm/cost-guard/rules")))
    words = [needed("promtool"), "check", "config", str(config)]
    checked = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


def test_grafana_finds_dashboards_and_data():
    """
    The folder that Grafana reads is the mounted one, and the data source is the kind that the dashboards ask for.
    """
    provider = yaml.safe_load((STACK / "grafana/dashboards.yaml").read_text())["providers"][0]
    source = yaml.safe_load((STACK / "grafana/datasource.yaml").read_text())["datasources"][0]
    grafana = COMPOSE["services"]["grafana"]
    assert f"../helm/cost-guard/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "helm/cost-guard/dashboards" / home.rpartition("/")[2]).is_file()
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"


def test_stack_policies_pass_their_tests():
    """
    The policies of the stack do what they say.
    """
    words = [sys.executable, "-m", "guard", "test", "stack/policies"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
