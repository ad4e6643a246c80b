"""
The flavors of jobs that a list gave without one: each such job is read once on its own, then the flavor table is asked.

What the job itself said is remembered while walks go on to list it, and only a bounded number is looked up at a time, so
that a project of bare jobs does not double the calls.
"""

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from guard.core.facts import Job, Missing, Resource
from guard.errors import TargetError
from guard.modelarts.flavors import FlavorTable, filled, lacks_detail

MAX_LOOKUPS = 50


class Descriptions:
    """
    What is known of the bare jobs of one target; *show* reads one job as the service gives it.
    """

    def __init__(self, show: Callable[[str], Awaitable[Job]], table: FlavorTable) -> None:
        self._show = show
        self._table = table
        self._known: dict[str, tuple[int, tuple[Resource, ...]]] = {}
        self._walks = 0

    def begin_walk(self) -> "Budget":
        """
        Begin a walk, at whose end ``end_walk`` forgets what it did not meet.
        """
        self._walks += 1
        return Budget()

    def end_walk(self) -> None:
        """
        Forget the jobs that were not listed since the walk began.
        """
        for job_id in [job_id for job_id, (walk, _) in self._known.items() if walk != self._walks]:
            del self._known[job_id]

    async def described(self, jobs: Sequence[Job], budget: "Budget") -> Sequence[Job]:
        """
        Return the jobs with their flavors as far as they can be told; one that stays bare is looked up by a later walk.
        """
        if not any(lacks_detail(job) for job in jobs):
            return jobs
        return [await self._described(job, budget) if lacks_detail(job) else job for job in jobs]

    async def filled(self, job: Job) -> Job:
        """
        Return a job with the flavor table's help if it lacks its flavor.
        """
        return filled(job, await self._table.rows()) if lacks_detail(job) else job

    async def _described(self, job: Job, budget: "Budget") -> Job:
        job_id = job.key.job_id
        _, known = self._known.get(job_id, (0, None))
        if known is None:
            if not budget.lookups:
                return job
            budget.lookups -= 1
            try:
                known = (await self._show(job_id)).resources
            except TargetError:
                budget.lookups = 0
                return job
        self._known[job_id] = (self._walks, known)
        return await self.filled(replace(job, resources=_renewed(known, job.resources)))


class Budget:
    """
    How many jobs one walk or look may still read on their own; none after one that could not be read.
    """

    def __init__(self) -> None:
        self.lookups = MAX_LOOKUPS


def _renewed(known: tuple[Resource, ...], listed: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """
    Return what is known of a job's resources with the node counts of its newest reading; an elastic job changes them.
    """
    if len(known) != len(listed):
        return known
    return tuple(
        before if isinstance(now.node_count, Missing) else replace(before, node_count=now.node_count)
        for before, now in zip(known, listed, strict=True)
    )
