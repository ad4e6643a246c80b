"""
What becomes of open intents that an earlier process left and that are not taken up: they are held back, and planned anew.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from guard.core.facts import JobKey
from guard.core.limits import without_room
from guard.core.protocol import Outcome
from guard.core.records import Closing, Intent
from guard.daemon.enforce import Enforcer
from guard.daemon.objections import in_flight
from guard.daemon.room import Room
from guard.daemon.targets import Target
from guard.daemon.view import View

log = structlog.get_logger("guard")


async def within_limits(left: Sequence[Intent], room: Room, enforcer: Enforcer) -> Sequence[Intent]:
    """
    Return the open intents for which the limits in force have room, and hold back the others, the latest deadlines first.

    Limits may have been lowered since an intent took its place in them. One of which a call may be on its way stays. A
    percentage is not asked, because nothing may have been walked yet.
    """
    allowed = room.fixed()
    if allowed.is_boundless or not left:
        return left
    waiting = sorted((one for one in left if not in_flight(one)), key=lambda one: (one.draft.deadline_ms, one.number))
    window = await enforcer.ledger.breaker.window(since_ms=room.since(int(enforcer.clock.now() * 1000)))
    for one in waiting:
        window.add(one.draft.place, -1)
    surplus = []
    for intent in waiting:
        place = intent.draft.place
        if text := without_room(place, window, allowed):
            surplus.append(intent)
            await hold_back(intent, enforcer, note=f"limit: {text}")
        if not text or intent.sent:
            window.add(place)
    return [one for one in left if one not in surplus]


@dataclass(slots=True, kw_only=True)
class Leftovers:
    """
    The open intents that nobody drives, of which those that are nobody's are ended; each of these is told of once.
    """

    view: View
    enforcer: Enforcer
    _told: set[int] = field(default_factory=set)

    async def find(self, *, busy: Collection[JobKey], but: Collection[str]) -> list[Intent]:
        """
        Return the open intents of jobs that are not *busy*, without those of the targets *but* and those of other replicas.
        """
        there, mine = await self.enforcer.ledger.open_intents(besides=busy), self.enforcer.gate.lease.acts_on
        left = [one for one in there if mine(one.draft.key) and one.draft.target not in but]
        strange = [one.draft.key for one in left if one.draft.key not in self.view.watched]
        self.view.remember(await self.enforcer.ledger.sightings(strange))
        return left

    async def owned(
        self, left: Sequence[Intent], targets: Mapping[str, Target], room: Room
    ) -> AsyncIterator[tuple[Intent, Target]]:
        """
        Yield those for which the limits have room, each with the one of *targets* that goes on with it.
        """
        for intent in await within_limits(left, room, self.enforcer):
            if (target := await self._target_of(intent, targets)) is not None:
                yield intent, target

    async def _target_of(self, intent: Intent, targets: Mapping[str, Target]) -> Target | None:
        """
        Return the one of *targets* that goes on with an intent, or None if it is no longer configured.
        """
        watched = self.view.watched.get(intent.draft.key)
        # A target may have got another name since; whoever watches the job goes on with it.
        target = targets.get(intent.draft.target if watched is None else watched.job.target)
        named = {"intent": intent.number, "job": intent.draft.key.job_id, "target": intent.draft.target}
        if target is not None:
            log.info("termination.resumed", **named, state=intent.state.value)
            return target
        if intent.number not in self._told:
            self._told.add(intent.number)
            log.warning("termination.orphaned", **named, state=intent.state.value)
        if not intent.sent:
            await hold_back(intent, self.enforcer, note="the target is no longer configured")
        return None


async def hold_back(intent: Intent, enforcer: Enforcer, *, note: str) -> None:
    """
    Close an intent of which no call is on its way; the job is planned again as soon as nothing holds it back.
    """
    at_ms = max(intent.created_ms, int(enforcer.clock.now() * 1000))
    closed = await enforcer.ledger.close(intent.number, Closing(outcome=Outcome.HELD_BACK, note=note), at_ms=at_ms)
    enforcer.metrics.closed(closed)
