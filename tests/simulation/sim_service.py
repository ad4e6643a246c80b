"""
A model of ModelArts: jobs with their whole past, and a source and a terminator that reach it over a bad network.

The model implements the ports of the guard. An answer shows what the service knew when the call arrived there, or half a
minute before; a call that was sent arrives whether its sender still lives or not.
"""

import asyncio
import email.utils
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from sim_loop import ORIGIN_MS
from sim_plan import JobPlan
from sim_policies import Absent, money

from guard.core.facts import ABSENT, LIVE_PHASES, UNREADABLE, Inventory, Job, JobKey, Resource
from guard.core.lanes import Lane, Turn
from guard.errors import Conflict, JobGone, NeedsPerson, NoAnswer, Refused, Retryable, TargetError, Unauthorized
from guard.modelarts.servicetime import LATE_S, ServiceTime

REGION, PROJECT, TARGET = "cn-north-4", "p", "lab"
WAY_S = 0.02
GIVES_UP_S = 20.0
STALE_MS = 30_000
AT_START_MS = 100
PAGE = 3


@dataclass(frozen=True, slots=True)
class Version:
    """
    What is true of a job from *since_ms* on. *run* counts its lives, *hidden* are facts that the service does not tell.
    """

    since_ms: int
    phase: str = "Pending"
    secondary: str = ""
    there: bool = True
    run: int = 1
    start_ms: int = 0
    end_ms: int | None = None
    requeued_ms: int | None = None
    nodes: int = 1
    user: str = "ann"
    notes: tuple[tuple[str, str], ...] = ()
    hidden: frozenset[str] = frozenset()

    @property
    def same(self) -> tuple[Any, ...]:
        """
        What only an edit changes.
        """
        return (self.run, self.requeued_ms, self.nodes, self.user, self.notes, self.hidden)


@dataclass(slots=True)
class TrueJob:
    """
    A job as it really is, with its past.
    """

    plan: JobPlan
    created_ms: int
    past: list[Version] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def now(self) -> Version:
        return self.past[-1]

    def at(self, moment_ms: int) -> Version | None:
        """
        What was true of it then, None if it was not there.
        """
        found = next((one for one in reversed(self.past) if one.since_ms <= moment_ms), None)
        return found if found is not None and found.there else None


@dataclass(frozen=True, slots=True)
class Shown:
    """
    An answer about a job: the version that it tells, what it does not tell, and of which moment it is.
    """

    job: TrueJob
    version: Version
    hidden: frozenset[str]
    at_ms: int

    def facts(self, now_ms: int, prices: dict[str, int]) -> dict[str, Any]:
        """
        What a reader of this answer may conclude at a later moment, if nothing but time has passed; None is unreadable.
        """
        one, hidden = self.version, self.hidden
        code = None if "billing_code" in hidden else self.job.plan.code
        nodes = None if "node_count" in hidden else one.nodes
        running: int | None = None
        if one.phase == "Running" and not {"duration", "start"} <= hidden:
            running = now_ms - one.start_ms
        waiting = None
        if one.requeued_ms is not None:
            waiting = now_ms - one.requeued_ms
        elif not one.start_ms and not hidden & {"duration", "start"}:
            waiting = now_ms - self.job.created_ms
        return {
            "phase": None if "phase" in hidden else one.phase,
            "billing_code": code,
            "node_count": nodes,
            "user": None if "user" in hidden else one.user,
            "annotation.keep": None if "annotations" in hidden else dict(one.notes).get("keep", Absent),
            "duration": running,
            "waiting": waiting,
            "cost": money(code, 1, nodes, running, prices),
        }

    def as_job(self, read_at_ms: int) -> Job:
        """
        The answer as the guard's client would give it.
        """
        one, hidden = self.version, self.hidden
        end_ms = self.at_ms if one.end_ms is None else one.end_ms
        resource = Resource(
            billing_code=UNREADABLE if "billing_code" in hidden else self.job.plan.code,
            unit_num=1,
            node_count=UNREADABLE if "node_count" in hidden else one.nodes,
            cards_per_node=1,
        )
        return Job(
            key=key_of(self.job.name),
            target=TARGET,
            read_at_ms=read_at_ms,
            phase=UNREADABLE if "phase" in hidden else one.phase,
            secondary_phase=one.secondary or ABSENT,
            workspace="0",
            name=self.job.name,
            user=UNREADABLE if "user" in hidden else one.user,
            kind="job",
            annotations=UNREADABLE if "annotations" in hidden else dict(one.notes),
            create_time_ms=self.job.created_ms,
            start_time_ms=UNREADABLE if "start" in hidden else one.start_ms,
            duration_ms=UNREADABLE if "duration" in hidden else max(0, end_ms - one.start_ms) if one.start_ms else 0,
            resources=(resource,),
        )


def key_of(name: str) -> JobKey:
    """
    The identity of a job.
    """
    return JobKey(region=REGION, project_id=PROJECT, job_id=name)


class Jobs:
    """
    The service: its jobs, and what happens to them. *now_ms* is true time, *later* calls something after so many seconds.
    """

    def __init__(self, plans: Sequence[JobPlan], now_ms: Callable[[], int], later: Callable[..., Any]) -> None:
        self.now_ms = now_ms
        self._later = later
        self.by_name: dict[str, TrueJob] = {}
        for plan in plans:
            if plan.from_s <= 0:
                self._create(plan)
            else:
                later(plan.from_s, self._create, plan)

    def _create(self, plan: JobPlan) -> None:
        created_ms = ORIGIN_MS + int(plan.from_s * 1000)
        job = self.by_name[plan.name] = TrueJob(plan, created_ms)
        first = Version(created_ms, nodes=plan.nodes, user=plan.user, notes=plan.notes)
        job.past.append(first)
        if plan.start_s is None:
            return
        start_ms = ORIGIN_MS + int(plan.start_s * 1000)
        if start_ms <= self.now_ms():
            job.past.append(replace(first, since_ms=start_ms, phase="Running", start_ms=start_ms))
        else:
            self._later((start_ms - self.now_ms()) / 1000, self._begin, job)

    def _begin(self, job: TrueJob) -> None:
        if job.now.phase == "Pending" and job.now.there and not job.now.start_ms:
            self.change(job, phase="Running", start_ms=self.now_ms())

    def change(self, job: TrueJob, **what: Any) -> None:
        """
        Make something else true of a job from now on.
        """
        job.past.append(replace(job.now, since_ms=self.now_ms(), **what))

    def edit(self, act: str, name: str, *args: Any) -> None:
        """
        Let somebody, or the platform, do something to a job.
        """
        job = self.by_name.get(name)
        if job is None or not job.now.there:
            return
        one, now_ms = job.now, self.now_ms()
        live = one.phase in LIVE_PHASES
        if act == "annotate":
            key, value = args
            rest = tuple(note for note in one.notes if note[0] != key)
            self.change(job, notes=(*rest, (key, value)) if value else rest)
        elif act == "resize":
            self.change(job, nodes=args[0])
        elif act == "rename":
            self.change(job, user=args[0])
        elif act == "hide":
            self.change(job, hidden=one.hidden ^ _fields(args[0]))
        elif act == "restart" and one.phase != "Terminating":
            self.change(job, phase="Running", secondary="", run=one.run + 1, start_ms=now_ms, end_ms=None, requeued_ms=None)
        elif act == "requeue" and one.phase == "Running":
            self.change(job, phase="Pending", end_ms=now_ms, requeued_ms=now_ms)
        elif act == "end" and live:
            self.change(job, phase=args[0], end_ms=now_ms)
        elif act == "stop_by_other" and live and one.phase != "Terminating":
            self._stop(job)
        elif act == "delete" and not live:
            self.change(job, there=False)

    def terminate(self, name: str) -> None:
        """
        Carry out a terminate call; raises what the service answers if it refuses.
        """
        job = self.by_name.get(name)
        if job is None or not job.now.there:
            raise JobGone("no such job", status=400, code="ModelArts.2775")
        if job.now.phase == "Terminating":
            return
        if job.now.phase not in LIVE_PHASES:
            raise Conflict("the job has ended", status=409, code="ModelArts.2796")
        self._stop(job)

    def _stop(self, job: TrueJob) -> None:
        run = job.now.run
        self.change(job, phase="Terminating")

        def ended() -> None:
            if job.now.phase == "Terminating" and job.now.run == run:
                self.change(job, phase="Terminated", end_ms=self.now_ms())

        self._later(job.plan.stops_in_s, ended)


def _fields(name: str) -> frozenset[str]:
    return frozenset({"duration", "start"} if name == "clocks" else {name})


def answered(status: int) -> TargetError:
    """
    The error that the guard's client makes of an answer.
    """
    kinds: dict[int, Callable[..., TargetError]] = {401: Unauthorized, 403: NeedsPerson, 409: Conflict, 2775: JobGone}
    kind = kinds.get(status, Retryable if status == 429 or (status >= 500 and status != 2775) else Refused)
    if status == 2775:
        return kind("no such job", status=400, code="ModelArts.2775")
    return kind(f"answered with {status}", status=status)


class SimSource:
    """
    The ``JobSource`` and ``Terminator`` of one daemon.
    """

    target = TARGET

    def __init__(self, world: Any, daemon: Any) -> None:
        self._world = world
        self._daemon = daemon
        self._time = ServiceTime(world.clock)
        self._given = 0

    def scope(self) -> str:
        return f"{REGION}/{PROJECT}/0"

    def now_ms(self) -> int:
        return int(self._time.now() * 1000)

    def offset_s(self) -> float | None:
        return self._time.offset_s()

    def credentials_expire_at(self) -> float | None:
        return None

    def credentials_tag(self) -> str:
        return "tag"

    async def renew(self) -> None:
        self._daemon.check()
        await asyncio.sleep(WAY_S)

    async def _exchange(self, call: str, act: Callable[[Any], Any], *, sent: Callable[[], None] | None = None) -> Any:
        """
        Send one call and return what *act* answers when it arrives at the service; a lost one raises ``NoAnswer``.
        """
        world, daemon = self._world, self._daemon
        asked_at = world.clock.monotonic()
        faults = {one.act: one.args for one in world.come_by(f"{call}.sent")}
        if sent is not None:
            sent()
        answer = daemon.future()
        out_s, back_s = (WAY_S + faults.get(name, (0.0,))[0] for name in ("slow_out", "slow_back"))

        def arrive() -> None:
            date_s: float | None = world.true_ms() / 1000 + faults.get("wrong_date", (0,))[0]
            status = faults.get("status", (0,))[0]
            value: Any = None
            try:
                if "reset_before" in faults:
                    raise NoAnswer("the connection was reset")
                if status and not (call == "terminate" and status == 500):
                    raise answered(status)
                value = act(faults)
                if status:
                    raise answered(status)
                if "reset_after" in faults:
                    raise NoAnswer("the connection was reset")
            except NoAnswer as error:
                value, date_s = error, None
            except TargetError as error:
                value = error
            world.later(back_s, deliver, value, date_s)

        def deliver(value: Any, date_s: float | None) -> None:
            if not answer.done():
                answer.set_result((value, date_s))

        world.later(out_s, arrive)
        world.later(GIVES_UP_S, deliver, NoAnswer("no answer within 20 s"), None)
        value, date_s = await answer
        daemon.check()
        if date_s is not None:
            text = email.utils.formatdate(int(date_s), usegmt=True)
            response = SimpleNamespace(headers={"date": text})
            received = SimpleNamespace(response=response, sent_at=asked_at, received_at=world.clock.monotonic())
            self._time.note(received)  # type: ignore[arg-type]
        world.come_by(f"{call}.answered")
        if isinstance(value, TargetError):
            raise value
        return value

    def _shown(self, faults: Any) -> Callable[[TrueJob], Shown | None]:
        moment_ms = self._world.true_ms() - (STALE_MS if "stale" in faults else 0)
        more = frozenset(_fields(faults["half"][0]) if "half" in faults else ())
        self._world.halves += bool(more & _fields("clocks"))

        def show(job: TrueJob) -> Shown | None:
            version = job.at(moment_ms)
            if version is not None and version.start_ms and 0 <= moment_ms - version.start_ms < AT_START_MS:
                self._world.read_at_start.add(job.name)
            return None if version is None else Shown(job, version, version.hidden | more, moment_ms)

        return show

    async def walk(self, take: Any, *, progress: Any = None) -> Inventory:
        started_s = self._world.clock.monotonic()
        names = sorted(self._world.jobs.by_name)
        doubts: list[str] = []
        seen: set[str] = set()
        junk, first = 0, True
        for at in range(0, max(1, len(names)), PAGE):
            try:
                shown, faults = await self._page(names[at : at + PAGE], LIVE_PHASES)
            except TargetError as error:
                if first:
                    raise
                doubts.append(str(error))
                break
            finally:
                first = False
            junk += "other_job" in faults
            jobs = [one.as_job(self.now_ms()) for one in shown]
            seen.update(one.key.job_id for one in jobs)
            for _ in range(1 + ("twice" in faults)):
                if jobs:
                    await take(jobs)
        return Inventory(
            target=TARGET,
            jobs=len(seen),
            complete=not doubts,
            unreadable=junk,
            doubt="; ".join(doubts),
            started_at_ms=int(self._time.at(started_s) * 1000),
            finished_at_ms=self.now_ms(),
        )

    async def _page(self, names: Sequence[str], phases: frozenset[str]) -> tuple[list[Shown], Any]:
        def act(faults: Any) -> Any:
            show = self._shown(faults)
            found = [show(job) for name in names if (job := self._world.jobs.by_name.get(name)) is not None]
            live = [one for one in found if one is not None and ("phase" in one.hidden or one.version.phase in phases)]
            return live, faults

        found: tuple[list[Shown], Any] = await self._exchange("list", act)
        for one in found[0]:
            self._world.oracle.told(one)
        return found

    async def look(self, take: Any, known: Any) -> int:
        names = sorted(self._world.jobs.by_name, reverse=True)
        calls = 0
        for at in range(0, max(1, len(names)), PAGE):
            shown, _ = await self._page(names[at : at + PAGE], LIVE_PHASES)
            calls += 1
            jobs = [one.as_job(self.now_ms()) for one in shown]
            news = any(not known(one.key) for one in jobs)
            if jobs:
                await take(jobs)
            if not news:
                break
        return calls

    async def look_waiting(self, take: Any) -> int:
        shown, _ = await self._page(sorted(self._world.jobs.by_name), frozenset({"Creating", "Pending"}))
        if shown:
            await take([one.as_job(self.now_ms()) for one in shown])
        return 1

    async def read(self, job_id: str, *, lane: Lane = Lane.CHECK, rank: int = 0) -> Job:
        self._daemon.check()
        began = self._world.oracle.next()

        def act(faults: Any) -> Any:
            if "other_job" in faults:
                raise Refused("the answer is about another job")
            job = self._world.jobs.by_name.get(job_id)
            shown = None if job is None else self._shown(faults)(job)
            if shown is None:
                raise JobGone("no such job", status=400, code="ModelArts.2775")
            return shown

        asked_s, asked_ms = self._world.clock.monotonic(), self._world.true_ms()
        shown = await self._exchange("show", act)
        if lane is Lane.CHECK and self._world.clock.monotonic() - asked_s > LATE_S:
            raise Retryable("the answer took so long that the job may have changed since", status=200)
        self._world.oracle.read(self._daemon, job_id, shown, began, asked_ms)
        read: Job = shown.as_job(self.now_ms())
        return read

    def turn(self, *, rank: int) -> "_Turn":
        return _Turn(self._world, self._daemon)

    async def terminate(self, job_id: str, turn: Turn) -> None:
        self._daemon.check()
        oracle, daemon = self._world.oracle, self._daemon
        sent: list[Any] = []

        def act(faults: Any) -> None:
            self._world.jobs.terminate(job_id)
            self._world.count("kills", "carried out")

        try:
            await self._exchange("terminate", act, sent=lambda: sent.append(oracle.send(daemon, job_id)))
        except TargetError as error:
            oracle.answered(sent[0], error)
            raise
        oracle.answered(sent[0], None)


class _Turn:
    """
    The right to send, after a wait.
    """

    def __init__(self, world: Any, daemon: Any) -> None:
        self._world = world
        self._daemon = daemon

    async def __aenter__(self) -> Turn:
        self._daemon.check()
        waits = [one.args[0] for one in self._world.come_by("turn.asked")]
        if waits:
            await asyncio.sleep(max(waits))
        return Turn(number=1, waited_s=max(waits, default=0.0))

    async def __aexit__(self, *error: object) -> None:
        return None
