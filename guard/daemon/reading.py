"""
One walk as it is taken in: page by page, and acted on when it has ended, or every few seconds if it takes long.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from guard.core.facts import Inventory, Job, JobKey
from guard.core.plan import Plan
from guard.ports import JobSource

# The matches of a shorter walk are planned together, the oldest deadline first.
ACT_EVERY_MS = 5_000


@dataclass(slots=True, kw_only=True)
class Reading:
    """
    Takes in what *source* gives, by ``taken``, and has the jobs that matter acted on by ``acted``.

    *matter*, *ordered* and *held* count jobs that matter, terminations that were ordered, and those that were held back.
    """

    source: JobSource
    taken: Callable[[Sequence[Job]], Awaitable[list[JobKey]]]
    acted: Callable[[Sequence[JobKey]], Awaitable[Plan]]
    matter: int = 0
    ordered: int = 0
    held: int = 0
    _pending: dict[JobKey, None] = field(default_factory=dict)
    _acted_ms: int | None = None

    async def take(self, jobs: Sequence[Job]) -> None:
        """
        Take in what one call of the walk read.
        """
        self._pending.update(dict.fromkeys(await self.taken(jobs)))
        now_ms = self.source.now_ms()
        if self._acted_ms is None:
            self._acted_ms = now_ms
        if self._pending and now_ms - self._acted_ms >= ACT_EVERY_MS:
            await self.act()

    async def act(self, also: Sequence[JobKey] = ()) -> None:
        """
        Act on what was taken in since the last time, and on those jobs *also*.
        """
        keys, self._pending = list({**self._pending, **dict.fromkeys(also)}), {}
        made = await self.acted(keys)
        self.matter += len(keys)
        self.ordered += len(made.orders)
        self.held += len(made.held)
        self._acted_ms = self.source.now_ms()

    def told(self, inventory: Inventory) -> dict[str, object]:
        """
        Return what the log says of a walk.
        """
        return {
            "target": inventory.target,
            "complete": inventory.complete,
            "doubt": inventory.doubt,
            "jobs": inventory.jobs,
            "unreadable": inventory.unreadable,
            "matches": self.matter,
            "ordered": self.ordered,
            "held": self.held,
            "took_ms": inventory.finished_at_ms - inventory.started_at_ms,
        }
