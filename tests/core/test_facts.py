"""
Quantities that grow, and identities.
"""

from fractions import Fraction

import pytest
from built import KEY

from guard.core.facts import ABSENT, UNREADABLE, Growing

SPAN = Growing(1_000, 5_000, 1)
MONEY = Growing(Fraction(1, 3), 0, Fraction(1, 7))


@pytest.mark.parametrize(
    ("quantity", "at_ms", "value"),
    [
        pytest.param(SPAN, 5_000, 1_000, id="now"),
        pytest.param(SPAN, 5_001, 1_001, id="later"),
        pytest.param(SPAN, 3_999, -1, id="before"),
        pytest.param(MONEY, 2, Fraction(1, 3) + Fraction(2, 7), id="fraction"),
        pytest.param(Growing(4, 0, 0), 10**9, 4, id="stands"),
    ],
)
def test_at(quantity, at_ms, value):
    """
    A growing quantity is exact at any moment.
    """
    assert quantity.at(at_ms) == value


@pytest.mark.parametrize(
    ("quantity", "limit", "strictly", "at_ms"),
    [
        pytest.param(SPAN, 2_000, False, 6_000, id="reached"),
        pytest.param(SPAN, 2_000, True, 6_001, id="passed"),
        pytest.param(SPAN, 500, False, 4_500, id="reached-in-the-past"),
        pytest.param(SPAN, 500, True, 4_501, id="passed-in-the-past"),
        pytest.param(MONEY, Fraction(1), False, 5, id="between-two-milliseconds"),
        pytest.param(MONEY, Fraction(1), True, 5, id="between-two-milliseconds-strictly"),
        pytest.param(MONEY, Fraction(1, 3) + Fraction(5, 7), False, 5, id="fraction-reached"),
        pytest.param(MONEY, Fraction(1, 3) + Fraction(5, 7), True, 6, id="fraction-passed"),
        pytest.param(Growing(4, 0, 0), 4, False, None, id="never"),
        pytest.param(Growing(4, 0, Fraction(-1, 2)), 4, False, None, id="falling"),
    ],
)
def test_reaches(quantity, limit, strictly, at_ms):
    """
    The first millisecond at or above a limit is exact, in whole milliseconds, and may be past.
    """
    assert quantity.reaches(limit, strictly=strictly) == at_ms


def test_shown():
    """
    Reasons for missing values and identities read as words.
    """
    assert [repr(ABSENT), repr(UNREADABLE), str(KEY)] == ["absent", "unreadable", f"cn-north-4/{'0' * 32}/job-1"]
