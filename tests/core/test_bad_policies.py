"""
The table of bad policy files: what the loader says of each, to the word and to the column.
"""

from datetime import UTC

import pytest
from bad_files import EXEMPTIONS, FILES, KEYS_OF_POLICIES, NAMES
from bad_matches import MATCH, OPERATORS_BY_TYPE, PHASE_AND_WAITING
from bad_operands import OPERANDS_BY_TYPE
from bad_row import YAML
from bad_yaml import SIZES_AND_DEPTHS, YAML_ITSELF
from jsonschema import Draft202012Validator
from plain_values import plain_values

from guard.core.load import load
from guard.core.schema import policy_schema
from guard.core.yamlnode import read_yaml
from guard.errors import PolicyErrors

TABLE = [
    *FILES,
    *KEYS_OF_POLICIES,
    *NAMES,
    *MATCH,
    *PHASE_AND_WAITING,
    *OPERATORS_BY_TYPE,
    *OPERANDS_BY_TYPE,
    *EXEMPTIONS,
    *YAML_ITSELF,
    *SIZES_AND_DEPTHS,
]
VALIDATOR = Draft202012Validator(policy_schema())


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.id)
def test_what_the_loader_says(bad):
    """
    Every error of a bad file has its exact place, its policy and its exact words, and there is no other.
    """
    with pytest.raises(PolicyErrors) as caught:
        load(bad.files, zone=UTC)
    several = len(bad.files) > 1
    assert [_told(one, several=several) for one in caught.value.diagnostics] == list(bad.errors)


@pytest.mark.parametrize("bad", [bad for bad in TABLE if bad.unseen != YAML], ids=lambda bad: bad.id)
def test_what_the_schema_says(bad):
    """
    The schema refuses every file whose shape is wrong, and takes the ones of which the table says that it cannot see why.
    """
    taken = all(VALIDATOR.is_valid(plain_values(content)) for _, content in bad.files)
    assert taken is bool(bad.unseen)


@pytest.mark.parametrize("bad", [bad for bad in TABLE if bad.unseen == YAML], ids=lambda bad: bad.id)
def test_what_is_no_yaml(bad):
    """
    What the table calls bad YAML is refused before anything in it is read as a policy.
    """
    assert any(read_yaml(content).problems for _, content in bad.files)


def test_no_row_stands_twice():
    """
    Every row has a name and a content of its own.
    """
    assert len({bad.id for bad in TABLE}) == len({repr(bad.content) for bad in TABLE}) == len(TABLE) >= 300


def _told(one, *, several):
    file = f"{one.file}:" if several else ""
    policy = f"[{one.policy}] " if one.policy else ""
    return f"{file}{one.line}:{one.column} {policy}{one.message}"
