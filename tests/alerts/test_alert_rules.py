"""
The rule files, judged by promtool, and held to the metrics that there are and to the runbooks.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_stand import needed
from rule_files import ALERTS, METRICS, RECORDS, ROOT, RULES, named_labels, named_metrics, spelt_out
from test_documentation import commands

from guard.settings import Settings

CASES = sorted((ROOT / "tests/alerts/rules").glob("*.yaml"))
BASE = "https://github.com/cost-guard/cost-guard/blob/main/docs/runbooks/"
RUNBOOKS = ROOT / "docs/runbooks"
SECTIONS = ["What it means", "Impact", "How to look", "What to do", "False alarms"]
RULE_LABELS = {"namespace", "job", "instance", "le"}


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """
    Run promtool, which CI has.
    """
    return subprocess.run([needed("promtool"), *words], capture_output=True, text=True, timeout=60, cwd=ROOT)


def asserted() -> Iterator[tuple[str, str, bool]]:
    """
    Yield (alert, severity, whether it fires) of every assertion of the rule tests; severity "" stands for any.
    """
    for path in CASES:
        for group in yaml.safe_load(path.read_text())["tests"]:
            for one in group["promql_expr_test"]:
                alert = re.search(r'alertname="(\w+)"', one["expr"])
                severity = re.search(r'severity="(\w+)"', one["expr"])
                assert alert is not None, group["name"]
                if not one["exp_samples"]:
                    yield alert[1], severity[1] if severity else "", False
                for sample in one["exp_samples"]:
                    yield alert[1], re.search(r'severity="(\w+)"', sample["labels"])[1], True


ASSERTED = set(asserted())


def test_promtool_accepts_the_rules():
    """
    ``promtool check rules`` finds every rule of every file, and no duplicate.
    """
    checked = promtool("check", "rules", *RULES)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.count("SUCCESS") == len(RULES) == 2
    assert "duplicate" not in checked.stdout


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_promtool_agrees_with_the_rule_tests(path):
    """
    ``promtool test rules``: each alert fires where it is to fire, and not where it is not to.
    """
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "SUCCESS" in tested.stdout


def test_a_rule_test_can_fail(tmp_path):
    """
    Rules that are broken are noticed: with all comparisons turned around, a file of tests does not pass.
    """
    rules, cases = tmp_path / "helm/cost-guard/rules", tmp_path / "tests/alerts/rules"
    rules.mkdir(parents=True)
    cases.mkdir(parents=True)
    shutil.copy(RULES[1], rules)
    (rules / "alerts.yaml").write_text(RULES[0].read_text().replace(" > ", " < "))
    shutil.copy(ROOT / "tests/alerts/rules/reading.yaml", cases)
    tested = promtool("test", "rules", cases / "reading.yaml")
    assert tested.returncode == 1
    assert "SUCCESS" not in tested.stdout


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_every_alert_is_tested_both_ways(alert):
    """
    Each alert has a test in which it fires with its severity, and one in which it does not.
    """
    name, severity = alert["alert"], alert["labels"]["severity"]
    assert (name, severity, True) in ASSERTED
    assert {(name, severity, False), (name, "", False)} & ASSERTED


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_every_alert_tells_what_a_person_needs(alert):
    """
    Severity, summary, description, and a runbook that exists, has every section and stands in the index.
    """
    name = alert["alert"]
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    notes: dict[str, str] = alert["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url"}
    assert notes["summary"].endswith(".")
    assert notes["description"].endswith(".")
    assert notes["runbook_url"] == f"{BASE}{name}.md"
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS
    assert alert["labels"]["severity"] in page.partition("Severity: ")[2].partition("\n")[0]
    assert f"[{name}]({name}.md)" in (RUNBOOKS / "README.md").read_text()


def test_no_runbook_is_left_over():
    """
    Every page belongs to an alert, every link between pages leads somewhere, and the README knows how many there are.
    """
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in ALERTS}
    assert f"Each of the {len(pages)} alerts" in (ROOT / "README.md").read_text()
    for path in RUNBOOKS.glob("*.md"):
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            assert (RUNBOOKS / link).is_file(), f"{path.name}: {link}"


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_runbooks_name_only_what_there_is(page):
    """
    The metrics, commands and settings that a page names exist.
    """
    text = page.read_text()
    parts = {name.removesuffix("_bucket") for name in METRICS}
    assert named_metrics(text) <= parts | METRICS.keys()
    known = set(commands())
    for words in re.findall(r"`(guard (?:ledger )?[a-z]+)", text):
        assert words in known, words
    for setting in re.findall(r"(?:setting|settings) \(?`([a-z_]+)`", text):
        assert setting in Settings.model_fields


def expressions() -> Iterator[Any]:
    """
    Yield the expression of every rule under the name of the rule.
    """
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield pytest.param(rule["expr"], id=rule.get("alert", rule.get("record")))


@pytest.mark.parametrize("expression", list(expressions()))
def test_rules_ask_only_for_what_there_is(expression):
    """
    Each metric and label of an expression is exposed or recorded, and no absence is papered over by a vector of 0.
    """
    assert "vector(" not in expression
    expression = spelt_out(expression)
    metrics = named_metrics(expression)
    assert metrics
    assert metrics <= METRICS.keys()
    known = RULE_LABELS.union(*(METRICS[name] for name in metrics))
    assert named_labels(expression) <= known


@pytest.mark.parametrize("recorded", RECORDS, ids=lambda rule: rule["record"])
def test_every_recorded_series_is_used(recorded):
    """
    What is recorded is asked for by an alert.
    """
    assert any(recorded["record"] in alert["expr"] for alert in ALERTS)
