"""
How a work reaches the database: in a transaction of the only writer, or on a view of its own, and never half.

Three rules hold for both. What was written is durable when it returns. It is done wholly or not at all, also when its caller
is cancelled in the middle. Whatever fails is a ``LedgerUnusable`` that names the ledger and what could not be done.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from guard.errors import LedgerUnusable
from guard.ledger.engine import by_statement, look, reading, writing
from guard.ledger.failing import named
from guard.ledger.fence import Fence, Subject, fenced
from guard.ledger.groups import LONGEST_S, GroupWriter

T = TypeVar("T")
READERS = 2


class Transactions:
    """
    Runs works on the database of *engine*, which is closed with it.

    *name* is shown in messages and holds no secret. Writes share transactions for at most *longest_group_s* seconds.
    *shared* says that several replicas may act on it, each on targets of its own, and *fence* is what every write about a
    target passes.
    """

    def __init__(self, engine: sa.Engine, *, name: str, read_only: bool = False, longest_group_s: float = LONGEST_S) -> None:
        self.name = name
        self.fence: Fence | None = None
        self.shared = engine.dialect.name != "sqlite"
        self._engine = engine
        self._writer = GroupWriter(writing(engine), longest_s=longest_group_s)
        self._reading, self._by_statement = reading(engine), by_statement(engine)
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="ledger-reader")
        self._read_only = read_only
        self._running: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def aclose(self) -> None:
        """
        Let what is under way end, then close every connection; nothing can be run any more.
        """
        self._closed = True
        if self._running:
            await asyncio.wait(self._running)
        self._writer.close()
        self._readers.shutdown()
        await asyncio.to_thread(self._engine.dispose)

    async def read(self, what: str, work: Callable[[sa.Connection], T], *, apart: bool = False) -> T:
        """
        Run *work* on one consistent view of the ledger; "ledger X cannot *what*" is the message if it fails.

        A work that is *apart* needs no moment that is common to several statements: a server is asked for each and no more,
        where a transaction around them would take two more answers to wait for.
        """
        self._refuse_if_closed(what)
        engine = self._by_statement if apart else self._reading
        return await self._uninterrupted(what, asyncio.get_running_loop().run_in_executor(self._readers, look, engine, work))

    async def write(
        self, what: str, work: Callable[[sa.Connection], T], *, of: Collection[Subject] = (), first: bool = False
    ) -> T:
        """
        Run *work* in a durable transaction of the only writer; "ledger X cannot *what*" is the message if it fails.

        Works that wait together share the transaction and its wait for the disk, and may run twice (``GroupWriter``); one
        that comes *first* waits for none but those that run. What is written on behalf of targets says *of* which; it raises
        ``LeaseLost`` unless their leases are this process's.
        """
        if self._read_only:
            raise LedgerUnusable(f"ledger {self.name} cannot {what}: it was opened for reading only")
        self._refuse_if_closed(what)
        return await self._uninterrupted(what, self._writer.put(fenced(self.fence, work, of), first=first))

    def lost(self) -> str:
        """
        Return what became of the database if it is not there any more, else "".
        """
        return ""

    def _refuse_if_closed(self, what: str) -> None:
        lost = "it has been closed" if self._closed else self.lost()
        if lost:
            raise LedgerUnusable(f"ledger {self.name} cannot {what}: {lost}")

    async def _uninterrupted(self, what: str, answer: asyncio.Future[T]) -> T:
        # A caller that is cancelled waits for the end of its transaction: when it returns, nothing of it is under way.
        self._running.add(answer)
        answer.add_done_callback(self._running.discard)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # a cancelled caller never asks for it
        with named(self.name, what):
            try:
                return await asyncio.shield(answer)
            except asyncio.CancelledError:
                await asyncio.wait({answer})
                raise
