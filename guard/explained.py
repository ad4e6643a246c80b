"""
One job explained as plain data: every policy and exemption with its clauses, and what follows from them.

The same data is printed as a tree for people and as JSON for machines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard.billed import NO_BILL, Bill, bill_data, bill_of
from guard.core.decide import Decision
from guard.core.facts import TERMINABLE_PHASES
from guard.core.fields import Terms, facts_of
from guard.core.judge import Trace
from guard.core.plan import job_hold
from guard.core.policy import PolicySet
from guard.core.records import Intent
from guard.core.spans import format_span
from guard.core.trace import to_data
from guard.core.verdict import Verdict
from guard.daemon.drafts import facts_as_text, traces_of
from guard.report import iso

LAST_MS = 253_402_300_799_000
"""The last second that ISO 8601 can write; an exemption may be made to outlast it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRule:
    """
    One policy or exemption on a job, traced for each resource; *standing* is its mode and action, "" for an exemption.

    *about* is what its author says of it, *until_ms* the end of an exemption.
    """

    name: str
    standing: str
    verdict: Verdict
    traces: tuple[Trace, ...]
    deadline_ms: int | None = None
    about: str = ""
    until_ms: int | None = None


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
    bill: Bill = NO_BILL


def explain_job(decision: Decision, policies: PolicySet, terms: Terms) -> Explained:
    """
    Trace every policy and exemption on the job of a decision.
    """
    spared = {one.exemption.name: one.verdict for one in decision.spared}
    every = facts_of(decision.job, decision.seen, terms, now_ms=decision.at_ms)
    return Explained(
        job=str(decision.key),
        at_ms=decision.at_ms,
        summary=_summary(decision),
        facts=facts_as_text(decision, every),
        bill=bill_of(decision, terms),
        policies=tuple(
            ExplainedRule(
                name=one.policy.name,
                standing=f"{one.policy.mode.value}, {one.policy.action.value}",
                verdict=one.verdict,
                traces=traces_of(every, one.policy.clause, at_ms=decision.at_ms),
                deadline_ms=one.deadline_ms,
                about=one.policy.description,
            )
            for one in decision.judgements
        ),
        exemptions=tuple(
            ExplainedRule(
                name=one.name,
                standing="",
                verdict=spared.get(one.name, Verdict.NO_MATCH),
                traces=traces_of(every, one.clause, at_ms=decision.at_ms, absent_is_no=True),
                about=f"{one.reason} ({one.owner})",
                until_ms=min(one.until_ms, LAST_MS),
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
    words = f"policy {draft.policy} matched ({draft.reason}); {ended}{f': {intent.note}' if intent.note else ''}"
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
        # Nothing but an exemption holds back a job in a phase that can be ended.
        until_ms = min(max(one.exemption.until_ms for one in decision.spared), LAST_MS)
        return f"Policy {chosen.policy.name} matches, but the job is left alone until {iso(until_ms)} at most: {hold.text}."
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
            "about": one.about,
            "until": iso(one.until_ms),
            "resources": [to_data(trace) for trace in one.traces],
        }

    return {
        "job": explained.job,
        "at": iso(explained.at_ms),
        "summary": explained.summary,
        "facts": dict(explained.facts),
        "money": bill_data(explained.bill),
        "policies": [rule(one) for one in explained.policies],
        "exemptions": [rule(one) for one in explained.exemptions],
    }
