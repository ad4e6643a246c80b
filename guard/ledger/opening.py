"""
Opens a ledger by its URL, and makes or migrates it if need be.
"""

import asyncio

from guard.errors import LedgerUnusable
from guard.ledger import schema
from guard.ledger.engine import absence, make_engine, parse, place, probe, redacted
from guard.ledger.failing import named
from guard.ledger.glance import AtOnce
from guard.ledger.sql import SqlLedger


async def open_ledger(url: str, *, read_only: bool = False) -> SqlLedger:
    """
    Open a ledger such as ``sqlite:///guard.db`` (``sqlite://`` keeps it in memory), made or migrated if need be.

    With *read_only* nothing is made, migrated or written, so that it can be read beside the process that acts on it. Raises
    ``LedgerUnusable``. Close it with ``aclose``.
    """
    parsed = parse(url)
    name = redacted(parsed)
    with named(name, "be opened" + absence(place(parsed), read_only=read_only)):
        await asyncio.to_thread(probe, parsed, read_only=read_only)
    ledger = SqlLedger(make_engine(parsed, read_only=read_only), name=name, read_only=read_only)
    try:
        ready = await ledger.read("be opened", schema.check)
        if not ready and read_only:
            raise LedgerUnusable(f"ledger {name} is not of this version yet; start the guard on it once to set it up")
        if not ready:
            await ledger.write("be set up", schema.upgrade)
        ledger.paused.glance(parsed)
        ledger.breaker.looked.glance(parsed)
        if place(parsed) is not None:
            ledger.at_once = AtOnce(parsed)
    except BaseException:
        await ledger.aclose()
        raise
    return ledger
