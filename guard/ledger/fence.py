"""
The fence: what is written on behalf of a target is written only while the lease that it was begun under is the newest one.

The token of a lease rises with each change of its holder. A write carries the token that this process had when it asked for
the write, and the database compares it in the write's own transaction. So a process that was stopped for any time and does
not know yet that it was replaced changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, TypeVar

import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.leasing import Project
from guard.errors import LeaseLost
from guard.ledger.leasetables import leases
from guard.ledger.prepared import Prepared
from guard.ledger.tables import AnyText, intents

T = TypeVar("T")
# A project, or the number of an intent, whose project only the database knows.
Subject = Project | int
Work = Callable[[sa.Connection], T]

_TOKEN = Prepared(
    sa.select(leases.c.token, leases.c.instance).where(
        leases.c.region == sa.bindparam("of_region", type_=AnyText),
        leases.c.project_id == sa.bindparam("of_project", type_=AnyText),
    ),
    columns=[leases.c.token, leases.c.instance],
)
_TOKEN_OF_INTENT = (
    sa.select(intents.c.region, intents.c.project_id, leases.c.token, leases.c.instance)
    .select_from(
        intents.outerjoin(leases, sa.and_(leases.c.region == intents.c.region, leases.c.project_id == intents.c.project_id))
    )
    .where(intents.c.number == sa.bindparam("of_number"))
)


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
    wanted = sorted({one for one in subjects if not isinstance(one, int)})
    numbers = sorted({one for one in subjects if isinstance(one, int)})
    for project in wanted:
        if project not in tokens:
            raise _lost(project)

    def guarded(connection: sa.Connection) -> T:
        for project in wanted:
            row = _TOKEN.one(connection, {"of_region": project[0], "of_project": project[1]})
            if row is None or (row["token"], row["instance"]) != (tokens[project], instance):
                raise _lost(project)
        for number in numbers:
            # An intent that is not there is for the work to tell.
            its = connection.execute(_TOKEN_OF_INTENT, {"of_number": number}).one_or_none()
            if its is not None and (its.token, its.instance) != (tokens.get((its.region, its.project_id), -1), instance):
                raise _lost((its.region, its.project_id))
        return work(connection)

    return guarded


def _lost(project: Project) -> LeaseLost:
    return LeaseLost(f"the lease of project {project[1][:100]!r} in {project[0][:100]!r} is not this process's any more")
