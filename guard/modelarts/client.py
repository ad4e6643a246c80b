"""
Reads the jobs of one target. Nothing in here can change one: the only mutating call lives in ``terminator``.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from guard.core.facts import Inventory, Job, JobKey
from guard.core.lanes import Lane
from guard.errors import TargetError
from guard.modelarts.descriptions import Budget, Descriptions
from guard.modelarts.flavors import FlavorTable, Table, parse_flavors
from guard.modelarts.lists import JobLists
from guard.modelarts.paging import Limits, walk
from guard.modelarts.service import Ask, Service, job_path, project_path, unexpected
from guard.modelarts.wire import Origin, parse_answer
from guard.modelarts.workspaces import Workspace, parse_workspaces
from guard.ports import Progress, Take

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
        self._lists = JobLists(service, self._origin, limits or Limits())
        self._workspaces: tuple[str, ...] = ()
        self._descriptions = Descriptions(self._show, FlavorTable(self.flavors, service.clock.monotonic))
        self._last_walk: int | None = None

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

    async def walk(self, take: Take, *, progress: Progress | None = None) -> Inventory:
        """
        Read every live job of every workspace; *take* gets those of each window, as ``JobSource`` says.

        A workspace that cannot be read makes the inventory incomplete; if none can, the first error is raised.
        """
        started = self._service.clock.monotonic()
        workspaces, doubt = await self._to_walk()
        doubts = [doubt] if doubt else []
        jobs, unreadable, failures = 0, 0, []
        reading = _Reading(take, self._descriptions, self._descriptions.begin_walk(), progress, self._last_walk)
        for workspace in workspaces:
            try:
                walked = await self._lists.walk(workspace, reading.take)
            except TargetError as error:
                failures.append(error)
                doubts.append(f"workspace {workspace!r}: {error}")
                continue
            jobs += walked.jobs
            unreadable += walked.junk
            if walked.doubt:
                doubts.append(f"workspace {workspace!r}: {walked.doubt}")
        if len(failures) == len(workspaces):
            raise failures[0]
        self._descriptions.end_walk()
        self._last_walk = jobs
        return Inventory(
            target=self.target,
            jobs=jobs,
            complete=not doubts,
            unreadable=unreadable,
            doubt="; ".join(doubts),
            # Before the first answer nothing was known of the service's clock.
            started_at_ms=int(self._service.time.at(started) * 1000),
            finished_at_ms=self.now_ms(),
        )

    async def look(self, take: Take, known: Callable[[JobKey], bool]) -> int:
        """
        Read the newest live jobs of every workspace until a window brings only known ones; return the number of list calls.

        New jobs that ended again count as nothing new. What is missed here is found by the next walk.
        """

        async def until_known(jobs: Sequence[Job], reading: "_Reading") -> bool:
            news = any(not known(job.key) for job in jobs)
            await reading.take(jobs)
            return not news

        return await self._looked(take, self._lists.newest, until_known)

    async def look_waiting(self, take: Take) -> int:
        """
        Read the jobs of every workspace that are Creating or Pending; return the number of list calls.
        """

        async def all_of_them(jobs: Sequence[Job], reading: "_Reading") -> bool:
            return await reading.take(jobs)

        return await self._looked(take, self._lists.waiting, all_of_them)

    async def read(self, job_id: str, *, lane: Lane = Lane.CHECK, rank: int = 0) -> Job:
        """
        Read one job in its turn, with the flavor table's help if it lacks its flavor.
        """
        return await self._descriptions.filled(await self._show(job_id, lane=lane, rank=rank))

    async def workspaces(self) -> tuple[Workspace, ...]:
        """
        Return the workspaces that the account lists.
        """
        path = project_path("v1", self._service.project_id, "workspaces")

        async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, Workspace]]:
            params = {"offset": str(offset), "limit": str(limit), "sort_by": "name", "order": "asc"}
            ask = Ask(operation="workspaces", method="GET", path=path, wanted="list of workspaces", params=params)
            return [(each.id, each) for each in await self._service.read(ask, parse_workspaces)]

        found: dict[str, Workspace] = {}

        async def take(workspaces: Sequence[Workspace]) -> bool:
            found.update((each.id, each) for each in workspaces)
            return False

        walked = await walk(fetch, take, Limits(window=WORKSPACE_WINDOW, ahead=1))
        if walked.doubt:
            raise unexpected("list of workspaces", walked.doubt)
        return tuple(found.values())

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
        Return service time minus local time in seconds; None before the first answer, and while late ones leave it open.
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

    async def _looked(
        self,
        take: Take,
        look: Callable[[str, Callable[[Sequence[Job]], Awaitable[bool]]], Awaitable[int]],
        each: Callable[[Sequence[Job], "_Reading"], Awaitable[bool]],
    ) -> int:
        workspaces = self._workspaces or (await self._to_walk())[0]
        reading = _Reading(take, self._descriptions, Budget())
        calls, failures = 0, []
        for workspace in workspaces:
            try:
                calls += await look(workspace, lambda jobs: each(jobs, reading))
            except TargetError as error:
                failures.append(error)
                calls += 1
        if len(failures) == len(workspaces):
            raise failures[0]
        return calls

    async def _show(self, job_id: str, *, lane: Lane = Lane.DISCOVERY, rank: int = 0) -> Job:
        path = job_path(self._service.project_id, job_id)
        wanted = f"job {job_id[:80]!r}"
        ask = Ask(operation="show", method="GET", path=path, wanted=wanted, lane=lane, rank=rank)
        job = await self._service.read(ask, lambda content: parse_answer(content, self._origin()))
        if job is None:
            raise unexpected(wanted, "the answer names no job")
        if job.key.job_id != job_id:
            raise unexpected(wanted, f"the answer is about job {job.key.job_id[:80]!r}")
        return job

    def _origin(self) -> Origin:
        return Origin(
            target=self.target,
            region=self._target.region,
            project_id=self._target.project_id,
            read_at_ms=self.now_ms(),
        )


class _Reading:
    """
    What happens to each window of a walk or look on its way to the taker.
    """

    def __init__(
        self,
        take: Take,
        descriptions: Descriptions,
        budget: Budget,
        progress: Progress | None = None,
        of: int | None = None,
    ) -> None:
        self._take = take
        self._descriptions = descriptions
        self._budget = budget
        self._progress = progress
        self._of = of
        self._read = 0

    async def take(self, jobs: Sequence[Job]) -> bool:
        if jobs:
            await self._take(await self._descriptions.described(jobs, self._budget))
        self._read += len(jobs)
        if self._progress is not None:
            self._progress(self._read, self._of)
        return False
