"""
The README's table of faults is held to the tests: each that it names exists.
"""

import ast
import re

import pytest
from e2e_stand import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Faults, and what the guard does")[2].partition("\n## ")[0]
ROWS = [line.split("|") for line in SECTION.splitlines() if line.startswith("|")][2:]
NAMED = sorted(set(re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", SECTION)))


def test_every_fault_names_what_is_done_and_a_test():
    """
    The table has rows, each of three cells, and each names a test.
    """
    assert len(ROWS) >= 15
    for row in ROWS:
        fault, does, shown = (cell.strip() for cell in row[1:-1])
        assert fault
        assert does
        assert "::test_" in shown, fault


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file, name):
    """
    A test that the table names stands in its file.
    """
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
