"""
Opening a ledger: its schema, what is refused, and what the refusal says.
"""

import asyncio
import os
import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledger_cases import DRAFT, SIGHTING, use

from guard.core.facts import JobKey
from guard.errors import LedgerUnusable
from guard.ledger import open_ledger
from guard.ledger.schema import REVISIONS, check, migrate, newest
from guard.ledger.tables import metadata


async def nothing(ledger):
    """
    Do nothing with a ledger but open it.
    """


def schema_of(engine):
    """
    Return the statements that made the objects of a database, without their spacing and quotes.
    """
    with engine.connect() as connection:
        made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {name: "".join(sql.replace('"', "").split()).lower() for name, sql in made if name != "alembic_version"}


def test_migrations_add_up_to_the_tables(file_url):
    """
    A new ledger and one that went through all migrations have exactly the schema of the code, partial index included.
    """
    use(file_url, nothing)
    new, migrated = sa.create_engine(file_url), sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    with migrated.begin() as connection:
        migrate(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert check(connection)
    with new.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert schema_of(migrated)["one_open_intent_per_job"].endswith("whereoutcomeisnull")
    assert schema_of(migrated) == schema_of(new)
    migrated.dispose()
    new.dispose()


def test_the_revisions_are_those_of_the_migrations():
    """
    The list of revisions names each migration, in the order in which they follow each other.
    """
    config = Config()
    config.set_main_option("script_location", "guard.ledger:migrations")
    config.set_main_option("path_separator", "os")
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(known)) == REVISIONS


def test_a_ledger_of_an_earlier_version_is_migrated(file_url):
    """
    What the first version wrote is there after the start of this one.
    """
    engine = sa.create_engine(file_url)
    with engine.begin() as connection:
        migrate(connection, to=REVISIONS[0])
        connection.execute(
            sa.text(
                "INSERT INTO sightings (region, project_id, job_id, target, run, first_seen_ms, last_seen_ms, phase, ran)"
                " VALUES ('r', 'p', 'j', 'north', 2, 1, 2, 'Running', 1)"
            )
        )
    engine.dispose()
    key = JobKey(region="r", project_id="p", job_id="j")
    assert use(file_url, lambda ledger: ledger.sightings([key]))[key].run == 2


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_what_an_earlier_version_did_is_migrated(file_url, revision):
    """
    Intents keep their steps, which refer to them, and findings stand, from whichever version the ledger is.
    """
    engine = sa.create_engine(file_url)
    with engine.begin() as connection:
        migrate(connection, to=revision)
        for table, known in (
            ("intents", {"number": 7, "state": "sending", "facts": "{}", "traces": "[]", "outcome": None}),
            ("steps", {"intent": 7, "state": "sending"}),
            ("findings", {"reason": "observe", "potential": "7", "currency": "CNY", "ending": "own", "cost": "9"}),
        ):
            columns = sa.inspect(connection).get_columns(table)
            row = {name: value for name, value in known.items() if name in {column["name"] for column in columns}}
            for column in columns:
                if not column["nullable"]:
                    row.setdefault(column["name"], 1 if isinstance(column["type"], sa.Integer) else "x")
            connection.execute(sa.table(table, *map(sa.column, row)).insert(), row)
    engine.dispose()

    async def look(ledger):
        (intent,) = await ledger.open_intents()
        assert (intent.number, intent.savings_expected, intent.draft.work) == (7, None, None)
        assert await ledger.steps(7) == [(1, "sending", "x")]
        assert [one.reason for _, one in await ledger.findings()] == ["observe"]
        potentials, taken = await ledger.savings.counted()
        assert ([one.amount for one in potentials], taken) == ([7] if revision >= "0005" else [], [])
        # Nobody knows any more what that run was at its match.
        assert await ledger.forecasts.asked(limit=9) == []
        assert await ledger.open_intent(intent.draft, at_ms=2, quota=None) is None

    use(file_url, look)


def test_opening_again_keeps_everything(lasting_url):
    """
    A ledger that is of this version already is opened as it is.
    """
    intent = use(lasting_url, lambda ledger: ledger.open_intent(DRAFT, at_ms=1, quota=None))
    assert list(use(lasting_url, lambda ledger: ledger.open_intents())) == [intent]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_ledger_is_refused(file_url, read_only):
    """
    A ledger of an unknown revision is left alone, and the message says what to do.
    """
    use(file_url, lambda ledger: ledger.remember([SIGHTING]))
    path = file_url.removeprefix("sqlite:///")
    database = sqlite3.connect(path)
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    with pytest.raises(LedgerUnusable, match=rf"newer version .*'9999'.*'{newest()}'.*run that version, or put back"):
        asyncio.run(open_ledger(file_url, read_only=read_only))


def test_a_database_of_something_else_is_refused(tmp_path):
    """
    Tables are never put beside those of another program.
    """
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute("CREATE TABLE customers (id)")
    database.close()
    with pytest.raises(LedgerUnusable, match=r"not a ledger, it holds \['customers'\]"):
        use(f"sqlite:///{tmp_path / 'other.db'}", nothing)


@pytest.mark.parametrize("content", [b"policies:\n" * 200, b"\x00" * 4_096], ids=["text", "zeros"])
def test_a_file_that_is_no_database_is_refused(tmp_path, content):
    """
    A file with something else in it is refused and stays as it is.
    """
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(LedgerUnusable, match=r"notes\.txt cannot be opened: file is not a database"):
        use(f"sqlite:///{path}", nothing)
    assert path.read_bytes() == content


def test_a_damaged_ledger_is_an_error(file_url):
    """
    A row that makes no sense is not guessed at.
    """
    use(file_url, lambda ledger: ledger.open_intent(DRAFT, at_ms=1, quota=None))
    database = sqlite3.connect(file_url.removeprefix("sqlite:///"))
    database.execute("UPDATE intents SET state = 'dreaming'")
    database.commit()
    database.close()
    with pytest.raises(LedgerUnusable, match="cannot give the open intents: 'dreaming' is not a valid State"):
        use(file_url, lambda ledger: ledger.open_intents())


def test_a_missing_folder_is_named(tmp_path):
    """
    No folder is made for a ledger; the message says which one is missing.
    """
    with pytest.raises(LedgerUnusable, match=r"cannot be opened \(there is no folder .*nowhere; make it\): unable to open"):
        use(f"sqlite:///{tmp_path}/nowhere/guard.db", nothing)


def test_a_folder_that_takes_no_files_is_an_error():
    """
    A file system on which no ledger can be made refuses it.
    """
    with pytest.raises(LedgerUnusable, match="cannot be opened: unable to open database file"):
        use("sqlite:////proc/guard.db", nothing)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_ledger_that_may_not_be_written_is_an_error(file_url, tmp_path):
    """
    A ledger on which this process may not write cannot be acted on, and is not harmed.
    """
    use(file_url, lambda ledger: ledger.remember([SIGHTING]))
    (tmp_path / "guard.db").chmod(0o400)
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerUnusable, match="cannot be opened: attempt to write a readonly database"):
        use(file_url, nothing)
    tmp_path.chmod(0o700)
    (tmp_path / "guard.db").chmod(0o600)
    assert list(use(file_url, lambda ledger: ledger.sightings([SIGHTING.key]))) == [SIGHTING.key]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("guard.db", "not a URL", id="a-path"),
        pytest.param("mysql://u:hunter2@db/guard", r"mysql://u:\*\*\*@db/guard: .* in SQLite, like", id="another-database"),
        pytest.param("postgresql://u:hunter2@db:x/guard", "not a URL", id="a-bad-port"),
        pytest.param(
            "postgresql://u:hunter2@db/", r"postgresql://u:\*\*\*@db/: expected the name of a database", id="no-database"
        ),
        pytest.param("postgresql://db/g?password=hunter2&password=x", "//db/g: the parameter 'password' stands", id="twice"),
        pytest.param("sqlite:///guard.db?mode=memory", "without host and parameters", id="parameters"),
        pytest.param("sqlite://guard.db", "without host and parameters", id="two-slashes"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url, said):
    """
    The message says what was expected and never shows a secret.
    """
    with pytest.raises(LedgerUnusable, match=said) as caught:
        asyncio.run(open_ledger(url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "a#b.db", "账本.db", "file:x.db"])
def test_odd_file_names(tmp_path, name):
    """
    The file is called exactly as the URL says.
    """
    url = sa.URL.create("sqlite", database=str(tmp_path / name)).render_as_string()
    use(url, lambda ledger: ledger.remember([SIGHTING]))
    assert os.listdir(tmp_path) == [name]


def test_reading_only(lasting_url):
    """
    A ledger opened for reading sees what another one writes, and writes nothing itself.
    """

    async def work(ledger):
        reader = await open_ledger(lasting_url, read_only=True)
        await ledger.remember([SIGHTING])
        assert list(await reader.sightings([SIGHTING.key])) == [SIGHTING.key]
        with pytest.raises(LedgerUnusable, match="cannot take the pause: it was opened for reading only"):
            await reader.set_pause(None)
        await reader.aclose()

    use(lasting_url, work)


def test_reading_only_makes_nothing(tmp_path):
    """
    Reading neither makes a ledger nor sets one up.
    """
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    with pytest.raises(LedgerUnusable, match="there is no such file; the guard makes it when it starts"):
        asyncio.run(open_ledger(url, read_only=True))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "guard.db").touch()
    with pytest.raises(LedgerUnusable, match="not of this version yet; start the guard on it once"):
        asyncio.run(open_ledger(url, read_only=True))


def test_a_locked_ledger_is_an_error(file_url):
    """
    A lock that another program never gives back is said, not waited for without end.
    """
    use(file_url, nothing)
    other = sqlite3.connect(file_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def impatient(connection):
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")

    async def work(ledger):
        await ledger.read("wait less", impatient)
        with pytest.raises(LedgerUnusable, match="cannot take the memory of jobs: database is locked"):
            await ledger.remember([SIGHTING])
        other.close()
        await ledger.remember([SIGHTING])

    use(file_url, work)
