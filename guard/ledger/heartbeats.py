"""
The SQL of heartbeats and leases: everything that one beat of a replica's heart reads and writes, in one transaction.

Nothing in here keeps a state. What a replica has observed so far comes in as values and goes out as new ones, because a work
of the ledger may run twice.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from guard.core.leasing import Lease, Moves, Project, moves, shares
from guard.ledger.engine import insert
from guard.ledger.leasetables import leases, replicas
from guard.ledger.process import Process, is_dead
from guard.ledger.tables import intents

_BEAT = (
    sa.update(replicas)
    .where(replicas.c.instance == sa.bindparam("of"))
    .values(beats=replicas.c.beats + 1, beat_ms=sa.bindparam("new_ms"))
)
_REPLICAS = sa.select(replicas)
_LEASES = sa.select(leases)
_HEARTS = sa.select(replicas.c.instance, replicas.c.beats)
_IS = sa.and_(leases.c.region == sa.bindparam("of_region"), leases.c.project_id == sa.bindparam("of_project"))
_ASK = sa.update(leases).where(_IS).values(asked=sa.bindparam("by"))
_ORPHANS = sa.select(intents.c.region, intents.c.project_id).where(intents.c.outcome.is_(None)).distinct()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """
    The newest heartbeat of another replica, by its number, and since when this one knows it, by its own steady clock.
    """

    beats: int
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    What a replica has observed of the others: their *hearts*, and since when a lease is seen without a living holder.
    """

    hearts: Mapping[str, Heart] = field(default_factory=dict)
    bare: Mapping[Project, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """
    The replica that beats: its row, what it *wants* and, unless it only visits, *serves*, and the moment before the write by
    both clocks.

    A heart that *silent_s* passed without a beat of, since this replica saw the last one, has stopped. *alone* is said on a
    ledger of one machine, where one process acts and the wall clock may be asked too. A lease without a holder is *overdue*
    after *patience_s*. With *takes* false nothing is taken yet, and *unfit* leases are not.
    """

    instance: str
    holder: str
    process: Process
    wants: frozenset[Project]
    serves: frozenset[Project]
    alone: bool
    now_ms: int
    steady_s: float
    silent_s: float
    patience_s: float
    takes: bool = True
    joins: bool = False
    unfit: frozenset[Project] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beaten:
    """
    What came of a beat: *kept* is False if this replica has no row (and asked for none), *refused* is a holder that must be
    respected. *held* are the tokens of this replica's leases, *give* those that it was asked for.
    """

    kept: bool
    observed: Observed
    refused: sa.RowMapping | None = None
    held: Mapping[Project, int] = field(default_factory=dict)
    give: Collection[Project] = ()
    asked: bool = False
    replicas: int = 1


def beat(connection: sa.Connection, me: Self, seen: Observed) -> Beaten:
    """
    Beat the heart, see who else lives, and take, ask for and tell what is asked of the leases.
    """
    kept = connection.execute(_BEAT, {"of": me.instance, "new_ms": me.now_ms}).rowcount == 1
    others = [row for row in connection.execute(_REPLICAS).mappings() if row["instance"] != me.instance]
    hearts = heard(seen.hearts, ((row["instance"], row["beats"]) for row in others), steady_s=me.steady_s)
    alive = [row for row in others if not _is_silent(row, me, hearts[row["instance"]])]
    observed = Observed(hearts=hearts, bare=seen.bare)
    if not kept and me.alone and alive:
        return Beaten(kept=False, observed=observed, refused=alive[0])
    if not kept and not me.joins:
        return Beaten(kept=False, observed=observed)
    if not kept:
        connection.execute(sa.insert(replicas).values(_row(me)))
    on_record = {
        (row["region"], row["project_id"]): Lease(token=row["token"], holder=row["instance"], asked=row["asked"])
        for row in connection.execute(_LEASES).mappings()
    }
    serves = {row["instance"]: _served(row["serves"]) for row in alive} | {me.instance: me.serves}
    found = set().union(*serves.values())
    # What nobody is set to serve, but has an intent without an outcome, is anybody's.
    orphans = {(row.region, row.project_id) for row in connection.execute(_ORPHANS)} - found
    serves = {instance: projects | orphans for instance, projects in serves.items()}
    # An orphan that somebody is set to serve again goes back; nothing runs on it here.
    strays = {one: it for one, it in on_record.items() if it.holder == me.instance and one not in me.wants | orphans}
    give_back(connection, me.instance, {one: lease.token for one, lease in strays.items()})
    on_record |= {one: replace(lease, holder="") for one, lease in strays.items()}
    able = (me.wants | orphans) - me.unfit
    bare = {
        one: seen.bare.get(one, me.steady_s) for one in able if one not in on_record or on_record[one].holder not in serves
    }
    overdue = {one for one, since_s in bare.items() if me.steady_s - since_s > me.patience_s}
    step = moves(me.instance, sorted(able), on_record, shares(serves), alive=serves, overdue=overdue)
    on_record |= _carried_out(connection, me, step, on_record)
    _bury(connection, {row["instance"] for row in others} - serves.keys() - {one.holder for one in on_record.values()})
    return Beaten(
        kept=True,
        observed=replace(
            observed, bare={one: at_s for one, at_s in bare.items() if on_record.get(one, _NONE).holder not in serves}
        ),
        held={one: lease.token for one, lease in on_record.items() if lease.holder == me.instance},
        give=step.give,
        asked=any(lease.asked == me.instance != lease.holder for lease in on_record.values()),
        replicas=len(serves),
    )


def hearts_now(connection: sa.Connection) -> list[tuple[str, int]]:
    """
    Return the replicas with the number of their newest heartbeats.
    """
    return [(row.instance, row.beats) for row in connection.execute(_HEARTS)]


def heard(known: Mapping[str, Heart], now: Iterable[tuple[str, int]], *, steady_s: float) -> dict[str, Heart]:
    """
    Return the hearts after another look at them: one that has beaten since the last look is fresh from now on.
    """
    found = {}
    for instance, beats in now:
        before = known.get(instance)
        same = before is not None and before.beats == beats
        found[instance] = before if before is not None and same else Heart(beats=beats, since_s=steady_s)
    return found


def give_back(connection: sa.Connection, instance: str, tokens: Mapping[Project, int] | None) -> None:
    """
    Give leases back that are still this replica's by their tokens; None gives back all, and the replica leaves.
    """
    free = sa.update(leases).where(leases.c.instance == instance).values(instance="")
    if tokens is None:
        connection.execute(free)
        connection.execute(sa.delete(replicas).where(replicas.c.instance == instance))
        return
    for (region, project_id), token in tokens.items():
        mine = sa.and_(leases.c.region == region, leases.c.project_id == project_id, leases.c.token == token)
        connection.execute(free.where(mine))


def holders(connection: sa.Connection) -> dict[Project, sa.RowMapping]:
    """
    Return by project the replica that holds its lease.
    """
    both = sa.select(leases.c.region, leases.c.project_id, leases.c.token, replicas)
    rows = connection.execute(both.join(replicas, leases.c.instance == replicas.c.instance)).mappings()
    return {(row["region"], row["project_id"]): row for row in rows}


_NONE = Lease(token=0)


def _carried_out(
    connection: sa.Connection, me: Self, step: Moves, on_record: Mapping[Project, Lease]
) -> dict[Project, Lease]:
    changed = {}
    for project in step.take if me.takes else ():
        there = on_record.get(project, _NONE)
        taken = Lease(token=there.token + 1, holder=me.instance)
        values = {"token": taken.token, "instance": me.instance, "since_ms": me.now_ms, "asked": ""}
        put = insert(leases).values(region=project[0], project_id=project[1], **values)
        done = connection.execute(
            put.on_conflict_do_update(
                index_elements=["region", "project_id"], set_=values, where=leases.c.token == there.token
            ).returning(leases.c.token)
        ).one_or_none()
        if done is not None:
            changed[project] = taken
    for project in step.ask:
        connection.execute(_ASK, {"of_region": project[0], "of_project": project[1], "by": me.instance})
        changed[project] = replace(on_record[project], asked=me.instance)
    return changed


def _bury(connection: sa.Connection, dead: Collection[str]) -> None:
    """
    Drop the rows of replicas that are silent and hold nothing; one that comes to life again joins under another name.
    """
    if dead:
        connection.execute(sa.delete(replicas).where(replicas.c.instance.in_(sorted(dead)[:100])))


def _is_silent(row: sa.RowMapping, me: Self, heart: Heart) -> bool:
    if me.steady_s - heart.since_s > me.silent_s:
        return True
    if me.alone and (me.now_ms - row["beat_ms"]) / 1000 > me.silent_s:
        return True
    there = Process(
        host=row["host"],
        boot_id=row["boot_id"],
        pid_namespace=row["pid_namespace"],
        pid=row["pid"],
        start=row["process_start"],
    )
    return is_dead(there, seen_from=me.process)


def _row(me: Self) -> dict[str, Any]:
    return {
        "instance": me.instance,
        "holder": me.holder,
        "host": me.process.host,
        "boot_id": me.process.boot_id,
        "pid_namespace": me.process.pid_namespace,
        "pid": me.process.pid,
        "process_start": me.process.start,
        "since_ms": me.now_ms,
        "beat_ms": me.now_ms,
        "beats": 0,
        "serves": json.dumps(sorted(me.serves)),
    }


def _served(text: str) -> frozenset[Project]:
    return frozenset((region, project_id) for region, project_id in json.loads(text))
