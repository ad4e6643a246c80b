"""
Policy tests: a job, moments, and what is expected of the policies then; run with the functions that the daemon decides with.

Nothing in here knows the file format (``testfile``) or reads a file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from guard.core.decide import Decision, decide
from guard.core.facts import TERMINABLE_PHASES, Job
from guard.core.fields import Facts, Terms, facts_of
from guard.core.judge import Trace, explain
from guard.core.policy import Exemption, Policy, PolicySet
from guard.core.sighting import Sighting
from guard.core.testtimes import show_span
from guard.core.verdict import Verdict
from guard.core.yamltext import Mark

NOTHING = "none"
"""Who terminates a job that is not terminated, and the deadline that never comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """
    The job of a test, and what the guard remembers of it.
    """

    job: Job
    seen: Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """
    A job as the service tells it, which an adapter has to parse: the JSON itself, or the file that holds it.
    """

    mark: Mark
    body: bytes = b""
    file: str = ""
    target: str
    region: str
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    What is expected at *at_ms*; nothing is expected of what is not named.

    A deadline of None never comes. *terminated_by* is a policy, ``NOTHING``, or "" if nothing is said of it.
    """

    at_ms: int
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    deadlines: Mapping[str, int | None] = field(default_factory=dict)
    exemptions: Mapping[str, Verdict] = field(default_factory=dict)
    terminated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One test, from *line* of its *file*: the job was read at *read_at_ms*.
    """

    name: str
    file: str
    line: int
    read_at_ms: int
    terms: Terms
    subject: Subject | Wire
    moments: tuple[Moment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    One expectation that was not met, *at* a span after the reading: the clauses of each resource, and other reasons.
    """

    at: str
    about: str
    expected: str
    actual: str
    traces: tuple[tuple[str, Trace], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """
    What came of one test.
    """

    case: Case
    differences: tuple[Difference, ...] = ()

    @property
    def passed(self) -> bool:
        """
        Whether everything was as expected.
        """
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Untested:
    """
    A policy that no test expects to match (*stops* is false) or none expects not to (*spares* is false).
    """

    policy: Policy
    stops: bool
    spares: bool

    def __str__(self) -> str:
        lacks = [] if self.stops else ["that stops a job (MATCH)"]
        lacks += [] if self.spares else ["that spares one (NO_MATCH or UNKNOWN)"]
        return f"{self.policy.place}: policy {self.policy.name} has no test {' and none '.join(lacks)}"


def run_case(case: Case, subject: Subject, policies: PolicySet) -> CaseResult:
    """
    Judge the job of a test at each of its moments and return every difference from what is expected.
    """
    found = [one for moment in case.moments for one in _Look(case, subject, policies, moment).differences()]
    return CaseResult(case=case, differences=tuple(found))


def untested(policies: Iterable[Policy], cases: Sequence[Case]) -> list[Untested]:
    """
    Return the policies that *cases* do not expect both to match a job and not to match one.
    """
    stated = {(name, verdict) for case in cases for moment in case.moments for name, verdict in moment.verdicts.items()}
    found = []
    for policy in policies:
        stops = (policy.name, Verdict.MATCH) in stated
        spares = not stated.isdisjoint({(policy.name, Verdict.NO_MATCH), (policy.name, Verdict.UNKNOWN)})
        if not (stops and spares):
            found.append(Untested(policy=policy, stops=stops, spares=spares))
    return found


class _Look:
    """
    One moment of a test: the decision that was made then beside the one that is expected.
    """

    def __init__(self, case: Case, subject: Subject, policies: PolicySet, moment: Moment) -> None:
        self._case = case
        self._moment = moment
        self._at = show_span(moment.at_ms - case.read_at_ms)
        self._facts = facts_of(subject.job, subject.seen, case.terms, now_ms=moment.at_ms)
        self._decision = decide(policies, subject.job, subject.seen, case.terms, now_ms=moment.at_ms)
        self._judged = {one.policy.name: one for one in self._decision.judgements}
        self._exemptions = {one.name: one for one in policies.exemptions}

    def differences(self) -> Iterable[Difference]:
        for name in dict.fromkeys([*self._moment.verdicts, *self._moment.deadlines]):
            yield from self._of_policy(name)
        for name, verdict in self._moment.exemptions.items():
            yield from self._of_exemption(self._exemptions[name], verdict)
        yield from self._of_termination()

    def _of_policy(self, name: str) -> Iterable[Difference]:
        judged = self._judged[name]
        expected: list[str] = []
        actual: list[str] = []
        if name in self._moment.verdicts:
            expected.append(self._moment.verdicts[name].name)
            actual.append(judged.verdict.name)
        if name in self._moment.deadlines:
            expected.append(f"deadline {self._since(self._moment.deadlines[name])}")
            actual.append(f"deadline {self._since(judged.deadline_ms)}")
        if expected != actual:
            yield Difference(
                at=self._at,
                about=f"policy {name}",
                expected=" with ".join(expected),
                actual=" with ".join(actual),
                traces=self._traces(judged.policy),
            )

    def _of_exemption(self, exemption: Exemption, expected: Verdict) -> Iterable[Difference]:
        spared = (one.verdict for one in self._decision.spared if one.exemption == exemption)
        actual = next(spared, Verdict.NO_MATCH)
        if actual is not expected:
            ended = exemption.until_ms - self._case.read_at_ms
            yield Difference(
                at=self._at,
                about=f"exemption {exemption.name}",
                expected=expected.name,
                actual=actual.name,
                traces=self._traces(exemption),
                notes=(f"it ends at {show_span(ended)}",) if exemption.until_ms <= self._moment.at_ms else (),
            )

    def _of_termination(self) -> Iterable[Difference]:
        expected, actual = self._moment.terminated_by, terminated_by(self._decision)
        if expected in ("", actual):
            return
        named = [self._judged[name] for name in (expected, actual) if name in self._judged]
        standing = [
            f"policy {one.policy.name} ({one.policy.mode}, {one.policy.action}): {one.verdict.name}, {one.reason}"
            for one in named
        ]
        spared = [
            f"exemption {one.exemption.name} spares the job ({one.verdict.name}): {one.reason}"
            for one in self._decision.spared
        ]
        phase = f"a job in the phase {self._decision.job.phase} cannot be terminated"
        final = [] if self._decision.job.phase in TERMINABLE_PHASES else [phase]
        yield Difference(
            at=self._at, about="terminated by", expected=expected, actual=actual, notes=(*standing, *spared, *final)
        )

    def _traces(self, rule: Policy | Exemption) -> tuple[tuple[str, Trace], ...]:
        spares = isinstance(rule, Exemption)
        return tuple(
            (_label(index, facts, self._facts), explain(rule.clause, facts, at_ms=self._moment.at_ms, absent_is_no=spares))
            for index, facts in enumerate(self._facts)
        )

    def _since(self, at_ms: int | None) -> str:
        return NOTHING if at_ms is None else show_span(at_ms - self._case.read_at_ms)


def terminated_by(decision: Decision) -> str:
    """
    Return the name of the policy that a termination would be attributed to, or ``NOTHING`` if there is none.
    """
    judged = decision.terminating
    if judged is None or decision.spared or decision.job.phase not in TERMINABLE_PHASES:
        return NOTHING
    return judged.policy.name


def _label(index: int, facts: Facts, every: Sequence[Facts]) -> str:
    if len(every) == 1:
        return ""
    return f"resource {index + 1} ({facts.role})" if facts.role else f"resource {index + 1}"
