"""
Traces as plain data, the form in which the ledger and machines keep the reason of a decision.
"""

from collections.abc import Mapping
from typing import Any

from guard.core.judge import Trace
from guard.core.verdict import Verdict


def to_data(trace: Trace) -> dict[str, Any]:
    """
    Return a trace as plain data: ``clause``, ``verdict``, and either ``parts`` or ``actual`` (and ``turns_at_ms``).
    """
    data: dict[str, Any] = {"clause": trace.text, "verdict": trace.verdict.name}
    if trace.parts:
        data["parts"] = [to_data(part) for part in trace.parts]
        return data
    data["actual"] = trace.actual
    if trace.turns_at_ms is not None:
        data["turns_at_ms"] = trace.turns_at_ms
    return data


def from_data(data: Mapping[str, Any]) -> Trace:
    """
    Return the trace of plain data; raises ``ValueError`` if it is none.
    """
    try:
        text, verdict = data["clause"], Verdict[data["verdict"]]
    except KeyError as error:
        raise ValueError(f"not a trace: {str(data)[:100]}") from error
    return Trace(
        text=text,
        verdict=verdict,
        actual=data.get("actual", ""),
        turns_at_ms=data.get("turns_at_ms"),
        parts=tuple(from_data(part) for part in data.get("parts", ())),
    )
