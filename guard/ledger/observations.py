"""
The SQL of what was seen rather than done: the memory of jobs and their facts, walks, findings, and the pause.

Every function works in the transaction of its caller.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from guard.core.facts import LIVE_PHASES, Job, JobKey
from guard.core.hashchain import LEDGER
from guard.core.plan import Finding
from guard.core.records import Pause, Walk
from guard.core.sighting import Sighting
from guard.ledger import audit
from guard.ledger.engine import insert
from guard.ledger.jobcodec import decode, encode
from guard.ledger.postgres import acquaint
from guard.ledger.retention import dropped_counts
from guard.ledger.rows import (
    Row,
    finding_columns,
    finding_of,
    key_columns,
    key_of,
    pause_columns,
    pause_of,
    sighting_columns,
    sighting_of,
)
from guard.ledger.tables import AnyText, findings, pause, sightings, walks

_KEY = ("region", "project_id", "job_id")
_ONCE = (*_KEY, "run", "policy", "reason")
_PLACE = sa.tuple_(*(sightings.c[name] for name in _KEY))
KEYS_AT_ONCE = 200
_MEMORY = tuple(column for column in sightings.c if column.name != "facts")


def sightings_of(connection: sa.Connection, keys: Collection[JobKey]) -> dict[JobKey, Sighting]:
    """
    Return the memory of these jobs.
    """
    found: dict[JobKey, Sighting] = {}
    places: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key in keys:
        places[key.region, key.project_id].append(key.job_id)
    for (region, project_id), job_ids in places.items():
        # By equality in the leading columns: of a list of whole keys SQLite would not use the index.
        here = sa.and_(sightings.c.region == region, sightings.c.project_id == project_id)
        for at in range(0, len(job_ids), KEYS_AT_ONCE):
            these = sa.select(*_MEMORY).where(here, sightings.c.job_id.in_(job_ids[at : at + KEYS_AT_ONCE]))
            found.update({key_of(row): sighting_of(row) for row in connection.execute(these).mappings()})
    return found


def known(connection: sa.Connection, target: str, *, after: JobKey | None, limit: int) -> list[tuple[Job, Sighting]]:
    """
    Return live jobs of a target whose facts are on record, with the memory of each: the first ones after a key.
    """
    live = sa.and_(sightings.c.target == target, sightings.c.facts.is_not(None), sightings.c.phase.in_(LIVE_PHASES))
    wanted = sa.select(sightings).order_by(*(sightings.c[name] for name in _KEY)).limit(limit)
    found: list[tuple[Job, Sighting]] = []
    while not found:
        where = live if after is None else sa.and_(live, _literals(after) < _PLACE)
        rows = connection.execute(wanted.where(where)).mappings().all()
        for row in rows:
            seen = sighting_of(row)
            job = decode(row["facts"], key=seen.key, target=seen.target)
            if job is not None:
                found.append((job, seen))
        if len(rows) < limit:
            break
        after = key_of(rows[-1])
    return found


def walked(connection: sa.Connection, target: str) -> Walk | None:
    """
    Return the newest complete walk of a target.
    """
    row = connection.execute(sa.select(walks).where(walks.c.target == target)).mappings().one_or_none()
    return None if row is None else Walk(**row)


def walks_of_all(connection: sa.Connection) -> list[Walk]:
    """
    Return the newest complete walk of every target that has one.
    """
    return [Walk(**row) for row in connection.execute(sa.select(walks).order_by(walks.c.target)).mappings()]


def note_walk(connection: sa.Connection, walk: Walk) -> None:
    """
    Replace the newest complete walk of its target.
    """
    connection.execute(sa.delete(walks).where(walks.c.target == walk.target))
    connection.execute(sa.insert(walks).values(asdict(walk)))


def remember(connection: sa.Connection, seen: Sequence[Sighting], facts: Mapping[JobKey, Job]) -> None:
    """
    Insert or replace the memory of these jobs, with the facts of those in *facts*.
    """
    if not seen:
        return
    put = insert(sightings)
    rest = {column.name: put.excluded[column.name] for column in sightings.c if column.name not in (*_KEY, "ended_run")}
    rows = []
    # Each job once, the last that was given: many rows may go into one statement, which changes none of them twice.
    for one in {one.key: one for one in seen}.values():
        job = facts.get(one.key)
        rows.append(sighting_columns(one) | {"facts": None if job is None else encode(job)})
    connection.execute(put.on_conflict_do_update(index_elements=_KEY, set_=rest), rows)
    acquaint(connection, sightings, len(rows))


def lose(connection: sa.Connection, keys: Sequence[JobKey]) -> None:
    """
    Drop the facts of these jobs.
    """
    if keys:
        one = sa.and_(*(sightings.c[name] == sa.bindparam(f"of_{name}") for name in _KEY))
        rows = [{f"of_{name}": value for name, value in key_columns(key).items()} for key in keys]
        connection.execute(sa.update(sightings).where(one).values(facts=None), rows)


def forget(connection: sa.Connection, target: str, *, before_ms: int) -> None:
    """
    Drop the memory of a target's jobs that were last seen before that moment, unless their end is still to be recorded.
    """
    old = sa.and_(sightings.c.target == target, sightings.c.last_seen_ms < before_ms)
    over = sa.or_(sightings.c.facts.is_(None), sightings.c.ended_run >= sightings.c.run)
    connection.execute(sa.delete(sightings).where(old, over))


def record(connection: sa.Connection, found: Sequence[Finding], *, at_ms: int) -> list[Finding]:
    """
    Record findings that are not on record yet, and return these, in the order given.
    """
    wanted: dict[tuple[object, ...], Finding] = {}
    for one in found:
        wanted.setdefault(_once(finding_columns(one)), one)
    if not wanted:
        return []
    put = insert(findings).on_conflict_do_nothing(index_elements=_ONCE).returning(*(findings.c[name] for name in _ONCE))
    rows = [finding_columns(one) | {"at_ms": at_ms} for one in wanted.values()]
    new = {_once(row) for row in connection.execute(put, rows).mappings()}
    acquaint(connection, findings, len(new))
    return [one for once, one in wanted.items() if once in new]


def newest_findings(connection: sa.Connection, *, limit: int) -> list[tuple[int, Finding]]:
    """
    Return the newest findings with the moment of recording, newest first.
    """
    wanted = sa.select(findings).order_by(findings.c.id.desc()).limit(limit)
    return [(row["at_ms"], finding_of(row)) for row in connection.execute(wanted).mappings()]


def finding_counts(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """
    Count the findings by (policy, reason), those that were dropped for their age included.
    """
    group = (findings.c.policy, findings.c.reason)
    counted = connection.execute(sa.select(*group, sa.func.count()).group_by(*group))
    there = Counter({(policy, reason): count for policy, reason, count in counted})
    return dict(there + Counter(dropped_counts(connection)))


def pause_on_record(connection: sa.Connection) -> Pause | None:
    """
    Return the pause, expired or not.
    """
    row = connection.execute(sa.select(pause)).mappings().one_or_none()
    return None if row is None else pause_of(row)


def set_pause(connection: sa.Connection, wanted: Pause | None, *, at_ms: int | None = None) -> None:
    """
    Replace the pause, or lift it at that moment.
    """
    lifted = connection.execute(sa.delete(pause)).rowcount
    if wanted is not None:
        columns = pause_columns(wanted)
        connection.execute(sa.insert(pause).values(id=1, **columns))
        audit.append(connection, LEDGER, "paused", {"pause": audit.whole(columns)}, at_ms=wanted.since_ms)
    elif lifted:
        audit.append(connection, LEDGER, "resumed", {"pause": None}, at_ms=at_ms)


def _literals(key: JobKey) -> sa.Tuple:
    return sa.tuple_(*(sa.literal(value, AnyText) for value in key_columns(key).values()))


def _once(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in _ONCE)
