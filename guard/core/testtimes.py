"""
Spans and moments of policy tests: exact to the millisecond, because limits are.

A span is one of policy files with milliseconds behind it (``24h1ms``, ``1ms``). A moment is a span after the reading of the
job, or a timestamp with its offset.
"""

import re
from datetime import UTC

from guard.core.findings import Findings
from guard.core.spans import DAY_MS, SECOND_MS, format_span, parse_span
from guard.core.until import parse_until
from guard.core.yamlnode import Kind, Node, Scalar, describe

LONGEST_MS = 7300 * DAY_MS
EARLIEST_MS = 946_684_800_000
"""The year 2000: a job that runs since 20 years before it still started at a plausible number of milliseconds."""

_SPAN = re.compile("(-?)(.*?)(?:([0-9]{1,9})ms)?")
_EXPECTED_SPAN = "expected a span such as 90s, 24h or 24h1ms"
_EXPECTED_MOMENT = "a timestamp with its offset such as 2026-01-01T00:00:00Z"
_DATE_LENGTH = 10


def show_span(span_ms: int) -> str:
    """
    Return a span as policy tests write it: ``24h1ms``, ``-59m59s999ms``.
    """
    sign, (seconds, rest) = "-" if span_ms < 0 else "", divmod(abs(span_ms), SECOND_MS)
    whole = format_span(seconds * SECOND_MS) if seconds or not rest else ""
    return sign + whole + (f"{rest}ms" if rest else "")


def read_span(key: str, node: Node, findings: Findings) -> int | None:
    """
    Return the milliseconds of a span of at most 7300 days, or None after an error.
    """
    span_ms = _span(node)
    if span_ms is None or span_ms < 0:
        findings.add(node.mark, f"{key}: {_EXPECTED_SPAN}, got {describe(node)}")
        return None
    if span_ms > LONGEST_MS:
        findings.add(node.mark, f"{key}: expected a span of at most 7300d, got {describe(node)}")
        return None
    return span_ms


def read_instant(key: str, node: Node, findings: Findings) -> int | None:
    """
    Return the epoch milliseconds of a timestamp from the year 2000 on, or None after an error.
    """
    at_ms = _instant(node)
    if at_ms is None or at_ms < EARLIEST_MS:
        since = "" if at_ms is None else ", from the year 2000 on"
        findings.add(node.mark, f"{key}: expected {_EXPECTED_MOMENT}{since}, got {describe(node)}")
        return None
    return at_ms


def read_moment(key: str, node: Node, findings: Findings, *, read_at_ms: int) -> int | None:
    """
    Return the epoch milliseconds of a moment, before the reading too, or None after an error.
    """
    span_ms, at_ms = _span(node), _instant(node)
    if span_ms is not None:
        return read_at_ms + span_ms
    if at_ms is None:
        after = f"{_EXPECTED_SPAN} (after the reading), or {_EXPECTED_MOMENT}"
        findings.add(node.mark, f"{key}: {after}, got {describe(node)}")
    return at_ms


def _span(node: Node) -> int | None:
    found = _SPAN.fullmatch(node.text) if isinstance(node, Scalar) and node.kind is Kind.TEXT else None
    if found is None:
        return None
    sign, whole, rest = found.groups()
    whole_ms = parse_span(whole) if whole or rest is None else 0
    if whole_ms is None:
        return None
    span_ms = whole_ms + int(rest or 0)
    return -span_ms if sign else span_ms


def _instant(node: Node) -> int | None:
    if not isinstance(node, Scalar) or node.kind is not Kind.TEXT or len(node.text) <= _DATE_LENGTH:
        return None
    try:
        # With an offset, which it asks for, the time zone plays no part.
        return parse_until(node.text, zone=UTC)
    except ValueError:
        return None
