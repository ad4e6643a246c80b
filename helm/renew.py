"""
Renews what follows from values.yaml and the guard's settings: the chart's values.schema.json and the table in its README.

``make chart`` runs it; a test fails when what lies there is not what it writes. A value's type is that of its default, its
meaning is the comment above it (``# -- ...``), and what its default does not tell stands in ``SHAPES``.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from guard.schema import settings_schema

CHART = Path(__file__).resolve().parent / "cost-guard"
BEGIN, END = "<!-- values: written by `make chart` -->", "<!-- end of values -->"
# What the chart sets itself, from its other values.
OWNED = {"policies", "prices", "ledger", "listen", "listen_certificate", "listen_key", "listen_token_file", "pause_file"}

Shape = dict[str, Any]

NAME = {"type": "string", "pattern": "^$|^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
# What can be the name of a Service.
WORD = {"type": "string", "pattern": "^$|^[a-z]([-a-z0-9]*[a-z0-9])?$"}
KEY = {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$", "maxLength": 253}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECT = {"type": "object"}
OBJECTS = {"type": "array", "items": OBJECT}
NAMED = {
    "type": "array",
    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}},
}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
HIGH_PORT = {"type": "integer", "minimum": 1024, "maximum": 65535}
SECONDS = {"type": "integer", "minimum": 1}
QUANTITY = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"}
PROMETHEUS_SPAN = {"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
AMOUNT = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^$|^[0-9]+%$"}]}
SHAPES: Mapping[str, Shape] = {
    "nameOverride": WORD,
    "fullnameOverride": WORD,
    "namespaceOverride": NAME,
    "image.repository": {"type": "string", "pattern": "^$|^[a-z0-9]+([._/:-]+[a-z0-9]+)*$"},
    "image.tag": {"type": "string", "pattern": "^$|^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"},
    "image.digest": {"type": "string", "pattern": "^$|^sha256:[0-9a-f]{64}$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "imagePullSecrets": NAMED,
    "replicaCount": {"type": "integer", "minimum": 0, "maximum": 100},
    "revisionHistoryLimit": {"type": "integer", "minimum": 0},
    "policies.files": {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z0-9][-._A-Za-z0-9]*\\.ya?ml$"},
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 262144},
    },
    "policies.existingConfigMap": NAME,
    "prices.existingConfigMap": NAME,
    "prices.key": KEY,
    "credentials.existingSecret": NAME,
    "credentials.as": {"enum": ["accessKey", "iamUser", "file"]},
    "credentials.key": KEY,
    "ledger.type": {"enum": ["sqlite", "postgresql"]},
    "ledger.existingSecret": NAME,
    "ledger.key": KEY,
    "persistence.existingClaim": NAME,
    "persistence.accessModes": {
        "type": "array",
        "minItems": 1,
        "items": {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
    },
    "persistence.size": QUANTITY,
    "listener.address": {"type": "string", "minLength": 1},
    "listener.port": HIGH_PORT,
    "listener.tls.existingSecret": NAME,
    "listener.token.existingSecret": NAME,
    "listener.token.key": KEY,
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "service.port": PORT,
    "serviceAccount.name": NAME,
    "dashboards.label": {"type": "string", "minLength": 1},
    "networkPolicy.ingress.from": OBJECTS,
    "networkPolicy.egress.extraPorts": {"type": "array", "items": PORT},
    "networkPolicy.egress.cidrs": {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$"}},
    "networkPolicy.egress.extraRules": OBJECTS,
    "podDisruptionBudget.minAvailable": AMOUNT,
    "podDisruptionBudget.maxUnavailable": AMOUNT,
    # The guard waits 25 s for the terminations on their way, and 2 s for the listener.
    "terminationGracePeriodSeconds": {"type": "integer", "minimum": 30},
    "tmpSizeLimit": QUANTITY,
    "resources": OBJECT,
    "podSecurityContext": OBJECT,
    "securityContext": OBJECT,
    "dnsPolicy": {"enum": ["", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]},
    "extraEnv": NAMED,
    "extraArgs": {"type": "array", "items": {"type": "string"}},
    "extraVolumes": NAMED,
    "extraContainers": NAMED,
    "extraInitContainers": NAMED,
    **{f"{kind}.namespace": NAME for kind in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")},
    **{
        f"{kind}.{span}": PROMETHEUS_SPAN
        for kind in ("serviceMonitor", "podMonitor")
        for span in ("interval", "scrapeTimeout")
    },
    **{f"{kind}.tlsConfig": OBJECT for kind in ("serviceMonitor", "podMonitor")},
    **{
        f"{probe}.{seconds}": SECONDS
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        for seconds in ("periodSeconds", "timeoutSeconds", "failureThreshold")
    },
    **dict.fromkeys(("affinity", "dnsConfig"), OBJECT),
}
# Maps whose keys are a person's: the table shows them as one value.
WHOLE = {"resources", "podSecurityContext", "securityContext"}


def descriptions(text: str) -> dict[str, str]:
    """
    Return what the comments of a values file say, by the dotted name of the value below each.
    """
    found: dict[str, str] = {}
    path: list[str] = []
    said: list[str] = []
    for line in text.splitlines():
        comment = re.match(r" *# (-- )?(.*)", line)
        key = re.match(r"( *)([A-Za-z]\w*):", line)
        if comment:
            if comment[1]:
                said = []
            if comment[1] or said:
                said.append(comment[2])
        elif key:
            path = [*path[: len(key[1]) // 2], key[2]]
            if said:
                found[".".join(path)] = " ".join(said)
            said = []
    return found


def rows(values: Any, path: str = "") -> list[tuple[str, Any]]:
    """
    Return every value with its dotted name, in the order of the file.
    """
    if isinstance(values, dict) and values and path not in WHOLE:
        return [row for key, value in values.items() for row in rows(value, f"{path}.{key}" if path else key)]
    return [(path, values)]


def schema(values: Mapping[str, Any], said: Mapping[str, str]) -> Shape:
    """
    Return the JSON Schema of the values.
    """
    settings = settings_schema()
    for name in OWNED:
        del settings["properties"][name]
    # The chart's default is no target at all, and says so in words of its own.
    del settings["properties"]["targets"]["minItems"]
    definitions = settings.pop("$defs")
    config = {key: settings[key] for key in ("type", "properties", "additionalProperties")}
    shape = _shape(values, "", said)
    shape["properties"]["config"] = {"description": "The settings of the daemon.", **config}
    shape["properties"]["global"] = {"description": "Not used; Helm sets it in charts above.", "type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of cost-guard",
        "$defs": definitions,
        **shape,
    }


def _shape(value: Any, path: str, said: Mapping[str, str]) -> Shape:
    more = {"description": said[path]} if path in said else {}
    if path in SHAPES:
        return {**more, **SHAPES[path]}
    if isinstance(value, dict) and value:
        inner = {key: _shape(one, f"{path}.{key}" if path else key, said) for key, one in value.items()}
        return {**more, "type": "object", "additionalProperties": False, "properties": inner}
    if isinstance(value, dict):
        return {**more, **TEXTS}
    if isinstance(value, list):
        return {**more, **OBJECTS}
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return {**more, "type": kinds[type(value)]}


def table(values: Mapping[str, Any], said: Mapping[str, str]) -> str:
    """
    Return the table of the values in Markdown.
    """
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for path, value in rows(values):
        meaning = said[path].replace("|", "\\|")
        lines.append(f"| `{path}` | `{json.dumps(value)}` | {meaning} |")
    return "\n".join(lines)


def written() -> dict[Path, str]:
    """
    Return what the files are to hold, by their paths.
    """
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values, said = yaml.safe_load(text), descriptions(text)
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        CHART / "values.schema.json": json.dumps(schema(values, said), indent=2, ensure_ascii=False) + "\n",
        CHART / "README.md": f"{before}{BEGIN}\n{table(values, said)}\n{END}{after}",
    }


if __name__ == "__main__":
    for path, text in written().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"renewed {path.name}\n")
