"""
What the commands show, as plain data: one row per job that a policy matches, one per intent.

The same data is printed as tables for people and as JSON for machines.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from guard.core.decide import Decision
from guard.core.ended import RunRecord
from guard.core.facts import Missing
from guard.core.plan import Finding
from guard.core.records import Intent
from guard.core.spans import format_span
from guard.core.verdict import Verdict


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


def spared_by_unknown(decisions: Iterable[Decision]) -> dict[str, int]:
    """
    Return how many jobs that would be terminated each exemption spares by UNKNOWN alone.
    """
    spared: Counter[str] = Counter()
    for decision in decisions:
        if decision.terminating and all(one.verdict is Verdict.UNKNOWN for one in decision.spared):
            spared.update(one.exemption.name for one in decision.spared)
    return dict(spared)


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


def run_row(run: RunRecord) -> dict[str, Any]:
    """
    Return a run that is over as plain data, moments in ISO 8601.
    """
    return {
        "job": run.key.job_id,
        "run": run.run,
        "name": run.name,
        "user": run.user,
        "region": run.key.region,
        "project_id": run.key.project_id,
        "target": run.target,
        "workspace": run.workspace,
        "phase": run.phase or None,
        "told": run.told.name.lower(),
        "policy": run.policy,
        "kind": run.kind,
        "pool_id": run.pool_id,
        "billing_codes": run.billing_codes,
        "cards": run.cards,
        "created": iso(run.created_ms),
        "started": iso(run.started_ms),
        "ended": iso(run.ended_ms),
        "running_ms": run.running_ms,
        "cost": None if run.cost is None else f"{run.cost:f}",
        "currency": run.currency or None,
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


def harmless(text: str) -> str:
    """
    Return text that cannot colour, move or erase anything on a terminal.
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
