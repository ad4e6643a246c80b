"""
The SQL of what a plan has to know of the ledger: who has an open intent, what was tried, and what counts against the limits.

Every function works in the transaction of its caller.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.plan import Attempt, Before, Rule
from guard.core.protocol import LAST, Outcome
from guard.core.windows import Window
from guard.ledger import room
from guard.ledger.prepared import Prepared
from guard.ledger.rows import key_of
from guard.ledger.tables import intents

# Only the gate stopped these, so nothing was attempted.
STOPPED_BY_GATE = (Outcome.HELD_BACK, Outcome.EXEMPT)

_TRIED_COLUMNS = tuple(
    intents.c[name] for name in ("region", "project_id", "job_id", "run", "fingerprint", "closed_ms", "outcome")
)
_TRIED = Prepared(
    sa.select(*_TRIED_COLUMNS).where(intents.c.job_id == sa.bindparam("job")).order_by(intents.c.number),
    columns=_TRIED_COLUMNS,
)


def before(
    connection: sa.Connection, keys: Collection[JobKey], *, since_ms: int | None, rules: Collection[Rule] = ()
) -> Before:
    """
    Return what a plan for these jobs by these policies has to know; of one moment if the connection's transaction is.

    The window has an entry for each termination in it, and is not read if nobody asks since when.
    """
    busy, tried = _tried(connection, keys)
    return Before(
        busy=busy,
        attempts=tried,
        window=Window() if since_ms is None else room.window(connection, since_ms=since_ms),
        acted=room.acted(connection, rules),
        walked=room.walked(connection),
    )


def busy(connection: sa.Connection, keys: Collection[JobKey]) -> set[JobKey]:
    """
    Return those of these jobs that have an open intent.
    """
    return _tried(connection, keys)[0]


def attempts(connection: sa.Connection, keys: Collection[JobKey]) -> dict[JobKey, Attempt]:
    """
    Return the newest intent of each of these jobs whose newest one is closed; nothing follows an open one.
    """
    return _tried(connection, keys)[1]


def _tried(connection: sa.Connection, keys: Collection[JobKey]) -> tuple[set[JobKey], dict[JobKey, Attempt]]:
    """
    Return those of these jobs that have an open intent, and the newest attempt on each of those whose newest is closed.
    """
    # One id after the other: there are few, most without an intent, and the statement stays the same for any number.
    found: dict[JobKey, list[dict[str, Any]]] = {}
    for job_id in dict.fromkeys(key.job_id for key in keys):
        for row in _TRIED.rows(connection, {"job": job_id}):
            found.setdefault(key_of(row), []).append(row)
    asked = {key: rows for key, rows in found.items() if key in keys}
    open_ones = {key for key, rows in asked.items() if any(row["outcome"] is None for row in rows)}
    return open_ones, {key: _attempt(rows) for key, rows in asked.items() if rows[-1]["outcome"] is not None}


def _attempt(rows: Sequence[Mapping[str, Any]]) -> Attempt:
    """
    Return the newest of the intents of a job, which is closed, and how often its run was tried.
    """
    last, gate = rows[-1], [each.value for each in STOPPED_BY_GATE]
    return Attempt(
        run=last["run"],
        fingerprint=last["fingerprint"],
        closed_ms=last["closed_ms"],
        count=max(1, sum(row["run"] == last["run"] and row["outcome"] not in (None, *gate) for row in rows)),
        retries_at_once=Outcome(last["outcome"]) in STOPPED_BY_GATE,
        ended=Outcome(last["outcome"]) in LAST,
    )
