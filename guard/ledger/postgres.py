"""
PostgreSQL as a ledger: its URL, its connections, how writers take turns, and what became of a commit without an answer.

Readers have one view each (REPEATABLE READ). Writers take turns by an advisory lock; each of their statements sees what was
committed before (READ COMMITTED), because a view that is taken with the first statement would be older than the turn. The
driver is loaded by the first engine, not by this module.
"""

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from guard.errors import LedgerUnusable

NAME = "postgresql"
DRIVERS = {"postgresql", "postgres", "postgresql+psycopg"}
WRITES = "ledger_writes"
VIEW: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
OLDEST = 130000
# Of each process: two threads that read, one that writes, and one connection to ask what became of a commit.
CONNECTIONS = 3
LOCK_TIMEOUT_MS = 10_000
# A writer that says nothing for so long is stopped or cut off, and loses its turn; that is sooner than others stop waiting.
IDLE_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 30_000
DOUBT_S = 10.0
MANY = 100
_PAUSE_S = 0.25
_TURN, _UNFIT = "turn", "unfit"
# What a lost network does is noticed within half a minute; the URL's own parameters come before these.
DEFAULTS: Mapping[str, Any] = {
    "application_name": "cost-guard",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
# One statement, so that a turn costs one round trip. The number is the guard's own among the advisory locks of a database.
_TAKE_TURN = sa.text(
    f"""
    SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', true),
           set_config('idle_in_transaction_session_timeout', '{IDLE_TIMEOUT_MS}', true),
           set_config('statement_timeout', '{STATEMENT_TIMEOUT_MS}', true),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                      WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true),
           pg_advisory_xact_lock(7163928450127),
           CAST(pg_current_xact_id() AS text) AS number,
           concat((SELECT system_identifier FROM pg_control_system()), '/',
                  left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS line
    """  # noqa: S608 - whole numbers of this module
)
# Who reads waits no longer than writers for a table that somebody rebuilds; the URL's parameters may say otherwise.
_MEET = f"""
    SELECT current_setting('fsync'), current_setting('default_transaction_read_only'),
           set_config('lock_timeout', CASE current_setting('lock_timeout')
                      WHEN '0' THEN '{LOCK_TIMEOUT_MS}' ELSE current_setting('lock_timeout') END, false)
"""
_NO_HURRY = sa.text(
    "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)"
)
_ANYTHING = sa.text("SELECT 1")
_STATUS = sa.text("SELECT pg_xact_status(CAST(:number AS xid8))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    A transaction that writes: its *number*, which is given once on a *line*, that is a server and of that a timeline, since
    a standby that takes over begins another.
    """

    number: str
    line: str


def checked(url: sa.URL) -> sa.URL:
    """
    Return the URL as the driver takes it; raises ``LedgerUnusable`` if it names no database or says something twice.
    """
    shown = url.set(drivername=NAME, query={}).render_as_string(hide_password=True)
    if not url.database:
        raise LedgerUnusable(f"ledger {shown}: expected the name of a database, like postgresql://user@host/guard")
    twice = sorted(key for key, value in url.query.items() if not isinstance(value, str) and key not in ("host", "port"))
    if twice:
        raise LedgerUnusable(f"ledger {shown}: the parameter {twice[0]!r} stands there twice")
    return url.set(drivername=NAME)


def make_engine(url: sa.URL) -> sa.Engine:
    """
    Return an engine on the ledger, for threads; nothing is opened before its first use.
    """
    # Only here: it loads the driver, which takes as much memory as ten thousand jobs.
    from guard.ledger.pgdialect import DRIVER

    engine = sa.create_engine(
        url.set(drivername=DRIVER),
        poolclass=QueuePool,
        pool_size=CONNECTIONS,
        max_overflow=1,
        pool_timeout=LOCK_TIMEOUT_MS / 1000,
        connect_args={name: value for name, value in DEFAULTS.items() if name not in url.query},
        use_native_hstore=False,
    )
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def refusal(version: int, settings: Mapping[str, str | None]) -> str | None:
    """
    Return why a server of that version, which told these settings, can be no ledger at all; None if it can.
    """
    if version < OLDEST:
        return f"the server is PostgreSQL {version // 10_000}, and {OLDEST // 10_000} or later is needed"
    encoding = settings["server_encoding"]
    if encoding != "UTF8":
        return f"the database is encoded in {encoding}, which holds not every name; make one with ENCODING 'UTF8'"
    return None


def unfit(settings: Mapping[str, str | None]) -> str | None:
    """
    Return why a server that told these settings can be read but not written; None if it can.
    """
    if settings["in_hot_standby"] == "on":
        return (
            "the server is a standby, which takes no writes; name the primary, or both with target_session_attrs=read-write"
        )
    if settings["default_transaction_read_only"] == "on":
        return "the server takes no writes from this user (default_transaction_read_only is on)"
    if settings["fsync"] == "off":
        return "the server runs with fsync=off, so it would lose records that it called durable"
    return None


def unhurried(connection: sa.Connection) -> None:
    """
    Let this transaction take as long as it takes, as long as its process lives.
    """
    if connection.dialect.name == NAME:
        connection.execute(_NO_HURRY)


def follow_numbers(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """
    Let new rows be numbered after those that are there, which brought their numbers along; SQLite does so by itself.
    """
    if connection.dialect.name == NAME:
        for table in tables:
            column = table.autoincrement_column
            if column is not None:
                last = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
                owned = sa.func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(sa.select(sa.func.setval(owned, last, sa.false())))


def acquaint(connection: sa.Connection, table: sa.Table, rows: int) -> None:
    """
    Let the server look at a table that just got its first *rows*; it does so by itself only a minute later.

    Before that it takes all jobs of a project for one, and reads them all for each few that are asked for.
    """
    if connection.dialect.name == NAME and rows >= MANY:
        known = sa.text("SELECT reltuples FROM pg_class WHERE oid = to_regclass(:name)")
        if (connection.execute(known, {"name": table.name}).scalar() or 0) <= 0:
            connection.exec_driver_sql(f"ANALYZE {table.name}")


def turn_of(connection: sa.Connection) -> Turn | None:
    """
    Return what is needed to ask later whether this transaction was committed; None for SQLite, which always answers.
    """
    return connection.info.get(_TURN) if connection.dialect.name == NAME else None


def was_committed(engine: sa.Engine, turn: Turn) -> bool:
    """
    Ask on a new connection what became of a transaction whose commit had no answer; raises ``LedgerUnusable`` if that cannot
    be told within some seconds.

    *engine* is one that writes: whoever has the turn knows that the earlier transaction is over.
    """
    end = time.monotonic() + DOUBT_S
    while True:
        try:
            with engine.connect() as connection, connection.begin():
                now = turn_of(connection)
                if now is None or now.line != turn.line:
                    raise LedgerUnusable("another server answers now")
                status = connection.execute(_STATUS, {"number": turn.number}).scalar()
                if status not in ("committed", "aborted"):
                    raise LedgerUnusable(f"it is {status}")
                return bool(status == "committed")
        except (sa.exc.SQLAlchemyError, LedgerUnusable) as error:
            if time.monotonic() > end or isinstance(error, LedgerUnusable):
                text = "the connection broke during the commit, and it cannot be told whether that was done"
                raise LedgerUnusable(f"{text}: {getattr(error, 'orig', None) or error}") from error
        time.sleep(_PAUSE_S)


def _on_connect(connection: Any, record: Any) -> None:
    try:
        told = {name: connection.info.parameter_status(name) for name in ("server_encoding", "in_hot_standby")}
        told["fsync"], told["default_transaction_read_only"], _ = connection.execute(_MEET).fetchone()
        connection.commit()
        reason = refusal(connection.info.server_version, told)
        if reason is not None:
            raise LedgerUnusable(reason)
        record.info[_UNFIT] = unfit(told)
    except BaseException:
        # The pool forgets a connection that fails in here, so nobody else would close it.
        with contextlib.suppress(Exception):
            connection.close()
        raise


def _on_begin(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get(WRITES, False):
        return
    reason = connection.info.get(_UNFIT)
    if reason is not None:
        # That was so when it connected. If the server was restarted since, this breaks, and a new connection asks it anew.
        connection.execute(_ANYTHING)
        # If not, the next one does.
        connection.invalidate()
        raise LedgerUnusable(reason)
    row = connection.execute(_TAKE_TURN).one()
    connection.info[_TURN] = Turn(number=row.number, line=row.line)
