"""
The end of a daemon: what is on its way gets some time, and what is left then is left to the next start.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

log = structlog.get_logger("guard")


async def drained(tasks: Sequence[asyncio.Task[Any]], *, ending: asyncio.Event, within_s: float) -> None:
    """
    Let the intents on their way finish, until *ending* or the time is over; what is left stays open in the ledger.
    """
    if tasks and not ending.is_set():
        told = asyncio.create_task(ending.wait())
        done = asyncio.create_task(asyncio.wait(tasks))
        await asyncio.wait([told, done], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        done.cancel()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    log.info("guard.stopped", left_open=sum(task.cancelled() for task in tasks))
