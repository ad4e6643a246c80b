"""
Group commit: the works that wait to be written share one durable transaction, in a thread of their own.

What callers see is what a transaction for each would show them, in the order of their calls: a work sees those before it,
none is half done, and none is answered before the disk has what it wrote. Only the wait for the disk is shared. A heartbeat
goes before what waits: it concerns no work of this process, and the queue may take longer than a lease lasts.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from guard.errors import LedgerUnusable
from guard.ledger.postgres import turn_of, was_committed

T = TypeVar("T")

# The first caller of a group waits for the last one, so a group has an end.
MOST_WORKS = 256
LONGEST_S = 0.025


@dataclass(slots=True, kw_only=True)
class _Write:
    """
    The *work* of one caller and what came of it: its *result*, unless there is an *error*.
    """

    work: Callable[[sa.Connection], Any]
    answer: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class GroupWriter:
    """
    Runs works in transactions of *engine*, in the order in which they are put, as many in one as have come by then.

    If a work fails, its group is rolled back and each of its works runs once more, in a transaction of its own. So a work
    may run twice, and must do nothing but read and write the database. A commit that fails is the failure of everyone in
    it; one whose answer was lost is asked about, and counts as what it was. A group takes no more works after *longest_s*
    seconds.
    """

    def __init__(self, engine: sa.Engine, *, longest_s: float = LONGEST_S) -> None:
        self._engine = engine
        self._longest_s = longest_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer")
        self._waiting: deque[_Write] = deque()
        self._lock = threading.Lock()
        self._awake = False

    def put(self, work: Callable[[sa.Connection], T], *, first: bool = False) -> asyncio.Future[T]:
        """
        Queue *work*, *first* before all that wait; the future has its result once that is durable, or what it raised.
        """
        write = _Write(work=work, answer=asyncio.get_running_loop().create_future())
        with self._lock:
            (self._waiting.appendleft if first else self._waiting.append)(write)
            awake, self._awake = self._awake, True
        if not awake:
            self._thread.submit(self._write_all)
        return write.answer

    def close(self) -> None:
        """
        End the thread; nothing may be put any more.
        """
        self._thread.shutdown()

    def _write_all(self) -> None:
        while self._has_more():
            group = [self._waiting.popleft()]
            # Whatever is raised belongs to those who wait for the group; nobody else would ever answer them.
            try:
                if not self._together(group):
                    self._one_by_one(group)
            except BaseException as e:
                _fail(group, e)
            _answer(group)

    def _has_more(self) -> bool:
        with self._lock:
            self._awake = bool(self._waiting)
            return self._awake

    def _together(self, group: list[_Write]) -> bool:
        """
        Commit *group* and those that come while it runs, which join it; False, with nothing done, if a work failed or the
        connection broke before the commit.
        """
        there = len(self._waiting)
        with self._engine.connect() as connection:
            try:
                transaction = connection.begin()
            except BaseException as error:
                if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                    return False
                # Who was there when it began to wait for a lock has waited as long, and would find the same.
                group.extend(self._waiting.popleft() for _ in range(min(there, MOST_WORKS)))
                raise
            end = time.monotonic() + self._longest_s
            while True:
                try:
                    group[-1].result = group[-1].work(connection)
                except BaseException:
                    transaction.rollback()
                    return False
                if not self._waiting or len(group) == MOST_WORKS or time.monotonic() >= end:
                    break
                group.append(self._waiting.popleft())
            return _commit(self._engine, connection, transaction)

    def _one_by_one(self, group: Sequence[_Write]) -> None:
        for index, write in enumerate(group):
            began = False
            try:
                with self._engine.connect() as connection:
                    transaction = connection.begin()
                    began = True
                    write.result = write.work(connection)
                    if not _commit(self._engine, connection, transaction):
                        raise LedgerUnusable("the connection broke before it was committed")
            except BaseException as e:
                write.error = e
                if not began:
                    # What keeps one from beginning (a lock that is never given back) would keep each of the rest as long.
                    _fail(group[index:], e)
                    return


def _commit(engine: sa.Engine, connection: sa.Connection, transaction: sa.Transaction) -> bool:
    """
    Commit; False if the connection broke before, and so nothing is done. Any other failure is raised.
    """
    turn = turn_of(connection)
    try:
        transaction.commit()
    except BaseException as error:
        if not connection.invalidated:
            # SQLAlchemy takes a commit that failed for the end of its transaction; for SQLite it is still there, in the way.
            with contextlib.suppress(engine.dialect.loaded_dbapi.Error):
                connection.connection.rollback()
        elif turn is not None and isinstance(error, sa.exc.DBAPIError):
            return was_committed(engine, turn)
        raise
    return True


def _fail(group: Sequence[_Write], error: BaseException) -> None:
    for write in group:
        write.error = error


def _answer(group: Sequence[_Write]) -> None:
    loop = group[0].answer.get_loop()
    # A loop that has been closed has nobody who waits.
    if not loop.is_closed():
        loop.call_soon_threadsafe(_settle, group)


def _settle(group: Sequence[_Write]) -> None:
    for write in group:
        if write.error is None:
            write.answer.set_result(write.result)
        elif isinstance(write.error, StopIteration):
            # A future takes none of these; a coroutine turns it into the same.
            write.answer.set_exception(RuntimeError(f"a work of the ledger raised {write.error!r}"))
        else:
            write.answer.set_exception(write.error)
