"""
What the commands show, as plain data: one row per job that a policy matches, one per intent, one explained job.

The same data is printed as tables for people and as JSON for machines.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from guard.core.decide import Decision
from guard.core.facts import TERMINABLE_PHASES, Missing
from guard.core.fields import Terms
from guard.core.judge import Trace
from guard.core.plan import Finding, job_hold
from guard.core.policy import PolicySet
from guard.core.records import Intent
from guard.core.spans import format_span
from guard.core.trace import to_data
from guard.core.verdict import Verdict
from guard.daemon.drafts import facts_as_text, traces_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One job that a policy matches, and what came of it; *held* says what holds a termination back.
    """

    job: str
    target: str
    name: str
    user: str
    policy: str
    action: str
    why: str
    held: str = ""
    late: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """
    How the walk over one target went; *error* is empty if it could be read.
    """

    target: str
    jobs: int = 0
    complete: bool = False
    doubt: str = ""
    unreadable: int = 0
    error: str = ""


@dataclass(slots=True, kw_only=True)
class ScanReport:
    """
    What one scan saw and did.
    """

    targets: list[TargetRow] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    exempt_by_unknown: dict[str, int] = field(default_factory=dict)
    note: str = ""


def rows(decisions: Iterable[Decision], intents: Sequence[Intent], held: Mapping[Any, Sequence[Finding]]) -> list[Row]:
    """
    Return a row for each match, the oldest deadline first.
    """
    by_job = {intent.draft.key: intent for intent in intents}
    found: list[tuple[int, Row]] = []
    for decision in decisions:
        intent = by_job.get(decision.key)
        holds = {one.policy: one for one in held.get(decision.key, ())}
        for judgement in decision.matches:
            policy = judgement.policy
            action, late = policy.mode.value, ""
            if policy.name in holds:
                action = f"held back: {holds[policy.name].reason}"
            elif intent is not None and intent.draft.policy == policy.name:
                action = intent.outcome.value if intent.outcome else f"on its way ({intent.state.value})"
                late = "" if intent.lateness_ms is None else format_span(intent.lateness_ms)
            elif policy.terminates and intent is not None:
                action = f"see {intent.draft.policy}"
            elif policy.mode.value == "enforce":
                action = policy.action.value
            row = Row(
                job=decision.key.job_id,
                target=decision.job.target,
                name=_text(decision.job.name),
                user=_text(decision.job.user),
                policy=policy.name,
                action=action,
                why=judgement.reason,
                held=holds[policy.name].text if policy.name in holds else "",
                late=late,
            )
            found.append((judgement.deadline_ms or 0, row))
    return [row for _, row in sorted(found, key=lambda one: (one[0], one[1].job, one[1].policy))]


def doubts(decisions: Iterable[Decision]) -> tuple[dict[str, int], dict[str, int]]:
    """
    Return how many jobs are UNKNOWN to each policy, and how many each exemption spares by UNKNOWN alone.
    """
    unknown: Counter[str] = Counter()
    spared: Counter[str] = Counter()
    for decision in decisions:
        unknown.update(one.policy.name for one in decision.judgements if one.verdict is Verdict.UNKNOWN)
        if decision.terminating and all(one.verdict is Verdict.UNKNOWN for one in decision.spared):
            spared.update(one.exemption.name for one in decision.spared)
    return dict(unknown), dict(spared)


def intent_row(intent: Intent) -> dict[str, Any]:
    """
    Return an intent as plain data, moments in ISO 8601.
    """
    draft = intent.draft
    return {
        "intent": intent.number,
        "job": draft.key.job_id,
        "name": draft.facts.get("name", ""),
        "region": draft.key.region,
        "project_id": draft.key.project_id,
        "target": draft.target,
        "run": draft.run,
        "policy": draft.policy,
        "policy_digest": draft.digest,
        "reason": draft.reason,
        "state": intent.state.value,
        "outcome": intent.outcome.value if intent.outcome else None,
        "note": intent.note,
        "deadline": iso(draft.deadline_ms),
        "due": iso(draft.due_ms),
        "intended": iso(intent.created_ms),
        "sent": iso(intent.sending_ms),
        "accepted": iso(intent.accepted_ms),
        "closed": iso(intent.closed_ms),
        "lateness_seconds": None if intent.lateness_ms is None else intent.lateness_ms / 1000,
        "overrun_seconds": None if intent.accepted_ms is None else (intent.accepted_ms - draft.deadline_ms) / 1000,
        "attempt": draft.attempt,
        "cards": draft.cards,
        "currency": draft.currency or None,
        "cost": None if intent.cost is None else str(intent.cost),
        "savings_upper": None if intent.savings_upper is None else str(intent.savings_upper),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRule:
    """
    One policy or exemption on a job, traced for each resource; *standing* is its mode and action, "" for an exemption.
    """

    name: str
    standing: str
    verdict: Verdict
    traces: tuple[Trace, ...]
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """
    Every policy and exemption on one job at *at_ms*; *summary* says in one sentence what follows from them.
    """

    job: str
    at_ms: int
    summary: str
    facts: Mapping[str, str]
    policies: tuple[ExplainedRule, ...]
    exemptions: tuple[ExplainedRule, ...] = ()


def explain_job(decision: Decision, policies: PolicySet, terms: Terms) -> Explained:
    """
    Trace every policy and exemption on the job of a decision.
    """
    spared = {one.exemption.name: one.verdict for one in decision.spared}
    return Explained(
        job=str(decision.key),
        at_ms=decision.at_ms,
        summary=_summary(decision),
        facts=facts_as_text(decision, terms),
        policies=tuple(
            ExplainedRule(
                name=one.policy.name,
                standing=f"{one.policy.mode.value}, {one.policy.action.value}",
                verdict=one.verdict,
                traces=traces_of(decision, one.policy.clause, terms),
                deadline_ms=one.deadline_ms,
            )
            for one in decision.judgements
        ),
        exemptions=tuple(
            ExplainedRule(
                name=one.name,
                standing="",
                verdict=spared.get(one.name, Verdict.NO_MATCH),
                traces=traces_of(decision, one.clause, terms, absent_is_no=True),
            )
            for one in policies.exemptions
        ),
    )


def explain_intent(intent: Intent) -> Explained:
    """
    Return what the ledger kept of the decision that an intent rests on.
    """
    draft = intent.draft
    ended = intent.outcome.value.replace("_", " ") if intent.outcome else f"on its way ({intent.state.value})"
    words = f"policy {draft.policy} matched ({draft.reason}); {ended}: {intent.note}"
    rule = ExplainedRule(
        name=draft.policy,
        standing="as it was in force then",
        verdict=Verdict.MATCH,
        traces=draft.traces,
        deadline_ms=draft.deadline_ms,
    )
    return Explained(
        job=str(draft.key),
        at_ms=intent.created_ms,
        summary=f"By the ledger, intent {intent.number}: {words}.",
        facts=draft.facts,
        policies=(rule,),
    )


def _summary(decision: Decision) -> str:
    hold = job_hold(decision)
    chosen = decision.terminating
    if decision.job.phase not in TERMINABLE_PHASES:
        return f"Nothing terminates this job: it is in phase {decision.job.phase}, and only a waiting or running job can be."
    if chosen is not None and hold is not None:
        return f"Policy {chosen.policy.name} matches, but the job is left alone: {hold.text}."
    if chosen is not None:
        return f"An armed guard terminates this job now, by policy {chosen.policy.name}: {chosen.reason}."
    enforced = [one for one in decision.judgements if one.policy.terminates and one.deadline_ms is not None]
    if enforced:
        first = min(enforced, key=lambda one: one.deadline_ms or 0)
        exempt = f", unless exemption {decision.spared[0].exemption.name} still spares it" if decision.spared else ""
        return (
            f"Nothing terminates this job now. If it goes on as it is, policy {first.policy.name} matches at "
            f"{iso(first.deadline_ms)}, {format_span((first.deadline_ms or 0) - decision.at_ms)} from this moment{exempt}."
        )
    if decision.matches:
        names = ", ".join(f"{one.policy.name} ({one.reason})" for one in decision.matches)
        return f"Nothing terminates this job: what matches it only observes or notifies: {names}."
    return "Nothing terminates this job: no policy that may terminate matches it, now or later, as long as its facts stay."


def explained_data(explained: Explained) -> dict[str, Any]:
    """
    Return an explained job as plain data, moments in ISO 8601.
    """

    def rule(one: ExplainedRule) -> dict[str, Any]:
        return {
            "name": one.name,
            "standing": one.standing,
            "verdict": one.verdict.name,
            "deadline": iso(one.deadline_ms),
            "resources": [to_data(trace) for trace in one.traces],
        }

    return {
        "job": explained.job,
        "at": iso(explained.at_ms),
        "summary": explained.summary,
        "facts": dict(explained.facts),
        "policies": [rule(one) for one in explained.policies],
        "exemptions": [rule(one) for one in explained.exemptions],
    }


def iso(at_ms: int | None) -> str | None:
    """
    Return a moment in ISO 8601, UTC, to the millisecond; one that no calendar shows is said in words.
    """
    if at_ms is None:
        return None
    if not 0 <= at_ms < 253_402_300_800_000:
        # Garbage from the wire and limits of thousands of years lead here, and must not hide the rest of a report.
        return "before 1970" if at_ms < 0 else "after the year 9999"
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(fact: str | Missing) -> str:
    return "?" if isinstance(fact, Missing) else fact
