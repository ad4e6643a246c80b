"""
What may hold back acts that are due, looked at every second: the pause, the lease, the breaker, unconfirmed policies.

Nothing rests on this look: the gate asks for itself before every call. It shows what is so, and tells when something fell,
so that what waited is decided on at once.
"""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog

from guard.daemon.cycle import Cycle
from guard.errors import LedgerUnusable

# What is taken up and held back again leaves an intent behind each time.
AGAIN_S = 5.0

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Standby:
    """
    *paused* is whether a pause was in force at the last look.
    """

    cycle: Cycle
    paused: bool = False
    _shut: bool = False
    _taken_up_s: float | None = None

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

    async def take_up(self) -> None:
        """
        Plan again what was held back because a renewal was late, now that the lease is fresh enough for a call again.

        Without this it would wait for the next look at its target. Raises ``LedgerUnusable``.
        """
        cycle, gate = self.cycle, self.cycle.enforcer.gate
        names, now_s = gate.unheld & cycle.active, gate.clock.monotonic()
        gate.unheld.intersection_update(names)
        if not names or not gate.lease.held(for_s=gate.call_s):
            return
        if self._taken_up_s is None or now_s - self._taken_up_s >= AGAIN_S:
            self._taken_up_s = now_s
            gate.unheld.difference_update(names)
            # All at once, so that they share a plan.
            try:
                await asyncio.gather(*(cycle.take_up(cycle.targets[name]) for name in sorted(names)))
            except BaseException:
                gate.unheld.update(names)
                raise

    def notes(self) -> list[str]:
        """
        Return what a person should know.
        """
        waiting = {one.policy for found in self.cycle.held.values() for one in found if one.reason == "first_enforce"}
        ask = [f"policy {name} waits for guard breaker confirm --policy {name}" for name in sorted(waiting)]
        return [*(["paused: nothing is terminated"] if self.paused else []), *self.cycle.breakers.notes(), *ask]
