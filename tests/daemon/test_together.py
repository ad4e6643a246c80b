"""
What several calls came to is told of each, also if there is only one.
"""

import asyncio

import pytest

from guard.daemon.together import ends_of
from guard.errors import LedgerUnusable


async def _call(end):
    await asyncio.sleep(0)
    if isinstance(end, BaseException):
        raise end
    return end


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param([], id="none"),
        pytest.param([1], id="one"),
        pytest.param([LedgerUnusable("full")], id="one-that-fails"),
        pytest.param([1, LedgerUnusable("full"), 2], id="several"),
    ],
)
def test_each_call_has_its_own_end(ends):
    """
    A failure is one of the ends, and hides none of the others.
    """
    assert asyncio.run(ends_of([_call(one) for one in ends])) == ends


@pytest.mark.parametrize("count", [1, 2])
def test_who_is_cancelled_takes_the_calls_along(count):
    """
    A cancelled caller leaves no call behind, and is cancelled itself.
    """

    async def play():
        left = []

        async def call():
            try:
                await asyncio.Event().wait()
            finally:
                left.append(None)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ends_of([call() for _ in range(count)])
        await asyncio.sleep(0)
        return len(left)

    assert asyncio.run(play()) == count
