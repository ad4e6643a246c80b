"""
A look into the ledger's file that takes microseconds, so that it needs no thread: whether a pause is on record, or an open
breaker.
"""

import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

import sqlalchemy as sa

from guard.errors import LedgerUnusable
from guard.ledger.engine import file_uri, look, make_engine, place
from guard.ledger.sharedread import SharedRead

T = TypeVar("T")
NO_PAUSE = "SELECT NOT EXISTS (SELECT 1 FROM pause)"
NO_BREAKER = "SELECT NOT EXISTS (SELECT 1 FROM breakers WHERE closed_ms IS NULL)"
NEITHER = "SELECT NOT EXISTS (SELECT 1 FROM pause) AND NOT EXISTS (SELECT 1 FROM breakers WHERE closed_ms IS NULL)"


class Glance:
    """
    A connection of its own to the SQLite file of a ledger, which waits for no lock; close it at the end.

    Raises ``sqlite3.Error`` if the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        # Every statement is a transaction by itself and read to its end, so the next one sees what was committed since.
        self._connection = sqlite3.connect(path, uri=True, timeout=0.0, isolation_level=None, check_same_thread=False)

    def is_surely(self, question: str) -> bool:
        """
        Tell whether the answer to the question (``NO_PAUSE``) surely is yes; False also if that needs waiting.
        """
        try:
            return self._connection.execute(question).fetchall() == [(1,)]
        except sqlite3.Error:
            return False

    def close(self) -> None:
        """
        Close the connection.
        """
        self._connection.close()


class AtOnce:
    """
    Reads what takes a fraction of a millisecond from the file at *url*, on the thread of the caller: to go to another one
    and back takes several while both are busy.
    """

    def __init__(self, url: sa.URL) -> None:
        self._engine = make_engine(url, read_only=True, busy_s=0.0)

    def read(self, work: Callable[[sa.Connection], T]) -> T | None:
        """
        Return what *work* reads of one moment; None if something is in the way, a lock among it, that takes a wait.
        """
        try:
            return look(self._engine, work)
        except (sa.exc.DBAPIError, sqlite3.Error):
            return None

    def close(self) -> None:
        """
        Close the file.
        """
        self._engine.dispose()


class Looked(Generic[T]):
    """
    Tells what is on record by *read*, one reading for all who ask at the same time; and that there is *nothing* without it
    if the answer to *question* is yes, once ``glance`` has a file to look into.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], *, question: str, nothing: T) -> None:
        self._shared = SharedRead(read)
        self._question = question
        self._nothing = nothing
        self._glance: Glance | None = None
        self._place: tuple[Path, tuple[int, int] | None] | None = None

    def glance(self, url: sa.URL) -> None:
        """
        Look into the file of the ledger from now on, if it has one that can be looked into.
        """
        path = place(url)
        if path is not None:
            self._place = (path, _file(path))
            with contextlib.suppress(sqlite3.Error):
                self._glance = Glance(file_uri(path, read_only=True))

    def lost(self) -> str:
        """
        Return what became of the file if it is not there any more or another one is, else "".

        What is written into it then is seen by nobody else, and a pause that somebody else pulls is not seen in here.
        """
        if self._place is None or _file(self._place[0]) == self._place[1]:
            return ""
        return f"its file {self._place[0]} was removed or replaced; put it back, or start the guard anew"

    async def __call__(self) -> T:
        """
        Return what is on record by a reading that began after this call; raises ``LedgerUnusable`` if the file was ``lost``.
        """
        if lost := self.lost():
            raise LedgerUnusable(f"the ledger cannot be looked into: {lost}")
        if self._glance is not None and self._glance.is_surely(self._question):
            return self._nothing
        return await self._shared()

    def is_surely(self, question: str) -> bool:
        """
        Tell whether the answer to another question surely is yes, now; False also if nobody can tell without waiting.
        """
        return self._glance is not None and not self.lost() and self._glance.is_surely(question)

    def close(self) -> None:
        """
        Look into the file no more.
        """
        if self._glance is not None:
            self._glance.close()
            self._glance = None


def _file(path: Path) -> tuple[int, int] | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
