"""
Rows of the ledger turned into the core's values, and back; no SQL in here.

A row that makes no sense (an outcome that nobody knows, money that is no number) raises ``ValueError`` or
``ArithmeticError``; the ledger is then unusable.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.plan import Finding
from guard.core.protocol import Outcome, State
from guard.core.records import Draft, Intent, Pause
from guard.core.sighting import Sighting
from guard.core.trace import from_data, to_data
from guard.core.work import Work

Row = Mapping[str, Any] | sa.RowMapping
T = TypeVar("T", bound=msgspec.Struct)


# The columns of ``draft_columns``: those of an intent that never change.
DRAFT = frozenset(
    {
        *("region", "project_id", "job_id", "target", "workspace", "run", "policy", "digest", "facts", "traces", "reason"),
        *("deadline_ms", "due_ms", "attempt", "fingerprint", "cost_per_hour", "currency", "cards", "work", "user_name"),
    }
)


def key_columns(key: JobKey) -> dict[str, Any]:
    """
    Return the three columns that identify a job.
    """
    return {"region": key.region, "project_id": key.project_id, "job_id": key.job_id}


def key_of(row: Row) -> JobKey:
    """
    Return the job that a row is about.
    """
    return JobKey(region=row["region"], project_id=row["project_id"], job_id=row["job_id"])


def draft_columns(draft: Draft) -> dict[str, Any]:
    """
    Return the columns of an intent that never change.
    """
    return {
        **key_columns(draft.key),
        "target": draft.target,
        "workspace": draft.workspace,
        "run": draft.run,
        "policy": draft.policy,
        "digest": draft.digest,
        "facts": json.dumps(dict(draft.facts), ensure_ascii=False),
        "traces": json.dumps([to_data(trace) for trace in draft.traces], ensure_ascii=False),
        "reason": draft.reason,
        "deadline_ms": draft.deadline_ms,
        "due_ms": draft.due_ms,
        "attempt": draft.attempt,
        "fingerprint": draft.fingerprint,
        "cost_per_hour": draft.cost_per_hour,
        "currency": draft.currency,
        "cards": draft.cards,
        "work": dumped(draft.work),
        "user_name": draft.user,
    }


def draft_of(row: Row) -> Draft:
    """
    Return what never changes of the intent of a row.
    """
    return Draft(
        key=key_of(row),
        target=row["target"],
        workspace=row["workspace"],
        run=row["run"],
        policy=row["policy"],
        digest=row["digest"],
        facts=json.loads(row["facts"]),
        traces=tuple(from_data(trace) for trace in json.loads(row["traces"])),
        reason=row["reason"],
        deadline_ms=row["deadline_ms"],
        due_ms=row["due_ms"],
        attempt=row["attempt"],
        fingerprint=row["fingerprint"],
        cost_per_hour=row["cost_per_hour"],
        currency=row["currency"],
        cards=row["cards"],
        work=loaded(row["work"], Work),
        user=row["user_name"],
    )


def intent_of(row: Row, draft: Draft | None = None) -> Intent:
    """
    Return the intent of a row, of which only the columns that change are needed if its *draft* is known.
    """
    return Intent(
        number=row["number"],
        draft=draft or draft_of(row),
        state=State(row["state"]),
        created_ms=row["created_ms"],
        sending_ms=row["sending_ms"],
        accepted_ms=row["accepted_ms"],
        closed_ms=row["closed_ms"],
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        note=row["note"],
        cost=row["cost"],
        savings_upper=row["savings_upper"],
        savings_expected=row["savings_expected"],
        savings_lower=row["savings_lower"],
        savings_assumed=row["savings_assumed"],
    )


def dumped(value: msgspec.Struct | None) -> str | None:
    """
    Return a value as JSON in ASCII, which holds whatever somebody named a job.
    """
    return None if value is None else json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


def loaded(text: str | None, kind: type[T]) -> T | None:
    """
    Return a value from its JSON; raises ``ValueError`` if it is none.
    """
    try:
        return None if text is None else msgspec.convert(json.loads(text), kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"what was kept as {kind.__name__} is none: {error}") from error


def finding_columns(finding: Finding) -> dict[str, Any]:
    """
    Return the columns of a finding.
    """
    return {
        **key_columns(finding.key),
        "run": finding.run,
        "policy": finding.policy,
        "reason": finding.reason,
        "target": finding.target,
        "text": finding.text,
        "deadline_ms": finding.deadline_ms,
        "basis": dumped(finding.basis),
    }


def finding_of(row: Row) -> Finding:
    """
    Return the finding of a row.
    """
    return Finding(
        key=key_of(row),
        target=row["target"],
        run=row["run"],
        policy=row["policy"],
        reason=row["reason"],
        text=row["text"],
        deadline_ms=row["deadline_ms"],
    )


def sighting_columns(sighting: Sighting) -> dict[str, Any]:
    """
    Return the columns of the memory of one job.
    """
    return {
        **key_columns(sighting.key),
        "target": sighting.target,
        "run": sighting.run,
        "first_seen_ms": sighting.first_seen_ms,
        "last_seen_ms": sighting.last_seen_ms,
        "phase": sighting.phase,
        "ran": sighting.ran,
        "reading_ms": sighting.reading_ms,
        "reading_at_ms": sighting.reading_at_ms,
        "start_time_ms": sighting.start_time_ms,
        "waiting_since_ms": sighting.waiting_since_ms,
    }


def sighting_of(row: Row) -> Sighting:
    """
    Return the memory of one job.
    """
    return Sighting(
        key=key_of(row),
        target=row["target"],
        run=row["run"],
        first_seen_ms=row["first_seen_ms"],
        last_seen_ms=row["last_seen_ms"],
        phase=row["phase"],
        ran=row["ran"],
        reading_ms=row["reading_ms"],
        reading_at_ms=row["reading_at_ms"],
        start_time_ms=row["start_time_ms"],
        waiting_since_ms=row["waiting_since_ms"],
    )


def pause_columns(pause: Pause) -> dict[str, Any]:
    """
    Return the columns of the pause.
    """
    return {"reason": pause.reason, "since_ms": pause.since_ms, "until_ms": pause.until_ms, "by": pause.by}


def pause_of(row: Row) -> Pause:
    """
    Return the pause of a row.
    """
    return Pause(reason=row["reason"], since_ms=row["since_ms"], until_ms=row["until_ms"], by=row["by"])
