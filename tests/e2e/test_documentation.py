"""
The README is held to the product: what exists must be in it, and what it names must exist.
"""

import re
from collections.abc import Iterator

import click
import pytest
import typer
from e2e_stand import ROOT

from guard.cli.whole import app
from guard.core.fields import FIELDS
from guard.daemon.metrics import Metrics
from guard.settings import BreakerSettings, LimitSettings, Settings, TargetSettings

README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", README))


def commands() -> Iterator[str]:
    """
    Yield every command as it is typed, and the groups of commands.
    """

    def under(command: click.Command, name: str) -> Iterator[str]:
        several = getattr(command, "commands", {})
        yield name
        for word, inner in several.items():
            yield from under(inner, f"{name} {word}")

    yield from under(typer.main.get_command(app), "guard")


def metrics() -> set[str]:
    """
    Return every metric by the name under which it is queried.
    """
    suffix = {"counter": "_total"}
    return {f"{one.name}{suffix.get(one.type, '')}" for one in Metrics(version="x").registry.collect()}


@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_every_setting_is_documented(setting):
    """
    Each setting stands in the README by its name and by its name in the environment.
    """
    assert setting in CODE
    assert f"GUARD_{setting.upper()}" in CODE


@pytest.mark.parametrize("model", [TargetSettings, LimitSettings, BreakerSettings])
def test_every_nested_setting_is_documented(model):
    """
    The parts of a target, of the limits and of the breaker stand in the README.
    """
    assert set(model.model_fields) <= CODE


def test_every_variable_that_is_named_exists():
    """
    No GUARD_ variable is named that the settings do not know.
    """
    known = {f"GUARD_{name.upper()}" for name in Settings.model_fields} | {"GUARD_CONFIG", "GUARD_TEST_NO_SKIPS"}
    known |= {f"GUARD_LIMITS__{name.upper()}" for name in LimitSettings.model_fields}
    known |= {f"GUARD_BREAKER__{name.upper()}" for name in BreakerSettings.model_fields}
    assert set(re.findall(r"GUARD_[A-Z_]+[A-Z]", README)) <= known


@pytest.mark.parametrize("metric", sorted(metrics()))
def test_every_metric_is_documented(metric):
    """
    Each metric stands in the README by its full name.
    """
    assert metric in CODE


def test_every_metric_that_is_named_exists():
    """
    No metric is named that nobody exposes; the parts of histograms count as theirs.
    """
    known = {f"{name}{suffix}" for name in metrics() for suffix in ("", "_bucket", "_count", "_sum")}
    assert set(re.findall(r"\bcostguard_[a-z0-9_]+", README)) <= known


@pytest.mark.parametrize("command", sorted(set(commands()) - {"guard", "guard ledger", "guard breaker"}))
def test_every_command_is_documented(command):
    """
    Each command stands in the README as it is typed.
    """
    assert any(code == command or code.startswith(f"{command} ") for code in CODE)


def test_every_command_that_is_named_exists():
    """
    No command is named that the program does not have.
    """
    named = {code for code in CODE if re.match(r"guard [a-z]", code)}
    blocks = re.findall(r"^(?:\$ )?(guard [a-z].*)$", README, re.MULTILINE)
    known = set(commands())
    for line in (*named, *blocks):
        words = re.match(r"guard (?:ledger |breaker )?[a-z-]+", line)
        assert words is not None, line
        assert words[0] in known, line


@pytest.mark.parametrize("field", [*sorted(FIELDS), "annotation.<key>"])
def test_every_policy_field_is_documented(field):
    """
    Each field that a policy may ask for stands in the README.
    """
    assert field in CODE
