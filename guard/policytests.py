"""
Policy tests from disk: which files hold them, the jobs that they borrow from the wire, and what came of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from guard.core.policy import PolicySet
from guard.core.policytest import Case, CaseResult, Difference, Subject, Untested, Wire, run_case, untested
from guard.core.sighting import observe
from guard.core.testfile import read_cases
from guard.core.trace import to_data
from guard.errors import BadInput, Diagnostic, PolicyErrors
from guard.modelarts.wire import Origin, Unparsable, parse_answer
from guard.policyfiles import SUFFIXES, TEST_SUFFIXES, load_paths, read_files, tests_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What came of all tests. Of the *policies*, the *untested* ones lack one; *complete* tells whether that was asked.
    """

    results: tuple[CaseResult, ...]
    policies: int
    complete: bool
    untested: tuple[Untested, ...] = ()

    @property
    def failed(self) -> int:
        """
        How many tests failed.
        """
        return sum(not one.passed for one in self.results)

    @property
    def passed(self) -> bool:
        """
        Whether every test passed and no policy lacks one.
        """
        return not self.failed and not self.untested


def run_tests(paths: Sequence[Path], *, zone: tzinfo, only: str = "", allow_untested: bool = False) -> Report:
    """
    Run the tests of folders, of policy files and of test files; each is judged by all policies of its folder, as in life.

    With *only* just the tests in whose file or name that text stands, whatever its capitals; whether policies lack a test
    is then not asked. Raises PolicyErrors with everything that is wrong with the files, or BadInput if there is no test.
    """
    results: list[CaseResult] = []
    lacking: list[Untested] = []
    wrong: list[Diagnostic] = []
    count = 0
    for folder, asked in _selections(paths).items():
        policies = load_paths([folder], zone=zone)
        cases, found = _read(list(asked.tests), policies)
        wrong += found
        covered = [one for one in policies.policies if asked.covers(one.place)]
        count += len(covered)
        lacking += untested(covered, [case for case, _ in cases])
        wanted = [(case, subject) for case, subject in cases if only.casefold() in f"{case.file} {case.name}".casefold()]
        results += [run_case(case, subject, policies) for case, subject in wanted]
    if wrong:
        raise PolicyErrors(wrong)
    if not results and (only or allow_untested or not lacking):
        where = ", ".join(repr(str(path)) for path in paths)
        raise BadInput(f"expected policy tests{f' with {only!r} in their name' if only else ''}, got none in {where}")
    complete = not (allow_untested or only)
    missing = tuple(lacking) if complete else ()
    return Report(results=tuple(results), policies=count, complete=complete, untested=missing)


def report_data(report: Report) -> dict[str, Any]:
    """
    Return a report as plain data.
    """
    return {
        "passed": report.passed,
        "tests": [
            {
                "file": one.case.file,
                "line": one.case.line,
                "name": one.case.name,
                "passed": one.passed,
                "differences": [_difference_data(each) for each in one.differences],
            }
            for one in report.results
        ],
        "untested": [
            {"policy": one.policy.name, "place": one.policy.place, "stops": one.stops, "spares": one.spares}
            for one in report.untested
        ],
    }


def _difference_data(difference: Difference) -> dict[str, Any]:
    return {
        "at": difference.at,
        "about": difference.about,
        "expected": difference.expected,
        "actual": difference.actual,
        "resources": [to_data(trace) for _, trace in difference.traces],
        "notes": list(difference.notes),
    }


@dataclass(slots=True, kw_only=True)
class _Selection:
    """
    What of one folder was asked for: files of tests, and the policy files whose policies must not lack one (None: all).
    """

    tests: dict[Path, None] = field(default_factory=dict)
    files: set[str] | None = field(default_factory=set)

    def covers(self, place: str) -> bool:
        return self.files is None or place.rpartition(":")[0] in self.files


def _selections(paths: Sequence[Path]) -> dict[Path, _Selection]:
    selections: dict[Path, _Selection] = {}
    for path in paths:
        if path.is_dir():
            asked = selections.setdefault(path, _Selection())
            asked.files = None
            asked.tests |= dict.fromkeys(tests_in(path))
            continue
        if not path.is_file() or not path.name.endswith(SUFFIXES):
            raise BadInput(f"{str(path)!r}: expected a folder, a policy file or a file of policy tests (*.test.yaml)")
        asked = selections.setdefault(path.parent, _Selection())
        stem = path.name.removesuffix(path.suffix).removesuffix(".test")
        beside = [path.with_name(stem + suffix) for suffix in TEST_SUFFIXES]
        asked.tests |= dict.fromkeys([path] if path.name.endswith(TEST_SUFFIXES) else filter(Path.is_file, beside))
        if asked.files is not None:
            asked.files |= {str(path.with_name(stem + suffix)) for suffix in SUFFIXES}
    return selections


def _read(
    files: Sequence[Path] | dict[Path, None], policies: PolicySet
) -> tuple[list[tuple[Case, Subject]], list[Diagnostic]]:
    contents, wrong = read_files([(str(file), file) for file in files])
    cases: list[tuple[Case, Subject]] = []
    for name, content in contents:
        read = read_cases(name, content, policies)
        wrong += read.diagnostics
        for case in read.cases:
            subject = case.subject if isinstance(case.subject, Subject) else _from_wire(case, case.subject)
            if isinstance(subject, Subject):
                cases.append((case, subject))
            elif not read.diagnostics:
                wrong.append(subject)
    return cases, wrong


def _from_wire(case: Case, wire: Wire) -> Subject | Diagnostic:
    origin = Origin(target=wire.target, region=wire.region, project_id=wire.project, read_at_ms=case.read_at_ms)
    wrong = Diagnostic(file=case.file, line=wire.mark.line, column=wire.mark.column, message="", policy=case.name)
    body = wire.body
    if wire.file:
        contents, unread = read_files([(wire.file, Path(case.file).parent / wire.file)])
        if unread:
            return replace(wrong, message=f"wire_file: {wire.file!r}: {unread[0].message}")
        body = contents[0][1]
    try:
        job = parse_answer(body, origin)
    except Unparsable as error:
        return replace(wrong, message=f"expected one job as the service tells it, got {error}")
    if job is None:
        return replace(wrong, message="expected one job as the service tells it, got none with metadata.id")
    return Subject(job=job, seen=observe(None, job))
