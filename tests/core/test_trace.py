"""
Traces as plain data and back.
"""

import json

import pytest
from built import NOW

from guard.core.judge import Trace
from guard.core.trace import from_data, to_data
from guard.core.verdict import Verdict

LEAF = Trace(text="duration > 24h", verdict=Verdict.UNKNOWN, actual="unreadable")
GROWING = Trace(text="duration > 24h", verdict=Verdict.NO_MATCH, actual="23h", turns_at_ms=NOW + 1)


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param(LEAF, id="leaf"),
        pytest.param(GROWING, id="growing"),
        pytest.param(Trace(text="all", verdict=Verdict.NO_MATCH, parts=(LEAF, GROWING)), id="parts"),
    ],
)
def test_a_trace_comes_back_from_its_data(trace):
    """
    Nothing of a trace is lost on its way through JSON.
    """
    assert from_data(json.loads(json.dumps(to_data(trace)))) == trace


@pytest.mark.parametrize(
    "data", [pytest.param({}, id="empty"), pytest.param({"clause": "x", "verdict": "MAYBE"}, id="verdict")]
)
def test_what_is_no_trace_is_refused(data):
    """
    Data that is no trace is named, not guessed at.
    """
    with pytest.raises(ValueError, match="not a trace"):
        from_data(data)
