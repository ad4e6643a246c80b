"""
One plan for all who ask while another one is made.
"""

import asyncio
import contextlib

import pytest
from daemon_stand import on_stand, running
from test_cycle import key_of

from guard.daemon.joint import Joint
from guard.errors import LeaseLost, LedgerUnusable


class Acts:
    """
    Notes what each act was about, and waits in it until it may end.
    """

    def __init__(self):
        self.about, self.may_end, self.failing = [], asyncio.Event(), None
        lock = asyncio.Lock()
        self.joint = Joint(acted=self.act, turn=lambda: lock)

    async def act(self, keys):
        self.about.append(keys)
        await self.may_end.wait()
        if self.failing is not None:
            raise self.failing
        return len(self.about)

    async def begun(self, *asked):
        """
        Return a task for each asked of these, all of which have asked.
        """
        tasks = [asyncio.create_task(self.joint(keys)) for keys in asked]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks


def on_acts(act):
    """
    Run *act* with acts of which none is on its way.
    """

    async def run():
        await act(Acts())

    asyncio.run(run())


def test_those_who_ask_meanwhile_share_the_next():
    """
    What twenty ask for while one act is on its way is done by one more, each job once.
    """

    async def act(acts):
        first = await acts.begun(["a"])
        rest = await acts.begun(*[[f"job-{n}", "b"] for n in range(20)])
        acts.may_end.set()
        assert await asyncio.gather(*first, *rest) == [1] + [2] * 20
        assert acts.about == [["a"], ["job-0", "b", *(f"job-{n}" for n in range(1, 20))]]
        assert await acts.joint(["c"]) == 3

    on_acts(act)


def test_one_that_is_cancelled_takes_nothing_from_the_others():
    """
    The act goes on, with what the cancelled one asked for, and whoever has to know when it is over can wait for that.
    """

    async def act(acts):
        left, right = await acts.begun(["a"], ["b"])
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        quiet = asyncio.create_task(acts.joint.quiet())
        await asyncio.sleep(0)
        assert (acts.about, quiet.done()) == ([["a", "b"]], False)
        acts.may_end.set()
        await quiet
        assert await right == 1

    on_acts(act)


def test_a_failure_is_told_to_all_and_ends_with_them():
    """
    Everybody who shared the act gets what it raised; the next one begins anew.
    """

    async def act(acts):
        acts.failing = LedgerUnusable("a test")
        tasks = await acts.begun(["a"], ["b"])
        acts.may_end.set()
        for task in tasks:
            with pytest.raises(LedgerUnusable, match="a test"):
                await task
        acts.failing = None
        assert await acts.joint(["c"]) == 2
        assert acts.about == [["a", "b"], ["c"]]
        await acts.joint.quiet()

    on_acts(act)


def test_each_is_told_of_its_own_jobs():
    """
    Two acts at once are planned together, and each returns what is about its own jobs.
    """

    async def act(stand):
        await stand.cycle.walk(stand.target)
        old, other = await asyncio.gather(
            stand.cycle.act([key_of(stand, "old"), key_of(stand, "young")]), stand.cycle.act([key_of(stand, "other")])
        )
        assert [one.key.job_id for one in old.held] == ["old"]
        assert [one.key.job_id for one in other.held] == ["other"]

    on_stand(act, running("old"), running("young", hours=1), running("other", hours=30), armed=False)


def test_a_target_that_is_lost_keeps_no_other_from_its_intents():
    """
    Of two hundred that are ordered together all but those of the lost target are on record, and driven.
    """

    async def act(stand):
        lost = key_of(stand, "job-000")
        record = stand.ledger.open_intent

        async def open_intent(draft, **options):
            if draft.key == lost:
                raise LeaseLost("another replica has it")
            return await record(draft, **options)

        stand.ledger.open_intent = open_intent
        with contextlib.suppress(LeaseLost):
            await stand.cycle.walk(stand.target)
            pytest.fail("nothing was raised")
        assert len(await stand.raw.open_intents()) == 199

    on_stand(act, *(running(f"job-{n:03}", hours=250 - n) for n in range(200)))
