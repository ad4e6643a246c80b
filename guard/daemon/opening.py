"""
Intents put on record, many at a time: those that are recorded together share what makes them durable.
"""

from collections.abc import AsyncIterator, Callable, Sequence

from guard.core.plan import Order
from guard.core.records import Draft, Intent, Quota
from guard.daemon.together import ends_of
from guard.errors import LeaseLost, LedgerUnusable
from guard.ports import Ledger

AT_ONCE = 100


async def opened(
    orders: Sequence[Order],
    ledger: Ledger,
    drafted: Callable[[Order], Draft],
    quota: Callable[[int], Quota | None],
) -> AsyncIterator[tuple[Order, Intent | LedgerUnusable | None]]:
    """
    Record the intents of orders, in their order, and yield each with what is on record now, None if there was no room, or
    why it could not be recorded. Once none of those that are recorded together could be, the rest is not tried.
    """
    broken: LedgerUnusable | None = None
    for at in range(0, len(orders), AT_ONCE):
        some = orders[at : at + AT_ONCE]
        if broken is not None:
            for order in some:
                yield order, broken
            continue
        records = [
            ledger.open_intent(drafted(one), at_ms=one.decision.at_ms, quota=quota(one.decision.at_ms)) for one in some
        ]
        ends = await ends_of(records)
        failures = [end for end in ends if isinstance(end, LedgerUnusable)]
        if len(failures) == len(some) and not all(isinstance(one, LeaseLost) for one in failures):
            broken = failures[-1]
        strange = next((end for end in ends if isinstance(end, BaseException) and not isinstance(end, LedgerUnusable)), None)
        for order, end in zip(some, ends, strict=True):
            if not isinstance(end, BaseException) or isinstance(end, LedgerUnusable):
                yield order, end
        if strange is not None:
            raise strange
