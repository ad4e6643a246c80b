"""
Opening a ledger on PostgreSQL: its schema, how it is migrated, and what is refused in which words.
"""

import asyncio

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, SIGHTING, use
from test_ledger_opening import nothing

from guard.errors import LedgerUnusable
from guard.ledger import open_ledger
from guard.ledger.engine import make_engine, parse, writing
from guard.ledger.postgres import refusal, unfit
from guard.ledger.schema import REVISIONS, check, migrate, newest
from tests.postgres import Server

GOOD = {"server_encoding": "UTF8", "in_hot_standby": "off", "default_transaction_read_only": "off", "fsync": "on"}
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, collation_name, split_part(column_default, '(', 1)
    FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2
"""
INDEXES = (
    "SELECT indexname, replace(indexdef, schemaname, '') FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
)
CONSTRAINTS = """
    SELECT conrelid::regclass::text, contype::text, replace(pg_get_constraintdef(oid), current_schema(), '')
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2, 3
"""


def schema_of(connection):
    """
    Return every column, index and constraint of a ledger, as the server tells them.
    """
    told = [sorted(map(tuple, connection.execute(sa.text(one)))) for one in (COLUMNS, INDEXES, CONSTRAINTS)]
    return [[row for row in rows if "alembic_version" not in row[0]] for rows in told]


def test_migrations_add_up_to_the_tables(postgres):
    """
    A new ledger and one that went through all migrations are the same: 64-bit numbers, texts compared by their bytes, and
    the partial index included.
    """
    new, migrated = postgres.new_url(), postgres.new_url()
    use(new, nothing)
    there = []
    for url in (migrated, new):
        engine = make_engine(parse(url))
        with engine.begin() as connection:
            if url == migrated:
                migrate(connection)
            assert check(connection)
            there.append(schema_of(connection))
        engine.dispose()
    (columns, indexes, _), made = there
    assert there[0] == made
    assert {kind for _, _, kind, *_ in columns} == {"bigint", "smallint", "text", "bytea", "boolean"}
    assert {collation for _, _, kind, _, collation, _ in columns if kind == "text"} == {"C"}
    assert dict(indexes)["one_open_intent_per_job"].endswith("WHERE (outcome IS NULL)")


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_ledger_of_an_earlier_revision_is_migrated_once(postgres, revision):
    """
    Several that open it at the same time migrate it once, and keep what is in it.
    """
    url = postgres.new_url()
    engine = make_engine(parse(url))
    with engine.begin() as connection:
        migrate(connection, to=revision)
        connection.exec_driver_sql(
            "INSERT INTO sightings (region, project_id, job_id, target, run, first_seen_ms, last_seen_ms, phase, ran)"
            " VALUES ('cn-north-4', '0a1b', 'job-1', 'north', 3, 1, 2, 'Running', true)"
        )
    engine.dispose()

    async def several():
        ledgers = await asyncio.gather(*(open_ledger(url) for _ in range(3)))
        seen = await ledgers[0].sightings([SIGHTING.key])
        for one in ledgers:
            await one.aclose()
        return seen[SIGHTING.key].run

    assert asyncio.run(several()) == 3


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_ledger_is_refused(postgres, read_only):
    """
    A ledger of an unknown revision is left alone, and the message says what to do.
    """
    url = postgres.new_url()
    use(
        url,
        lambda ledger: ledger.write("age", lambda at: at.exec_driver_sql("UPDATE alembic_version SET version_num = '9'")),
    )
    with pytest.raises(LedgerUnusable, match=rf"newer version .*'9'.*'{newest()}'.*run that version, or put back"):
        asyncio.run(open_ledger(url, read_only=read_only))


def test_reading_only_makes_nothing(postgres):
    """
    Reading neither makes a ledger nor sets one up, and writes nothing where there is one.
    """
    url = postgres.new_url()
    with pytest.raises(LedgerUnusable, match="not of this version yet; start the guard on it once"):
        asyncio.run(open_ledger(url, read_only=True))
    use(url, lambda ledger: ledger.open_intent(DRAFT, at_ms=1, quota=None))

    async def work():
        ledger = await open_ledger(url, read_only=True)
        with pytest.raises(LedgerUnusable, match="cannot DELETE it: cannot execute DELETE in a read-only transaction"):
            await ledger.read("DELETE it", lambda at: at.exec_driver_sql("DELETE FROM steps"))
        await ledger.aclose()

    asyncio.run(work())


def test_a_database_of_something_else_is_refused(postgres):
    """
    Tables are never put beside those of another program.
    """
    url = postgres.new_url()
    engine = make_engine(parse(url))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE customers (id int)")
    engine.dispose()
    with pytest.raises(LedgerUnusable, match=r"not a ledger, it holds \['customers'\]"):
        use(url, nothing)


@pytest.fixture(scope="module")
def strict():
    """
    A server that asks for passwords and whose disk is not waited for.
    """
    server = Server("fsync=off", access="host all all 127.0.0.1/32 scram-sha-256")
    server.run("CREATE ROLE teller LOGIN PASSWORD 'hunter2'")
    server.run("CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0")
    yield server
    server.close()


def refused(url, **how):
    """
    Return what opening a ledger says, without the number of the port; it never holds the password.
    """
    with pytest.raises(LedgerUnusable) as caught:
        asyncio.run(open_ledger(url, **how))
    text = str(caught.value)
    assert "hunter2" not in text
    assert "\n" not in text
    return text


def test_what_cannot_be_reached_is_told_in_one_sentence(postgres, strict):
    """
    No server, no such user or database, a wrong or missing password, no encryption, a misspelt parameter: each is named.
    """
    there = f"127.0.0.1:{strict.port}"
    told = {
        "postgresql://u:hunter2@127.0.0.1:1/guard": "Connection refused",
        "postgresql://u:hunter2@nowhere.invalid/guard": "failed to resolve host 'nowhere.invalid'",
        f"postgresql://nobody@127.0.0.1:{postgres.port}/guard": 'role "nobody" does not exist',
        f"postgresql://guard@127.0.0.1:{postgres.port}/nothing": 'database "nothing" does not exist',
        f"postgresql://teller:hunter2x@{there}/postgres": 'password authentication failed for user "teller"',
        f"postgresql://teller@{there}/postgres": "no password supplied",
        f"postgresql://teller:hunter2@{there}/postgres?sslmode=require": "server does not support SSL, but SSL was required",
        f"postgresql://teller:hunter2@{there}/postgres?sslmod=require": 'invalid connection option "sslmod"',
    }
    for url, said in told.items():
        assert said in refused(url), url
        assert "cannot be opened" in refused(url, read_only=True)


def test_a_server_that_would_lose_records_is_only_read(strict):
    """
    A server without fsync is no ledger, but may be looked at; a database that does not hold every name is none at all.
    """
    url = f"postgresql://teller:hunter2@127.0.0.1:{strict.port}"
    assert "runs with fsync=off, so it would lose records" in refused(f"{url}/postgres")
    assert "start the guard on it once" in refused(f"{url}/postgres", read_only=True)
    assert "encoded in LATIN1, which holds not every name" in refused(f"{url}/narrow")


def test_a_user_without_rights_is_told_which(postgres):
    """
    Who may not make tables is told so; who may only read can read.
    """
    postgres.run("CREATE ROLE reader LOGIN")
    url = postgres.new_url()
    schema = url.rpartition("%3D")[2]
    assert "permission denied" in refused(postgres.url(user="reader"))
    use(url, lambda ledger: ledger.remember([SIGHTING]))
    postgres.run(f"GRANT USAGE ON SCHEMA {schema} TO reader")
    postgres.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    theirs = url.replace("guard@", "reader@")

    async def look():
        ledger = await open_ledger(theirs, read_only=True)
        assert list(await ledger.sightings([SIGHTING.key])) == [SIGHTING.key]
        await ledger.aclose()

    asyncio.run(look())
    with pytest.raises(LedgerUnusable, match="cannot take the memory of jobs: permission denied for table sightings"):
        use(theirs, lambda ledger: ledger.remember([SIGHTING]))


def test_several_hosts_and_the_other_name(postgres):
    """
    Of several hosts the one that takes writes is found, and the short name of the scheme is as good.
    """
    schema = postgres.new_url().partition("?")[2]
    hosts = f"host=127.0.0.1:1&host=127.0.0.1:{postgres.port}&target_session_attrs=read-write"
    url = f"postgres://guard:hunter2@/postgres?{hosts}&{schema}"

    async def work(ledger):
        await ledger.remember([SIGHTING])
        return ledger.name

    assert use(url, work) == "postgresql://guard:***@/postgres"


@pytest.mark.parametrize(
    ("version", "changes", "said"),
    [
        pytest.param(120_019, {}, "is PostgreSQL 12, and 13 or later", id="old"),
        pytest.param(130_000, {}, None, id="the-oldest"),
        pytest.param(150_000, {"server_encoding": "SQL_ASCII"}, "encoded in SQL_ASCII", id="no-characters"),
        pytest.param(150_000, {"in_hot_standby": "on"}, "is a standby", id="standby"),
        pytest.param(130_000, {"in_hot_standby": None}, None, id="tells-nothing-of-standbys"),
        pytest.param(150_000, {"default_transaction_read_only": "on"}, "takes no writes from this user", id="read-only"),
    ],
)
def test_which_servers_can_be_a_ledger(version, changes, said):
    """
    A server too old, a standby, or one that takes no writes is refused in a sentence.
    """
    told = refusal(version, GOOD | changes) or unfit(GOOD | changes)
    assert told is None if said is None else said in told


def test_durability_is_not_lowered(postgres):
    """
    Writes wait for the disk whatever the database, the user or the URL says; stronger promises stay.
    """

    async def work(ledger):
        asked = "SELECT current_setting('synchronous_commit')"
        return await ledger.write("tell", lambda at: at.exec_driver_sql(asked).scalar_one())

    url = postgres.new_url()
    assert use(url, work) == "on"
    assert use(url + "+-csynchronous_commit%3Doff", work) == "on"
    assert use(url + "+-csynchronous_commit%3Dremote_write", work) == "on"
    assert use(url + "+-csynchronous_commit%3Dremote_apply", work) == "remote_apply"


def test_a_reader_has_one_view_and_writers_take_turns(postgres):
    """
    What a reader sees does not change under it; a writer sees what the one before it committed, and waits for it.
    """
    url = postgres.new_url()

    async def work(ledger):
        other = await open_ledger(url)
        loop = asyncio.get_running_loop()

        def look(connection):
            def count():
                return connection.exec_driver_sql("SELECT count(*) FROM sightings").scalar_one()

            before = count()
            asyncio.run_coroutine_threadsafe(other.remember([SIGHTING]), loop).result()
            return before, count()

        assert await ledger.read("look twice", look) == (0, 0)
        assert list(await ledger.sightings([SIGHTING.key])) == [SIGHTING.key]
        await other.aclose()

    use(url, work)
    engine = writing(make_engine(parse(url)))
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT current_setting('transaction_isolation')").scalar_one() == "read committed"
    engine.dispose()
