"""
What becomes of open intents that an earlier process left and that are not taken up: they are held back, and planned anew.
"""

from collections.abc import Sequence

from guard.core.protocol import Outcome
from guard.core.records import Closing, Intent
from guard.daemon.enforce import Enforcer
from guard.daemon.objections import in_flight
from guard.daemon.room import Room


async def within_limits(left: Sequence[Intent], room: Room, enforcer: Enforcer) -> Sequence[Intent]:
    """
    Return the open intents for which the limits in force have room, and hold back the others, the latest deadlines first.

    Limits may have been lowered since an intent took its place in them. One of which a call may be on its way stays. The
    percentage is not asked, because nothing may have been walked yet.
    """
    total = None if room.limits is None else room.limits.max_terminations
    if total is None or not left:
        return left
    excess = await room.used(enforcer.ledger, int(enforcer.clock.now() * 1000)) - total
    waiting = sorted((one for one in left if not in_flight(one)), key=lambda one: (one.draft.deadline_ms, one.number))
    surplus = waiting[max(0, len(waiting) - excess) :] if excess > 0 else []
    for intent in surplus:
        await hold_back(intent, enforcer, note=f"limit: max_terminations now allows {total}")
    return [one for one in left if one not in surplus]


async def hold_back(intent: Intent, enforcer: Enforcer, *, note: str) -> None:
    """
    Close an intent of which no call is on its way; the job is planned again as soon as nothing holds it back.
    """
    at_ms = max(intent.created_ms, int(enforcer.clock.now() * 1000))
    closed = await enforcer.ledger.close(intent.number, Closing(outcome=Outcome.HELD_BACK, note=note), at_ms=at_ms)
    enforcer.metrics.closed(closed)
