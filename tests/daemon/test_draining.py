"""
The signals that end a daemon.
"""

import asyncio
import os
import signal

import pytest

from guard.daemon.draining import obeyed


@pytest.mark.parametrize("answers", [0, 100_000], ids=["quiet", "flooded"])
def test_a_signal_is_obeyed_however_busy_the_loop_is(answers):
    """
    Also one that comes while a turn of the loop takes long and other threads have filled the pipe that is to wake it.
    """

    async def run():
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        with obeyed({signal.SIGTERM: stop.set}):
            await asyncio.sleep(0)
            for _ in range(answers):
                loop.call_soon_threadsafe(bool)
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                await stop.wait()

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(run())
    assert signal.getsignal(signal.SIGTERM) is before


def test_two_signals_have_their_own_handlers():
    """
    Each signal calls what it is to call, as often as it comes.
    """

    async def run():
        come = []
        with obeyed({signal.SIGTERM: lambda: come.append("stop"), signal.SIGHUP: lambda: come.append("reload")}):
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
                os.kill(os.getpid(), number)
                await asyncio.sleep(0.01)
        assert come == ["reload", "stop", "stop"]

    asyncio.run(run())
