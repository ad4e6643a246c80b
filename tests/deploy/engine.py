"""
Runs in the environment of locks/deploy.txt: renders the chart by Helm's own engine, and holds manifests against the schemas.

Takes a request as JSON on stdin, answers as JSON on stdout, and knows nothing of the tests.
"""

import functools
import hashlib
import json
import re
import sys
from typing import Any

import jsonschema
import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError
from kubernetes_validate.utils import all_versions, schema_contents
from referencing import Registry, Resource


def documents(rendered: dict[str, str]) -> list[Any]:
    """
    Return the manifests of a rendered chart, the notes left out.
    """
    texts = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
    return [one for text in texts for one in yaml.load_all(text, yaml.CSafeLoader) if one is not None]


@functools.cache
def definitions(folder: str, version: str) -> Resource[Any]:
    """
    Return what the strict schemas of one version of Kubernetes share.
    """
    return Resource.from_contents(schema_contents(f"kubernetes-json-schema/{folder}/_definitions.json", version))


@functools.cache
def validator(kind: str, api_version: str, version: str) -> jsonschema.Draft202012Validator:
    """
    Return what ``kubernetes_validate.validate(..., strict=True)`` makes for each manifest anew.
    """
    exact = [one for one in all_versions() if one.startswith(f"{version}.")][-1]
    folder = f"v{exact}-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = schema_contents(f"kubernetes-json-schema/{folder}/{kind.lower()}-{group}.json", version)
    registry = definitions(folder, version) @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def problems(manifest: Any, version: str, known: dict[tuple[str, str], list[str]]) -> list[str]:
    """
    Return what a version of Kubernetes has against a manifest.
    """
    key = (hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest(), version)
    if key not in known:
        errors = validator(manifest["kind"], manifest["apiVersion"], version).iter_errors(manifest)
        what = f"{version}: {manifest['kind']} {manifest['metadata']['name']}"
        known[key] = [f"{what}: {'.'.join(map(str, one.path))}: {one.message}" for one in errors]
    return known[key]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """
    Render every set of values of the request.
    """
    known: dict[tuple[str, str], list[str]] = {}
    found = {}
    with Chart.load(request["chart"]) as chart:
        for name, one in request["sets"].items():
            try:
                rendered = chart.render(one["values"], name=one["release"], namespace=one["namespace"])
            except HelmError as error:
                found[name] = {"error": str(error)}
                continue
            manifests = documents(rendered)
            judged = [one for one in manifests if one["apiVersion"].partition("/")[0] not in request["foreign"]]
            found[name] = {
                "manifests": manifests,
                "notes": next(text for path, text in rendered.items() if path.endswith("NOTES.txt")),
                "problems": [
                    said for one in judged for version in request["versions"] for said in problems(one, version, known)
                ],
            }
        default = chart.values
    return {"sets": found, "lint": lint(request["chart"], strict=True), "values": default}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
