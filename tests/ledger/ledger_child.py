"""
Processes of their own for the tests: they use a ledger and die as they are told.

Run as ``python ledger_child.py WHAT URL [ARGUMENTS]``.
"""

import asyncio
import os
import resource
import signal
import sys
import time

from ledger_cases import DRAFT, HOSTILE, draft_of

from guard.core.protocol import State
from guard.core.records import Quota
from guard.errors import LedgerUnusable
from guard.ledger import SqlLease, open_ledger


class RealClock:
    """
    The clocks of this machine.
    """

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


async def intend_and_die(url: str, how: str) -> None:
    """
    Record an intent and a step, and end without any farewell right after.
    """
    ledger = await open_ledger(url)
    intent = await ledger.open_intent(DRAFT, at_ms=1, quota=None)
    await ledger.advance(intent.number, State.SENDING, at_ms=2)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


async def race(url: str, jobs: str, quota: str) -> None:
    """
    Open as many intents as the quota allows, racing with others; print how many.
    """
    ledger = await open_ledger(url)
    room = Quota(total=int(quota), since_ms=0)
    wanted = [ledger.open_intent(draft_of(f"job-{index}"), at_ms=1, quota=room) for index in range(int(jobs))]
    print(sum(intent is not None for intent in await asyncio.gather(*wanted)))  # noqa: T201
    await ledger.aclose()


async def fill(url: str, limit: str) -> None:
    """
    Write intents until no file of this process may grow any more; print how many were recorded, then the refusal.
    """
    ledger = await open_ledger(url)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    made = 0
    try:
        while True:
            await ledger.open_intent(draft_of(f"job-{made}", reason=HOSTILE["very-long"][:5_000]), at_ms=1, quota=None)
            made += 1
    except LedgerUnusable as error:
        print(made)  # noqa: T201
        print(error)  # noqa: T201
    await ledger.aclose()


async def hold(url: str, how: str) -> None:
    """
    Take the lease, say so, and die or wait to be ended.
    """
    ledger = await open_ledger(url)
    await SqlLease(ledger, "the child", RealClock(), shared=False).acquire()
    print("held", flush=True)  # noqa: T201
    if how == "die":
        os._exit(3)
    sys.stdin.read()
    await ledger.aclose()


if __name__ == "__main__":
    works = {"intend": intend_and_die, "race": race, "fill": fill, "hold": hold}
    asyncio.run(works[sys.argv[1]](*sys.argv[2:]))
