"""
Simulated jobs: the facts and the plan of one, what phase they put it in at a moment, and how the service shows it.

Nothing here reads a clock: a job's phase is a function of its plan, its stop and the moment. Moments are epoch milliseconds.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from guard.simulator.flavors import Flavor
from guard.simulator.knobs import Knobs
from guard.simulator.quirks import QUIRKS

PHASES = ("Creating", "Pending", "Running", "Failed", "Completed", "Terminating", "Terminated", "Abnormal")
LIVE_PHASES = frozenset({"Creating", "Pending", "Running", "Terminating"})
END_PHASES = frozenset(PHASES) - LIVE_PHASES
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """
    One role of a heterogeneous job.
    """

    role: str
    flavor: Flavor
    node_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """
    An accepted termination: when it takes effect and in which phase it leaves the job.
    """

    effect_ms: int
    phase: str


@dataclass(slots=True, kw_only=True)
class SimJob:
    """
    One job: facts and plan.

    It is Creating until *queued_time_ms* (None: not at all), Pending until *start_time_ms* (None: for ever), and Running
    until *end_time_ms* (None: for ever) or until *auto_stop_hours* have passed, whichever is first. *first_duration_ms*
    is what the first reading of a run showed.
    """

    id: str
    create_time_ms: int
    flavor: Flavor | None = None
    name: str = "train"
    kind: str = "job"
    workspace: str = "0"
    node_count: int = 1
    queued_time_ms: int | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None
    ends_as: str = "Completed"
    auto_stop_hours: int | None = None
    user: str = "alice"
    description: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    pool_id: str = ""
    engine: str = "PyTorch"
    image: str = ""
    priority: int = 1
    tasks: tuple[Task, ...] = ()
    quirk: str | None = None
    stop: Stop | None = None
    accepted_terminations: int = 0
    first_duration_ms: int | None = None

    def __post_init__(self) -> None:
        if self.quirk is not None and self.quirk not in QUIRKS:
            raise ValueError(f"no such quirk: {self.quirk!r}")
        if self.ends_as not in END_PHASES:
            raise ValueError(f"ends_as is one of {sorted(END_PHASES)}, not {self.ends_as!r}")

    @property
    def user_id(self) -> str:
        """
        The account's id of the user: 32 hexadecimal characters made from the name.
        """
        return hashlib.sha256(self.user.encode()).hexdigest()[:32]

    def ended(self, now_ms: int) -> tuple[int, str] | None:
        """
        Return when and in which phase the job ended by *now_ms*, or None if it is still live.
        """
        if self.stop is not None:
            return (self.stop.effect_ms, self.stop.phase) if now_ms >= self.stop.effect_ms else None
        ends = [] if self.end_time_ms is None else [(self.end_time_ms, self.ends_as)]
        if self.start_time_ms is not None and self.auto_stop_hours is not None:
            ends.append((self.start_time_ms + self.auto_stop_hours * HOUR_MS, "Terminated"))
        first = min(ends, default=None)
        return first if first is not None and now_ms >= first[0] else None

    def phase(self, now_ms: int) -> str:
        """
        Return the phase at *now_ms*.
        """
        ended = self.ended(now_ms)
        if ended is not None:
            return ended[1]
        if self.stop is not None:
            return "Terminating"
        if self.start_time_ms is not None and now_ms >= self.start_time_ms:
            return "Running"
        return "Creating" if self.queued_time_ms is not None and now_ms < self.queued_time_ms else "Pending"


def render(job: SimJob, knobs: Knobs, now_ms: int) -> Any:
    """
    Return the job as list and show give it (JobResponse of the vendor's SDK 3.1.219), with its quirk applied.

    The result is a JSON object unless the quirk makes it something else. All its timestamps are of the service's clock.
    """
    offset_ms = round(knobs.clock_offset_seconds * 1000)
    metadata = {
        "id": job.id,
        "name": job.name,
        "description": job.description,
        "create_time": job.create_time_ms + offset_ms,
        "workspace_id": job.workspace,
        "ai_project": "default-ai-project",
        "user_name": job.user,
        "annotations": dict(job.annotations),
    }
    rendered: dict[str, Any] = {
        "kind": job.kind,
        "metadata": metadata,
        "status": _status(job, knobs, now_ms),
        "algorithm": _algorithm(job),
        "spec": _spec(job),
    }
    if job.tasks:
        rendered["tasks"] = [_task(task) for task in job.tasks]
    return rendered if job.quirk is None else QUIRKS[job.quirk](rendered)


def _status(job: SimJob, knobs: Knobs, now_ms: int) -> dict[str, Any]:
    phase = job.phase(now_ms)
    until_ms, _ = job.ended(now_ms) or (now_ms, "")
    started = job.start_time_ms is not None and job.start_time_ms <= until_ms
    shown_start = (job.start_time_ms or 0) + round(knobs.clock_offset_seconds * 1000) if started else 0
    secondary = {"Pending": "Queuing", "Abnormal": "TerminatedFailed" if job.stop else "Unknown"}.get(phase, phase)
    roles = [(task.role, task.node_count) for task in job.tasks] or [("worker", job.node_count)]
    return {
        "phase": phase,
        "secondary_phase": secondary,
        "duration": _duration(job, knobs, until_ms, live=job.ended(now_ms) is None) if started else 0,
        "start_time": shown_start,
        "node_count_metrics": [[shown_start, job.node_count]] if started else None,
        "tasks": [f"{role}-{index}" for role, count in roles for index in range(count)],
    }


def _duration(job: SimJob, knobs: Knobs, until_ms: int, *, live: bool) -> int:
    elapsed = until_ms - (job.start_time_ms or 0)
    if not live or knobs.duration == "ticks":
        return elapsed
    if knobs.duration == "still":
        if job.first_duration_ms is None:
            job.first_duration_ms = elapsed
        return job.first_duration_ms
    return elapsed + HOUR_MS if knobs.duration == "ahead" else 0


def _algorithm(job: SimJob) -> dict[str, Any]:
    source = {"code_dir": "obs://team/code/", "boot_file": "obs://team/code/train.py"}
    engine: dict[str, Any] = {"engine_name": job.engine, "engine_version": f"{job.engine}-1.8.0-python3.7-v2"}
    if job.image:
        engine = {"image_url": job.image}
    outputs = [{"name": "train_url", "remote": {"obs": {"obs_url": "/team/out/"}}, "mode": "upload_periodically"}]
    return {**source, "outputs": outputs, "engine": {**engine, "v1_compatible": False, "run_user": ""}}


def _spec(job: SimJob) -> dict[str, Any]:
    resource: dict[str, Any] = {"policy": "regular"}
    if job.flavor is not None:
        economic = job.flavor.id.endswith(".eco")
        row = job.flavor.row()
        resource["policy"] = "economic" if economic else "regular"
        resource |= {"flavor_id": row["flavor_id"], "flavor_name": row["flavor_name"], "node_count": job.node_count}
        resource["flavor_detail"] = job.flavor.detail()
    if job.pool_id:
        resource |= {"pool_id": job.pool_id, "pool_name": f"name-of-{job.pool_id}"}
    spec: dict[str, Any] = {"resource": resource, "is_hosted_log": False}
    spec["schedule_policy"] = {"priority": job.priority, "preemptible": False}
    if job.auto_stop_hours is not None:
        spec["auto_stop"] = {"time_unit": "HOURS", "duration": job.auto_stop_hours}
    return spec


def _task(task: Task) -> dict[str, Any]:
    algorithm = {"code_dir": "obs://team/code/", "inputs": {"name": "data_url"}, "outputs": {"name": "train_url"}}
    return {"role": task.role, "algorithm": algorithm, "task_resource": task.flavor.row(), "log_export_path": {}}
