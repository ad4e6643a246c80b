"""
The jobs of a benchmark, and a world that finds their pages without looking at every job.

The simulator's own world asks every job for its phase at every page, which at 100,000 jobs would measure the simulator.
"""

import dataclasses
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guard.simulator import FLAVORS, Knobs, SimJob, Task, World
from guard.simulator.jobs import LIVE_PHASES

HOUR_MS = 3_600_000
WATCHED = "modelarts.vm.p100.large.eco"
WAITING = frozenset({"Creating", "Pending"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """
    Which jobs there are.

    The first *due* jobs run on watched nodes and pass *limit_hours* spread evenly over *due_spread_ms* from *due_from_ms*
    on (epoch milliseconds; 0: an hour from now); the others never do. A share of *described* has two annotations and a
    description. *new_per_hour* jobs are created in every hour of the world's clock, wait a little and then run; with
    *new_are_due* they break the limit after that time. Of a *frozen* fleet the list shows what it showed at first.
    """

    jobs: int
    due: int = 0
    due_from_ms: int = 0
    due_spread_ms: int = 0
    limit_hours: float = 24.0
    described: float = 0.0
    new_per_hour: float = 0.0
    new_are_due: bool = False
    frozen: bool = False
    speed: float = 1.0
    origin: float = 0.0
    started: float = 0.0
    knobs: dict[str, object] = dataclasses.field(default_factory=dict)

    def as_json(self) -> str:
        """
        Return the fleet as one argument of a command.
        """
        return json.dumps(dataclasses.asdict(self))


class FleetWorld(World):
    """
    A world whose jobs are added in the order of their creation and end by termination alone.
    """

    def __init__(self, knobs: Knobs, now: Callable[[], float]) -> None:
        super().__init__(knobs, now)
        self._live: dict[str, SimJob] = {}
        self._waiting: dict[str, SimJob] = {}
        self._ending: deque[SimJob] = deque()

    def add(self, job: SimJob) -> SimJob:
        """
        Take a job in.
        """
        self._live[job.id] = job
        if job.start_time_ms is None or job.start_time_ms > self.now_ms:
            self._waiting[job.id] = job
        return super().add(job)

    def terminate(self, job: SimJob) -> bool:
        """
        Terminate, and note when the job leaves the list.
        """
        fresh = job.stop is None
        done = super().terminate(job)
        if done and fresh:
            self._ending.append(job)
        return done

    def in_phases(self, workspace: str, phases: frozenset[str] | None, *, newest_first: bool) -> Sequence[SimJob]:
        """
        Return the jobs of these phases from what is noted here.
        """
        now_ms = self.now_ms
        while self._ending and self._ending[0].ended(now_ms) is not None:
            gone = self._ending.popleft()
            self._live.pop(gone.id, None)
            self._waiting.pop(gone.id, None)
        if phases is None or not phases <= LIVE_PHASES:
            return super().in_phases(workspace, phases, newest_first=newest_first)
        if phases == LIVE_PHASES:
            found = list(self._live.values())
        elif phases <= WAITING:
            for started in [one for one in self._waiting.values() if one.phase(now_ms) not in WAITING]:
                del self._waiting[started.id]
            found = [one for one in self._waiting.values() if one.phase(now_ms) in phases]
        else:
            found = [one for one in self._live.values() if one.phase(now_ms) in phases]
        return found[::-1] if newest_first else found


def populate(world: World, fleet: Fleet) -> None:
    """
    Put the fleet into the world, oldest job first.
    """
    rng = random.Random(1)
    jobs = [_job(world, fleet, rng, index) for index in range(fleet.jobs)]
    for job in sorted(jobs, key=lambda one: (one.create_time_ms, one.id)):
        world.add(job)


def newcomer(world: World, fleet: Fleet, index: int) -> SimJob:
    """
    Return a job that is created now and waits for a minute of the world's clock.
    """
    now_ms = world.now_ms
    nodes = 4 if fleet.new_are_due else 1
    return SimJob(
        id=f"new-{index:07d}",
        name=f"new-{index}",
        create_time_ms=now_ms,
        start_time_ms=now_ms + 60_000,
        flavor=FLAVORS[WATCHED],
        node_count=nodes,
        user=f"user-{index % 50}",
    )


def _job(world: World, fleet: Fleet, rng: random.Random, index: int) -> SimJob:
    limit_ms = round(fleet.limit_hours * HOUR_MS)
    first_ms = fleet.due_from_ms or world.now_ms + HOUR_MS
    watched = index < fleet.due
    if watched:
        due_ms = first_ms + index * fleet.due_spread_ms // max(fleet.due, 1)
        started_ms = due_ms - limit_ms - 1
    else:
        started_ms = world.now_ms - round(limit_ms * 0.8 * rng.random()) - 60_000
    flavors = list(FLAVORS.values())
    job = SimJob(
        id=f"job-{index:07d}",
        name=f"train-{rng.randrange(10_000)}-{index}",
        create_time_ms=started_ms - rng.randrange(1_000, HOUR_MS),
        start_time_ms=started_ms,
        flavor=FLAVORS[WATCHED] if watched else flavors[index % len(flavors)],
        node_count=4 if watched else rng.choice((1, 1, 2)),
        user=f"user-{rng.randrange(300)}",
    )
    if rng.random() < fleet.described:
        job.annotations = {"team": f"team-{rng.randrange(40)}", "ticket": f"T-{index}"}
        job.description = f"fine-tuning number {index}, see the notebook of the team for what it is about"
    if not watched and index % 20 == 0:
        gpu, cpu = FLAVORS["modelarts.p3.8xlarge.public"], FLAVORS["modelarts.vm.cpu.8u"]
        job.tasks = (Task(role="learner", flavor=gpu), Task(role="worker", flavor=cpu, node_count=2))
        job.kind, job.flavor, job.node_count = "hetero_job", None, 3
    return job
