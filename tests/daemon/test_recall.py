"""
What a new process knows of the fleet before its first walk, and that it never acts on that alone.
"""

import asyncio

import pytest
from daemon_stand import EXEMPT, HOUR_MS, NOW, NOW_MS, ONE_DAY, on_stand, running
from test_service import PATIENCE_S, Daemon, event_after

from guard.core.facts import Job, JobKey, Resource
from guard.core.limits import Limits
from guard.core.records import Pause, Walk
from guard.core.sighting import observe
from guard.daemon.clocks import ScaledClock
from guard.daemon.recall import AT_ONCE
from guard.daemon.watched import DRIFT_MS, REFRESH_MS, Watched
from guard.simulator import Fault
from tests.changing import replace

MINUTES = 1 / 60


def due_in(minutes, job_id="job-1", **facts):
    """
    A job that breaks the policy in so many minutes.
    """
    return running(job_id, hours=24 - minutes * MINUTES, **facts)


async def restart(stand):
    """
    End the process as a crash does, and begin a new one that takes over what the ledger knows.
    """
    await stand.http.aclose()
    stand.begin()
    return await stand.cycle.recall.fill(stand.target, stand.cycle.deadlines["lab"])


async def pass_by(stand, minutes):
    """
    Let time pass, and do what has become due.
    """
    stand.clock.seconds += minutes * 60
    wake = await stand.cycle.decide_due(stand.target)
    await stand.settle()
    return wake


def recalled(act, *jobs, **options):
    """
    Run *act* with a new process that has recalled what an earlier one walked.
    """

    async def run(stand):
        await stand.walk()
        stand.listed = len(stand.calls.of("list"))
        assert await restart(stand) == len(jobs)
        await act(stand)

    on_stand(run, *jobs, **options)


@pytest.mark.parametrize("limits", [None, Limits()], ids=["no-limits", "default-limits"])
def test_a_deadline_before_the_first_walk(limits):
    """
    A deadline that falls before the first walk is met, though nothing had told the service's clock until then.
    """

    async def act(stand):
        assert stand.target.source.offset_s() is None
        assert stand.cycle.deadlines["lab"].next_ms() == NOW_MS + 2 * 60_000 + 1
        await pass_by(stand, 1)
        assert (stand.sent(), len(stand.calls.of("show"))) == (0, 0)
        await pass_by(stand, 1.1)
        assert stand.accepted() == ["job-1"]
        assert len(stand.calls.of("list")) == stand.listed
        intent = await stand.intent()
        assert (intent.outcome, intent.draft.deadline_ms) == ("confirmed", NOW_MS + 2 * 60_000 + 1)

    recalled(act, due_in(2), due_in(100, "job-2"), limits=limits)


def test_overdue_at_the_start():
    """
    What became due while no process ran is read and ended at once, however many jobs those are.
    """
    jobs = [due_in(1, f"job-{number}") for number in range(AT_ONCE + 4)]

    async def act(stand):
        await stand.walk()
        stand.clock.seconds += 3600
        assert await restart(stand) == len(jobs)
        assert len(stand.cycle.deadlines["lab"]) == len(jobs)
        wake = await pass_by(stand, 0)
        assert len(stand.accepted()) == AT_ONCE
        assert wake <= stand.target.source.now_ms()
        await pass_by(stand, 0)
        assert sorted(stand.accepted()) == sorted(job.id for job in jobs)

    on_stand(act, *jobs)


def test_the_daemon_meets_a_deadline_while_the_list_hangs():
    """
    A daemon whose first list call never answers ends a job at its deadline all the same.
    """

    async def act(stand):
        async with asyncio.timeout(PATIENCE_S):
            await stand.walk()
            await stand.http.aclose()
            stand.begin()
            daemon = Daemon(stand, ONE_DAY)
            stand.world.knobs = replace(stand.world.knobs, faults=(Fault(operation="list", kind="slow", seconds=3600),))
            listed, closed = event_after(stand, "list"), event_after(stand, "closed")
            async with daemon.running():
                await closed.wait()
            assert not listed.is_set()
        intent = await stand.intent()
        assert (intent.outcome, intent.draft.due_ms) == ("confirmed", intent.draft.deadline_ms)

    on_stand(act, due_in(2), clock=ScaledClock(speed=60.0, origin=NOW))


def end(stand, job_id="job-1"):
    stand.world.job(job_id).end_time_ms = stand.world.now_ms


def start_anew(stand):
    stand.world.restart("job-1")


def vanish(stand):
    gone = Fault(operation="show", kind="status", status=400, code="ModelArts.2775")
    stand.world.knobs = replace(stand.world.knobs, faults=(gone,))


def exempt(stand):
    stand.take(ONE_DAY + EXEMPT)


def observe_only(stand):
    stand.take(ONE_DAY.replace("enforce", "observe"))


@pytest.mark.parametrize("change", [end, start_anew, vanish, exempt, observe_only])
def test_known_facts_never_kill(change):
    """
    What the ledger says of a job orders nothing if the job, or the policy, is another one by now.
    """

    async def act(stand):
        change(stand)
        await pass_by(stand, 5)
        await stand.cycle.decide_all()
        await pass_by(stand, 5)
        assert stand.sent() == 0
        assert await stand.raw.intents() == []

    recalled(act, due_in(2))


def test_nothing_is_decided_for_jobs_that_were_not_read():
    """
    A change of the policies or of the gate acts on no job of which only the ledger speaks.
    """

    async def act(stand):
        stand.take(ONE_DAY.replace("24h", "1h"))
        await stand.cycle.decide_all()
        await stand.settle()
        assert await stand.raw.intents() == []
        assert await stand.raw.findings() == []
        await pass_by(stand, 1)
        assert stand.accepted() == ["job-1"]

    recalled(act, due_in(60))


def test_a_wrong_clock_of_this_machine():
    """
    A machine whose clock is fast reads the job too early, learns the time from the answer, and waits for the deadline.
    """

    async def act(stand):
        stand.clock.behind = -90.0
        await restart(stand)
        assert await pass_by(stand, 1) == NOW_MS + 2 * 60_000 + 1
        assert len(stand.calls.of("show")) == 1
        assert await stand.raw.intents() == []
        await pass_by(stand, 1.1)
        assert stand.accepted() == ["job-1"]

    recalled(act, due_in(2))


def test_a_job_that_cannot_be_read_is_tried_again():
    """
    While the service does not answer for a job, nothing is recorded and nothing is sent; it is read again soon.
    """

    async def act(stand):
        stand.world.knobs = replace(stand.world.knobs, faults=(Fault(operation="show", kind="status", status=403),))
        wake = await pass_by(stand, 3)
        assert 0 < wake - stand.target.source.now_ms() <= 5_000
        assert (stand.sent(), await stand.raw.intents()) == (0, [])
        stand.world.knobs = replace(stand.world.knobs, faults=())
        await pass_by(stand, 1)
        assert stand.accepted() == ["job-1"]

    recalled(act, due_in(2))


async def disarm(stand):
    stand.armed = False
    await restart(stand)


async def pause(stand):
    await stand.raw.set_pause(Pause(reason="a test", since_ms=0))


async def lose_the_lease(stand):
    stand.lease.holding = False


@pytest.mark.parametrize("shut", [disarm, pause, lose_the_lease])
def test_a_closed_gate_reads_nothing(shut):
    """
    While nothing may be sent, the known jobs are not even read.
    """

    async def act(stand):
        await shut(stand)
        await pass_by(stand, 3)
        assert (stand.calls.of("show"), stand.sent()) == ([], 0)

    recalled(act, due_in(2))


def test_an_old_inventory_holds_back():
    """
    A share of the running jobs needs an inventory of the last three walks, be it an earlier process's.
    """

    async def act(stand):
        await stand.walk()
        stand.clock.seconds += 181
        await restart(stand)
        await pass_by(stand, 0)
        assert stand.calls.of("show") == []
        await stand.walk()
        assert stand.accepted() == ["job-1"]

    on_stand(act, due_in(2), limits=Limits())


def test_the_limit_counts_across_a_restart():
    """
    What an earlier process sent within the window leaves no room for the known jobs of the next one.
    """

    async def act(stand):
        await stand.walk()
        assert stand.accepted() == ["job-1"]
        await restart(stand)
        await pass_by(stand, 3)
        assert stand.accepted() == ["job-1"]
        assert "job-2" not in [call.job_id for call in stand.calls.of("show")]

    on_stand(act, running(), due_in(2, "job-2"), limits=Limits(max_terminations=1, max_percent_of_running=None))


@pytest.mark.parametrize("walk", [None, Walk(target="lab", scope="other", started_ms=0, finished_ms=NOW_MS, running=1)])
def test_another_scope_knows_nothing(walk):
    """
    Jobs that were known when something else belonged to the target are not watched, and are forgotten by the next walk.
    """

    async def act(stand):
        key = JobKey(region="cn-north-4", project_id="elsewhere", job_id="job-9")
        job = Job(key=key, target="lab", read_at_ms=NOW_MS, phase="Running")
        await stand.raw.remember([observe(None, job)], facts={key: job})
        if walk is not None:
            await stand.raw.note_walk(walk)
        assert await restart(stand) == 0
        assert stand.view.complete == {}
        await stand.walk()
        assert [one.key.job_id for one, _ in await stand.raw.known("lab")] == ["job-1"]
        assert (await stand.raw.walked("lab")).scope == stand.target.source.scope()

    on_stand(act, due_in(2))


def test_what_a_walk_does_not_find():
    """
    A complete walk ends the watch over a known job that it does not find, in the ledger too once its end was read.
    """

    async def act(stand):
        stand.clock.seconds += 60
        end(stand)
        await stand.walk()
        assert [key.job_id for key in stand.view.keys_of("lab")] == ["job-2"]
        await stand.read_ends()
        assert [one.key.job_id for one, _ in await stand.raw.known("lab")] == ["job-2"]
        assert not any(one.recalled for one in stand.view.watched.values())
        assert await restart(stand) == 1

    recalled(act, due_in(2), due_in(3, "job-2"))


def test_ten_thousand_known_jobs():
    """
    A large fleet is watched, with all its deadlines, before anything was asked of the service.
    """
    count = 10_000

    async def act(stand):
        await stand.walk()
        like = next(iter(await stand.raw.known("lab")))[0]
        jobs = [replace(like, key=replace(like.key, job_id=f"known-{number}")) for number in range(count)]
        await stand.raw.remember([observe(None, one) for one in jobs], facts={one.key: one for one in jobs})
        assert await restart(stand) == count + 1
        assert len(stand.cycle.deadlines["lab"]) == count + 1

    on_stand(act, due_in(2))


def test_what_a_walk_writes():
    """
    Only what changed is written; a job that ran on costs nothing until its row has become old.
    """

    async def act(stand):
        async def kept(minutes):
            stand.clock.seconds += minutes * 60
            written = []
            stand.cycle.remembering.ledger = Counting(stand.raw, written)
            await stand.walk()
            return sum(written)

        assert await kept(0) == 3
        assert await kept(1) == 0
        stand.world.restart("job-1")
        assert await kept(1) == 1
        end(stand, "job-2")
        assert await kept(1) == 1
        await stand.read_ends()
        assert len(await stand.raw.known("lab")) == 2
        assert await kept(30) == 2

    on_stand(act, *(due_in(600, f"job-{number}") for number in range(3)))


class Counting:
    """
    A ledger that tells how many rows of memory were written.
    """

    def __init__(self, inner, written):
        self._inner, self._written = inner, written

    def __getattr__(self, name):
        return getattr(self._inner, name)

    @property
    def history(self):
        return CountingHistory(self._inner.history, self._written)

    async def remember(self, sightings, **facts):
        self._written.append(len(sightings))
        await self._inner.remember(sightings, **facts)


class CountingHistory:
    """
    Its history, which writes memory too.
    """

    def __init__(self, inner, written):
        self._inner, self._written = inner, written

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def put(self, ends, *, seen, **facts):
        self._written.append(len(seen))
        await self._inner.put(ends, seen=seen, **facts)


def test_the_last_memory_of_a_job_that_left_is_kept():
    """
    A job that left and comes back goes on with its memory as it was last seen, though its row had not been renewed; until
    then it has no deadline.
    """

    async def act(stand):
        await stand.walk()
        stand.clock.seconds += 300
        await stand.walk()
        key = next(iter(stand.view.watched))
        last = stand.view.seen(key)
        assert len(stand.cycle.deadlines["lab"]) == 1
        end(stand)
        stand.clock.seconds += 60
        await stand.walk()
        assert key not in stand.view.watched
        assert len(stand.cycle.deadlines["lab"]) == 0
        assert await stand.raw.sightings([key]) == {key: last}
        assert [job.key for job, _ in await stand.raw.known("lab")] == [key]
        await stand.read_ends()
        assert list(await stand.raw.known("lab")) == []

    on_stand(act, due_in(600))


HALF_MS = REFRESH_MS // 2
JOB = Job(
    key=JobKey(region="r", project_id="p", job_id="j"),
    target="lab",
    read_at_ms=NOW_MS,
    phase="Running",
    start_time_ms=NOW_MS - HOUR_MS,
    duration_ms=HOUR_MS,
)


def kept_row():
    """
    A watched job whose reading is on record.
    """
    seen = observe(None, JOB)
    one = Watched(JOB, seen, 0, 0, None, NOW_MS)
    one.keep(seen)
    return one


@pytest.mark.parametrize(
    ("later_ms", "clock_ms", "told"),
    [
        pytest.param(0, 0, True, id="itself"),
        pytest.param(60_000, DRIFT_MS, True, id="clock-on-the-edge"),
        pytest.param(60_000, -DRIFT_MS - 1, False, id="clock-moved"),
        pytest.param(HALF_MS - 1, 0, True, id="young"),
        pytest.param(REFRESH_MS, 0, False, id="old"),
        pytest.param(-1, 0, False, id="older-than-the-record"),
    ],
)
def test_when_the_record_serves(later_ms, clock_ms, told):
    """
    A record serves until something but time changed, its clock is off by more than 2 s, or it is old.
    """
    one = kept_row()
    later = replace(JOB, read_at_ms=NOW_MS + later_ms, duration_ms=HOUR_MS + later_ms - clock_ms)
    seen = replace(observe(one.seen, later), last_seen_ms=NOW_MS + later_ms)
    assert one.is_told_by_record(later, seen) is told


def test_nothing_on_record_tells_nothing():
    """
    A job that was never written down is news.
    """
    seen = observe(None, JOB)
    assert not Watched(JOB, seen, 0, 0, None, NOW_MS).is_told_by_record(JOB, seen)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"duration_ms": HOUR_MS + 60_000}, True, id="ran-on"),
        pytest.param({"duration_ms": 0}, False, id="duration-gone"),
        pytest.param({"duration_ms": HOUR_MS + 63_000}, False, id="duration-jumped"),
        pytest.param({"start_time_ms": NOW_MS}, False, id="started-anew"),
        pytest.param({"phase": "Terminating", "duration_ms": HOUR_MS + 60_000}, False, id="phase"),
        pytest.param({"annotations": {"a": "b"}, "duration_ms": HOUR_MS + 60_000}, False, id="annotation"),
        pytest.param({"user": "ann", "duration_ms": HOUR_MS + 60_000}, False, id="user"),
        pytest.param({"node_counts": ((1, 2),), "duration_ms": HOUR_MS + 60_000}, False, id="nodes"),
        pytest.param({"resources": (Resource(node_count=2),), "duration_ms": HOUR_MS + 60_000}, False, id="resources"),
    ],
)
def test_what_counts_as_a_change(changes, told):
    """
    A minute later, only a job whose duration grew by that minute and whose facts are the same needs no new row.
    """
    one = kept_row()
    later = replace(JOB, read_at_ms=NOW_MS + 60_000, **changes)
    assert one.is_told_by_record(later, observe(one.seen, later)) is told
