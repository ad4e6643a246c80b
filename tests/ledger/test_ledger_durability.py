"""
What survives: races of processes, sudden death, a full disk, cancelled callers.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, KEY, SIGHTING, draft_of, use

from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Quota
from guard.errors import LedgerUnusable
from guard.ledger import SqlLedger, open_ledger
from guard.ledger.engine import make_engine, parse, writing

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)])}


def child(*arguments):
    """
    Start a process of ``ledger_child``.
    """
    command = [sys.executable, str(HERE / "ledger_child.py"), *arguments]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


async def with_two(url, work):
    first = await open_ledger(url)
    second = await open_ledger(url)
    try:
        return await work(first, second)
    finally:
        await first.aclose()
        await second.aclose()


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_killed_process_leaves_its_intent(lasting_url, how):
    """
    What was recorded is there after the process died in the very next instruction, also for one that only reads.
    """
    with child("intend", lasting_url, how) as process:
        process.communicate()
    assert process.returncode == {"exit": 3, "kill": -9}[how]

    async def look():
        ledger = await open_ledger(lasting_url, read_only=True)
        assert [intent.draft for intent in await ledger.open_intents()] == [DRAFT]
        await ledger.aclose()

    asyncio.run(look())

    async def work(ledger):
        (intent,) = await ledger.open_intents()
        assert (intent.draft, intent.state, intent.sending_ms) == (DRAFT, State.SENDING, 2)
        end = await ledger.close(intent.number, Closing(outcome=Outcome.GONE, note=""), at_ms=3)
        assert end.outcome is Outcome.GONE

    use(lasting_url, work)


def test_two_connections_open_one_intent(lasting_url):
    """
    Of many simultaneous attempts on one job over two connections, exactly one wins.
    """

    async def work(first, second):
        wanted = [ledger.open_intent(DRAFT, at_ms=1, quota=None) for _ in range(10) for ledger in (first, second)]
        won = [intent for intent in await asyncio.gather(*wanted) if intent is not None]
        assert won == list(await first.open_intents()) == list(await second.open_intents())
        assert len(won) == 1

    asyncio.run(with_two(lasting_url, work))


def test_the_database_forbids_a_second_open_intent(lasting_url):
    """
    The index itself refuses a second open intent, whatever a program thinks.
    """
    use(lasting_url, lambda ledger: ledger.open_intent(DRAFT, at_ms=1, quota=None))
    engine = make_engine(parse(lasting_url))
    with engine.connect() as connection:
        columns = ", ".join(column["name"] for column in sa.inspect(connection).get_columns("intents")[1:])
        again = sa.text(f"INSERT INTO intents ({columns}) SELECT {columns} FROM intents")  # noqa: S608
        with pytest.raises(sa.exc.IntegrityError, match=r"(?i)unique"):
            connection.execute(again)
    engine.dispose()


def test_two_connections_keep_the_quota(lasting_url):
    """
    Over two connections the quota is never exceeded, and used up.
    """

    async def work(first, second):
        quota = Quota(total=7, since_ms=0)
        wanted = [
            ledger.open_intent(draft_of(f"{name}-{index}"), at_ms=1, quota=quota)
            for index in range(15)
            for name, ledger in (("a", first), ("b", second))
        ]
        won = [intent for intent in await asyncio.gather(*wanted) if intent is not None]
        assert len(won) == 7
        assert await second.used(since_ms=0) == 7

    asyncio.run(with_two(lasting_url, work))


@pytest.mark.server
def test_processes_race_for_a_new_ledger(lasting_url):
    """
    Processes that start on a ledger that does not exist yet make it once and keep the quota and the one open intent.
    """
    children = [child("race", lasting_url, "12", "9") for _ in range(4)]
    counts = [int(process.communicate()[0]) for process in children]
    assert [process.returncode for process in children] == [0] * 4
    assert sum(counts) == 9

    async def work(ledger):
        jobs = [intent.draft.key.job_id for intent in await ledger.open_intents()]
        assert len(set(jobs)) == len(jobs) == 9

    use(lasting_url, work)


def test_a_full_database_loses_nothing(file_url):
    """
    When no page is left, the write is refused as a whole, and all that was recorded is readable.
    """

    def no_more_pages(connection, record):
        connection.cursor().execute("PRAGMA max_page_count = 60")

    async def work():
        await (await open_ledger(file_url)).aclose()
        engine = make_engine(parse(file_url))
        sa.event.listen(engine, "connect", no_more_pages)
        ledger = SqlLedger(engine, name="full")
        made = []

        async def until_full():
            while True:
                made.append(await ledger.open_intent(draft_of(f"job-{len(made)}", reason="x" * 4_000), at_ms=1, quota=None))

        with pytest.raises(LedgerUnusable, match=r"ledger full cannot record an intent for job '.*': .* is full"):
            await until_full()
        assert len(made) > 5
        assert list(await ledger.open_intents()) == made
        await ledger.aclose()
        ledger = await open_ledger(file_url)
        assert list(await ledger.open_intents()) == made
        assert await ledger.open_intent(draft_of("later"), at_ms=2, quota=None) is not None
        await ledger.aclose()

    asyncio.run(work())


@pytest.mark.server
def test_a_disk_that_takes_no_more_loses_nothing(file_url):
    """
    When the system refuses to let the file grow, everything that was recorded before is there.
    """
    with child("fill", file_url, "600000") as process:
        made, error = process.communicate()[0].split("\n", 1)
    assert process.returncode == 0
    assert "cannot record an intent" in error

    async def work(ledger):
        assert len(await ledger.open_intents()) == int(made) > 5

    use(file_url, work)


def test_cancelled_callers_leave_whole_transactions(url):
    """
    A caller that is cancelled at any point of a write leaves it done, with its steps, or not begun.
    """

    async def work(ledger):
        for ticks in range(60):
            task = asyncio.create_task(ledger.open_intent(draft_of(f"job-{ticks}"), at_ms=1, quota=None))
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for intent in await ledger.open_intents():
            assert list(await ledger.steps(intent.number)) == [(1, "intended", "")]
        await ledger.remember([SIGHTING])
        assert list(await ledger.sightings([KEY])) == [KEY]

    use(url, work)


def test_closing_waits_for_what_is_under_way(lasting_url):
    """
    A write that has begun when the ledger is closed is done; a later one is refused.
    """

    async def work():
        ledger = await open_ledger(lasting_url)
        writes = [asyncio.create_task(ledger.remember([SIGHTING])) for _ in range(5)]
        await asyncio.sleep(0)
        await ledger.aclose()
        await ledger.aclose()
        assert await asyncio.gather(*writes) == [None] * 5
        with pytest.raises(LedgerUnusable, match="has been closed"):
            await ledger.remember([SIGHTING])

    asyncio.run(work())
    assert use(lasting_url, lambda ledger: ledger.sightings([KEY])) == {KEY: SIGHTING}


def test_readers_are_not_blocked_by_a_writer(lasting_url):
    """
    While one process is in the middle of a write, another one reads what was there before.
    """
    use(lasting_url, lambda ledger: ledger.remember([SIGHTING]))
    writer = writing(make_engine(parse(lasting_url)))
    with writer.connect() as connection:
        connection.exec_driver_sql("DELETE FROM sightings")

        async def work():
            ledger = await open_ledger(lasting_url, read_only=True)
            assert await ledger.sightings([KEY]) == {KEY: SIGHTING}
            await ledger.aclose()

        asyncio.run(work())
    writer.dispose()


def test_durability_is_not_lowered(file_url):
    """
    Every connection waits for the disk, keeps a write-ahead log and checks foreign keys.
    """

    def settings(connection):
        return [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    async def work(ledger):
        assert await ledger.read("tell", settings) == ["wal", 2, 1]
        assert await ledger.write("tell", settings) == ["wal", 2, 1]

    use(file_url, work)
