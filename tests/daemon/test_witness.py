"""
The witness: which heads it tells the log and the metrics, and that it sees a chain that was changed under it.
"""

import asyncio
import time

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from guard.core.hashchain import LEDGER, Head
from guard.core.records import Pause
from guard.daemon.auditmetrics import AuditMetrics
from guard.daemon.witness import Witness, witnessed
from guard.errors import LedgerUnusable
from guard.ledger import audit, open_ledger

PAUSE = Pause(reason="x", since_ms=5)


def looking(ledger):
    """
    Return what looks into the chains of a ledger.
    """

    async def look(told):
        return await ledger.read("give the heads", lambda at: audit.witnessed(at, told))

    return look


async def appended(ledger, chain, times=1):
    """
    Append entries to a chain.
    """
    for _ in range(times):
        await ledger.write("append", lambda at: audit.append(at, chain, "x", {}, at_ms=time.monotonic_ns()))


def with_witness(work):
    """
    Run *work* on a ledger, a witness of it and what the metrics say; return the events of the log.
    """

    async def inside():
        ledger, registry = await open_ledger("sqlite://"), CollectorRegistry()
        metrics = AuditMetrics(registry, "g")
        witness = Witness(look=looking(ledger), metrics=metrics)

        def shown(name, target):
            return registry.get_sample_value(f"g_audit_{name}", {"target": target})

        try:
            await work(ledger, witness, shown)
        finally:
            await ledger.aclose()

    with capture_logs() as logs:
        asyncio.run(inside())
    return [(one["event"], one.get("target"), one.get("position")) for one in logs]


def test_heads_that_moved_are_told():
    """
    A head is logged when it moved, all of them when they are asked for, and the metrics show those of known targets.
    """

    async def work(ledger, witness, shown):
        witness.metrics.start("north")
        assert (shown("head_position", "north"), shown("head_position", LEDGER)) == (0, 0)
        await witness.turn(everything=True)
        await appended(ledger, "north", times=2)
        await witness.turn(everything=False)
        await ledger.set_pause(PAUSE)
        await appended(ledger, "gone")
        await witness.turn(everything=False)
        assert shown("head_position", "gone") is None
        await witness.turn(everything=False)
        await witness.turn(everything=True)
        (_, _, north) = await ledger.read("give the heads", audit.heads)
        assert (shown("head_position", "north"), shown("head_hash", "north")) == (2, north.number)
        assert (shown("changed", "north"), shown("head_position", LEDGER)) == (0, 3)

    told = with_witness(work)
    assert told == [
        ("audit.head", LEDGER, 1),
        ("audit.head", "north", 2),
        ("audit.head", LEDGER, 3),
        ("audit.head", "gone", 1),
        ("audit.head", LEDGER, 3),
        ("audit.head", "gone", 1),
        ("audit.head", "north", 2),
    ]


CHANGES = {
    "rewritten": "UPDATE audit SET hash = printf('%064d', 0) WHERE chain = 'north' AND position = 2",
    "cut off": "DELETE FROM audit WHERE chain = 'north' AND position = 2",
    "removed": "DELETE FROM audit WHERE chain = 'north'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("more", [0, 1])
def test_a_chain_that_was_changed_is_told(change, more):
    """
    A head that was told and is not there any more is an error in the log, each minute anew, and shows in a metric.
    """

    async def work(ledger, witness, shown):
        witness.metrics.start("north")
        await appended(ledger, "north", times=2)
        await witness.turn(everything=True)
        await ledger.write("change", lambda at: at.execute(sa.text(change)))
        await appended(ledger, "north", times=2 * more)
        await witness.turn(everything=False)
        await witness.turn(everything=False)
        assert (shown("changed", "north"), shown("changed", LEDGER)) == (1, 0)

    told = with_witness(work)
    assert [one for one in told if one[0] == "audit.changed"] == [("audit.changed", "north", 2)] * 2


def test_a_ledger_that_cannot_be_read_is_said():
    """
    The witness goes on when the ledger can be read again.
    """

    async def inside():
        async def look(told):
            if not broken:
                return [Head("north", 1, "a" * 64)], []
            raise LedgerUnusable(broken.pop())

        broken, metrics = ["locked"], AuditMetrics(CollectorRegistry(), "g")
        witness = Witness(look=look, metrics=metrics)
        await witness.turn(everything=False)
        await witness.turn(everything=False)

    with capture_logs() as logs:
        asyncio.run(inside())
    assert [one["event"] for one in logs] == ["audit.unread", "audit.head"]


def test_the_last_heads_are_told_at_the_end():
    """
    What was done while the process ended has its head in the log too.
    """

    async def inside():
        ledger, turned = await open_ledger("sqlite://"), asyncio.Event()

        async def look(told):
            found = await looking(ledger)(told)
            turned.set()
            return found

        async with witnessed(look, AuditMetrics(CollectorRegistry(), "g")):
            await appended(ledger, "north")
            await turned.wait()
            await appended(ledger, "north")
        await ledger.aclose()

    with capture_logs() as logs:
        asyncio.run(inside())
    assert [(one["target"], one["position"]) for one in logs][-2:] == [(LEDGER, 1), ("north", 2)]
