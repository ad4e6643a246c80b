"""
Brings a ledger's schema to this version, or says why it must not.

A new ledger is made as ``tables`` describes it, which is what the migrations add up to; a test compares the two. Alembic is
imported only by a ledger that an earlier version made: it costs as much memory as ten thousand jobs.
"""

import sqlalchemy as sa

from guard.errors import LedgerUnusable
from guard.ledger.leasetables import metadata
from guard.ledger.postgres import unhurried

# The revisions in ``migrations``, the oldest first; a test compares the two.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0010", "0011", "0012")

_versions = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), primary_key=True),
)


def current(connection: sa.Connection) -> str | None:
    """
    Return the revision of the database, or None if it has never been a ledger.
    """
    if not sa.inspect(connection).has_table(_versions.name):
        return None
    return connection.execute(sa.select(_versions.c.version_num)).scalar_one_or_none()


def newest() -> str:
    """
    Return the revision that this version of the guard works with.
    """
    return REVISIONS[-1]


def check(connection: sa.Connection) -> bool:
    """
    Tell whether the database has this version's schema; raises ``LedgerUnusable`` if it can never get it.
    """
    revision = current(connection)
    if revision is None:
        strange = sorted(sa.inspect(connection).get_table_names())
        if strange:
            raise LedgerUnusable(f"this database is not a ledger, it holds {strange[:5]!r}; give the ledger one of its own")
        return False
    if revision not in REVISIONS:
        raise LedgerUnusable(
            f"it was written by a newer version of the guard (revision {revision!r}, this one knows up to {newest()!r}); "
            "run that version, or put back the copy of the ledger from before the upgrade"
        )
    return revision == newest()


def upgrade(connection: sa.Connection) -> None:
    """
    Bring the database to the newest revision, inside the transaction of its caller: all of it or nothing.
    """
    # Another process may have done it while this one waited for its turn to write.
    if check(connection):
        return
    unhurried(connection)
    if current(connection) is None:
        metadata.create_all(connection, checkfirst=False)
        _versions.create(connection)
        connection.execute(sa.insert(_versions).values(version_num=newest()))
        return
    migrate(connection)


def migrate(connection: sa.Connection, *, to: str = "head") -> None:
    """
    Run the migrations up to one that the database has not had yet, of an empty one all of them.
    """
    # Only here, see above.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "guard.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
