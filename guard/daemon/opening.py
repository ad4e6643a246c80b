"""
Intents put on record, many at a time: those that are recorded together share what makes them durable.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from guard.core.plan import Order
from guard.core.records import Draft, Intent, Quota
from guard.errors import LeaseLost
from guard.ports import Ledger

AT_ONCE = 100


async def opened(
    orders: Sequence[Order],
    ledger: Ledger,
    drafted: Callable[[Order], Draft],
    quota: Callable[[int], Quota | None],
) -> AsyncIterator[tuple[Order, Intent | None]]:
    """
    Record the intents of orders, in their order, and yield each with what is on record now, None if there was no room.

    Raises ``LedgerUnusable`` if one could not be recorded, after those that are recorded together with it were yielded, and
    after all others if only the lease of its target was lost.
    """
    lost: BaseException | None = None
    for at in range(0, len(orders), AT_ONCE):
        some = orders[at : at + AT_ONCE]
        records = [
            ledger.open_intent(drafted(one), at_ms=one.decision.at_ms, quota=quota(one.decision.at_ms)) for one in some
        ]
        ends = await asyncio.gather(*records, return_exceptions=True)
        failures = [end for end in ends if isinstance(end, BaseException)]
        for order, end in zip(some, ends, strict=True):
            if not isinstance(end, BaseException):
                yield order, end
        for failure in failures:
            if not isinstance(failure, LeaseLost):
                raise failure
            lost = failure
    if lost is not None:
        raise lost
