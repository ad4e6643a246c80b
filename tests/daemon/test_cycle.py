"""
Cycles over several jobs: what is recorded and counted, limits, and readings that overlap.
"""

import asyncio
from fractions import Fraction

import pytest
from daemon_stand import EXEMPT, NONE, OBSERVED, ONE_DAY, on_stand, running

from guard.core.facts import Inventory, JobKey
from guard.core.limits import Limits
from guard.core.records import Pause
from guard.errors import NoAnswer
from guard.modelarts.pace import IN_FLIGHT
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


def test_a_second_cycle_does_nothing_again():
    """
    A job that is on its way, or that was terminated, is neither sent for nor reported again.
    """

    async def act(stand):
        await stand.cycle.walk(stand.target)
        await stand.cycle.walk(stand.target)
        await stand.settle()
        for _ in range(2):
            await stand.walk()
            await stand.cycle.decide_all()
        assert len(await stand.raw.intents()) == stand.sent() == 1
        assert await stand.raw.findings() == []

    on_stand(act, running())


def test_two_cycles_at_once_open_one_intent():
    """
    Walks and deadlines that meet over one job lead to one intent and one call.
    """

    async def act(stand):
        await asyncio.gather(*(stand.cycle.walk(stand.target) for _ in range(4)), stand.cycle.decide_all())
        await stand.settle()
        assert len(await stand.raw.intents()) == stand.sent() == 1

    on_stand(act, running())


def test_a_walk_that_read_before_the_end_does_not_plan_again():
    """
    Readings from before the recorded end of a job lead to no plan, even if the walk that holds them ends later.
    """

    async def act(stand):
        jobs = await stand.read()
        await stand.walk()
        keys = stand.view.take(jobs, now_ms=stand.target.source.now_ms())
        assert stand.view.decisions[keys[0]].terminating is not None
        made = await stand.cycle.act(keys)
        assert (made.orders, made.held) == ((), ())
        assert len(await stand.raw.intents()) == 1

    on_stand(act, running())


def test_stale_decisions_are_not_acted_on():
    """
    What was decided before a policy was withdrawn orders nothing once its turn comes.
    """

    async def act(stand):
        stand.hooks.after("remember", lambda: stand.take(NONE))
        keys = stand.view.take(await stand.read(), now_ms=stand.world.now_ms)
        assert keys == [key_of(stand)]
        stand.take(NONE)
        assert (await stand.cycle.act(keys)).orders == ()
        stand.view.decide_again(keys, now_ms=stand.world.now_ms)
        assert (await stand.cycle.act(keys)).orders == ()
        assert await stand.raw.intents() == []

    on_stand(act, running())


def test_the_oldest_deadline_comes_first():
    """
    When the limit has room for some, those that broke the policy first are served, and the rest are held back once.
    """

    async def act(stand):
        await stand.walk()
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-3", "job-4"]
        held = [one.key.job_id for _, one in await stand.raw.findings() if one.reason == "limit"]
        assert sorted(held) == ["job-0", "job-1", "job-2"]
        assert stand.value("potential_terminations_total", policy="one-day", reason="limit") == 3
        assert stand.value("held_back_jobs", policy="one-day", reason="limit") == 3
        assert stand.value("limit_used_ratio", limit="max_terminations") == 1

    on_stand(act, *(running(f"job-{n}", hours=25 + n) for n in range(5)), limits=limits(2))


def test_limits_hold_when_cycles_race():
    """
    However many cycles run at once, no more intents are opened than the limit allows.
    """

    async def act(stand):
        await asyncio.gather(
            *(stand.cycle.walk(stand.target) for _ in range(5)), *(stand.cycle.decide_all() for _ in range(5))
        )
        await stand.settle()
        assert len(stand.accepted()) == 2
        assert sorted(stand.accepted()) == ["job-6", "job-7"]

    on_stand(act, *(running(f"job-{n}", hours=25 + n) for n in range(8)), limits=limits(2))


def test_the_window_slides():
    """
    When terminations leave the window, those held back are served, before a newcomer with a later deadline.
    """

    async def act(stand):
        await stand.walk()
        assert stand.accepted() == ["job-1"]
        sent_ms = (await stand.intent()).sending_ms
        stand.clock.seconds = sent_ms / 1000 + 3_599
        await stand.read()
        newcomer = key_of(stand, "job-9")
        due = stand.view.decide_again([newcomer], now_ms=stand.target.source.now_ms())
        assert stand.view.decisions[newcomer].terminating is not None
        await stand.cycle.act(due)
        await stand.settle()
        assert stand.accepted() == ["job-1"]
        stand.clock.seconds += 3
        await stand.cycle.act(stand.view.decide_again([newcomer], now_ms=stand.target.source.now_ms()))
        await stand.settle()
        assert stand.accepted() == ["job-1", "job-0"]

    on_stand(act, running("job-0", hours=25), running("job-1", hours=26), running("job-9", hours=24.0), limits=limits(1))


def test_a_percentage_of_running():
    """
    The percentage is of the Running jobs of fresh inventories, allows three at least, and shows its used share.
    """

    async def act(stand):
        await stand.walk()
        assert len(stand.accepted()) == 5
        assert stand.value("limit_used_ratio", limit="max_percent_of_running") == pytest.approx(1)

    long = [running(f"long-{n:02}", hours=30) for n in range(8)]
    short = [running(f"short-{n:02}", hours=1) for n in range(12)]
    on_stand(act, *long, *short, limits=limits(percent=25))


def test_a_stale_inventory_holds_back():
    """
    Without a complete walk among the last three a percentage means nothing, so everything is held back.
    """

    async def act(stand):
        await stand.walk()
        stand.clock.seconds += 200
        await stand.cycle.decide_all()
        assert stand.sent() == 0
        await stand.raw.set_pause(None)
        await stand.cycle.decide_all()
        assert [one.reason for _, one in await stand.raw.findings()] == ["stale_inventory", "paused"]
        assert stand.sent() == 0
        await stand.walk()
        assert len(stand.accepted()) == 1

    async def pausing(stand):
        await stand.raw.set_pause(Pause(reason="x", since_ms=0))
        await act(stand)

    on_stand(pausing, running(), limits=limits(percent=25))


def test_a_pause_is_obeyed_before_the_very_next_call():
    """
    A pause that is set while many intents are on their way stops every call but those that had passed the gate already.
    """

    async def act(stand):
        stand.hooks.after("terminate", lambda: stand.raw.set_pause(Pause(reason="x", since_ms=0)), nth=2)
        await stand.walk()
        outcomes = sorted(one.outcome for one in await stand.raw.intents())
        assert stand.sent() == outcomes.count("confirmed") <= 2 + IN_FLIGHT
        assert outcomes.count("held_back") == 60 - stand.sent()

    on_stand(act, *(running(f"job-{n}") for n in range(60)))


def test_a_job_that_left():
    """
    A job that a complete walk does not show is no longer watched; after an incomplete one it still is.
    """

    async def act(stand):
        await stand.walk()
        stand.clock.seconds += 60
        stand.world.job("job-1").end_time_ms = stand.world.now_ms
        now_ms = stand.world.now_ms
        seen = Inventory(target="lab", jobs=0, complete=False, started_at_ms=now_ms, finished_at_ms=now_ms)
        assert stand.view.close(seen, walk=99) == []
        assert key_of(stand) in stand.view.decisions
        await stand.walk()
        assert key_of(stand) not in stand.view.decisions
        assert key_of(stand) not in stand.view.watched
        assert stand.cycle.held == {}
        assert stand.value("held_back_jobs", policy="one-day", reason="exempt") == 0
        assert stand.value("verdicts", policy="one-day", verdict="MATCH") == 0

    on_stand(act, running(), text=ONE_DAY + EXEMPT)


def test_a_failed_walk_changes_nothing():
    """
    A target that cannot be read raises, is counted, and its jobs are still watched.
    """

    async def act(stand):
        await stand.walk()
        stand.world.knobs = replace(stand.world.knobs, faults=(Fault(operation="list", kind="reset_before"),))
        with pytest.raises(NoAnswer):
            await stand.walk()
        assert key_of(stand) in stand.view.decisions
        assert stand.value("scans_total", target="lab", outcome="failed") == 1

    on_stand(act, running(), text=OBSERVED)
