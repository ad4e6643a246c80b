"""
One turn for all who want one: while a plan is being made, those who ask for one share the next.

A plan takes several answers of the ledger, one after the other. With hundreds of targets, each with a deadline of its own,
plans made one by one would stand in a queue longer than anybody may be late.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from guard.core.facts import JobKey

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Joint(Generic[T]):
    """
    Has *acted* act on the jobs of all who asked by when the *turn* came, one such act at a time.

    An act goes on when one of those who wait for it is cancelled; ``quiet`` waits for it.
    """

    acted: Callable[[Sequence[JobKey]], Awaitable[T]]
    turn: Callable[[], AbstractAsyncContextManager[object]]
    _wanted: dict[JobKey, None] = field(default_factory=dict)
    _next: asyncio.Task[T] | None = None
    _running: asyncio.Task[T] | None = None

    async def __call__(self, keys: Iterable[JobKey] = ()) -> T:
        """
        Return what came of it for all; raises what *acted* raises.
        """
        self._wanted.update(dict.fromkeys(keys))
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._act())
            # If nobody waits for it any more, nobody needs its failure either.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._next)

    async def quiet(self) -> None:
        """
        Return when the act that is on its way now is over, however it ended.
        """
        if self._running is not None and not self._running.done():
            await asyncio.wait({self._running})

    async def _act(self) -> T:
        async with self.turn():
            self._running, self._next = self._next, None
            keys, self._wanted = list(self._wanted), {}
            return await self.acted(keys)
