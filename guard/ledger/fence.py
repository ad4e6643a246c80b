"""
The fence: what is written on behalf of a target is written only while the lease that it was begun under is the newest one.

The token of a lease rises with each change of its holder. A write carries the token that this process had when it asked for
the write, and the database compares it in the write's own transaction. So a process that was stopped for any time and does
not know yet that it was replaced changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.leasing import Project
from guard.errors import LeaseLost
from guard.ledger.leasetables import leases
from guard.ledger.prepared import Prepared
from guard.ledger.tables import AnyText, findings, intents

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """
    The *number* of a finding, whose project only the database knows.
    """

    number: int


# A project, or the number of an intent, or a match.
Subject = Project | int | Match
Work = Callable[[sa.Connection], T]

_TOKEN = Prepared(
    sa.select(leases.c.token, leases.c.instance).where(
        leases.c.region == sa.bindparam("of_region", type_=AnyText),
        leases.c.project_id == sa.bindparam("of_project", type_=AnyText),
    ),
    columns=[leases.c.token, leases.c.instance],
)


def _token_of(table: sa.Table, number: sa.Column[int]) -> sa.Select[tuple[str, str, int, str]]:
    its = sa.and_(leases.c.region == table.c.region, leases.c.project_id == table.c.project_id)
    wanted = sa.select(table.c.region, table.c.project_id, leases.c.token, leases.c.instance)
    return wanted.select_from(table.outerjoin(leases, its)).where(number == sa.bindparam("of_number"))


_TOKEN_OF_INTENT = _token_of(intents, intents.c.number)
_TOKEN_OF_MATCH = _token_of(findings, findings.c.id)


class Fence(Protocol):
    """
    The leases of this process.
    """

    @property
    def instance(self) -> str:
        """
        How the ledger knows this process.
        """
        ...

    def tokens(self) -> Mapping[Project, int]:
        """
        Return the token of each lease that this process holds for all that it knows, whatever its clocks say.
        """
        ...

    def project_of(self, target: str) -> Project:
        """
        Return the project of a target; one that nobody knows of this name is no project's.
        """
        ...


def projects(keys: Iterable[JobKey]) -> set[Project]:
    """
    Return the projects that jobs belong to.
    """
    return {(key.region, key.project_id) for key in keys}


def project_of(fence: Fence | None, target: str) -> Collection[Subject]:
    """
    Return the project of a target, if somebody has to know it.
    """
    return () if fence is None else [fence.project_of(target)]


def fenced(fence: Fence | None, work: Work[T], subjects: Collection[Subject]) -> Work[T]:
    """
    Return *work* behind the fence of its *subjects*; without a fence (a command beside the guard, a test) as it is.

    Raises ``LeaseLost`` at once, and when the work is done, if a subject's lease is not this process's.
    """
    if fence is None or not subjects:
        return work
    tokens, instance = dict(fence.tokens()), fence.instance
    wanted = sorted({one for one in subjects if isinstance(one, tuple)})
    numbers = [(_TOKEN_OF_INTENT, one) for one in sorted({one for one in subjects if isinstance(one, int)})]
    numbers += [(_TOKEN_OF_MATCH, one.number) for one in subjects if isinstance(one, Match)]
    for project in wanted:
        if project not in tokens:
            raise _lost(project)

    def guarded(connection: sa.Connection) -> T:
        for project in wanted:
            row = _TOKEN.one(connection, {"of_region": project[0], "of_project": project[1]})
            if row is None or (row["token"], row["instance"]) != (tokens[project], instance):
                raise _lost(project)
        for token_of, number in numbers:
            # What is not there is for the work to tell.
            its = connection.execute(token_of, {"of_number": number}).one_or_none()
            if its is not None and (its.token, its.instance) != (tokens.get((its.region, its.project_id), -1), instance):
                raise _lost((its.region, its.project_id))
        return work(connection)

    return guarded


def _lost(project: Project) -> LeaseLost:
    return LeaseLost(f"the lease of project {project[1][:100]!r} in {project[0][:100]!r} is not this process's any more")
