"""
What the tests of the chart stand on: Helm's engine, what the Prometheus operator accepts, and a look into a pod.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.places import ROOT
from tests.deploy.value_sets import RELEASES

TOOLS = ROOT / ".venv-deploy" / "bin"
VERSIONS = [f"1.{minor}" for minor in range(27, 34)]
OPERATOR = "monitoring.coreos.com"
# Kinds of the Prometheus operator, as far as the chart uses them: Kubernetes itself has no schema of them.
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
SPAN = {"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
ENDPOINT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["port", "path", "scheme", "interval", "scrapeTimeout"],
    "properties": {
        "port": {"type": "string"},
        "path": {"const": "/metrics"},
        "scheme": {"enum": ["http", "https"]},
        "interval": SPAN,
        "scrapeTimeout": SPAN,
        "honorLabels": {"type": "boolean"},
        "tlsConfig": {"type": "object"},
        "authorization": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "type": {"const": "Bearer"},
                "credentials": {"type": "object", "required": ["name", "key"], "additionalProperties": {"type": "string"}},
            },
        },
        "relabelings": {"type": "array", "items": {"type": "object"}},
        "metricRelabelings": {"type": "array", "items": {"type": "object"}},
    },
}
RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["expr"],
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
    "properties": {
        "alert": {"type": "string"},
        "record": {"type": "string"},
        "expr": {"type": ["string", "integer"]},
        "for": SPAN,
        "keep_firing_for": SPAN,
        "labels": LABELS,
        "annotations": LABELS,
    },
}
GROUP = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "rules"],
    "properties": {"name": {"type": "string"}, "interval": SPAN, "rules": {"type": "array", "items": RULE}},
}


def monitor(endpoints):
    """
    Return the schema of a monitor's spec.
    """
    selector = {"type": "object", "required": ["matchLabels"], "additionalProperties": LABELS}
    names = {"type": "object", "properties": {"matchNames": {"type": "array", "items": {"type": "string"}}}}
    several = {"type": "array", "items": ENDPOINT, "minItems": 1}
    properties = {"jobLabel": {"type": "string"}, "selector": selector, "namespaceSelector": names, endpoints: several}
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


KINDS = {
    "ServiceMonitor": monitor("endpoints"),
    "PodMonitor": monitor("podMetricsEndpoints"),
    "PrometheusRule": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"groups": {"type": "array", "items": GROUP}},
    },
}


def tool(name):
    """
    Return a program of the environment of locks/deploy.txt; without it the test is skipped, or fails where nothing may be.
    """
    if not (TOOLS / name).exists():
        reason = "the tools of locks/deploy.txt are not installed; `make test` installs them"
        pytest.fail(reason) if os.environ.get("GUARD_TEST_NO_SKIPS") else pytest.skip(reason)
    return TOOLS / name


def rendered(chart, sets):
    """
    Render sets of values by Helm's engine; return what it says of each, of the chart, and its default values.
    """
    request = {
        "chart": str(chart),
        "versions": VERSIONS,
        "foreign": [OPERATOR],
        "sets": {
            name: {"values": values, "release": RELEASES.get(name, "test"), "namespace": "ops"}
            for name, values in sets.items()
        },
    }
    words = [tool("python"), Path(__file__).parent / "engine.py"]
    done = subprocess.run(words, input=json.dumps(request), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def pod(manifests):
    """
    Return the pod and its first container.
    """
    (deployment,) = [one for name, one in manifests.items() if name.startswith("Deployment/")]
    spec = deployment["spec"]["template"]["spec"]
    return spec, spec["containers"][0]


def pod_template(manifests):
    """
    Return what makes Kubernetes replace a pod when it changes.
    """
    (deployment,) = [one for name, one in manifests.items() if name.startswith("Deployment/")]
    return deployment["spec"]["template"]


def mounted(manifests, folder):
    """
    Lay the files of the pod that come from the chart's ConfigMaps into a folder, as a node would; return what is where.
    """
    spec, container = pod(manifests)
    volumes = {one["name"]: one for one in spec["volumes"]}
    for mount in container["volumeMounts"]:
        assert "subPath" not in mount
        name = volumes[mount["name"]].get("configMap", {}).get("name")
        place = folder / mount["mountPath"].removeprefix("/")
        place.mkdir(parents=True)
        for file, text in manifests.get(f"ConfigMap/{name}", {}).get("data", {}).items():
            (place / file).write_bytes(text.encode())
    return folder / "etc/cost-guard"
