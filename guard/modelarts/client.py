"""
Reads the jobs of one target. Nothing in here can change one: the only mutating call lives in ``terminator``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from guard.core.facts import KNOWN_PHASES, LIVE_PHASES, Inventory, Job, Missing, Resource
from guard.core.lanes import Lane
from guard.errors import Refused, TargetError
from guard.modelarts.answers import FILTER_REFUSED
from guard.modelarts.flavors import FlavorTable, Table, filled, lacks_detail, parse_flavors
from guard.modelarts.paging import Limits, Meaning, Walked, walk
from guard.modelarts.service import Ask, Service, job_path, project_path, unexpected
from guard.modelarts.wire import Origin, parse_answer, parse_page
from guard.modelarts.workspaces import Workspace, parse_workspaces

PHASES = ["Creating", "Pending", "Running", "Terminating"]
ENDED_PHASES = KNOWN_PHASES - LIVE_PHASES
MAX_LOOKUPS = 50
WORKSPACE_WINDOW = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One region and project; no *workspaces* means all that the account lists.
    """

    name: str
    region: str
    project_id: str
    workspaces: tuple[str, ...] = ()


class ModelArtsClient:
    """
    The ``JobSource`` of one target.
    """

    def __init__(self, target: Target, service: Service, *, limits: Limits | None = None) -> None:
        self._target = target
        self._service = service
        self._limits = limits or Limits()
        self._meaning: Meaning | None = None
        self._workspaces: tuple[str, ...] = ()
        self._looked_up: dict[str, tuple[Resource, ...]] = {}
        self._table = FlavorTable(self.flavors, service.clock.monotonic)

    @property
    def target(self) -> str:
        """
        The name of the target.
        """
        return self._target.name

    def scope(self) -> str:
        """
        Return the region, project and workspaces that the target was set to.
        """
        place = self._target
        return "/".join([place.region, place.project_id, ",".join(sorted(place.workspaces)) or "all"])

    async def walk(self) -> Inventory:
        """
        Read every live job of every workspace.

        A workspace that cannot be read makes the inventory incomplete; if none can, the first error is raised.
        """
        started = self._service.clock.monotonic()
        workspaces, doubt = await self._to_walk()
        doubts = [doubt] if doubt else []
        jobs: dict[str, Job] = {}
        unreadable, failures = 0, []
        for workspace in workspaces:
            try:
                walked = await self._walk_workspace(workspace)
            except TargetError as error:
                failures.append(error)
                doubts.append(f"workspace {workspace!r}: {error}")
                continue
            jobs |= walked.found
            unreadable += walked.junk
            if walked.doubt:
                doubts.append(f"workspace {workspace!r}: {walked.doubt}")
        if len(failures) == len(workspaces):
            raise failures[0]
        live = [job for job in jobs.values() if isinstance(job.phase, Missing) or job.phase not in ENDED_PHASES]
        return Inventory(
            target=self.target,
            jobs=await self._described(live),
            complete=not doubts,
            unreadable=unreadable,
            doubt="; ".join(doubts),
            # Before the first answer nothing was known of the service's clock.
            started_at_ms=int(self._service.time.at(started) * 1000),
            finished_at_ms=self.now_ms(),
        )

    async def read(self, job_id: str, *, lane: Lane = Lane.CHECK, rank: int = 0) -> Job:
        """
        Read one job in its turn, with the flavor table's help if it lacks its flavor.
        """
        return await self._filled(await self._show(job_id, lane=lane, rank=rank))

    async def workspaces(self) -> tuple[Workspace, ...]:
        """
        Return the workspaces that the account lists.
        """
        path = project_path("v1", self._service.project_id, "workspaces")

        async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, Workspace]]:
            params = {"offset": str(offset), "limit": str(limit), "sort_by": "name", "order": "asc"}
            ask = Ask(operation="workspaces", method="GET", path=path, wanted="list of workspaces", params=params)
            return [(each.id, each) for each in await self._service.read(ask, parse_workspaces)]

        walked = await walk(fetch, Limits(window=WORKSPACE_WINDOW))
        if walked.doubt:
            raise unexpected("list of workspaces", walked.doubt)
        return tuple(walked.found.values())

    async def flavors(self) -> Table:
        """
        Return the flavor table of the region, by (pool id or "", flavor id).
        """
        path = project_path("v2", self._service.project_id, "training-job-flavors")
        # The re-read before a kill may wait for it, so it must not wait behind those of other jobs.
        ask = Ask(operation="flavors", method="GET", path=path, wanted="flavor table", lane=Lane.CHECK)
        return await self._service.read(ask, parse_flavors)

    async def renew(self) -> None:
        """
        Get new credentials.
        """
        await self._service.credentials.renew()

    def now_ms(self) -> int:
        """
        Return service time in epoch milliseconds.
        """
        return int(self._service.time.now() * 1000)

    def offset_s(self) -> float | None:
        """
        Return service time minus local time in seconds, or None before the first answer.
        """
        return self._service.time.offset_s()

    def credentials_tag(self) -> str:
        """
        Return a digest that changes with the credentials and does not reveal them.
        """
        return self._service.credentials.tag()

    def credentials_expire_at(self) -> float | None:
        """
        Return when the credentials in use expire (epoch seconds), or None if they do not.
        """
        return self._service.credentials.expires_at

    async def _to_walk(self) -> tuple[tuple[str, ...], str]:
        if self._target.workspaces:
            return tuple(dict.fromkeys(self._target.workspaces)), ""
        try:
            listed = tuple(workspace.id for workspace in await self.workspaces())
        except TargetError as error:
            if not self._workspaces:
                raise
            return self._workspaces, f"workspaces were not listed anew: {error}"
        # The default workspace exists in every project, also in those that never made another.
        self._workspaces = tuple(dict.fromkeys(("0", *listed)))
        return self._workspaces, ""

    async def _walk_workspace(self, workspace: str) -> Walked[Job]:
        try:
            return await self._walk_list(workspace, filtered=True)
        except Refused as error:
            if error.status != 400 or error.code not in FILTER_REFUSED:
                raise
        return await self._walk_list(workspace, filtered=False)

    async def _walk_list(self, workspace: str, *, filtered: bool) -> Walked[Job]:
        path = project_path("v2", self._service.project_id, "training-job-searches")
        wanted = f"jobs of workspace {workspace!r}"
        fixed: dict[str, object] = {"sort_by": "create_time", "order": "asc", "workspace_id": workspace}
        if filtered:
            fixed["filters"] = [{"key": "phase", "operator": "in", "value": PHASES}]

        async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, Job | None]]:
            body = msgspec.json.encode({"offset": offset, "limit": limit, **fixed})
            ask = Ask(operation="list", method="POST", path=path, wanted=wanted, content=body)
            jobs = await self._service.read(ask, lambda content: parse_page(content, self._origin()))
            return [(None if job is None else job.key.job_id, job) for job in jobs]

        walked = await walk(fetch, self._limits, meaning=self._meaning)
        self._meaning = walked.meaning or self._meaning
        found = {job_id: job for job_id, job in walked.found.items() if job is not None}
        return Walked(found=found, junk=walked.junk, doubt=walked.doubt)

    async def _show(self, job_id: str, *, lane: Lane, rank: int = 0) -> Job:
        path = job_path(self._service.project_id, job_id)
        wanted = f"job {job_id[:80]!r}"
        ask = Ask(operation="show", method="GET", path=path, wanted=wanted, lane=lane, rank=rank)
        job = await self._service.read(ask, lambda content: parse_answer(content, self._origin()))
        if job is None:
            raise unexpected(wanted, "the answer names no job")
        if job.key.job_id != job_id:
            raise unexpected(wanted, f"the answer is about job {job.key.job_id[:80]!r}")
        return job

    async def _filled(self, job: Job) -> Job:
        return filled(job, await self._table.rows()) if lacks_detail(job) else job

    async def _described(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """
        Read each job that the list gave without a flavor once, at most ``MAX_LOOKUPS`` per walk, then ask the flavor table.
        """
        lookups, kept, described = 0, {}, []
        for job in jobs:
            known = self._looked_up.get(job.key.job_id)
            if lacks_detail(job) and known is None and lookups < MAX_LOOKUPS:
                try:
                    lookups += 1
                    known = (await self._show(job.key.job_id, lane=Lane.DISCOVERY)).resources
                except TargetError:
                    # The job stays as the list gave it; the next walk tries again.
                    lookups = MAX_LOOKUPS
            if lacks_detail(job) and known is not None:
                kept[job.key.job_id] = known
                job = await self._filled(replace(job, resources=_renewed(known, job.resources)))
            described.append(job)
        self._looked_up = kept
        return tuple(described)

    def _origin(self) -> Origin:
        return Origin(
            target=self.target,
            region=self._target.region,
            project_id=self._target.project_id,
            read_at_ms=self.now_ms(),
        )


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
