"""
What becomes of old findings: they go, and what they add up to stays, so that no counter falls.

A finding of a job that is remembered is never dropped, because the job would be found anew. Intents, their steps and what
was saved are the record of what the guard did; nothing drops them. Every function works in the transaction of its caller.
"""

from collections import Counter, defaultdict

import sqlalchemy as sa

from guard.core.periods import scaled, unscaled
from guard.ledger.engine import insert
from guard.ledger.tables import dropped, findings, sightings

_PLACE = ("region", "project_id", "job_id")
_GROUP = ("target", "policy", "reason", "currency")
_REMEMBERED = sa.exists().where(*(sightings.c[name] == findings.c[name] for name in _PLACE))

Group = tuple[str, str, str, str]


def forget_findings(connection: sa.Connection, *, before_ms: int, limit: int) -> int:
    """
    Drop at most *limit* findings that were recorded before that moment, the oldest first; return how many.
    """
    columns = [findings.c[name] for name in ("id", *_GROUP, "potential")]
    old = sa.select(*columns).where(findings.c.at_ms < before_ms, ~_REMEMBERED).order_by(findings.c.id).limit(limit)
    rows = connection.execute(old).all()
    counts: Counter[Group] = Counter()
    amounts: defaultdict[Group, int] = defaultdict(int)
    for row in rows:
        group = (row.target, row.policy, row.reason, row.currency or "")
        counts[group] += 1
        amounts[group] += 0 if row.potential is None else scaled(row.potential)
    for group, count in sorted(counts.items()):
        _add(connection, group, count, amounts[group])
    connection.execute(sa.delete(findings).where(findings.c.id.in_([row.id for row in rows])))
    return len(rows)


def dropped_counts(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """
    Count the findings that were dropped, by (policy, reason).
    """
    group = (dropped.c.policy, dropped.c.reason)
    rows = connection.execute(sa.select(*group, sa.func.sum(dropped.c.findings)).group_by(*group))
    return {(policy, reason): int(count) for policy, reason, count in rows}


def dropped_potentials(connection: sa.Connection) -> dict[tuple[str, str, str], int]:
    """
    Return what dropped findings of observing policies would have saved, by (target, policy, currency), in 10^-10 of a unit.
    """
    wanted = sa.select(dropped.c.target, dropped.c.policy, dropped.c.currency, dropped.c.potential)
    sums: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for row in connection.execute(wanted.where(dropped.c.currency != "")):
        sums[row.target, row.policy, row.currency] += scaled(row.potential)
    return dict(sums)


def _add(connection: sa.Connection, group: Group, count: int, amount: int) -> None:
    here = sa.and_(*(dropped.c[name] == value for name, value in zip(_GROUP, group, strict=True)))
    known = connection.execute(sa.select(dropped.c.findings, dropped.c.potential).where(here)).one_or_none()
    if known is not None:
        count, amount = count + known.findings, amount + scaled(known.potential)
    values = {"findings": count, "potential": unscaled(amount)}
    put = insert(dropped).values(**dict(zip(_GROUP, group, strict=True)), **values)
    connection.execute(put.on_conflict_do_update(index_elements=_GROUP, set_=values))
