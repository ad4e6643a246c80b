"""
While a termination is on its way from its deadline to its call, what may wait gives way to it, for a bounded time.
"""

import asyncio
import contextlib

import pytest
from daemon_stand import on_stand, running

from guard.daemon import cycle, enforce, precedence
from guard.daemon.precedence import Precedence
from guard.errors import LedgerUnusable

FOREVER_S = 3600.0


@pytest.fixture
def patient(monkeypatch):
    """
    Let everybody give way without end.
    """
    monkeypatch.setattr(cycle, "LONGEST_PAGE_S", FOREVER_S)
    monkeypatch.setattr(enforce, "LONGEST_CONFIRM_S", FOREVER_S)


async def turns():
    """
    Let everything go on that can.
    """
    for _ in range(200):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def on_its_way(stand):
    """
    A termination whose call is about to go out, until the context ends.
    """
    held, go = asyncio.Event(), asyncio.Event()

    async def hold():
        held.set()
        await go.wait()

    stand.hooks.before("terminate", hold)
    walk = asyncio.create_task(stand.walk())
    await held.wait()
    try:
        yield
    finally:
        go.set()
        await walk


def test_a_page_waits_for_a_termination(patient):
    """
    What a walk has read is taken in when the call was accepted, and not while it is on its way.
    """

    async def act(stand):
        async with on_its_way(stand):
            page = asyncio.create_task(stand.cycle.take(stand.target, []))
            await turns()
            assert not page.done()
        await page
        assert len(stand.accepted()) == 1

    on_stand(act, running())


def test_a_page_waits_no_longer_than_a_moment():
    """
    A termination that takes its time holds no walk up.
    """

    async def act(stand):
        async with on_its_way(stand):
            await stand.cycle.take(stand.target, [])
            assert stand.accepted() == []

    on_stand(act, running())


def test_a_confirmation_gives_way_and_asks_nobody_to(patient):
    """
    An accepted termination is not urgent any more: its confirming read waits for another's call, and no page waits for it.
    """

    async def act(stand):
        reads, another, begun = [], stand.target, asyncio.Event()

        def begin():
            stand.enforcer.precedence.begin([another])
            begun.set()

        stand.hooks.after("terminate", lambda: stand.hooks.before("show", lambda: reads.append(1), nth=0))
        stand.hooks.after("accepted", begin)
        walk = asyncio.create_task(stand.walk())
        await begun.wait()
        await turns()
        assert reads == []
        stand.enforcer.precedence.end([another])
        await asyncio.wait_for(stand.cycle.take(stand.target, []), 20)
        await walk
        assert reads

    on_stand(act, running(), knobs={"terminate_seconds": 2.0})


def test_who_is_due_comes_before_a_page(patient):
    """
    A job has precedence from when it is due on, before its intent is on record; also if that fails, nobody waits afterwards.
    """

    async def act(stand):
        await stand.walk()
        pages = []

        async def begin():
            pages.append(asyncio.create_task(stand.cycle.take(stand.target, [])))
            await turns()
            assert not pages[0].done()
            raise LedgerUnusable("the disk is gone")

        stand.hooks.before("intended", begin)
        stand.clock.seconds += 3600
        with pytest.raises(LedgerUnusable):
            await stand.cycle.decide_due(stand.target)
        await pages[0]
        assert stand.accepted() == []

    on_stand(act, running(hours=23.5))


def test_what_is_being_confirmed_is_not_urgent_when_it_is_due_again(patient):
    """
    A job may be due once more while its termination is confirmed; nobody waits for that.
    """

    async def act(stand):
        accepted, go = asyncio.Event(), asyncio.Event()
        stand.hooks.after("accepted", accepted.set)
        stand.hooks.before("show", go.wait, nth=2)
        walk = asyncio.create_task(stand.walk())
        await accepted.wait()
        (key,) = stand.cycle.drives.under_way
        stand.cycle.deadlines["lab"].put(key, stand.target.source.now_ms())
        await stand.cycle.decide_due(stand.target)
        await asyncio.wait_for(stand.cycle.take(stand.target, []), 20)
        go.set()
        await walk

    on_stand(act, running())


def test_a_drive_that_is_cancelled_before_it_begins_is_not_urgent(patient):
    """
    Whatever becomes of a drive, nobody waits for it afterwards.
    """

    async def act(stand):
        await stand.walk()
        intent = await stand.intent()
        stand.enforcer.precedence.begin([intent.draft.key])
        stand.cycle.drives.begin(intent, stand.target)
        (task,) = stand.cycle.drives.under_way.values()
        task.cancel()
        await asyncio.wait({task})
        await asyncio.wait_for(stand.cycle.take(stand.target, []), 20)

    on_stand(act, running())


def test_one_that_takes_long_holds_up_nobody(patient, monkeypatch):
    """
    A termination that waits for a target which does not answer is not what a page could delay.
    """
    monkeypatch.setattr(precedence, "LONGEST_URGENT_S", 0.0)

    async def act(stand):
        async with on_its_way(stand):
            await asyncio.wait_for(stand.cycle.take(stand.target, []), 20)
            assert stand.accepted() == []

    on_stand(act, running())


def test_giving_way():
    """
    Nobody waits for nothing, for what ended, or longer than asked.
    """

    async def run():
        one = Precedence()
        await one.give_way(FOREVER_S)
        one.begin(["a", "b"])
        one.end(["a"])
        waiting = asyncio.create_task(one.give_way(FOREVER_S))
        await turns()
        assert not waiting.done()
        await one.give_way(0.001)
        one.end(["b"])
        await waiting
        one.end(["b"])
        one.begin([])
        await one.give_way(FOREVER_S)

    asyncio.run(run())
