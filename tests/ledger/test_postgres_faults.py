"""
PostgreSQL that fails under a ledger: nothing that was told as recorded is lost, nothing is recorded twice, and when the
server is back the ledger works again without a person.
"""

import asyncio
import signal

import pytest
import sqlalchemy as sa
from cutting import Cutting
from ledger_cases import DRAFT, KEY, SIGHTING, draft_of, use

from guard.core.records import Pause
from guard.errors import LedgerUnusable
from guard.ledger import open_ledger
from guard.ledger.engine import make_engine, parse, writing
from tests.postgres import Server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def frail():
    """
    A server that may be stopped, and tells of it only by what fails.
    """
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cutting(postgres):
    """
    A way to the shared server that can be cut.
    """
    way = Cutting(postgres.port)
    yield way
    way.close()


def kill_all_others(server):
    """
    End every connection to the server but this one, as an operator or the system might.
    """
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cost-guard'")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_a_restart_under_load_loses_and_doubles_nothing(frail, how):
    """
    Every intent that a caller was told of is there once with its step, every other one wholly or not at all, and the same
    ledger goes on when the server is back.
    """
    url, told, refused = frail.new_url(), [], []

    async def thirty_more():
        more = len(told) + 30
        while len(told) < more:  # noqa: ASYNC110 - of six writers, whichever
            await asyncio.sleep(0.01)

    async def work(ledger):
        stop = asyncio.Event()

        async def write(name):
            index = 0
            while not stop.is_set():
                index += 1
                try:
                    told.append(await ledger.open_intent(draft_of(f"{name}-{index}"), at_ms=1, quota=None))
                except LedgerUnusable as error:
                    refused.append(str(error))
                    await asyncio.sleep(0.02)

        writers = [asyncio.create_task(write(name)) for name in "abcdef"]
        for _ in range(2):
            await thirty_more()
            await asyncio.to_thread(frail.stop, how)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(frail.start)
        await thirty_more()
        stop.set()
        await asyncio.gather(*writers)
        there = await ledger.open_intents()
        jobs = [one.draft.key.job_id for one in there]
        assert len(set(jobs)) == len(jobs)
        # None is the answer to who asks again for what was recorded although nobody could tell.
        assert {one.number for one in told if one is not None} <= {one.number for one in there}
        for one in there:
            assert list(await ledger.steps(one.number)) == [(1, "intended", "")]

    use(url, work)
    assert all("hunter2" not in one and "\n" not in one for one in refused)


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_commit_whose_answer_is_lost_is_asked_about(postgres, cutting, how):
    """
    The caller is told the truth: what was committed is not done again, and what was not is done once more.
    """
    url = postgres.new_url().replace(str(postgres.port), str(cutting.port))

    async def work(ledger):
        first = await ledger.open_intent(draft_of("first"), at_ms=1, quota=None)
        cutting.armed = how
        second = await ledger.open_intent(draft_of("second"), at_ms=2, quota=None)
        assert cutting.cuts == 1
        assert list(await ledger.open_intents()) == [first, second]
        assert list(await ledger.steps(second.number)) == [(2, "intended", "")]
        assert (second.number == first.number + 1) is (how == "after")

    use(url, work)


def test_a_commit_that_cannot_be_asked_about_is_said(frail):
    """
    Where another server has taken over meanwhile, whose numbers may be another's, nobody claims to know.
    """
    cutting = Cutting(frail.port)
    url = frail.new_url().replace(str(frail.port), str(cutting.port))

    async def work(ledger):
        def promoted(connection):
            turn = connection.info["turn"]
            connection.info["turn"] = type(turn)(number=turn.number, line=turn.line[:-1] + "9")
            cutting.armed = "after"

        with pytest.raises(LedgerUnusable, match="cannot be told whether that was done: another server answers now"):
            await ledger.write("try it", promoted)
        await ledger.remember([SIGHTING])

    use(url, work)
    cutting.close()


def test_a_killed_connection_is_replaced(postgres):
    """
    Whoever ends the connections, between the calls or in the middle of a reading or a writing, no caller notices.
    """
    killed = []

    def kill_once(connection):
        connection.exec_driver_sql("SELECT 1")
        if not killed:
            killed.append(1)
            kill_all_others(postgres)
        return connection.exec_driver_sql("SELECT 1").scalar_one()

    async def work(ledger):
        await ledger.remember([SIGHTING])
        kill_all_others(postgres)
        assert list(await ledger.sightings([KEY])) == [KEY]
        await ledger.remember([SIGHTING])
        assert await ledger.read("look", kill_once) == 1
        killed.clear()
        assert await ledger.write("write", kill_once) == 1

    use(postgres.new_url(), work)


def test_a_process_that_stands_still_in_its_turn_loses_it(postgres):
    """
    A writer that was stopped, or whose machine is gone, holds up the others for some seconds and has written nothing.
    """
    url = postgres.new_url()
    use(url, lambda ledger: ledger.remember([SIGHTING]))
    stopped = writing(make_engine(parse(url)))
    with stopped.connect() as connection:
        transaction = connection.begin()
        connection.exec_driver_sql("DELETE FROM sightings")
        use(url, lambda ledger: ledger.open_intent(DRAFT, at_ms=1, quota=None))
        with pytest.raises(Exception, match="idle-in-transaction timeout"):
            connection.exec_driver_sql("SELECT 1")
        transaction.rollback()
    stopped.dispose()
    assert list(use(url, lambda ledger: ledger.sightings([KEY]))) == [KEY]


def test_a_table_that_somebody_rebuilds_is_not_waited_for_without_end(postgres):
    """
    A lock that another transaction holds on a table is an error of who reads it; what needs another table goes on.
    """
    url = postgres.new_url()
    other = make_engine(parse(url))

    async def work(ledger):
        with other.connect() as connection:
            connection.exec_driver_sql("LOCK TABLE sightings IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(LedgerUnusable, match=r"cannot give the memory of jobs: .*due to lock timeout"):
                await ledger.sightings([KEY])
            assert await ledger.open_intent(DRAFT, at_ms=1, quota=None) is not None
        await ledger.remember([SIGHTING])
        assert list(await ledger.sightings([KEY])) == [KEY]

    use(url, lambda ledger: ledger.remember([]))
    use(url + "+-clock_timeout%3D200", work)
    other.dispose()


def test_a_full_server_is_an_error_until_it_has_room(frail):
    """
    Where no connection is left, the ledger says so, and works when there is one.
    """
    frail.run("CREATE ROLE crowd LOGIN SUPERUSER")
    url = frail.new_url().replace("guard@", "crowd@")
    frail.run("ALTER ROLE crowd NOSUPERUSER")
    frail.run("GRANT CREATE, USAGE ON SCHEMA " + url.rpartition("%3D")[2] + " TO crowd")

    async def work():
        ledger = await open_ledger(url)
        await ledger.remember([SIGHTING])
        kill_all_others(frail)
        frail.run("ALTER ROLE crowd CONNECTION LIMIT 0")
        with pytest.raises(LedgerUnusable, match=r"cannot take the memory of jobs: .*too many connections for role"):
            await ledger.remember([SIGHTING])
        with pytest.raises(LedgerUnusable, match="too many connections for role"):
            await ledger.pause()
        frail.run("ALTER ROLE crowd CONNECTION LIMIT -1")
        await ledger.remember([SIGHTING])
        assert await ledger.pause() is None
        await ledger.aclose()

    asyncio.run(work())


def test_a_server_that_takes_no_writes_for_a_while(frail):
    """
    While the server is read-only nothing is recorded, which is said; reading goes on, and writing when it may again.
    """

    async def work(ledger):
        pause = Pause(reason="maintenance", since_ms=1)
        for setting in ("on", "off"):
            frail.run(f"ALTER SYSTEM SET default_transaction_read_only = {setting}")
            frail.run("SELECT pg_reload_conf()")
            frail.stop()
            frail.start()
            if setting == "on":
                with pytest.raises(LedgerUnusable, match="cannot take the pause: the server takes no writes from this user"):
                    await ledger.set_pause(pause)
                assert await ledger.sightings([KEY]) == {}
        await ledger.set_pause(pause)
        assert await ledger.pause() == pause

    use(frail.new_url(), work)


def test_what_needs_no_common_moment_begins_no_transaction(frail):
    """
    A read that is apart is one question to the server and its answer; any other stands in a transaction.
    """

    def status(at):
        at.execute(sa.text("SELECT 1"))
        return at.connection.dbapi_connection.info.transaction_status.name

    async def work(ledger):
        assert await ledger.read("look", status, apart=True) == "IDLE"
        assert await ledger.read("look", status) == "INTRANS"
        assert await ledger.read("look", status, apart=True) == "IDLE"

    use(frail.new_url(), work)
