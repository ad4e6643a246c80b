"""
Kleene's tables.
"""

import pytest

from guard.core.verdict import Verdict, every, some

NO, UNKNOWN, YES = Verdict.NO_MATCH, Verdict.UNKNOWN, Verdict.MATCH


@pytest.mark.parametrize(
    ("parts", "conjunction", "disjunction"),
    [
        pytest.param((YES, YES), YES, YES, id="yes-yes"),
        pytest.param((YES, UNKNOWN), UNKNOWN, YES, id="yes-unknown"),
        pytest.param((YES, NO), NO, YES, id="yes-no"),
        pytest.param((UNKNOWN, UNKNOWN), UNKNOWN, UNKNOWN, id="unknown-unknown"),
        pytest.param((UNKNOWN, NO), NO, UNKNOWN, id="unknown-no"),
        pytest.param((NO, NO), NO, NO, id="no-no"),
        pytest.param((UNKNOWN,), UNKNOWN, UNKNOWN, id="one"),
        pytest.param((YES, UNKNOWN, NO), NO, YES, id="three"),
    ],
)
def test_tables(parts, conjunction, disjunction):
    """
    `all` and `any` are Kleene's, in any order of their parts.
    """
    assert every(parts) is every(reversed(parts)) is conjunction
    assert some(parts) is some(reversed(parts)) is disjunction


@pytest.mark.parametrize(("verdict", "negated"), [(NO, YES), (UNKNOWN, UNKNOWN), (YES, NO)])
def test_negation(verdict, negated):
    """
    `not` turns the sure verdicts around and leaves UNKNOWN.
    """
    assert verdict.negated is negated


@pytest.mark.parametrize(("holds", "verdict"), [(True, YES), (False, NO)])
def test_of(holds, verdict):
    """
    A comparison that could be made gives a sure verdict.
    """
    assert Verdict.of(holds) is verdict


@pytest.mark.parametrize("join", [every, some])
def test_nothing_to_join(join):
    """
    No parts give no verdict at all, and so never a match.
    """
    with pytest.raises(ValueError):
        join(())
