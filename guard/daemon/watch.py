"""
The watch over the policy folder: it looks in a thread, and puts a new good set in force on the event loop.

The thread touches nothing but the folder; whoever decides, decides by one whole set.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from guard.core.policy import PolicySet
from guard.daemon.cycle import Cycle
from guard.daemon.policies import PolicyFolder
from guard.ports import Clock

SILENT_S = 60.0

log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class PolicyWatch:
    """
    What stands between the folder and the set in force. One look at a time; *steady* never steps.
    """

    folder: PolicyFolder
    cycle: Cycle
    clock: Clock
    steady: Callable[[], float] = time.monotonic
    _fresh: PolicySet | None = None
    _asked_s: float | None = field(default=None, repr=False)
    _failed: bool = field(default=False, repr=False)

    async def look(self, *, at_once: bool) -> bool:
        """
        Look at the folder once; return whether another set is in force now, by which every job is to be decided on again.
        """
        self._asked_s, failed = self.steady(), True
        try:
            # A large folder takes a while to load, and a disk that hangs for ever; nothing else waits for it.
            found = await asyncio.to_thread(self.folder.poll, steady=self.steady, at_once=at_once)
            if found is not None:
                self._fresh = found
            taken = self._fresh is not None
            if self._fresh is not None:
                self.take(self._fresh)
            # Only now: the folder tells of a new set once, and what could not be put in force is tried again.
            self._fresh, failed = None, False
        finally:
            self._asked_s, self._failed = None, failed
            self.show()
        return taken

    def take(self, policies: PolicySet) -> None:
        """
        Put a set in force.
        """
        now, metrics = self.clock.now(), self.cycle.enforcer.metrics
        self.cycle.view.take_policies(policies, now_ms=int(now * 1000))
        metrics.took_policies(policies, self.cycle.targets, at=now)
        log.info(
            "policies.taken",
            digest=self.folder.taken[:12],
            enforce=[one.name for one in policies.policies if one.mode.value == "enforce"],
            observe=[one.name for one in policies.policies if one.mode.value == "observe"],
            exemptions=len(policies.exemptions),
        )

    def show(self) -> None:
        """
        Bring the gauge of the reload up to date.
        """
        well = not (self.folder.error or self._silent_s() or self._failed)
        self.cycle.enforcer.metrics.reload_ok.set(well)

    def notes(self) -> list[str]:
        """
        Return what a person should know: a refused folder, one that does not answer, a change that is on its way.
        """
        # The thread may mend the error at any moment, so it is asked for once.
        error, kept, silent_s = self.folder.error, self.folder.taken[:12], self._silent_s()
        found = [f"policies refused, the set {kept} stays in force: {error}"] if error else []
        if silent_s:
            found.append(f"the policy folder has not answered for {silent_s:.0f} s, the set {kept} stays in force")
        elif self.folder.changing and not error:
            found.append(f"policies changed, the set {kept} stays in force until the files stand still")
        return found

    def _silent_s(self) -> float:
        silent_s = 0.0 if self._asked_s is None else self.steady() - self._asked_s
        return silent_s if silent_s >= SILENT_S else 0.0
