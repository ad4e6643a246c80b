"""
Writes that wait together share a transaction, and nobody but the disk notices.
"""

import asyncio
import contextlib
import gc
import itertools
import sqlite3
import threading

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, SIGHTING, draft_of, named, use

from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Quota
from guard.errors import LedgerUnusable
from guard.ledger import SqlLedger, open_ledger
from guard.ledger.engine import make_engine, parse
from guard.ledger.groups import MOST_WORKS
from guard.ledger.tables import sightings, steps

GONE = Closing(outcome=Outcome.GONE, note="")


@contextlib.asynccontextmanager
async def held(ledger):
    """
    Keep the writer busy, so that the writes that are begun inside wait together.
    """
    let_go = threading.Event()
    busy = asyncio.create_task(ledger.write("wait", lambda at: let_go.wait()))
    await asyncio.sleep(0)
    try:
        yield
        await asyncio.sleep(0)
    finally:
        let_go.set()
        # It may be of the same group, and so fail with it.
        await asyncio.gather(busy, return_exceptions=True)


async def together(ledger, *wanted):
    """
    Make all these calls wait for one group, and return what each returned or raised.
    """
    async with held(ledger):
        calls = [asyncio.create_task(each) for each in wanted]
    return await asyncio.gather(*calls, return_exceptions=True)


async def job_ids(ledger):
    """
    Return the jobs of the open intents, oldest first.
    """
    return [intent.draft.key.job_id for intent in await ledger.open_intents()]


def a_step_of_nothing(connection):
    """
    Write what only the commit refuses: a step of an intent that is not there.
    """
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    connection.execute(sa.insert(steps).values(intent=4711, at_ms=1, state="sending", note=""))


def a_half(connection):
    """
    Write something and fail before the rest.
    """
    connection.execute(sa.delete(sightings))
    raise ValueError("that was half of it")


def test_writes_that_wait_share_commits(file_url):
    """
    Many writes take few commits, are run in the order of the calls, and no group is larger than it may be.
    """
    commits, order = [], []

    async def work():
        await (await open_ledger(file_url)).aclose()
        engine = make_engine(parse(file_url))
        sa.event.listen(engine, "commit", lambda connection: commits.append(len(order)))
        ledger = SqlLedger(engine, name="counted")
        works = [lambda at, index=index: order.append(index) for index in range(3 * MOST_WORKS)]
        await together(ledger, *(ledger.write("count", each) for each in works))
        await ledger.aclose()

    asyncio.run(work())
    assert order == list(range(3 * MOST_WORKS))
    assert 1 + 3 <= len(commits) < MOST_WORKS
    assert max(after - before for before, after in itertools.pairwise(commits)) <= MOST_WORKS


def test_many_intents_of_one_job_in_one_group(url):
    """
    The first of them is recorded, the others are told that there is one.
    """

    async def work(ledger):
        first, *others = await together(ledger, *(ledger.open_intent(DRAFT, at_ms=at, quota=None) for at in range(20)))
        assert first.created_ms == 0
        assert others == [None] * 19
        assert list(await ledger.open_intents()) == [first]
        assert list(await ledger.steps(first.number)) == [(0, "intended", "")]

    use(url, work)


def test_the_quota_in_one_group(url):
    """
    Each intent counts those before it in its own group.
    """

    async def work(ledger):
        quota = Quota(total=7, since_ms=0)
        calls = (ledger.open_intent(draft_of(f"job-{index}"), at_ms=1, quota=quota) for index in range(20))
        made = await together(ledger, *calls)
        assert [intent is not None for intent in made] == [True] * 7 + [False] * 13
        assert await job_ids(ledger) == [f"job-{index}" for index in range(7)]

    use(url, work)


def test_a_failing_work_fails_alone(url):
    """
    The others of its group are recorded, it leaves nothing behind, and each caller gets its own result or error.
    """

    async def work(ledger):
        await ledger.remember([SIGHTING])
        one = await ledger.open_intent(draft_of("before"), at_ms=1, quota=None)
        first, unknown, half, sent, again, last = await together(
            ledger,
            ledger.open_intent(draft_of("first"), at_ms=1, quota=None),
            ledger.close(4711, GONE, at_ms=2),
            ledger.write("do it", a_half),
            ledger.advance(one.number, State.SENDING, at_ms=3),
            ledger.advance(one.number, State.INTENDED, at_ms=4),
            ledger.open_intent(draft_of("last"), at_ms=5, quota=None),
        )
        assert (first.draft.key, sent.sending_ms, last.draft.key) == (named("first"), 3, named("last"))
        assert (
            str(unknown) == f"ledger {ledger.name} cannot record the outcome 'gone' of intent 4711: there is no intent 4711"
        )
        assert str(half) == f"ledger {ledger.name} cannot do it: that was half of it"
        assert str(again).endswith("'intended' may not follow 'sending'")
        assert await job_ids(ledger) == ["before", "first", "last"]
        assert list(await ledger.steps(one.number)) == [(1, "intended", ""), (3, "sending", "")]
        assert list(await ledger.sightings([SIGHTING.key])) == [SIGHTING.key]

    use(url, work)


@pytest.mark.parametrize("error", [KeyError("x"), StopIteration()], ids=repr)
def test_whatever_a_work_raises_reaches_its_caller(url, error):
    """
    An error that is not the ledger's is not swallowed, and keeps nobody waiting.
    """

    def wrong(connection):
        raise error

    async def work(ledger):
        async with held(ledger):
            bad = asyncio.ensure_future(ledger._writer.put(wrong))
            good = asyncio.create_task(ledger.open_intent(DRAFT, at_ms=1, quota=None))
        with pytest.raises((type(error), RuntimeError)):
            await bad
        assert (await good).draft == DRAFT

    use(url, work)


def test_a_commit_that_fails_fails_its_whole_group(file_url):
    """
    Nobody is told that something is on record which is not, and the next write finds the ledger as it was.
    """
    before = use(file_url, lambda ledger: ledger.open_intent(draft_of("before"), at_ms=1, quota=None))

    async def work():
        ledger = SqlLedger(make_engine(parse(file_url)), name="deferred", longest_group_s=60)
        answers = await together(
            ledger,
            ledger.open_intent(draft_of("first"), at_ms=1, quota=None),
            ledger.write("note it", a_step_of_nothing),
            ledger.advance(before.number, State.SENDING, at_ms=2),
        )
        assert [type(answer) for answer in answers] == [LedgerUnusable] * 3
        assert [str(answer) for answer in answers] == [
            "ledger deferred cannot record an intent for job 'first': FOREIGN KEY constraint failed",
            "ledger deferred cannot note it: FOREIGN KEY constraint failed",
            f"ledger deferred cannot record 'sending' for intent {before.number}: FOREIGN KEY constraint failed",
        ]
        assert list(await ledger.open_intents()) == [before]
        assert (await ledger.advance(before.number, State.SENDING, at_ms=3)).sending_ms == 3
        await ledger.aclose()

    asyncio.run(work())


def test_a_commit_that_fails_after_a_failing_work(file_url):
    """
    Where each work of a group got a transaction of its own, only the one whose commit fails is not on record.
    """

    async def work(ledger):
        first, refused, last, half = await together(
            ledger,
            ledger.open_intent(draft_of("first"), at_ms=1, quota=None),
            ledger.write("note it", a_step_of_nothing),
            ledger.open_intent(draft_of("last"), at_ms=1, quota=None),
            ledger.write("do it", a_half),
        )
        assert str(half).endswith("that was half of it")
        assert str(refused).endswith("cannot note it: FOREIGN KEY constraint failed")
        assert list(await ledger.open_intents()) == [first, last]

    async def through():
        await (await open_ledger(file_url)).aclose()
        ledger = SqlLedger(make_engine(parse(file_url)), name="deferred", longest_group_s=60)
        await work(ledger)
        await ledger.aclose()

    asyncio.run(through())


def test_a_lock_fails_its_whole_group_at_once(file_url):
    """
    Those who wait for a lock that another program holds wait for it once, not one after the other.
    """
    use(file_url, lambda ledger: ledger.remember([]))
    other = sqlite3.connect(file_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    begun = []

    def lock_the_second(statement):
        begun.extend([statement] if statement == "BEGIN IMMEDIATE" else [])
        if len(begun) == 2 and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    async def work():
        engine = make_engine(parse(file_url))
        sa.event.listen(engine, "connect", lambda connection, record: connection.execute("PRAGMA busy_timeout = 1"))
        sa.event.listen(engine, "connect", lambda connection, record: connection.set_trace_callback(lock_the_second))
        ledger = SqlLedger(engine, name="locked", longest_group_s=0)
        answers = await together(
            ledger, *(ledger.open_intent(draft_of(f"job-{index}"), at_ms=1, quota=None) for index in range(9))
        )
        assert {type(answer) for answer in answers} == {LedgerUnusable}
        assert all("database is locked" in str(answer) for answer in answers)
        assert len(begun) == 2
        other.execute("ROLLBACK")
        assert await ledger.open_intent(DRAFT, at_ms=2, quota=None) is not None
        await ledger.aclose()

    asyncio.run(work())
    other.close()


def test_a_cancelled_caller_waits_for_its_group(url):
    """
    Cancelling one of a group takes nothing from the others, and it returns when its own work is over, which is done.
    """

    async def work(ledger):
        async with held(ledger):
            calls = [
                asyncio.create_task(ledger.open_intent(draft_of(f"job-{index}"), at_ms=1, quota=None)) for index in range(3)
            ]
            await asyncio.sleep(0)
            calls[1].cancel()
            await asyncio.sleep(0.01)
            assert [call.done() for call in calls] == [False] * 3
        first, cancelled, last = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert (first.draft.key, last.draft.key) == (named("job-0"), named("job-2"))
        assert await job_ids(ledger) == ["job-0", "job-1", "job-2"]

    use(url, work)


def test_a_cancelled_caller_leaves_no_failure_behind(url):
    """
    What a work raises whose caller was cancelled meanwhile is nobody's, and no error of the event loop.
    """

    async def work(ledger):
        strange = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: strange.append(context))
        async with held(ledger):
            calls = [asyncio.create_task(ledger.write("write half", a_half)) for _ in range(3)]
            await asyncio.sleep(0)
            calls[1].cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [LedgerUnusable, asyncio.CancelledError, LedgerUnusable]
        del ends
        calls.clear()
        # The thread holds the group until it has nothing more to do, or begins with the next.
        await ledger.write("go on", lambda at: None)
        gc.collect()
        assert strange == []

    use(url, work)


def test_closing_waits_for_a_group(file_url):
    """
    What waits when the ledger is closed is written first.
    """

    async def work():
        ledger = await open_ledger(file_url)
        async with held(ledger):
            calls = [
                asyncio.create_task(ledger.open_intent(draft_of(f"job-{index}"), at_ms=1, quota=None)) for index in range(50)
            ]
            await asyncio.sleep(0)
            closing = asyncio.create_task(ledger.aclose())
            await asyncio.sleep(0.01)
            assert not closing.done()
        await closing
        assert all(call.result() is not None for call in calls)

    asyncio.run(work())
    assert len(use(file_url, job_ids)) == 50


def test_a_heartbeat_goes_before_what_waits():
    """
    It is done after the works that run, and before all others that were put earlier.
    """

    async def act(ledger):
        order = []
        async with held(ledger):
            calls = [
                asyncio.create_task(ledger.write("note", lambda at, n=n: order.append(n), first=n == 3)) for n in range(4)
            ]
        await asyncio.gather(*calls)
        assert order == [3, 0, 1, 2]

    use("sqlite://", act)
