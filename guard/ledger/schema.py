"""
Brings a ledger's schema to this version, or says why it must not.
"""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from guard.errors import LedgerUnusable


def current(connection: sa.Connection) -> str | None:
    """
    Return the revision of the database, or None if it has never been a ledger.
    """
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """
    Return the revision that this version of the guard works with.
    """
    head = _scripts().get_current_head()
    if head is None:
        raise LedgerUnusable("the ledger's migrations are missing from this installation; install it again")
    return head


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
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision not in known:
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
    if not check(connection):
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "guard.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config
