"""
One reading for all who ask at once, begun after the question of each.
"""

import asyncio

import pytest

from guard.errors import LedgerUnusable
from guard.ledger.sharedread import SharedRead


class Source:
    """
    Something that is read, slowly: each reading says how often was asked before it began.
    """

    def __init__(self):
        self.asked = self.readings = 0
        self.gate = asyncio.Event()
        self.failing = False

    async def read(self):
        self.readings += 1
        said = self.asked
        await self.gate.wait()
        if self.failing:
            raise LedgerUnusable("a test")
        return said


def on_source(act):
    """
    Run *act* with a source and the shared reading of it.
    """

    async def run():
        source = Source()
        await act(source, SharedRead(source.read))

    asyncio.run(run())


def test_those_who_ask_together_share_a_reading():
    """
    Twenty who ask at once cost one reading; one who asks while that is on its way gets the next.
    """

    async def act(source, shared):
        async def ask():
            source.asked += 1
            number = source.asked
            return number, await shared()

        first = [asyncio.create_task(ask()) for _ in range(20)]
        await asyncio.sleep(0.01)
        later = [asyncio.create_task(ask()) for _ in range(5)]
        await asyncio.sleep(0.01)
        assert source.readings == 1
        source.gate.set()
        for number, said in await asyncio.gather(*first, *later):
            assert said >= number
        assert source.readings == 2

    on_source(act)


def test_a_failure_is_told_to_all_and_not_kept():
    """
    Everybody who shared a reading that failed is told, and the next one is a new one.
    """

    async def act(source, shared):
        source.gate.set()
        source.failing = True
        ends = await asyncio.gather(*(shared() for _ in range(3)), return_exceptions=True)
        assert [type(end) for end in ends] == [LedgerUnusable] * 3
        source.failing = False
        assert await shared() == 0

    on_source(act)


def test_who_is_cancelled_takes_nothing_from_the_others():
    """
    One who does not wait any more leaves the reading to those who do.
    """

    async def act(source, shared):
        impatient = asyncio.create_task(shared())
        patient = asyncio.create_task(shared())
        await asyncio.sleep(0.01)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        source.gate.set()
        assert await patient == 0

    on_source(act)
