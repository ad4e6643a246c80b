"""
What the chart makes: hardened, disarmed, one pod on its volume, and nothing that selects or restarts more than it should.
"""

import json
import shutil

import pytest
import yaml

from guard.daemon.service import DRAIN_S
from tests.deploy.chart_stand import pod, pod_template, rendered
from tests.deploy.places import CHART
from tests.deploy.value_sets import GOOD, on_top

pytestmark = pytest.mark.server


def test_what_restarts(made):
    """
    Policies, prices and a pause change no pod, because they are taken while the guard runs; settings do.
    """
    still = ("least", "policies", "hostile-texts", "paused")
    assert len({json.dumps(pod_template(made(name)), sort_keys=True) for name in still}) == 1
    assert pod_template(made("armed")) != pod_template(made("least"))
    assert pod_template(made("limits-removed")) != pod_template(made("least"))


@pytest.mark.parametrize("name", GOOD)
def test_hardened(made, name):
    """
    Each container runs without root, capability, writable root or service links, and no token is mounted unasked.
    """
    for one in made(name).values():
        spec = one["spec"]["template"]["spec"] if one["kind"] == "Deployment" else one.get("spec")
        if one["kind"] not in ("Deployment", "Pod"):
            continue
        assert spec["automountServiceAccountToken"] is (name == "everything" and one["kind"] == "Deployment")
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        context = spec["containers"][0]["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "add" not in context["capabilities"]


def test_one_pod_on_sqlite(made):
    """
    A SQLite ledger lies on a kept volume under one pod that goes before the next one comes; a shared one needs neither.
    """
    alone, shared = made("least"), made("shared-ledger")
    assert alone["Deployment/test-cost-guard"]["spec"]["strategy"] == {"type": "Recreate"}
    claim = alone["PersistentVolumeClaim/test-cost-guard-ledger"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert shared["Deployment/test-cost-guard"]["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert "PersistentVolumeClaim/test-cost-guard-ledger" not in shared
    ledger = next(one for one in pod(shared)[1]["env"] if one["name"] == "GUARD_LEDGER")
    assert ledger["valueFrom"]["secretKeyRef"] == {"name": "database", "key": "url"}
    assert "ledger" not in json.loads(shared["ConfigMap/test-cost-guard-config"]["data"]["guard.yaml"])


@pytest.mark.parametrize("name", GOOD)
def test_selectors(made, name):
    """
    Everything that selects pods selects the daemon's and not that of the test, and holds nothing that a release changes.
    """
    manifests = made(name)
    labels = pod_template(manifests)["metadata"]["labels"]
    test = next((one for one in manifests.values() if one["kind"] == "Pod"), {"metadata": {"labels": {}}})
    for one in manifests.values():
        spec = one.get("spec", {})
        chosen = spec.get("podSelector", spec.get("selector"))
        if chosen is None or one["kind"] in ("ServiceMonitor", "ConfigMap"):
            continue
        wanted = chosen.get("matchLabels", chosen)
        assert wanted.items() <= labels.items()
        assert not wanted.items() <= test["metadata"]["labels"].items()
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(wanted)


def test_credentials_come_from_their_secret_alone(made):
    """
    Keys are required, so that a misspelt Secret leaves no pod to the node's own credentials; a file needs none.
    """
    for name, wanted in (
        ("least", {"HUAWEICLOUD_SDK_AK": True, "HUAWEICLOUD_SDK_SK": True, "HUAWEICLOUD_SDK_SECURITY_TOKEN": False}),
        ("iam-user", {"HW_USER_NAME": True, "HW_USER_PASSWORD": True, "HW_DOMAIN_NAME": True}),
        ("credentials-file", {}),
        ("metadata", {}),
    ):
        refs = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in pod(made(name))[1]["env"] if "valueFrom" in one}
        assert {key: not ref.get("optional", False) for key, ref in refs.items()} == wanted
    spec, container = pod(made("credentials-file"))
    assert {"name": "HUAWEICLOUD_SDK_CREDENTIALS_FILE", "value": "/etc/cost-guard/credentials/credentials"} in container[
        "env"
    ]
    assert "modelarts" in json.dumps(spec["volumes"])


def test_network(made):
    """
    Out go names, 443, and ports of endpoints; the node's metadata only where its agency is wanted; in comes the listener.
    """

    def allowed(name):
        return made(name)["NetworkPolicy/test-cost-guard"]["spec"]

    least = allowed("least")
    assert least["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]
    assert [[port["port"] for port in rule["ports"]] for rule in least["egress"]] == [[53, 53], [443]]
    assert least["egress"][1]["to"][0]["ipBlock"] == {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}
    everything = allowed("everything")
    assert [port["port"] for port in everything["egress"][1]["ports"]] == [443, 8443, 3128]
    assert everything["ingress"][0]["from"][-1]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    assert allowed("metadata")["egress"][2]["to"] == [{"ipBlock": {"cidr": "169.254.169.254/32"}}]
    assert 5432 in [port["port"] for port in allowed("shared-ledger")["egress"][1]["ports"]]
    assert "NetworkPolicy/test-cost-guard" not in made("no-network-policy")


def test_tls_and_token_reach_probes_and_monitors(made):
    """
    Over TLS the probes ask by HTTPS; with a token the monitor sends it and the probes, which need none, do not.
    """
    for name, scheme in (("least", "HTTP"), ("tls", "HTTPS"), ("everything", "HTTPS")):
        container = pod(made(name))[1]
        for probe, path in (("livenessProbe", "/livez"), ("startupProbe", "/livez"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": "http", "scheme": scheme}
    (endpoint,) = made("everything")["ServiceMonitor/test-cost-guard"]["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["authorization"]["credentials"] == {"name": "token", "key": "prometheus"}
    (endpoint,) = made("pod-monitor-with-token")["PodMonitor/test-cost-guard"]["spec"]["podMetricsEndpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "token", "key": "token"}


def test_time_to_end(made):
    """
    Kubernetes waits longer than the guard does for the terminations on their way.
    """
    assert pod(made("least"))[0]["terminationGracePeriodSeconds"] > DRAIN_S + 10


def test_rules_and_dashboards_come_through(tmp_path):
    """
    Rule files and dashboards arrive as they are: what they hold for Prometheus and Grafana is not evaluated by Helm.
    """
    chart = tmp_path / "cost-guard"
    shutil.copytree(CHART, chart)
    rule = {
        "alert": "A",
        "expr": 'x{a="b"} > 1e6',
        "for": "5m",
        "annotations": {"summary": '{{ $labels.target }}: {{ printf "%.1f" $value }}'},
    }
    (chart / "rules/own.yaml").write_text(yaml.safe_dump({"groups": [{"name": "own", "rules": [rule]}]}))
    board = json.dumps(
        {"title": "{{target}} <b> \N{ROCKET}", "panels": [{"legendFormat": "{{ policy }}"}]}, ensure_ascii=False
    )
    (chart / "dashboards/Own_board.json").write_text(board)
    values = on_top({"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}})
    found = rendered(chart, {"x": values})["sets"]["x"]
    assert found["problems"] == []
    manifests = {f"{one['kind']}/{one['metadata']['name']}": one for one in found["manifests"]}
    groups = manifests["PrometheusRule/test-cost-guard"]["spec"]["groups"]
    assert {"name": "own", "rules": [rule]} in groups
    board_map = manifests["ConfigMap/test-cost-guard-dashboard-own-board"]
    assert board_map["data"] == {"Own_board.json": board}
    assert board_map["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_every_shipped_rule_and_dashboard_arrives(made):
    """
    The groups of all rule files and all dashboards are what the cluster gets.
    """
    files = [yaml.safe_load(one.read_text()) for one in sorted((CHART / "rules").glob("*.yaml"))]
    groups = [group for file in files for group in file["groups"]]
    assert made("rules")["PrometheusRule/test-cost-guard"]["spec"]["groups"] == groups
    boards = {one.name: one.read_text() for one in (CHART / "dashboards").glob("*.json")}
    maps = [one for name, one in made("dashboards").items() if "-dashboard-" in name]
    assert {key: text for one in maps for key, text in one["data"].items()} == boards
    assert {(one["metadata"]["labels"]["dash"], one["metadata"]["namespace"]) for one in maps} <= {("yes", "grafana")}
