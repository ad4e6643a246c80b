"""
The chart, rendered by Helm's own engine: which values it takes and refuses, and what others' tools say of what it makes.
"""

import json
import os
import re
import runpy
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from guard import __version__
from guard.settings import Settings
from tests.deploy.chart_stand import KINDS, OPERATOR, VERSIONS, tool
from tests.deploy.places import CHART, ROOT
from tests.deploy.value_sets import BAD, GOOD

pytestmark = pytest.mark.server


def test_there_are_enough_sets():
    """
    At least 25 sets of values are taken, and 25 refused.
    """
    assert len(GOOD) >= 25
    assert len(BAD) >= 25


@pytest.mark.parametrize("name", GOOD)
def test_each_manifest_is_valid(answer, name):
    """
    Each manifest is strictly valid for Kubernetes 1.27 to 1.33; the Prometheus operator's by what the chart uses of them.
    """
    found = answer["sets"][name]
    assert found.get("error") is None
    assert found["problems"] == []
    names = [(one["kind"], one["metadata"]["name"]) for one in found["manifests"]]
    assert len(set(names)) == len(names)
    for one in found["manifests"]:
        assert len(one["metadata"]["name"]) <= 63
        assert one["metadata"].get("namespace", "ops") in {"ops", "elsewhere", "456", "monitoring", "grafana"}
        if one["apiVersion"].startswith(OPERATOR):
            jsonschema.validate(one["spec"], KINDS[one["kind"]])


@pytest.mark.parametrize("name", BAD)
def test_each_bad_set_is_refused(answer, name):
    """
    What is wrong is refused with the words that say what was expected.
    """
    assert BAD[name][1] in answer["sets"][f"bad {name}"].get("error", "nothing")


def test_lint(answer):
    """
    The strict lint finds nothing but that there is no icon, which is a remark.
    """
    assert answer["lint"]["errors"] == []
    assert [one["error"] for one in answer["lint"]["messages"] if one["error"] != "icon is recommended"] == []


def test_the_chart_follows_the_guard():
    """
    Version, schema and table follow the guard and the values (`make chart` renews them), and the image the project.
    """
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["dependency-groups"]["build"] == project["build-system"]["requires"]
    renewed = runpy.run_path(str(ROOT / "helm/renew.py"))
    for path, text in renewed["written"]().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not what `make chart` writes"
    assert set(Settings.model_fields) >= renewed["OWNED"]


def test_every_value_is_described(answer):
    """
    Each value stands in the README's table with its default, and each row is a value.
    """
    found = re.findall(r"^\| `([^`]+)` \| `(.*)` \| (.+) \|$", (CHART / "README.md").read_text(), re.MULTILINE)
    table = {name: json.loads(default) for name, default, _ in found}
    renewed = runpy.run_path(str(ROOT / "helm/renew.py"))
    assert table == dict(renewed["rows"](answer["values"]))
    assert all(len(meaning) > 5 for _, _, meaning in found)


def test_the_values_of_the_readme(answer):
    """
    The values that the chart's README shows are taken.
    """
    found = answer["sets"]["readme"]
    assert found.get("error") is None
    assert found["problems"] == []
    assert len(found["manifests"]) > 8


def test_the_schemas_refuse(answer):
    """
    The schemas are strict: a misspelt key in an object of the operator's own is a problem in every version.
    """
    found = answer["sets"]["misspelt"]["problems"]
    assert [one.partition(":")[0] for one in found] == VERSIONS
    assert all("'dat' was unexpected" in one for one in found)


# What checkov asks for and the chart does not do, each with its reason.
ACCEPTED = {
    "CKV2_K8S_6": "The pod of `helm test` lives for seconds and only asks the guard; the guard's own pod has a policy.",
    "CKV_K8S_8": "The pod of `helm test` runs to its end: there is nothing to restart.",
    "CKV_K8S_9": "The pod of `helm test` serves nothing.",
    "CKV_K8S_11": "No limit of CPU: throttling would make terminations late. Request and memory limit bound the pod.",
    "CKV_K8S_15": "A tag is a version here and is not moved, so a node need not ask for it each time; it is a value.",
    "CKV_K8S_35": "Keys as variables are the SDK's own way; `credentials.as: file` mounts them instead.",
    "CKV_K8S_38": "The token of the service account is mounted only where the values ask for it.",
    "CKV_K8S_43": "The digest is that of an image which the operator builds, so it is a value.",
}


def test_checkov(made, tmp_path):
    """
    Checkov finds nothing but what has a written reason, in sets that have everything on, and each reason is needed.
    """
    for name in ("least", "everything", "shared-ledger", "metadata"):
        # It passes over a whole file with double braces in it, as texts for others hold them.
        manifests = [one for one in made(name).values() if one["kind"] not in ("ConfigMap", "PrometheusRule")]
        for one in manifests:
            if one["kind"] == "Deployment":
                # Containers of the operator's own are the operator's.
                spec = one["spec"]["template"]["spec"]
                spec["containers"] = spec["containers"][:1]
                spec.pop("initContainers", None)
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(manifests))
    words = [tool("checkov"), "-d", tmp_path, "--framework", "kubernetes", "--output", "json", "--skip-download", "--quiet"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, env=environment)
    report = json.loads(done.stdout)
    failed = report["results"]["failed_checks"]
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 600
    assert {Path(one["file_path"]).stem for one in failed} == {"least", "everything", "shared-ledger", "metadata"}
    unexplained = [(one["check_id"], one["resource"]) for one in failed if one["check_id"] not in ACCEPTED]
    assert unexplained == []
    assert {one["check_id"] for one in failed} == set(ACCEPTED)


def test_hadolint():
    """
    The Dockerfile has nothing that hadolint would say.
    """
    done = subprocess.run([tool("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
