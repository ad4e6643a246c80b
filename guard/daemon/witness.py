"""
The heads of the audit, told to the log and the metrics, which are kept where the ledger is not.

A head is logged when it moved, and that of every chain at the beginning, once an hour and at the end: whoever has the log
can prove what the ledger held by then. Seconds are real ones.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.hashchain import Head
from guard.daemon.auditmetrics import AuditMetrics
from guard.errors import LedgerUnusable

EVERY_S = 60.0
ALL_EVERY = 60

log = structlog.get_logger("guard")

Look = Callable[[Sequence[Head]], Awaitable[tuple[Sequence[Head], Sequence[Head]]]]


@dataclass(slots=True, kw_only=True)
class Witness:
    """
    Tells the heads that a *look* finds, and remembers them: given to the next look, they show a chain that was changed.
    """

    look: Look
    metrics: AuditMetrics
    told: dict[str, Head] = field(default_factory=dict)

    async def turn(self, *, everything: bool) -> None:
        """
        Tell the heads that moved, or *everything*. A ledger that cannot be read is logged, and is another's concern.
        """
        try:
            heads, gone = await self.look(tuple(self.told.values()))
        except LedgerUnusable as error:
            log.error("audit.unread", error=str(error))
            return
        for head in gone:
            # It stays what is asked for: what was changed once is told again each minute, until the process ends.
            log.error("audit.changed", target=head.chain, position=head.position, hash=head.hash)
            self.metrics.changed(head.chain)
        for head in heads:
            if everything or self.told.get(head.chain) != head:
                log.info("audit.head", target=head.chain, position=head.position, hash=head.hash)
            self.metrics.show(head)
        self.told = {head.chain: head for head in (*heads, *gone)}

    async def follow(self) -> None:
        """
        Tell the heads each minute, without end.
        """
        turns = 0
        while True:
            await self.turn(everything=turns % ALL_EVERY == 0)
            turns += 1
            await asyncio.sleep(EVERY_S)


@contextlib.asynccontextmanager
async def witnessed(look: Look, metrics: AuditMetrics) -> AsyncIterator[None]:
    """
    Tell the heads while the context lasts, and once more at its end.
    """
    witness = Witness(look=look, metrics=metrics)
    following = asyncio.create_task(witness.follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await witness.turn(everything=True)
