"""
The verdicts of all policies and exemptions on one job at one moment, with deadlines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import EllipsisType

from guard.core.clock import running_time
from guard.core.facts import Growing, Job, JobKey, Missing
from guard.core.fields import Facts, Terms, facts_of, total_cards
from guard.core.judge import judge, reason, turning_points
from guard.core.policy import Exemption, Policy, PolicySet
from guard.core.sighting import Sighting
from guard.core.spend import rate_of_job
from guard.core.verdict import Verdict, some


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """
    One policy's verdict on one job.

    *deadline_ms* is the first millisecond of the present MATCH, or the first future one at which the verdict becomes MATCH
    if the other facts stay; None if that never happens. The past of an elastic job is reckoned at its present node count, so
    there the beginning of a present MATCH is an estimate. *resource* names the resource that decided, if there are several.
    """

    policy: Policy
    verdict: Verdict
    reason: str
    deadline_ms: int | None = None
    resource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """
    An exemption that spares a job: surely (MATCH) or because a fact that it asks for is unreadable (UNKNOWN).
    """

    exemption: Exemption
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    Everything that was decided on one job at *at_ms*; *wake_ms* is the next moment at which the orders may change by time
    alone.
    """

    job: Job
    seen: Sighting
    at_ms: int
    judgements: tuple[Judgement, ...]
    spared: tuple[Spared, ...] = ()
    wake_ms: int | None = None
    dispute: str = ""
    cost_per_hour: str = ""
    cards: int | None = None

    @property
    def key(self) -> JobKey:
        """
        The identity of the job.
        """
        return self.job.key

    @property
    def matches(self) -> tuple[Judgement, ...]:
        """
        The judgements that are MATCH, in the order of the policies.
        """
        return tuple(one for one in self.judgements if one.verdict is Verdict.MATCH)

    @property
    def terminating(self) -> Judgement | None:
        """
        The judgement that a termination is attributed to: the first MATCH in enforce with action terminate, or None.
        """
        return next((one for one in self.matches if one.policy.terminates), None)


def decide(
    policies: PolicySet, job: Job, seen: Sighting, terms: Terms, *, now_ms: int, wake_ms: int | EllipsisType | None = ...
) -> Decision:
    """
    Judge one job by every policy and exemption at *now_ms*; pure.

    Each policy is judged for every resource on its own together with the job's own facts; the job's verdict is the Kleene
    `any` over its resources. Whoever knows when to wake already, for these and perhaps more policies, says so by *wake_ms*.
    """
    clock = running_time(job, seen, terms.clock, now_ms=now_ms)
    asked = frozenset[str]().union(*(one.fields for one in policies.policies), *(one.fields for one in policies.exemptions))
    facts = facts_of(job, seen, terms, now_ms=now_ms, clock=clock, asked=asked)
    roles = tuple(_name_of(one, index) if len(facts) > 1 else "" for index, one in enumerate(facts))
    span = _Span(began_ms=_began(job, seen, clock.fact, now_ms), first_seen_ms=seen.first_seen_ms, now_ms=now_ms)
    judgements = tuple(_judge_policy(policy, facts, roles, span) for policy in policies.policies)
    if clock.dispute:
        judgements = tuple(replace(one, reason=f"{one.reason}; {clock.dispute}") for one in judgements)
    rate, cards = rate_of_job(job, terms.prices, now_ms=now_ms), total_cards(job.resources)
    return Decision(
        job=job,
        seen=seen,
        at_ms=now_ms,
        judgements=judgements,
        spared=tuple(_spared(policies.exemptions, facts, now_ms)),
        wake_ms=_wake(policies, facts, now_ms) if isinstance(wake_ms, EllipsisType) else wake_ms,
        dispute=clock.dispute,
        cost_per_hour="" if isinstance(rate, Missing) else str(rate),
        cards=None if isinstance(cards, Missing) else cards,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """
    The time that a judgement looks at: the phase began at *began_ms* (None: not known), and it is *now_ms*.
    """

    began_ms: int | None
    first_seen_ms: int
    now_ms: int


def _began(job: Job, seen: Sighting, running: Growing | Missing, now_ms: int) -> int | None:
    """
    Return when the present phase began, by the clock that counts; no match on it is older than that.
    """
    if job.phase == "Running":
        return None if isinstance(running, Missing) else now_ms - int(running.value)
    return seen.waiting_since_ms


def _name_of(facts: Facts, index: int) -> str:
    return f"resource {index + 1} ({facts.role})" if facts.role else f"resource {index + 1}"


def _judge_policy(policy: Policy, facts: Sequence[Facts], roles: Sequence[str], span: _Span) -> Judgement:
    now_ms = span.now_ms
    verdicts = [judge(policy.clause, one, at_ms=now_ms) for one in facts]
    verdict = some(verdicts)
    chosen = verdicts.index(verdict)
    sentence = reason(policy.clause, facts[chosen], verdict, at_ms=now_ms)
    table = ", by the flavor table" if facts[chosen].from_table else ""
    resource = roles[chosen]
    return Judgement(
        policy=policy,
        verdict=verdict,
        reason=(f"{resource}: {sentence}" if resource else sentence) + table,
        deadline_ms=_deadline(policy, facts, span, present=verdict),
        resource=resource,
    )


def _deadline(policy: Policy, facts: Sequence[Facts], span: _Span, *, present: Verdict) -> int | None:
    now_ms = span.now_ms

    def verdict(at_ms: int) -> Verdict:
        return some(judge(policy.clause, one, at_ms=at_ms) for one in facts)

    turns = sorted({turn for one in facts for turn in turning_points(policy.clause, one)})
    if present is not Verdict.MATCH:
        return next((turn for turn in turns if turn > now_ms and verdict(turn) is Verdict.MATCH), None)
    for turn in reversed([turn for turn in turns if turn <= now_ms]):
        if verdict(turn - 1) is not Verdict.MATCH:
            return turn if span.began_ms is None else max(turn, span.began_ms)
    return span.first_seen_ms if span.began_ms is None else span.began_ms


def _spared(exemptions: Sequence[Exemption], facts: Sequence[Facts], now_ms: int) -> list[Spared]:
    found = []
    for exemption in exemptions:
        verdict = _exempt(exemption, facts, now_ms)
        if verdict is not Verdict.NO_MATCH:
            clause = exemption.clause
            chosen = next(one for one in facts if judge(clause, one, at_ms=now_ms, absent_is_no=True) is verdict)
            why = reason(clause, chosen, verdict, at_ms=now_ms, absent_is_no=True)
            found.append(Spared(exemption=exemption, verdict=verdict, reason=why))
    return found


def _exempt(exemption: Exemption, facts: Sequence[Facts], at_ms: int) -> Verdict:
    if at_ms >= exemption.until_ms:
        return Verdict.NO_MATCH
    return some(judge(exemption.clause, one, at_ms=at_ms, absent_is_no=True) for one in facts)


def _wake(policies: PolicySet, facts: Sequence[Facts], now_ms: int) -> int | None:
    """
    Return the first later moment at which a policy's MATCH or the exemption changes, if nothing but time does.
    """

    def orders(at_ms: int) -> tuple[bool, ...]:
        matches = [
            some(judge(policy.clause, one, at_ms=at_ms) for one in facts) is Verdict.MATCH for policy in policies.policies
        ]
        spared = any(_exempt(one, facts, at_ms) is not Verdict.NO_MATCH for one in policies.exemptions)
        return (*matches, spared)

    clauses = [one.clause for one in policies.policies] + [one.clause for one in policies.exemptions]
    turns = {turn for clause in clauses for one in facts for turn in turning_points(clause, one)}
    turns |= {exemption.until_ms for exemption in policies.exemptions}
    present = orders(now_ms)
    return next((turn for turn in sorted(turns) if turn > now_ms and orders(turn) != present), None)
