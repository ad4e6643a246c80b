"""
What a daemon does for a target begins and ends with its lease.
"""

import asyncio

from daemon_stand import HOUR_MS, NOW_MS, on_stand, running
from test_service import event_after, on_daemon

from guard.core.limits import Limits
from guard.core.protocol import State
from guard.core.records import Walk
from guard.daemon.lettinggo import let_go, look_elsewhere
from guard.ports import Term

SLOW = {"terminate_seconds": 500_000}


async def until(condition):
    """
    Wait until a condition holds; the test's own timeout bounds it.
    """
    while not condition():  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)


def series_of(stand, target):
    """
    The names of the series that are labelled with a target.
    """
    found = stand.metrics.registry.collect()
    return {sample.name for one in found for sample in one.samples if sample.labels.get("target") == target}


def test_a_process_without_a_target_is_on_standby():
    """
    It is ready, says so, asks nothing of the service, and exports no more of a target than that it does not lead it.
    """

    async def act(stand, daemon):
        stand.lease.had.clear()
        async with daemon.running():
            await until(lambda: daemon.service.ready() == [])
            assert daemon.service.notes() == ["on standby: 1 of 1 targets are another replica's now"]
            await daemon.look()
        assert stand.calls.entries == []
        assert stand.value("leader", target="lab") == 0

    on_daemon(act, running())


def test_a_target_that_another_replica_asks_for_is_given():
    """
    Nothing is begun on it any more, its series go, and everything about it is forgotten; taken again, it is walked anew.
    """

    async def act(stand, daemon):
        daemon.service.heart.every_s = 0.5
        async with daemon.running():
            await until(lambda: stand.accepted() == ["job-1"] and daemon.service.ready() == [])
            await until(lambda: not stand.cycle.drives.under_way)
            stand.lease.had["lab"] = Term(token=1, wanted=True)
            await until(lambda: "lab" not in stand.lease.had)
            assert stand.view.watched == {}
            assert series_of(stand, "lab") == {"costguard_leader"}
            assert len(stand.cycle.deadlines["lab"]) == 0
            assert daemon.service.ready() == []
            calls = len(stand.calls.entries)
            await daemon.look()
            assert len(stand.calls.entries) == calls
            stand.lease.had["lab"] = Term(token=3)
            await until(lambda: daemon.service.tenures.now and daemon.service.ready() == [])
            assert stand.value("leader", target="lab") == 1
            assert stand.value("terminations_total", target="lab", policy="one-day", outcome="confirmed") == 1
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running(), running("young", hours=1))


def test_a_lost_target_ends_what_is_on_its_way_without_a_word():
    """
    The intent stays open as it was for the next holder, which confirms it without a second call.
    """

    async def act(stand, daemon):
        daemon.service.heart.every_s = 0.5
        accepted = event_after(stand, "accepted")
        async with daemon.running():
            await accepted.wait()
            stand.lease.had["lab"] = Term(token=1, lost=True)
            await until(lambda: "lab" not in stand.lease.had)
            (left,) = await stand.raw.open_intents()
            assert left.state is State.ACCEPTED
            assert stand.cycle.drives.under_way == {}
            assert daemon.service.ready() == []
            stand.lease.had["lab"] = Term(token=3)
            await until(lambda: stand.cycle.drives.under_way)
            daemon.service.ending.set()
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running(), knobs=SLOW, speed=50.0)


def test_the_heart_beats_while_a_fleet_is_decided_on():
    """
    A look that takes as long as a lease lasts, as after a pause on a large fleet, keeps no renewal waiting.
    """

    async def act(stand, daemon):
        daemon.service.heart.every_s = 0.1
        looking, beats = asyncio.Event(), []

        async def decide_all():
            looking.set()
            await asyncio.Event().wait()

        async def renew():
            beats.append(looking.is_set())
            return True

        async with daemon.running():
            await until(lambda: daemon.service.ready() == [])
            stand.lease.renew, daemon.service.cycle = renew, Deciding(decide_all, stand.cycle)
            daemon.service._undecided = True
            await until(lambda: beats.count(True) >= 2)

    on_daemon(act, running("young", hours=1))


def test_nothing_is_driven_that_nobody_waits_for():
    """
    An intent that a walk records after the daemon was stopped is left open for the next start, with no call on its way.
    """

    async def act(stand, daemon):
        async def stopped():
            daemon.service.stop.set()
            await asyncio.sleep(0.3)

        stand.hooks.before("intended", stopped)
        async with daemon.running() as run:
            await run
            await asyncio.sleep(0.5)
        assert (await stand.steps(), stand.sent()) == (["intended"], 0)

    on_daemon(act, running())


class Deciding:
    """
    A cycle that decides on everything in another way.
    """

    def __init__(self, decide_all, cycle):
        self.decide_all, self._cycle = decide_all, cycle

    def __getattr__(self, name):
        return getattr(self._cycle, name)


def test_an_intent_of_another_replica_is_left_to_it():
    """
    Open intents of targets that another replica acts on are neither driven nor held back here.
    """

    async def act(stand):
        stand.hooks.before("sending", lambda: (_ for _ in ()).throw(RuntimeError("stop here")))
        await stand.walk()
        stand.begin()
        stand.lease.acts_on = lambda key: False
        assert await stand.cycle.resume() == 0
        stand.lease.acts_on = lambda key: True
        stand.cycle.active.clear()
        await stand.cycle.resume()
        assert stand.cycle.drives.under_way == {}
        assert await stand.steps() == ["intended"]
        stand.cycle.active.add("lab")
        assert await stand.cycle.resume() == 1
        await stand.settle()
        assert stand.accepted() == ["job-1"]

    on_stand(act, running())


def test_an_ended_job_stays_ended_when_another_target_goes():
    """
    A page that was read before the end of a job was recorded brings no job back, also if another target went meanwhile.
    """

    async def act(stand):
        page = await stand.read()
        await stand.walk()
        assert stand.accepted() == ["job-1"]
        stand.cycle.view.drop(page[0].key)
        let_go(stand.cycle, stand.targets["other"])
        await stand.cycle.act(await stand.cycle.take(stand.target, page))
        await stand.settle()
        assert (stand.view.watched, list(await stand.raw.findings())) == ({}, [])

    on_stand(act, running(), targets=("lab", "other"))


def test_the_percentage_is_of_the_jobs_of_all_replicas():
    """
    The newest complete walks of targets that others act on count as long as they are fresh, and of the same project.
    """

    async def act(stand):
        await stand.cycle.walk(stand.targets["lab"])
        let_go(stand.cycle, stand.targets["other"])
        stand.cycle.active.discard("other")

        async def allowed(**changes):
            walk = Walk(target="other", scope=stand.target.source.scope(), started_ms=NOW_MS, finished_ms=NOW_MS, running=96)
            await stand.raw.note_walk(type(walk)(**{**{n: getattr(walk, n) for n in walk.__slots__}, **changes}))
            stand.view.complete.pop("other", None)
            stand.view.running.pop("other", None)
            await look_elsewhere(stand.cycle)
            return stand.cycle.planner.room.allowance().total

        assert await allowed() == 25
        assert await allowed(running=196) == 50
        assert await allowed(scope="something else") == 3
        assert await allowed(finished_ms=NOW_MS - HOUR_MS) == 3
        assert await allowed(finished_ms=NOW_MS + HOUR_MS) == 3

    jobs = [running(f"young-{n}", hours=1) for n in range(4)]
    on_stand(act, *jobs, targets=("lab", "other"), limits=Limits(max_terminations=None))
