"""
The state behind the simulated service: its jobs, its clock, its tokens and its knobs.

Everything is in memory and single-threaded. Time is asked of ``now``: a demo can speed it up and a test stand it still.
"""

import bisect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guard.simulator.jobs import LIVE_PHASES, SimJob, Stop
from guard.simulator.knobs import Knobs

DEFAULT_PROJECT = "0123456789abcdef0123456789abcdef"
MOST_PASTS = 4
_WHY = {"Completed": "finished", "Terminated": "finished", "Failed": "failed", "Abnormal": "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    The account's names: one project of one region and its workspaces (id to name).
    """

    project_id: str
    region: str
    workspaces: Mapping[str, str]


DEFAULT_SITE = Site(project_id=DEFAULT_PROJECT, region="cn-north-4", workspaces={"0": "default"})


class World:
    """
    One project's jobs at the moment that *now* (epoch seconds) says; *knobs* may be replaced at any time.
    """

    def __init__(self, knobs: Knobs, now: Callable[[], float], *, site: Site = DEFAULT_SITE) -> None:
        self.knobs = knobs
        self.now = now
        self.site = site
        self._jobs: dict[str, SimJob] = {}
        self._by_age: dict[str, list[SimJob]] = {workspace: [] for workspace in site.workspaces}
        self._tokens: dict[str, float] = {}
        self._pasts: dict[str, list[tuple[int, SimJob]]] = {}

    @property
    def now_ms(self) -> int:
        """
        The true moment in epoch milliseconds.
        """
        return int(self.now() * 1000)

    @property
    def service_time(self) -> float:
        """
        What the service's own clock shows, in epoch seconds: the true moment and the knob's offset.
        """
        return self.now() + self.knobs.clock_offset_seconds

    def add(self, job: SimJob) -> SimJob:
        """
        Take *job* into the project; ValueError if its id is taken or its workspace does not exist.
        """
        if job.id in self._jobs:
            raise ValueError(f"the job id {job.id!r} is taken")
        if job.workspace not in self._by_age:
            raise ValueError(f"no workspace {job.workspace!r}")
        self._jobs[job.id] = job
        bisect.insort(self._by_age[job.workspace], job, key=lambda each: (each.create_time_ms, each.id))
        return job

    def change(self, job_id: str, **facts: Any) -> SimJob:
        """
        Change facts of a job now, as its owner would; KeyError if there is no such job.
        """
        job = self._jobs[job_id]
        self._keep(job)
        for name, value in facts.items():
            setattr(job, name, value)
        return job

    def past(self, seconds: float) -> "World":
        """
        Return the project as it was so many seconds ago, as far as it was changed through this world.
        """
        at = self.now() - seconds
        old, at_ms = World(self.knobs, lambda: at, site=self.site), int(at * 1000)
        for job in self._jobs.values():
            was = next((one for until_ms, one in self._pasts.get(job.id, ()) if at_ms < until_ms), job)
            if was.create_time_ms <= at_ms:
                old.add(replace(was))
        return old

    def _keep(self, job: SimJob) -> None:
        """
        Remember how a job is until now, of each job the newest few times.
        """
        kept = self._pasts.setdefault(job.id, [])
        kept.append((self.now_ms, replace(job)))
        del kept[:-MOST_PASTS]

    def job(self, job_id: str) -> SimJob | None:
        """
        Return the job, or None if there is none of this id.
        """
        return self._jobs.get(job_id)

    def count(self, workspace: str) -> int:
        """
        Return how many jobs a workspace has, ended ones included.
        """
        return len(self._by_age[workspace])

    def in_phases(self, workspace: str, phases: frozenset[str] | None, *, newest_first: bool) -> Sequence[SimJob]:
        """
        Return the jobs of a workspace that are in one of *phases* now (None: all jobs), by their creation.
        """
        now_ms, jobs = self.now_ms, self._by_age[workspace]
        found = list(jobs) if phases is None else [job for job in jobs if job.phase(now_ms) in phases]
        return found[::-1] if newest_first else found

    def live(self) -> list[SimJob]:
        """
        Return the jobs that are Creating, Pending, Running or Terminating now.
        """
        now_ms = self.now_ms
        return [job for job in self._jobs.values() if job.phase(now_ms) in LIVE_PHASES]

    def terminate(self, job: SimJob) -> bool:
        """
        Accept a termination of *job*, or return False if its phase (or the knob for repeated ones) refuses it.
        """
        knobs, now_ms = self.knobs, self.now_ms
        fresh = job.phase(now_ms) in LIVE_PHASES and job.stop is None
        if not fresh and knobs.repeat_terminate == 409:
            return False
        if fresh:
            self._keep(job)
        job.accepted_terminations += 1
        if fresh:
            fails, finishes = knobs.terminate_fails_rate, knobs.finishes_while_terminating_rate
            # A generator takes longer to seed than everything else here, and most worlds have no use for one.
            seed = f"{knobs.seed}/{job.id}/{job.accepted_terminations}"
            draw = random.Random(seed).random() if fails or finishes else 1.0
            phase = "Abnormal" if draw < fails else "Completed" if draw < fails + finishes else "Terminated"
            job.stop = Stop(effect_ms=now_ms + round(knobs.terminate_seconds * 1000), phase=phase)
        return True

    def restart(self, job_id: str) -> SimJob:
        """
        Begin a new run of the job now, as long as the planned one; KeyError if there is no such job.
        """
        job, now_ms = self._jobs[job_id], self.now_ms
        self._keep(job)
        if job.end_time_ms is not None:
            length = job.end_time_ms - (job.create_time_ms if job.start_time_ms is None else job.start_time_ms)
            job.end_time_ms = now_ms + max(length, 0)
        job.start_time_ms, job.stop, job.first_duration_ms = now_ms, None, None
        return job

    def fates(self) -> dict[str, dict[str, object]]:
        """
        Return by job: its phase now, when it ended (epoch seconds or None), why, and how many terminations were accepted.

        *why* is "terminated" and "terminate_failed" only after a termination through the API; a job that its plan or its
        auto-stop ended is "finished" or "failed", and one that ends by itself while stopping is "finished".
        """
        now_ms = self.now_ms
        return {job.id: _fate(job, now_ms) for job in self._jobs.values()}

    def issue_token(self) -> str:
        """
        Make an IAM token, which is long, as real ones are, and valid for the knob's time.
        """
        serial = random.Random(f"{self.knobs.seed}/token/{len(self._tokens)}")
        token = f"MIIE{serial.randbytes(1024).hex()}"
        self._tokens[token] = self.now() + self.knobs.token_seconds
        return token

    def token_expiry(self, token: str) -> float | None:
        """
        Return when *token* expires (epoch seconds, true time), or None if it was never issued.
        """
        return self._tokens.get(token)


def _fate(job: SimJob, now_ms: int) -> dict[str, object]:
    ended = job.ended(now_ms)
    why = None if ended is None else _WHY[ended[1]]
    if ended is not None and job.stop is not None:
        why = {"Terminated": "terminated", "Abnormal": "terminate_failed"}.get(ended[1], why)
    return {
        "phase": job.phase(now_ms),
        "ended_at": None if ended is None else ended[0] / 1000,
        "why": why,
        "accepted_terminations": job.accepted_terminations,
    }
