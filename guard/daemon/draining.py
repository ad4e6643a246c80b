"""
The end of a daemon: the signals that ask for it, and what is on its way gets some time before it is left to the next start.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


@contextlib.contextmanager
def obeyed(handlers: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """
    Call these handlers when their signals come, on the event loop, while the context lasts.
    """
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


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
