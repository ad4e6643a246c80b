"""
What may hold back acts that are due, looked at every second: the pause, the lease, the breaker, unconfirmed policies.

Nothing rests on this look: the gate asks for itself before every call. It shows what is so, and tells when something fell,
so that what waited is decided on at once.
"""

import contextlib
from dataclasses import dataclass

import structlog

from guard.daemon.cycle import Cycle
from guard.errors import LedgerUnusable

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Standby:
    """
    *paused* is whether a pause was in force at the last look.
    """

    cycle: Cycle
    paused: bool = False
    _shut: bool = False

    async def look(self) -> bool:
        """
        Look once; return whether something that held acts back is there no more.
        """
        cycle, gate = self.cycle, self.cycle.enforcer.gate
        paused = await gate.paused()
        cycle.enforcer.metrics.paused.set(paused is not None)
        if (paused is not None) is not self.paused:
            log.warning("guard.paused" if paused else "guard.resumed", reason=paused.text if paused else "")
        self.paused = paused is not None
        shut = self.paused or not gate.lease.held()
        released, self._shut = self._shut and not shut, shut
        # What cannot be told now is told by the next look, and the gate is closed meanwhile.
        with contextlib.suppress(LedgerUnusable):
            released = await cycle.breakers.look() or released
            waiting = any(one.reason == "first_enforce" for found in cycle.held.values() for one in found)
            released = (waiting and await cycle.breakers.confirmed()) or released
        return released

    def notes(self) -> list[str]:
        """
        Return what a person should know.
        """
        waiting = {one.policy for found in self.cycle.held.values() for one in found if one.reason == "first_enforce"}
        ask = [f"policy {name} waits for guard breaker confirm --policy {name}" for name in sorted(waiting)]
        return [*(["paused: nothing is terminated"] if self.paused else []), *self.cycle.breakers.notes(), *ask]
