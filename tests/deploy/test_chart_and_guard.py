"""
The guard takes what the chart makes: settings by its own loader, policies byte for byte, and the questions of `helm test`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_stand import Simulated, Site, daemon, until

from guard.policyfiles import check_paths
from guard.settings import Settings, load_settings
from tests.deploy.chart_stand import mounted, pod
from tests.deploy.places import CHART
from tests.deploy.value_sets import GOOD, HOSTILE, on_top

pytestmark = pytest.mark.server


@pytest.mark.parametrize("name", [name for name in GOOD if GOOD[name].get("ledger", {}).get("type") != "postgresql"])
def test_the_guard_takes_the_settings(made, tmp_path, monkeypatch, name):
    """
    The settings that the chart writes are taken by the guard's own loader, mean what the values say, name what is mounted.
    """
    config, manifests = on_top(GOOD[name])["config"], made(name)
    place, (_, container) = mounted(manifests, tmp_path), pod(manifests)
    given = {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("GUARD_") and "value" in one}
    assert set(given) == {"GUARD_CONFIG", "GUARD_ARMED"}
    monkeypatch.setenv("GUARD_ARMED", given["GUARD_ARMED"])
    settings = load_settings(tmp_path / given["GUARD_CONFIG"].removeprefix("/"))
    meant = Settings(**{"armed": False, **config})
    for key in {"armed", *config}:
        assert getattr(settings, key) == getattr(meant, key), key
    assert json.loads((place / "config/guard.yaml").read_text()).items() >= config.items()
    address = "[::]" if name == "everything" else "0.0.0.0"  # noqa: S104
    assert settings.listen == f"{address}:{container['ports'][0]['containerPort']}"
    mounts = [Path(one["mountPath"]) for one in container["volumeMounts"]]
    paths = [
        settings.policies,
        settings.prices,
        settings.listen_certificate,
        settings.listen_key,
        settings.listen_token_file,
    ]
    for path in (one for one in (*paths, settings.pause_file) if one is not None):
        assert path in mounts or path.parent in mounts
    assert settings.ledger.removeprefix("sqlite:///").startswith("/var/lib/cost-guard/")
    assert Path("/var/lib/cost-guard") in mounts
    assert settings.pause_file is not None
    assert (tmp_path / str(settings.pause_file)[1:]).exists() is GOOD[name].get("paused", False)


@pytest.mark.parametrize("name", ["least", "policies", "hostile-texts", "everything"])
def test_policies_come_through_as_written(made, tmp_path, name):
    """
    Policy files arrive byte for byte, whatever stands in them, and the guard takes them; without any there is a start that
    only observes.
    """
    place = mounted(made(name), tmp_path) / "policies"
    given = GOOD[name].get("policies", {}).get("files")
    found = {one.name: one.read_bytes().decode() for one in place.iterdir()}
    assert found == (given or {"starter.yaml": (CHART / "files/starter.yaml").read_text()})
    checked = check_paths([place], zone=load_settings(place.parent / "config/guard.yaml").zone, now_ms=0)
    assert [one.message for one in checked.diagnostics] == []
    assert {one.mode.value for one in checked.policies.policies} <= {"observe"}
    assert given or len(checked.policies.policies) == 2


def test_hostile_texts_are_hostile():
    """
    The texts hold what a careless template breaks on.
    """
    together = "".join(HOSTILE.values())
    assert all(one in together for one in ("{{", "\r\n", "---", "\N{ROCKET}", "'", '"', "\\", "\t", "\N{NEXT LINE}"))


def test_disarmed_unless_asked(made, answer):
    """
    The chart disarms in the file and in the variable over it, and its notes say so; armed, they say that.
    """
    for name, armed in (("least", False), ("armed", True)):
        manifests = made(name)
        assert json.loads(manifests["ConfigMap/test-cost-guard-config"]["data"]["guard.yaml"])["armed"] is armed
        assert {"name": "GUARD_ARMED", "value": str(armed).lower()} in pod(manifests)[1]["env"]
        notes = answer["sets"][name]["notes"]
        assert ("disarmed: it will not terminate anything" in notes) is not armed
        assert ("ARMED: it terminates jobs" in notes) is armed
        assert ("--set config.armed=true" in notes) is not armed


def test_the_helm_test_passes_and_fails(tmp_path):
    """
    The script of `helm test` passes at a guard that is ready and fails with its words at one that is not.
    """
    script = CHART / "files/reads.py"

    def ask(url, **more):
        return subprocess.run([sys.executable, script], env={"URL": url, **more}, capture_output=True, text=True, timeout=60)

    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-many-letters\n")
    with Simulated() as simulated:
        site = Site(tmp_path, simulated.url, listen_token_file=str(tokens))
        with daemon(site, wait=True) as running:
            good = ask(running.url, TOKEN=tokens.read_text())
            assert good.returncode == 0, good.stdout
            assert "costguard_armed 0.0" in good.stdout
            assert "target lab: walked" in good.stdout
            assert ask(running.url).returncode == 1
            assert running.end() == 0
        with daemon(site, wait=False, HUAWEICLOUD_SDK_SK="wrong") as running:
            until(lambda: running.events("scan.failed"), "the walk fails")
            bad = ask(running.url, TOKEN=tokens.read_text())
            assert bad.returncode == 1
            assert "target lab was not read yet" in bad.stdout
