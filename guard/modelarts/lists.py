"""
The lists of jobs of a target's workspaces: which phases are asked for, in which order, and what happens to a refused filter.

How a list is read to its end is in ``paging``; here is what a list is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from guard.core.facts import KNOWN_PHASES, LIVE_PHASES, WAITING_PHASES, Job, Missing
from guard.errors import Refused
from guard.modelarts.answers import FILTER_REFUSED
from guard.modelarts.pages import Pages
from guard.modelarts.paging import Limits, Meaning, Take, Walked, walk
from guard.modelarts.service import Ask, Service, project_path
from guard.modelarts.wire import Origin

LIVE = ("Creating", "Pending", "Running", "Terminating")
WAITING = ("Creating", "Pending")
ENDED_PHASES = KNOWN_PHASES - LIVE_PHASES


def is_live(job: Job) -> bool:
    """
    Tell whether a job has not ended as far as is known: an unknown phase or one that is unreadable drops no job.
    """
    return isinstance(job.phase, Missing) or job.phase not in ENDED_PHASES


def is_waiting(job: Job) -> bool:
    """
    Tell whether a job waits to run.
    """
    return job.phase in WAITING_PHASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """
    A list that can be asked for: the phases, told to the service and tested here too, and the order of creation.
    """

    phases: tuple[str, ...]
    wanted: Callable[[Job], bool]
    order: str = "asc"


ALL_LIVE = Search(phases=LIVE, wanted=is_live)
NEWEST_LIVE = Search(phases=LIVE, wanted=is_live, order="desc")
ALL_WAITING = Search(phases=WAITING, wanted=is_waiting)


class JobLists:
    """
    Reads the lists of one target; *origin* says where and when an answer is read.
    """

    def __init__(self, service: Service, origin: Callable[[], Origin], limits: Limits) -> None:
        self._service = service
        self._origin = origin
        self._limits = limits
        self._pages = Pages()
        self._meaning: Meaning | None = None
        self._lengths: dict[tuple[str, tuple[str, ...], bool], int] = {}
        self._refused: set[tuple[str, ...]] = set()

    async def walk(self, workspace: str, take: Take[Job]) -> Walked:
        """
        Read the live jobs of a workspace, oldest first, with a proof of every border.
        """
        # A service that refused the filter once may know it by now.
        self._refused.discard(LIVE)
        return await self._read(ALL_LIVE, workspace, take, self._limits)

    async def newest(self, workspace: str, take: Take[Job]) -> int:
        """
        Read the live jobs of a workspace, newest first, one window after another until *take* has enough; return the calls.
        """
        limits = replace(self._limits, ahead=1, repeats=0)
        return (await self._read(NEWEST_LIVE, workspace, take, limits)).requests

    async def waiting(self, workspace: str, take: Take[Job]) -> int:
        """
        Read the jobs of a workspace that wait; return the number of calls.
        """
        return (await self._read(ALL_WAITING, workspace, take, self._limits)).requests

    async def _read(self, search: Search, workspace: str, take: Take[Job], limits: Limits) -> Walked:
        if search.phases in self._refused:
            return await self._list(search, workspace, take, limits, filtered=False)
        try:
            return await self._list(search, workspace, take, limits, filtered=True)
        except Refused as error:
            if error.status != 400 or error.code not in FILTER_REFUSED:
                raise
        self._refused.add(search.phases)
        walked = await self._list(search, workspace, take, limits, filtered=False)
        return replace(walked, requests=walked.requests + 1)

    async def _list(self, search: Search, workspace: str, take: Take[Job], limits: Limits, *, filtered: bool) -> Walked:
        path = project_path("v2", self._service.project_id, "training-job-searches")
        fixed: dict[str, object] = {"sort_by": "create_time", "order": search.order, "workspace_id": workspace}
        if filtered:
            fixed["filters"] = [{"key": "phase", "operator": "in", "value": search.phases}]
        wanted = f"jobs of workspace {workspace!r}"

        async def fetch(offset: int, limit: int) -> Sequence[tuple[str | None, Job | None]]:
            body = msgspec.json.encode({"offset": offset, "limit": limit, **fixed})
            ask = Ask(operation="list", method="POST", path=path, wanted=wanted, content=body)
            jobs = await self._service.read(ask, lambda content: self._pages.read(content, self._origin()))
            return [(None, None) if job is None else (job.key.job_id, job if search.wanted(job) else None) for job in jobs]

        kind = (workspace, search.phases, filtered)
        walked = await walk(fetch, take, limits, meaning=self._meaning, length=self._lengths.get(kind))
        self._meaning = walked.meaning or self._meaning
        if search.order == "asc" and not walked.doubt:
            self._lengths[kind] = walked.length
        return walked
