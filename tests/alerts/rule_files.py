"""
The rules as data, and the metrics that exist with their labels: what rules, runbooks and dashboards may ask for.
"""

import re
from pathlib import Path

import yaml

from guard.daemon.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = [ROOT / "helm/cost-guard/rules/alerts.yaml", ROOT / "helm/cost-guard/rules/records.yaml"]
ALERTS = [rule for group in yaml.safe_load(RULES[0].read_text())["groups"] for rule in group["rules"]]
RECORDS = [rule for group in yaml.safe_load(RULES[1].read_text())["groups"] for rule in group["rules"]]
_PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def _exposed() -> dict[str, frozenset[str]]:
    found = {}
    # The library has no public word for the labels of a metric that has no series yet.
    for collector in Metrics(version="x").registry._collector_to_names:
        for metric in collector.describe():
            for part in _PARTS[metric.type]:
                found[metric.name + part] = frozenset(collector._labelnames)
    return found


METRICS: dict[str, frozenset[str]] = _exposed()
"""The labels of each series that the guard exposes."""


def named_metrics(text: str) -> set[str]:
    """
    Return the guard's series that a text names.
    """
    return set(re.findall(r"\bcostguard_[a-z0-9_]+", text))


def spelt_out(expression: str) -> str:
    """
    Return an expression with each recorded series as what it is recorded from.
    """
    for rule in RECORDS:
        expression = expression.replace(rule["record"], f"({rule['expr']})")
    return expression


def named_labels(expression: str) -> set[str]:
    """
    Return the labels that a PromQL expression matches or groups by.
    """
    grouped = re.findall(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression)
    matched = re.findall(r"\{([^}]*)\}", expression)
    labels = {word.strip() for words in grouped for word in words.split(",")}
    labels |= {name for inside in matched for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)}
    return labels - {""}
