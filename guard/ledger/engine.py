"""
Everything that differs between one database and another: URLs, connections, transactions, and inserts that may collide.

The rest of the package writes SQL that every database understands. SQLite's part stands here and PostgreSQL's in
``postgres``, of which nothing is loaded for a ledger in a file but the few lines of that module.
"""

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from guard.errors import LedgerUnusable
from guard.ledger import postgres
from guard.ledger.inserting import Insert, insert
from guard.ledger.postgres import WRITES

__all__ = [
    "Insert",
    "absence",
    "by_statement",
    "file_uri",
    "insert",
    "is_shared",
    "look",
    "make_engine",
    "parse",
    "place",
    "probe",
    "reading",
    "redacted",
    "writing",
]

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
# Of each connection, of which there are several; the pages of a ledger are read once and rarely again.
CACHE_KIB = 512
_DRIVERS = {"sqlite", "sqlite+pysqlite"}
_IN_MEMORY = {None, "", ":memory:"}


def parse(url: str) -> sa.URL:
    """
    Read the ledger's URL; raises ``LedgerUnusable`` if this version has no ledger of that kind.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as e:
        # The text may hold a password and its place in it is unknown, so it is not repeated.
        raise LedgerUnusable("the ledger's address is not a URL: expected one like sqlite:///guard.db") from e
    if parsed.drivername in postgres.DRIVERS:
        return postgres.checked(parsed)
    if parsed.drivername not in _DRIVERS:
        raise LedgerUnusable(
            f"ledger {redacted(parsed)}: a ledger is kept in SQLite, like sqlite:///guard.db, or in PostgreSQL, like "
            "postgresql://user@host/database"
        )
    if parsed.query or parsed.host:
        raise LedgerUnusable(f"ledger {redacted(parsed)}: expected sqlite:/// and a path, without host and parameters")
    return parsed


def redacted(url: sa.URL) -> str:
    """
    Return the URL without anything secret: no password and no parameters.
    """
    return url.set(query={}).render_as_string(hide_password=True)


def is_shared(url: sa.URL) -> bool:
    """
    Tell whether the ledger is on a server, which several machines share.
    """
    return url.drivername in postgres.DRIVERS


def place(url: sa.URL) -> Path | None:
    """
    Return the file of an embedded ledger, or None if it has none.
    """
    return None if is_shared(url) or url.database in _IN_MEMORY else Path(url.database or "").absolute()


def absence(path: Path | None, *, read_only: bool) -> str:
    """
    Return what is missing on disk, in words that continue "cannot be opened".
    """
    if path is None:
        return ""
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent}; make it)"
    if read_only and not path.exists():
        return " (there is no such file; the guard makes it when it starts)"
    return ""


def probe(url: sa.URL, *, read_only: bool = False) -> None:
    """
    Open and close the file of an embedded ledger; raises ``sqlite3.Error`` if it cannot be opened or is something else.

    Done before any engine is made, so that what opens nothing starts no thread either.
    """
    path = place(url)
    if path is not None:
        uri = file_uri(path, read_only=read_only)
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("PRAGMA schema_version")


def make_engine(url: sa.URL, *, read_only: bool = False, busy_s: float = BUSY_TIMEOUT_S) -> sa.Engine:
    """
    Return an engine on the ledger, for threads; nothing is opened before its first use. A file that somebody has locked is
    waited for up to *busy_s* seconds.
    """
    if is_shared(url):
        return postgres.make_engine(url)
    path = place(url)
    # A connection goes from thread to thread, but the pool gives it to one at a time.
    options: dict[str, Any] = {
        "poolclass": QueuePool,
        # The one that was used last knows what it wrote; another one would read those pages again.
        "pool_use_lifo": True,
        "connect_args": {"timeout": busy_s, "isolation_level": None, "check_same_thread": False},
    }
    if path is None:
        # One connection is the whole database. A pool of one makes users wait for each other, which a shared one does not.
        driver = sa.URL.create("sqlite", database=":memory:")
        options |= {"pool_size": 1, "max_overflow": 0}
    else:
        name, _, mode = file_uri(path, read_only=read_only).partition("?mode=")
        driver = sa.URL.create("sqlite", database=name, query={"mode": mode, "uri": "true"})
    engine = sa.create_engine(driver, **options)
    sa.event.listen(engine, "connect", _on_connect_read_only if read_only else _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def writing(engine: sa.Engine) -> sa.Engine:
    """
    Return the engine for transactions that write: they take their place among the writers when they begin.
    """
    return engine.execution_options(**{WRITES: True})


def reading(engine: sa.Engine) -> sa.Engine:
    """
    Return the engine for transactions that only read, each of which has one consistent view.
    """
    return engine.execution_options(**postgres.VIEW) if engine.dialect.name == postgres.NAME else engine


def by_statement(engine: sa.Engine) -> sa.Engine:
    """
    Return the engine for single statements that only read, each of which is a transaction by itself.
    """
    return engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name == postgres.NAME else engine


def look(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    """
    Run *work*, which only reads; once more if the server was restarted under it.
    """
    try:
        with engine.connect() as connection:
            return work(connection)
    except sa.exc.DBAPIError as error:
        if not error.connection_invalidated:
            raise
    with engine.connect() as connection:
        return work(connection)


def file_uri(path: Path, *, read_only: bool) -> str:
    """
    Return the address of a file for SQLite, to read it or to write it too.
    """
    return f"file:{urllib.parse.quote(str(path))}?mode={'ro' if read_only else 'rwc'}"


def _on_connect(connection: sa.engine.interfaces.DBAPIConnection, record: object) -> None:
    # A file system without shared memory keeps another journal than WAL; that is slower and as durable.
    _pragmas(connection, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"cache_size=-{CACHE_KIB}")


def _on_connect_read_only(connection: sa.engine.interfaces.DBAPIConnection, record: object) -> None:
    _pragmas(connection, "query_only=ON", f"cache_size=-{CACHE_KIB}")


def _pragmas(connection: sa.engine.interfaces.DBAPIConnection, *pragmas: str) -> None:
    try:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        # The pool forgets a connection that fails in here, so nobody else would close it.
        connection.close()
        raise


def _on_begin(connection: sa.Connection) -> None:
    # A writer that begins deferred could fail in its middle, after another one wrote what it had read.
    writes = connection.get_execution_options().get(WRITES, False)
    # By the driver itself: for two words, an execution of SQLAlchemy's costs several times what SQLite takes.
    connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN").close()
