"""
The JSON Schema of policy files: as strict as the loader about the shape of a file, and never stricter.
"""

import json
import operator
from datetime import UTC
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_values import plain_values

from guard.core.fields import FIELDS
from guard.core.load import load
from guard.core.operands import operators_of
from guard.core.schema import policy_schema
from guard.errors import PolicyErrors

HERE = Path(__file__).parent
SHIPPED = [path for path in (HERE.parent.parent / "policies").rglob("*.yaml") if not path.name.endswith(".test.yaml")]
GOOD = [*(HERE.parent / "data" / "policies" / "good").iterdir(), *SHIPPED]
SCHEMA = policy_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_it_is_a_schema():
    """
    It is valid in its own dialect, and every reference in it leads somewhere.
    """
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {ref.removeprefix("#/$defs/") for ref in _references(SCHEMA)} == set(SCHEMA["$defs"])


@pytest.mark.parametrize("path", [one for one in GOOD if ".test." not in one.name], ids=lambda path: path.stem)
def test_good_files(path):
    """
    The schema takes every file that is shipped and every good file of the loader's tests.
    """
    assert list(VALIDATOR.iter_errors(plain_values(path.read_bytes()))) == []


def test_examples():
    """
    Every example fits the schema in which it stands, and there is one on most of the fields.
    """
    found = list(_examples(SCHEMA))
    assert len(found) >= 25
    for schema, example in found:
        jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]}).validate(example)


def test_every_field_is_described():
    """
    Every field is there with its meaning and its operators; only `phase` is missing inside `all`, `any` and `not`.
    """
    match, clause = SCHEMA["$defs"]["match"]["properties"], SCHEMA["$defs"]["clause"]["properties"]
    assert set(match) == {*FIELDS, "all", "any", "not"}
    assert set(match) - set(clause) == {"phase"}
    for name, spec in FIELDS.items():
        field = SCHEMA["$defs"][f"field_{name}"]
        assert field["description"].lower() == f"{spec.meaning.lower()}."
        operators = (field if spec.grows else field["anyOf"][2])["properties"]
        assert tuple(operators) == operators_of(spec)
        assert all(one["description"] for one in operators.values())


OPERANDS = st.sampled_from(
    ["Running", "24h", 3, -1, 2.5, True, None, "", [], ["Running"], [1], {}, "2026-12-31", 10**15, 10**15 + 1]
)
OPERATORS = st.sampled_from(["eq", "ne", "in", "not_in", "glob", "gt", "lte", "exists", "like"])
NAMED = st.sampled_from([*FIELDS, "annotation.key", "annotation.", "unknown"])
RIGHT = st.sampled_from(
    [
        {"user": "a"},
        {"cards": {"gt": 1, "lt": 9}},
        {"phase": ["Running"]},
        {"waiting": {"gt": "1h"}},
        {"duration": {"lte": "1h30m"}},
        {"cost": {"gte": 0.5}},
        {"annotation.key": {"exists": False}},
    ]
)
ENTRIES = RIGHT | RIGHT | st.dictionaries(NAMED, OPERANDS | st.dictionaries(OPERATORS, OPERANDS, max_size=2), max_size=1)
CLAUSES = st.recursive(
    st.builds(operator.or_, ENTRIES, RIGHT),
    lambda inner: st.builds(
        operator.or_,
        ENTRIES,
        st.dictionaries(st.sampled_from(["all", "any"]), st.lists(inner, max_size=2), max_size=2)
        | st.dictionaries(st.just("not"), inner, max_size=1),
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=300)
@given(CLAUSES)
def test_as_strict_as_the_loader(match):
    """
    Of any clause in which nothing but the shape can be wrong, schema and loader say the same.
    """
    policies = {"policies": [{"name": "p", "match": match}]}
    try:
        load([("a.yaml", json.dumps(policies).encode())], zone=UTC)
    except PolicyErrors:
        taken = False
    else:
        taken = True
    assert VALIDATOR.is_valid(policies) is taken


def _references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _examples(node):
    if isinstance(node, list):
        for value in node:
            yield from _examples(value)
    elif isinstance(node, dict):
        if isinstance(node.get("examples"), list):
            for example in node["examples"]:
                yield {key: value for key, value in node.items() if key != "examples"}, example
        for key, value in node.items():
            if key != "examples":
                yield from _examples(value)
