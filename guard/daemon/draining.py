"""
The end of a daemon: the signals that ask for it, and what is on its way gets some time before it is left to the next start.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


@contextlib.contextmanager
def obeyed(handlers: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """
    Call these handlers when their signals come, on the event loop, while the context lasts; for the main thread.

    The loop's own ``add_signal_handler`` learns the signal from a byte in the pipe that also wakes the loop, and loses it if
    that is full: as when hundreds of answers of the ledger's threads come while one turn of the loop takes long.
    """
    loop, before = asyncio.get_running_loop(), {}
    for number, handler in handlers.items():

        def come(number: int, frame: object, handler: Callable[[], object] = handler) -> None:
            loop.call_soon_threadsafe(handler)

        before[number] = signal.signal(number, come)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)


async def drained(tasks: Sequence[asyncio.Task[Any]], *, ending: asyncio.Event, within_s: float) -> int:
    """
    Let the intents on their way finish, until *ending* or the time is over; return how many are left open in the ledger.
    """
    if tasks and within_s > 0 and not ending.is_set():
        told = asyncio.create_task(ending.wait())
        done = asyncio.create_task(asyncio.wait(tasks))
        await asyncio.wait([told, done], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        done.cancel()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sum(task.cancelled() for task in tasks)
