"""
What of a job's name stays when the same work is submitted again.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.stems import split_name


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        pytest.param("train", "train", id="plain"),
        pytest.param("train-42", "train", id="number"),
        pytest.param("train42", "train", id="number-without-a-dash"),
        pytest.param("train_v2_0007", "train_v", id="several"),
        pytest.param("train-2026-01-31", "train", id="date"),
        pytest.param("train-20260131T120000Z", "train", id="moment"),
        pytest.param("train 2026-01-31 12:00:00", "train", id="moment-with-blanks"),
        pytest.param("train-3f2a9c", "train", id="hex"),
        pytest.param("train-deadbeef", "train", id="hex-of-letters"),
        pytest.param("train-facade", "train-facade", id="a-word-that-is-hex"),
        pytest.param("train-a1", "train-a", id="short-hex-is-a-number"),
        pytest.param("train-1c6fd3b2-9b1f-4e86-a0a4-0c9d4a0f8f11", "train", id="uuid"),
        pytest.param("x1c6fd3b2-9b1f-4e86-a0a4-0c9d4a0f8f1g", "x1c6fd3b2-9b1f-4e86-a0a4-0c9d4a0f8f1g", id="no-uuid"),
        pytest.param("1c6fd3b2-9b1f-4e86-a0a4-0c9d4a0f8f11", "", id="nothing-but-a-uuid"),
        pytest.param("x1c6fd3b2-9b1f-4e86-a0a4-0c9d4a0f8f11", "x1c6fd3b2-9b1f-4e86-a0a", id="uuid-within-a-part"),
        pytest.param("12345", "", id="nothing-but-a-number"),
        pytest.param("-1", "", id="nothing-but-a-number-and-a-dash"),
        pytest.param("train-", "train-", id="dash-without-a-number"),
        pytest.param("---", "---", id="dashes"),
        pytest.param("训练-7", "训练", id="chinese"),
        pytest.param("", "", id="empty"),
    ],
)
def test_stems(name, stem):
    """
    Trailing digits, dates, hex and uuid parts go, with what parts them from the rest; words stay.
    """
    assert split_name(name) == (stem, name[len(stem) :])


@given(st.one_of(st.text(), st.text(alphabet="ab1-_ Tz")))
def test_the_parts_add_up(name):
    """
    No letter of a name is lost, and a stem that was found has nothing more to lose.
    """
    stem, rest = split_name(name)
    assert stem + rest == name
    assert split_name(stem) == (stem, "")
