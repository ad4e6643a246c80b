"""
Files of policy tests (`x.test.yaml` beside `x.yaml`) into cases, as strictly as policies are read::

    currency: CNY                          # as in a price book, for policies about money; both may be left out
    prices: {modelarts.vm.gpu.p100.eco: 3.5}   # or a list of entries
    tests:
      - name: four economic nodes are stopped after a day
        read_at: 2026-01-01T00:00:00Z      # when the job was read; this is the default
        job: {billing_code: modelarts.vm.gpu.p100.eco, node_count: 4, unit_num: 1, duration: 24h}
        expect:                            # one moment, or a list of them
          - at: 0s                         # a span after the reading, or a timestamp; 0s when left out
            policies:
              p100-eco-one-day: {verdict: NO_MATCH, deadline: 1ms}
          - at: 1ms
            policies: {p100-eco-one-day: MATCH}
            exemptions: {agreed-long-runs: NO_MATCH}
            terminated_by: p100-eco-one-day   # or none

Instead of short facts (``testfacts``), `wire` holds a job as the service tells it, or `wire_file` names a file with it.
"""

import json
from collections.abc import Iterable
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from datetime import UTC

from guard.core.entries import choice_of, items_of, text_of, values_of
from guard.core.fields import Terms
from guard.core.findings import Findings, did_you_mean
from guard.core.operands import number_of
from guard.core.policy import PolicySet
from guard.core.policytest import NOTHING, Case, Moment, Subject, Wire
from guard.core.price import PriceBook
from guard.core.pricebook import BOOK_KEYS, read_book
from guard.core.testfacts import read_facts, read_origin
from guard.core.testtimes import read_instant, read_moment
from guard.core.verdict import Verdict
from guard.core.yamlnode import Kind, Listing, Mapping, Node, Scalar, brief, describe, read_yaml
from guard.errors import Diagnostic

FILE_KEYS = ("tests", *BOOK_KEYS)
TEST_KEYS = ("name", "read_at", "job", "wire", "wire_file", "expect")
MOMENT_KEYS = ("at", "policies", "exemptions", "terminated_by")
EXPECTED_KEYS = ("verdict", "deadline")
VERDICTS = tuple(verdict.name for verdict in Verdict)
DEFAULT_READ_AT_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: tests do not change with the day on which they are run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """
    The tests of one file; with any diagnostic they are not to be run.
    """

    cases: tuple[Case, ...]
    diagnostics: tuple[Diagnostic, ...]


def read_cases(file: str, content: bytes, policies: PolicySet) -> CaseFile:
    """
    Return the tests of one file, which may speak of *policies* and their exemptions, and everything that is wrong with it.
    """
    document = read_yaml(content)
    findings = Findings.of_file(file, document.problems)
    cases: list[Case] = []
    if isinstance(document.root, Mapping):
        known = _Known(
            policies=frozenset(one.name for one in policies.policies),
            exemptions=frozenset(one.name for one in policies.exemptions),
        )
        cases = _read_file(document.root, known, findings)
    elif document.root is not None:
        findings.add(document.root.mark, f"expected a mapping with 'tests', got {describe(document.root)}")
    ordered = findings.in_order()
    return CaseFile(cases=tuple(cases), diagnostics=tuple(ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """
    The names that expectations may speak of.
    """

    policies: frozenset[str]
    exemptions: frozenset[str]


def _read_file(root: Mapping, known: _Known, findings: Findings) -> list[Case]:
    values = values_of(root, FILE_KEYS, findings, required=("tests",))
    terms = Terms(prices=_read_prices(values, root, findings))
    tests = values.get("tests")
    if isinstance(tests, Listing) and not tests.items:
        findings.add(tests.mark, "tests: expected at least one test, got an empty list")
    cases: list[Case] = []
    lines: dict[str, int] = {}
    for node in items_of(tests, "tests", findings):
        case = _read_case(node, known, terms, findings)
        if case.name in lines:
            message = f"name: another test has the name {brief(case.name)}, in line {lines[case.name]}"
            findings.add(node.mark, message)
        elif case.name:
            lines[case.name] = case.line
        cases.append(case)
    return cases


def _read_prices(values: Dictionary[str, Node], root: Mapping, findings: Findings) -> PriceBook | None:
    if not any(key in values for key in BOOK_KEYS):
        return None
    for key in BOOK_KEYS:
        if key not in values:
            findings.add(root.mark, f"the key {key!r} is missing; prices need 'currency' and 'prices'")
    return read_book(values, findings, zone=UTC)


def _read_case(node: Mapping, known: _Known, terms: Terms, findings: Findings) -> Case:
    name = next((value for key, value in node.entries if key.text == "name"), None)
    text = text_of("name", {} if name is None else {"name": name}, findings, filled=True)
    findings = findings.named(text, begin=node.mark, end=node.end) if text.strip() else findings
    values = values_of(node, TEST_KEYS, findings, required=("name", "expect"))
    read_at = read_instant("read_at", values["read_at"], findings) if "read_at" in values else None
    read_at_ms = DEFAULT_READ_AT_MS if read_at is None else read_at
    return Case(
        name=text,
        file=findings.file,
        line=node.mark.line,
        read_at_ms=read_at_ms,
        terms=terms,
        subject=_read_subject(node, values, read_at_ms, findings),
        moments=_read_moments(values.get("expect"), known, read_at_ms, findings),
    )


def _read_subject(node: Mapping, values: Dictionary[str, Node], read_at_ms: int, findings: Findings) -> Subject | Wire:
    wired = [key for key in ("wire", "wire_file") if key in values]
    job = values.get("job", Mapping((), node.mark))
    if not wired:
        if "job" not in values:
            findings.add(node.mark, "the required key 'job' is missing (or 'wire', or 'wire_file')")
        return read_facts(job, findings, read_at_ms=read_at_ms)
    if len(wired) > 1:
        findings.add(values["wire_file"].mark, "wire_file: may not stand beside 'wire'")
    if "read_at" not in values:
        findings.add(
            node.mark, f"the required key 'read_at' is missing: the moments in '{wired[0]}' mean nothing without it"
        )
    target, region, project = read_origin(job, findings)
    body = json.dumps(_plain(values["wire"], findings)).encode() if "wire" in values else b""
    return Wire(
        mark=values[wired[0]].mark,
        body=body,
        file=text_of("wire_file", values, findings, filled=True),
        target=target,
        region=region,
        project=project,
    )


def _plain(node: Node, findings: Findings) -> object:
    """
    Return the value that a node writes, as JSON would hold it.
    """
    if isinstance(node, Mapping):
        return {key.text: _plain(value, findings) for key, value in node.entries}
    if isinstance(node, Listing):
        return [_plain(item, findings) for item in node.items]
    match node.kind:
        case Kind.TEXT:
            return node.text
        case Kind.BOOLEAN:
            return node.text.lower() == "true"
        case Kind.NOTHING:
            return None
    number = number_of(node) if node.kind is not Kind.NOT_FINITE else None
    if number is None:
        findings.add(node.mark, f"wire: expected a number of at most 15 digits, got {describe(node)}")
        return None
    return int(number) if node.kind is Kind.INTEGER else float(number)


def _read_moments(node: Node | None, known: _Known, read_at_ms: int, findings: Findings) -> tuple[Moment, ...]:
    if isinstance(node, Mapping):
        return (_read_moment(node, known, read_at_ms, findings),)
    if isinstance(node, Listing) and not node.items:
        findings.add(node.mark, "expect: expected at least one moment, got an empty list")
    return tuple(_read_moment(one, known, read_at_ms, findings) for one in items_of(node, "expect", findings))


def _read_moment(node: Mapping, known: _Known, read_at_ms: int, findings: Findings) -> Moment:
    values = values_of(node, MOMENT_KEYS, findings)
    if not any(key in values for key in MOMENT_KEYS[1:]):
        findings.add(node.mark, f"expect: expected at least one of {', '.join(MOMENT_KEYS[1:])}")
    at_ms = read_moment("at", values["at"], findings, read_at_ms=read_at_ms) if "at" in values else None
    if at_ms is not None and at_ms < read_at_ms:
        findings.add(values["at"].mark, "at: expected a moment at which the job had been read, got an earlier one")
    verdicts: dict[str, Verdict] = {}
    deadlines: dict[str, int | None] = {}
    for name, value in _named("policies", values, known.policies, findings):
        stated = {"verdict": value}
        if isinstance(value, Mapping):
            stated = values_of(value, EXPECTED_KEYS, findings)
            if not value.entries:
                findings.add(value.mark, f"{name}: expected a verdict or a deadline, got an empty mapping")
        if "verdict" in stated:
            verdicts[name] = _verdict(name, stated["verdict"], findings)
        if "deadline" in stated:
            deadlines[name] = _deadline(stated["deadline"], read_at_ms, findings)
    return Moment(
        at_ms=read_at_ms if at_ms is None else at_ms,
        verdicts=verdicts,
        deadlines=deadlines,
        exemptions={
            name: _verdict(name, value, findings) for name, value in _named("exemptions", values, known.exemptions, findings)
        },
        terminated_by=_terminated_by(values, known, findings),
    )


def _named(key: str, values: Dictionary[str, Node], known: frozenset[str], findings: Findings) -> Iterable[tuple[str, Node]]:
    node = values.get(key)
    if node is None:
        return
    if not isinstance(node, Mapping) or not node.entries:
        got = "an empty mapping" if isinstance(node, Mapping) else describe(node)
        findings.add(node.mark, f"{key}: expected a mapping of names to verdicts, got {got}")
        return
    for name, value in node.entries:
        if name.text in known:
            yield name.text, value
        else:
            hint = did_you_mean(name.text, known)
            findings.add(name.mark, f"{key}: there is none with the name {brief(name.text)}{hint}")


def _verdict(name: str, node: Node, findings: Findings) -> Verdict:
    word = choice_of(name, VERDICTS, {name: node}, findings)
    return Verdict[word] if word else Verdict.UNKNOWN


def _deadline(node: Node, read_at_ms: int, findings: Findings) -> int | None:
    if isinstance(node, Scalar) and node.text == NOTHING:
        return None
    return read_moment("deadline", node, findings, read_at_ms=read_at_ms)


def _terminated_by(values: Dictionary[str, Node], known: _Known, findings: Findings) -> str:
    name = text_of("terminated_by", values, findings, filled=True)
    if not name.strip() or name == NOTHING or name in known.policies:
        return name
    hint = did_you_mean(name, (*known.policies, NOTHING))
    findings.add(values["terminated_by"].mark, f"terminated_by: expected a policy or '{NOTHING}', got {brief(name)}{hint}")
    return ""
