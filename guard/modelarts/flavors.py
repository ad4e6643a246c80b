"""
What the region's flavor table says of jobs that came without ``flavor_detail``, as jobs of dedicated pools may.

The table is kept for an hour; a resource that is filled from it says so. Reading the table is the caller's function.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace

from guard.core.facts import ABSENT, UNREADABLE, Job, Missing, Resource
from guard.errors import TargetError
from guard.modelarts.readings import Undecodable, at, decoded, lawful_text
from guard.modelarts.wire import Unparsable, flavor_row

KEEP_S = 3600.0
RETRY_S = 60.0
SOURCE = "flavor table"

Table = Mapping[tuple[str, str], Resource]


def parse_flavors(body: bytes) -> Table:
    """
    Return the rows of a flavor table by (pool id or "", flavor id). Raises ``Unparsable``.

    Rows without a flavor id are left out, and so are two under one key that disagree: which holds for a job cannot be told.
    """
    try:
        rows = at(decoded(body), "flavors")
    except Undecodable as error:
        raise Unparsable(f"no flavor table: {error}") from error
    if not isinstance(rows, list):
        raise Unparsable("no flavor table: flavors is no list")
    table: dict[tuple[str, str], Resource] = {}
    disputed: set[tuple[str, str]] = set()
    for row in rows:
        facts, pool = flavor_row(row), lawful_text(at(row, "pool_id"))
        if isinstance(facts.flavor_id, Missing) or pool is UNREADABLE:
            continue
        key = ("" if isinstance(pool, Missing) else pool, facts.flavor_id)
        if table.setdefault(key, facts) != facts:
            disputed.add(key)
    return {key: facts for key, facts in table.items() if key not in disputed}


def lacks_detail(job: Job) -> bool:
    """
    Tell whether a resource of *job* came without a description of its flavor.
    """
    resources = job.resources
    # Nearly every job has one resource, and a walk asks this of every job.
    return not resources or (_bare(resources[0]) if len(resources) == 1 else any(map(_bare, resources)))


def _bare(resource: Resource) -> bool:
    return resource.billing_code is UNREADABLE and resource.flavor_type is UNREADABLE


def filled(job: Job, table: Table) -> Job:
    """
    Return *job* with its bare resources filled from the rows of its own pool, or of no pool if it is in none.
    """
    if job.pool_id is UNREADABLE:
        return job
    pool = "" if job.pool_id is ABSENT else str(job.pool_id)
    return replace(job, resources=tuple(_fill(resource, pool, table) for resource in job.resources))


def _fill(resource: Resource, pool: str, table: Table) -> Resource:
    row = None if isinstance(resource.flavor_id, Missing) else table.get((pool, resource.flavor_id))
    if row is None or not _bare(resource):
        return resource
    own_cards = resource.cards_per_node
    own_name = resource.accelerator
    return replace(
        row,
        node_count=resource.node_count,
        role=resource.role,
        cards_per_node=row.cards_per_node if isinstance(own_cards, Missing) else own_cards,
        accelerator=row.accelerator if isinstance(own_name, Missing) else own_name,
        source=SOURCE,
    )


class FlavorTable:
    """
    The table of one region and project, read by *fetch* once an hour (*monotonic* seconds), or a minute after a failure.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Table]], monotonic: Callable[[], float]) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._table: Table = {}
        self._good_until = float("-inf")
        self._lock = asyncio.Lock()

    async def rows(self) -> Table:
        """
        Return the rows; after a failure those of before, none at the start, because facts stay unreadable without them.
        """
        if self._monotonic() < self._good_until:
            return self._table
        # Many jobs that are read at once ask for the table at once; one call serves them all.
        async with self._lock:
            now = self._monotonic()
            if now < self._good_until:
                return self._table
            try:
                self._table = await self._fetch()
                self._good_until = now + KEEP_S
            except TargetError:
                self._good_until = now + RETRY_S
            return self._table
