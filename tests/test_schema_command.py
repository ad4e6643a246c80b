"""
`guard schema`: what it prints is a schema of the file that it names, as strict as its reader about the shape.
"""

import json
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from guard.cli.whole import app
from guard.core.schema import policy_schema
from guard.errors import BadInput
from guard.policyfiles import read_file
from guard.pricing.book import Books
from guard.schema import SchemaKind, schema_of
from guard.settings import Settings, fixed_settings

TARGET = {"name": "a", "region": "r", "project_id": "p"}
SETTINGS = jsonschema.Draft202012Validator(schema_of(SchemaKind.SETTINGS))
PRICES = jsonschema.Draft202012Validator(schema_of(SchemaKind.PRICES))


@pytest.mark.parametrize("kind", list(SchemaKind))
def test_it_prints_a_schema(kind):
    """
    Each kind prints one valid schema of draft 2020-12 that says what it is and whose own example fits it.
    """
    printed = CliRunner().invoke(app, ["schema", kind.value])
    schema = json.loads(printed.stdout)
    assert (printed.exit_code, schema) == (0, schema_of(kind))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"]
    for example in schema["examples"]:
        jsonschema.Draft202012Validator(schema).validate(example)


def test_policies_are_the_default():
    """
    Without a word it is the schema of policy files, and another word is a usage error.
    """
    assert json.loads(CliRunner().invoke(app, ["schema"]).stdout) == policy_schema()
    assert CliRunner().invoke(app, ["schema", "jobs"]).exit_code == 2


def test_every_setting_is_described():
    """
    Every setting is there with a description, and every default and example fits its own setting.
    """
    schema = schema_of(SchemaKind.SETTINGS)
    assert set(schema["properties"]) == set(Settings.model_fields)
    parts = [schema, schema["$defs"]["TargetSettings"], schema["$defs"]["LimitSettings"]]
    for one in [one for part in parts for one in part["properties"].values()]:
        assert one["description"]
        for value in [*one.get("examples", []), *([one["default"]] if "default" in one else [])]:
            jsonschema.Draft202012Validator({**one, "$defs": schema["$defs"]}).validate(value)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="as-little-as-possible"),
        pytest.param({"limits": "none", "armed": True, "clock": "duration"}, id="no-limits"),
        pytest.param({"limits": {}}, id="default-limits"),
        pytest.param({"limits": {"max_per_policy": 3, "max_percent_of_cards": None}}, id="other-limits"),
        pytest.param({"breaker": "none"}, id="no-breaker"),
        pytest.param({"breaker": {"first_enforce": None, "reset_after": "4h"}}, id="breaker"),
        pytest.param({"limits": {"window": "2h", "max_terminations": None, "max_percent_of_running": 2.5}}, id="limits"),
        pytest.param({"scan_interval": "1m30s", "confirm_timeout": "1h", "savings_horizon": "7d"}, id="spans"),
        pytest.param({"api_rate": 0.5, "api_in_flight": 4}, id="slowest-pace"),
        pytest.param({"api_rate": 1000, "api_in_flight": 1000}, id="fastest-pace"),
        pytest.param({"prices": "p.yaml", "pause_file": None, "policies": "x", "timezone": "Asia/Shanghai"}, id="paths"),
        pytest.param({"targets": [{**TARGET, "workspaces": ["0"], "endpoint": "http://h", "credentials": "c"}]}, id="all"),
    ],
)
def test_good_settings(more):
    """
    What the settings take, the schema takes.
    """
    values = {"targets": [TARGET], **more}
    fixed_settings(**values)
    SETTINGS.validate(values)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"targets": []}, id="no-target"),
        pytest.param({"targets": [{"name": "a"}]}, id="half-a-target"),
        pytest.param({"targets": [{**TARGET, "ak": "x"}]}, id="credentials-in-the-file"),
        pytest.param({"targets": [{**TARGET, "name": "Not Kebab"}]}, id="name-of-a-target"),
        pytest.param({"targets": [{**TARGET, "workspaces": "some"}]}, id="workspaces"),
        pytest.param({"targets": [{**TARGET, "workspaces": [0]}]}, id="workspace-as-a-number"),
        pytest.param({"scan_interval": 60}, id="span-without-a-unit"),
        pytest.param({"scan_interval": ""}, id="empty-span"),
        pytest.param({"scan_interval": "1m1h"}, id="span-in-the-wrong-order"),
        pytest.param({"api_rate": 0}, id="no-calls-at-all"),
        pytest.param({"api_rate": 1000.5}, id="too-many-calls"),
        pytest.param({"api_in_flight": 3}, id="nothing-kept-for-kills"),
        pytest.param({"limits": "off"}, id="limits-that-are-no-limits"),
        pytest.param({"limits": {"max_terminations": -1}}, id="negative-limit"),
        pytest.param({"limits": {"max_percent_of_running": 101}}, id="more-than-all"),
        pytest.param({"limits": {"window": 3600}}, id="window-without-a-unit"),
        pytest.param({"limits": {"max": 3}}, id="unknown-limit"),
        pytest.param({"limits": {"max_per_user": -1}}, id="negative-limit-of-a-user"),
        pytest.param({"breaker": "off"}, id="a-breaker-that-is-no-breaker"),
        pytest.param({"breaker": {"price_factor": 1}}, id="a-factor-that-any-price-exceeds"),
        pytest.param({"breaker": {"match_jump": 0}}, id="no-jump-at-all"),
        pytest.param({"breaker": {"reset_after": 60}}, id="time-without-a-unit"),
        pytest.param({"clock": "larger"}, id="clock"),
        pytest.param({"interval": "1m"}, id="unknown-setting"),
        pytest.param({"policies": None}, id="null"),
    ],
)
def test_bad_settings(more):
    """
    What is wrong with the shape of the settings, both refuse.
    """
    values = {"targets": [TARGET], **more}
    with pytest.raises(ValueError, match="validation error"):
        fixed_settings(**values)
    assert not SETTINGS.is_valid(values)


@pytest.mark.parametrize(
    ("written", "good"),
    [
        pytest.param("{currency: CNY, prices: {}}", True, id="as-little-as-possible"),
        pytest.param("{currency: CNY, prices: {a: 3.50, b: 0}}", True, id="short"),
        pytest.param("{currency: CNY, prices: {a: 1000000000000000}}", True, id="largest"),
        pytest.param("{prices: {}}", False, id="no-currency"),
        pytest.param("{currency: CNY}", False, id="no-prices"),
        pytest.param("{currency: yuan, prices: {}}", False, id="small-letters"),
        pytest.param("{currency: 7, prices: {}}", False, id="number-for-currency"),
        pytest.param("{currency: CNY, prices: [1]}", False, id="list-of-prices"),
        pytest.param("{currency: CNY, prices: {a: -1}}", False, id="negative"),
        pytest.param("{currency: CNY, prices: {a: free}}", False, id="text"),
        pytest.param("{currency: CNY, prices: {a: [1]}}", False, id="list-for-a-price"),
        pytest.param("{currency: CNY, prices: {a: .inf}}", False, id="endless"),
        pytest.param("{currency: CNY, prices: {a: 1000000000000001}}", False, id="too-large"),
        pytest.param("{currency: CNY, prices: {}, pool_price_per_hour: 1}", False, id="former-key"),
        pytest.param('{currency: CNY, prices: [{pool_id: p, glob: "a*", price: 1, per: node-hour}]}', True, id="long"),
        pytest.param("{currency: CNY, prices: [{pool_id: p, price: 1, per: day}]}", False, id="per"),
        pytest.param("{currency: CNY, prices: {}, price: 1}", False, id="unknown-key"),
        pytest.param("[]", False, id="list"),
    ],
)
def test_price_books(tmp_path, written, good):
    """
    The price book's reader and its schema say the same.
    """
    path = tmp_path / "prices.yaml"
    path.write_text(written)
    assert PRICES.is_valid(yaml.safe_load(written)) is good
    if good:
        assert Books(zone=ZoneInfo("UTC")).load(read_file(path)).currency == "CNY"
    else:
        with pytest.raises(BadInput):
            Books(zone=ZoneInfo("UTC")).load(read_file(path))
