"""
What came of policy tests, for people: a line per test, and under one that failed every difference clause by clause.
"""

from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.text import Text

from guard.core.judge import Trace
from guard.core.policytest import CaseResult, Difference
from guard.policytests import Report
from guard.screen import plain

_STEP = "  "


def show_tests(console: Console, report: Report, *, every: bool = False) -> None:
    """
    Print how many tests of each file passed and those that failed, or *every* test; then the policies that lack one.
    """
    for file, results in groupby(report.results, key=lambda one: one.case.file):
        of_file = list(results)
        passed = sum(one.passed for one in of_file)
        console.print(plain(f"{file}: {passed} of {len(of_file)} tests passed"), soft_wrap=True)
        for result in of_file:
            if every or not result.passed:
                for line in _result_lines(result):
                    console.print(line, soft_wrap=True)
    for lacking in report.untested:
        console.print(plain(lacking), style="red", soft_wrap=True)
    console.print(plain(_summary(report)), style="green" if report.passed else "red", soft_wrap=True)


def _result_lines(result: CaseResult) -> Iterable[Text]:
    word, style = ("ok", "green") if result.passed else ("FAILED", "red")
    place = "" if result.passed else f" (line {result.case.line})"
    yield Text.assemble(_STEP, (f"{word:<8}", style), plain(f"{result.case.name}{place}"))
    for difference in result.differences:
        for line in _difference_lines(difference):
            yield Text(_STEP * 5) + plain(line)


def _difference_lines(difference: Difference) -> Iterable[str]:
    yield f"at {difference.at}: {difference.about}: expected {difference.expected}, got {difference.actual}"
    for label, trace in difference.traces:
        if label:
            yield f"{_STEP}{label}:"
        inner = _STEP * 2 if label else _STEP
        for part in trace.parts:
            yield from (inner + line for line in _trace_lines(part, ""))
    for note in difference.notes:
        yield _STEP + note


def _trace_lines(trace: Trace, indent: str) -> Iterable[str]:
    said = trace.parts or trace.text.endswith(f" = {trace.actual}")
    yield f"{trace.verdict.name:<8}  {indent}{trace.text}{'' if said else f'  (is {trace.actual})'}"
    for part in trace.parts:
        yield from _trace_lines(part, indent + _STEP)


def _summary(report: Report) -> str:
    count = len(report.results)
    if not report.passed:
        lacking = f"; untested: {len(report.untested)} of {report.policies} policies" if report.untested else ""
        return f"failed: {report.failed} of {count} tests{lacking}"
    checked = f", and each of {report.policies} policies has one that stops a job and one that spares one"
    return f"ok: {count} tests passed{checked if report.complete else ''}"
