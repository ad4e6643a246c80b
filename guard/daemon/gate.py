"""
The gate: the conditions of the process under which a terminate call may be sent.

Policies, exemptions and limits belong to the decision and to the intent's transaction; what is in here is asked again
before every single call. Every doubt closes it.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guard.core.breaker import Breaker
from guard.core.hold import Hold
from guard.daemon.targets import Target
from guard.errors import LedgerUnusable
from guard.ports import Clock, Lease, Ledger

MAX_OFFSET_S = 120.0
STEP_S = 10.0
SETTLE_S = 300.0
DISARMED = Hold(reason="disarmed", text="the guard is disarmed (setting armed: false)")


@dataclass(slots=True, kw_only=True)
class Steps:
    """
    When this machine's clock was last seen to be set, by the clock that never steps.

    Service time rests on the offsets of several answers, so after a step it is wrong until enough new ones have come.
    """

    base_s: float | None = None
    step_s: float = 0.0
    stepped_at_s: float | None = None

    def look(self, clock: Clock) -> None:
        """
        Compare the two clocks with the last look; two looks apart by hours still bear a clock that is slewed.
        """
        base_s = clock.now() - clock.monotonic()
        if self.base_s is not None and abs(base_s - self.base_s) > STEP_S:
            self.step_s, self.stepped_at_s = base_s - self.base_s, clock.monotonic()
        self.base_s = base_s

    def hold(self, clock: Clock) -> Hold | None:
        """
        Return a hold while a step is less than 5 minutes old.
        """
        self.look(clock)
        if self.stepped_at_s is None or clock.monotonic() - self.stepped_at_s > SETTLE_S:
            return None
        return Hold(reason="clock", text=f"this machine's clock was just set by {self.step_s:+.0f} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """
    Asks whether a terminate call to a target, which takes *call_s* seconds at most, may be sent now.

    *unheld* are the targets of which it was closed because of the lease, until somebody takes up what was held back.
    """

    ledger: Ledger
    lease: Lease
    clock: Clock
    call_s: float = 10.0
    pause_file: Path | None = None
    steps: Steps = field(default_factory=Steps)
    unheld: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.steps.look(self.clock)

    async def closed(self, target: Target, policy: str = "") -> Hold | None:
        """
        Return what closes the gate for an act of a policy in a target (without a policy for all acts in it), None if it is
        open.
        """
        return await self.closed_but_for_clock(target, policy) or self.steps.hold(self.clock) or clock_hold(target)

    async def closed_but_for_clock(self, target: Target, policy: str = "") -> Hold | None:
        """
        Return what closes the gate for a target apart from its clock, which nobody knows before a first answer.
        """
        if self.ledger.nothing_stops():
            hold = self._paused_by_file()
        else:
            open_for, paused = await asyncio.gather(self.broken(target.name, policy), self.paused())
            # While the ledger was asked, somebody may have put the file there.
            hold = self._paused_by_file() or paused or open_for
        if target.terminator is None:
            return DISARMED
        # The lease is asked last, since it may be lost while the others are; it has to last until the call is over.
        if not self.lease.held(target.name, for_s=self.call_s):
            self.unheld.add(target.name)
            return Hold(reason="lease", text=f"this process does not hold the lease of target {target.name}")
        return hold

    async def broken(self, target: str, policy: str) -> Hold | None:
        """
        Return the breaker that is open for an act of a policy in a target.
        """
        try:
            found = await self.open_breakers()
        except LedgerUnusable as error:
            return Hold(reason="ledger", text=str(error))
        return next((one.hold for one in found if one.covers(target, policy)), None)

    async def open_breakers(self) -> Sequence[Breaker]:
        """
        Return the breakers that are open now; raises ``LedgerUnusable``.
        """
        now_ms = self.now_ms()
        return [one for one in await self.ledger.breaker.unclosed() if one.holds(now_ms)]

    def now_ms(self) -> int:
        """
        Return this machine's time, by which pauses and breakers end.
        """
        return int(self.clock.now() * 1000)

    async def closed_for_all(self) -> Hold | None:
        """
        Return what closes the gate for every target: a pause, a heart that does not beat, or a ledger that cannot be read.
        """
        hold = await self.paused()
        return hold if self.lease.held() else Hold(reason="lease", text="this process does not hold the ledger")

    async def paused(self) -> Hold | None:
        """
        Return the pause in force, by file or by ledger.
        """
        hold = self._paused_by_file()
        if hold is not None:
            return hold
        try:
            pause = await self.ledger.pause()
        except LedgerUnusable as error:
            return Hold(reason="ledger", text=str(error))
        if pause is not None and pause.holds(self.now_ms()):
            return Hold(reason="paused", text=f"paused{f' by {pause.by}' if pause.by else ''}: {pause.reason}")
        return None

    def _paused_by_file(self) -> Hold | None:
        # Asked every second, so that slewing is told from a step.
        self.steps.look(self.clock)
        if self.pause_file is None:
            return None
        # A pause file that cannot be looked at may be there.
        found = _exists(self.pause_file)
        if found is None:
            text = f"pause file {self.pause_file} cannot be looked at; there must be a folder {self.pause_file.parent}"
            return Hold(reason="paused", text=text)
        return Hold(reason="paused", text=f"pause file {self.pause_file} exists") if found else None


def clock_hold(target: Target) -> Hold | None:
    """
    Return a hold if this machine's clock and the target's differ by more than 2 minutes, or the difference is unknown.
    """
    offset = target.source.offset_s()
    if offset is None:
        return Hold(reason="clock", text="the service's clock is not known: no answer yet, or most were late")
    if abs(offset) > MAX_OFFSET_S:
        return Hold(reason="clock", text=f"this machine's clock differs from the service's by {offset:.0f} s; set it right")
    return None


def _exists(path: Path) -> bool | None:
    try:
        os.stat(path)
    except FileNotFoundError:
        # Whoever pauses by a file in another folder than the one that is looked into (a ~ that nobody expanded, a mount that
        # is gone) would wait for nothing; a link that leads nowhere was put there by somebody.
        return False if os.path.isdir(path.parent) and not os.path.islink(path) else None
    except OSError:
        return None
    return True
