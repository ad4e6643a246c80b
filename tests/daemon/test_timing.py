"""
When a job is stopped: deadlines between walks, due moments, later attempts, and clocks that are set.
"""

import asyncio
from fractions import Fraction

import pytest
from daemon_stand import HOUR_MS, OBSERVED, ONE_DAY, on_stand, running

from guard.core.facts import JobKey
from guard.core.limits import Limits
from guard.core.records import Pause
from guard.daemon.cycle import CHUNK
from guard.errors import LedgerUnusable
from guard.simulator import Fault
from tests.changing import replace

MINUTE_MS = 60_000
ANY_RUNNING = ONE_DAY.replace(", duration: {gt: 24h}", "")


def key_of(stand, job_id="job-1"):
    """
    The identity of a job of the stand.
    """
    return JobKey(region="cn-north-4", project_id=stand.world.site.project_id, job_id=job_id)


def limits(total=None, percent=None):
    """
    Limits over an hour.
    """
    return Limits(max_terminations=total, max_percent_of_running=None if percent is None else Fraction(percent))


def test_a_deadline_fires_at_its_millisecond():
    """
    Between walks a job is left alone until the first millisecond of its match, and stopped in it.
    """

    async def act(stand):
        await stand.walk()
        start_ms = stand.world.job("job-1").start_time_ms
        deadline_ms = start_ms + 24 * HOUR_MS + 1
        assert await stand.cycle.decide_due(stand.target) == deadline_ms
        stand.clock.seconds = (deadline_ms - 1) / 1000
        await stand.cycle.decide_due(stand.target)
        assert stand.cycle.drives.under_way == {}
        stand.clock.seconds = (deadline_ms + 0.5) / 1000
        await stand.cycle.decide_due(stand.target)
        await stand.settle()
        intent = await stand.intent()
        assert intent.draft.deadline_ms == intent.draft.due_ms == deadline_ms
        assert intent.outcome == "confirmed"
        assert intent.lateness_ms <= 1_000

    on_stand(act, running(hours=23.9))


@pytest.mark.parametrize("early_ms", [0, 40], ids=["at-its-moment", "a-little-before-the-moment-that-was-awaited"])
def test_a_walk_that_reads_a_due_job_leaves_it_due(early_ms):
    """
    A job that a page of a walk shows right at its deadline is acted on by its deadline: the walk itself goes on for long.
    """

    async def act(stand):
        await stand.walk()
        awaited_ms = stand.cycle.deadlines["lab"].next_ms()
        # What the page says may put the deadline a little before the moment that was awaited.
        stand.world.job("job-1").start_time_ms -= early_ms
        stand.clock.seconds = (awaited_ms - early_ms + 1) / 1000
        job = replace(await stand.target.source.read("job-1"), read_at_ms=awaited_ms - early_ms)
        for _ in range(3):
            assert await stand.cycle.take(stand.target, [job]) == [job.key]
        assert stand.cycle.drives.under_way == {}
        await stand.cycle.decide_due(stand.target)
        await stand.settle()
        assert (await stand.intent()).outcome == "confirmed"
        assert await stand.cycle.take(stand.target, [job]) == []
        assert await stand.cycle.decide_due(stand.target) is None
        assert len(stand.accepted()) == 1

    on_stand(act, running(hours=23.9))


def test_matches_of_a_first_walk_wait_for_each_other():
    """
    Jobs that break a policy when they are first seen are planned together, the oldest deadline first, and not page by page.
    """

    async def act(stand):
        younger, older = [await stand.target.source.read(name) for name in ("job-1", "job-2")]
        for page in ([younger], [older]):
            await stand.cycle.take(stand.target, page)
            assert await stand.cycle.decide_due(stand.target) is None
        assert stand.accepted() == []
        await stand.cycle.act([younger.key, older.key])
        await stand.settle()
        assert stand.accepted() == ["job-2"]

    on_stand(act, running(hours=25), running("job-2", hours=26), limits=limits(1))


def test_a_deadline_whose_act_fails_stays_due():
    """
    A deadline is not lost when the ledger fails at its moment.
    """

    async def act(stand):
        def fail():
            raise LedgerUnusable("a test")

        await stand.walk()
        stand.hooks.before("intended", fail)
        stand.clock.seconds += 3600
        with pytest.raises(LedgerUnusable):
            await stand.cycle.decide_due(stand.target)
        await stand.cycle.decide_due(stand.target)
        await stand.settle()
        assert len(stand.accepted()) == 1

    on_stand(act, running(hours=23.5))


@pytest.mark.parametrize(
    ("what", "change", "due_ms"),
    [
        pytest.param("deadline", lambda stand: None, None, id="deadline"),
        pytest.param("policy", lambda stand: stand.take(ANY_RUNNING), 3_600_000, id="policy-in-force"),
    ],
)
def test_due(what, change, due_ms):
    """
    Due is the latest of the deadline, the first sight, and the policy's coming into force.
    """

    async def act(stand):
        await stand.walk()
        first_ms = stand.target.source.now_ms()
        stand.clock.seconds += 3_600
        change(stand)
        await stand.cycle.decide_all()
        await stand.settle()
        intent = await stand.intent()
        expected = intent.draft.deadline_ms if due_ms is None else first_ms + due_ms
        assert abs(intent.draft.due_ms - expected) <= 1_000

    on_stand(act, running(hours=23.5))


def test_due_after_a_hold():
    """
    A job that was held back is due from the moment at which the hold fell.
    """

    async def act(stand):
        await stand.raw.set_pause(Pause(reason="x", since_ms=0))
        await stand.walk()
        stand.clock.seconds += 120
        await stand.raw.set_pause(None)
        await stand.cycle.decide_all()
        await stand.settle()
        intent = await stand.intent()
        assert abs(intent.draft.due_ms - intent.created_ms) <= 1
        assert intent.outcome == "confirmed"

    on_stand(act, running())


def test_retry_later():
    """
    After a refusal the job waits for 15 minutes, then 30, unless its facts change; each wait is one finding.
    """

    async def act(stand):
        stand.world.knobs = replace(stand.world.knobs, faults=(Fault(operation="terminate", kind="status", status=403),))

        async def walk_after(seconds):
            stand.clock.seconds += seconds
            await stand.walk()
            return stand.sent()

        assert [await walk_after(one) for one in (0, 600, 360, 900, 960)] == [1, 1, 2, 2, 3]
        assert [one.draft.attempt for one in await stand.raw.intents()] == [3, 2, 1]
        stand.world.job("job-1").annotations["team"] = "vision"
        assert await walk_after(1) == 4
        reasons = [one.reason for _, one in await stand.raw.findings()]
        assert reasons == ["retry_later"]

    on_stand(act, running())


def test_after_the_gate_opens_it_is_tried_at_once():
    """
    An intent that only the gate stopped is planned again without a wait.
    """

    async def act(stand):
        stand.hooks.after("intended", lambda: stand.raw.set_pause(Pause(reason="x", since_ms=0)))
        await stand.walk()
        await stand.raw.set_pause(None)
        await stand.walk()
        assert [one.outcome for one in await stand.raw.intents()] == ["confirmed", "held_back"]

    on_stand(act, running())


def test_a_run_that_began_anew_is_a_new_case():
    """
    A restarted job is judged by its new run, and may be stopped again in it.
    """

    async def act(stand):
        await stand.walk()
        stand.clock.seconds += 60
        stand.world.restart("job-1")
        stand.clock.seconds += 1
        await stand.walk()
        assert [one.draft.run for one in await stand.raw.intents()] == [2, 1]
        assert stand.accepted() == ["job-1", "job-1"]

    on_stand(act, running(), text=ANY_RUNNING)


@pytest.mark.parametrize("how", ["walk", "deadline"])
@pytest.mark.parametrize("duration", ["ticks", "still"])
def test_a_clock_that_is_set_ahead_stops_nobody_early(how, duration):
    """
    When this machine's clock is set, nothing is sent until enough answers have told the service's time anew.
    """

    async def act(stand):
        for _ in range(4):
            await stand.walk()
            stand.clock.seconds += 60
        stand.clock.behind = -3_600
        if how == "deadline":
            await stand.cycle.decide_due(stand.target)
            await stand.settle()
        for _ in range(10):
            await stand.walk()
            stand.clock.seconds += 60
        assert stand.sent() == 0
        stand.clock.behind = 0
        for _ in range(60):
            await stand.walk()
            stand.clock.seconds += 60
        assert stand.accepted() == ["job-1"]
        assert (await stand.raw.intents())[0].accepted_ms > stand.world.job("job-1").start_time_ms + 24 * HOUR_MS

    on_stand(act, running(hours=23.5), knobs={"duration": duration})


def test_many_deadlines_of_one_moment_do_not_stop_all_else():
    """
    While thousands of jobs are decided on because one moment is the deadline of all, other tasks have their turns.
    """

    async def act(stand):
        await stand.walk()
        (job,) = (one.job for one in stand.view.watched.values())
        jobs = [replace(job, key=key_of(stand, f"job-{n}")) for n in range(3 * CHUNK)]
        await stand.cycle.take(stand.target, jobs)
        stand.clock.seconds += 3_600
        decided, deciding = set(), asyncio.create_task(stand.cycle.decide_due(stand.target))
        while not deciding.done():
            await asyncio.sleep(0)
            decided.add(len(stand.view.decisions))
        assert {CHUNK, 2 * CHUNK, 3 * CHUNK} <= decided

    on_stand(act, running("job-0", hours=23.5), text=OBSERVED)


def test_one_deadline_does_not_cost_a_look_at_every_job():
    """
    Acting on one job asks nothing of the others that are watched.
    """

    async def act(stand):
        await stand.walk()
        shown = stand.value("verdicts", policy="one-day", verdict="NO_MATCH")
        assert shown == 40
        asked = []
        watched = stand.view.watched

        class Watching(dict):
            def values(self):
                asked.append("values")
                return super().values()

            def items(self):
                asked.append("items")
                return super().items()

            def __iter__(self):
                asked.append("iter")
                return super().__iter__()

        stand.view.watched = Watching(watched)
        stand.clock.seconds += 7_201
        await stand.cycle.decide_due(stand.target)
        assert len(stand.cycle.drives.under_way) == 1
        assert asked == []
        await stand.settle()

    on_stand(act, running("job-0", hours=23), *(running(f"other-{n:02}", hours=1) for n in range(39)))


def test_a_reading_that_is_behind_by_a_moment_is_not_read_for_ever():
    """
    A match that lies some milliseconds ahead of a fresh reading is waited for on that reading; the job is read once.
    """

    async def act(stand):
        await stand.walk()
        # The service counts the run from a moment later than it said, as a reading does that was long on its way.
        stand.world.job("job-1").start_time_ms += 300
        stand.clock.seconds += 1_800.05
        await stand.cycle.decide_due(stand.target)
        await stand.settle()
        intent = await stand.intent()
        assert (intent.outcome, len(stand.accepted())) == ("confirmed", 1)
        before_the_call = [call for call in stand.calls.entries if call.operation in ("show", "terminate")]
        assert [call.operation for call in before_the_call[:2]] == ["show", "terminate"]

    on_stand(act, running(hours=23.5), knobs={"duration": "ticks"})
