"""
A ledger with something of every kind in it, whoever changes it by hand, and what the verification says then.
"""

import asyncio
import sqlite3
from contextlib import closing as at_end
from decimal import Decimal

from ledger_cases import HOSTILE, draft_of, named
from test_ledger_savings import BASIS, WORK, assumed

from guard.core.clawback import Clawback
from guard.core.hashchain import GENESIS, Entry, Kept, chained
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Pause
from guard.ledger import open_ledger
from guard.ledger.audit import heads
from guard.ledger.auditing import Verified, verify

LONG = "because " * 20
CONFIRMED = Closing(outcome=Outcome.CONFIRMED, note=LONG, cost=Decimal("1.10"), savings_upper=Decimal("24.68"), basis=BASIS)


async def acted(ledger) -> None:
    """
    Write something of every kind: a confirmed termination with an estimate and a claw-back (1), one that was denied and
    refused (2), one that is on its way (3), one of another target (4), and a pause that was lifted and one that was not.
    """
    first = await ledger.open_intent(draft_of("job-1", work=WORK, reason=LONG), at_ms=100, quota=None)
    await ledger.advance(first.number, State.SENDING, at_ms=110)
    second = await ledger.open_intent(draft_of("job-2", facts={"name": HOSTILE["controls"]}), at_ms=115, quota=None)
    await ledger.advance(first.number, State.ACCEPTED, at_ms=120, note="202")
    await ledger.set_pause(Pause(reason="a freeze", since_ms=121, by="ann"))
    await ledger.close(first.number, CONFIRMED, at_ms=130)
    await ledger.set_pause(None, at_ms=131)
    await ledger.advance(second.number, State.SENDING, at_ms=140)
    await ledger.advance(second.number, State.DENIED, at_ms=141, note=HOSTILE["lone-surrogate"])
    await ledger.close(second.number, Closing(outcome=Outcome.REFUSED, note="no right"), at_ms=142)
    await ledger.savings.put({one.number: assumed(one) for one in await ledger.savings.pending(limit=9)})
    for amount, at_ms in (("1.5", 150), ("2.5", 151)):
        taken = Clawback(
            number=first.number, key=named("job-9"), run=1, amount=Decimal(amount), currency="CNY", assumed=True
        )
        await ledger.savings.claw_back([taken], at_ms=at_ms)
    await ledger.open_intent(draft_of("job-3"), at_ms=160, quota=None)
    await ledger.advance(3, State.SENDING, at_ms=161)
    await ledger.open_intent(draft_of("job-4", target="south"), at_ms=170, quota=None)
    await ledger.close(4, Closing(outcome=Outcome.HELD_BACK, note="paused"), at_ms=171)
    await ledger.set_pause(Pause(reason=LONG, since_ms=180, until_ms=190, by="bob"))


def looked(url, work):
    """
    Return what *work* finds in a ledger that is opened for reading only.
    """

    async def inside():
        ledger = await open_ledger(url, read_only=True)
        try:
            return await ledger.read("be looked at", work)
        finally:
            await ledger.aclose()

    return asyncio.run(inside())


def verified(url, *kept) -> Verified:
    """
    Verify a ledger against heads that were kept.
    """
    return looked(url, lambda at: verify(at, Kept.of(kept)))


def heads_of(url):
    """
    Return the heads of a ledger by chain.
    """
    return {head.chain: head for head in looked(url, heads)}


def told(url, *kept):
    """
    Return the differences as (chain, position, intent, what).
    """
    return [(one.chain, one.position, one.intent, one.what) for one in verified(url, *kept).differences]


def changed(url, *statements) -> None:
    """
    Change a ledger as somebody with a shell would.
    """
    with at_end(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def rehashed(url, chain) -> None:
    """
    Write the positions and hashes of a chain anew, so that it follows again whatever was done to it.
    """
    with at_end(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        wanted = "SELECT rowid, at_ms, kind, intent, content FROM audit WHERE chain = ? ORDER BY position"
        rows, previous = database.execute(wanted, (chain,)).fetchall(), GENESIS
        database.execute("UPDATE audit SET position = -position WHERE chain = ?", (chain,))
        for position, (rowid, *rest) in enumerate(rows, 1):
            previous = chained(previous, Entry(chain, position, *rest))
            database.execute("UPDATE audit SET position = ?, hash = ? WHERE rowid = ?", (position, previous, rowid))
        database.commit()
