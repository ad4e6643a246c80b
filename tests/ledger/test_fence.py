"""
What a process writes whose lease is another one's by now: nothing, by whichever method of the ledger.
"""

import asyncio
import inspect

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, FINDING, KEY, SIGHTING, ToldClock, named
from test_history import DAY, END, JOB

from guard.core.clawback import Clawback
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Walk
from guard.errors import LeaseLost
from guard.ledger import SqlLease, open_ledger
from guard.ledger.leasetables import metadata
from guard.ports import Forecasts, History, Ledger, Savings
from tests.changing import replace

NORTH = {"north": (KEY.region, KEY.project_id), "south": ("elsewhere", "another")}
WALK = Walk(target="north", scope="s", started_ms=1, finished_ms=2, running=3)
# Every method that writes on behalf of a target, as it is called about one job or target (intent 1 is open, 2 closed).
WRITES = {
    "Ledger.remember": lambda ledger: ledger.remember([SIGHTING], facts={KEY: JOB}),
    "Ledger.lose": lambda ledger: ledger.lose([KEY]),
    "Ledger.note_walk": lambda ledger: ledger.note_walk(WALK),
    "Ledger.forget": lambda ledger: ledger.forget("north", before_ms=DAY * 2),
    "Ledger.record": lambda ledger: ledger.record([FINDING], at_ms=7),
    "Ledger.open_intent": lambda ledger: ledger.open_intent(replace(DRAFT, key=named("new")), at_ms=7, quota=None),
    "Ledger.advance": lambda ledger: ledger.advance(1, State.SENDING, at_ms=7),
    "Ledger.close": lambda ledger: ledger.close(1, Closing(outcome=Outcome.FAILED, note="late"), at_ms=7),
    "History.put": lambda ledger: ledger.history.put([END], seen=[SIGHTING]),
    "Savings.put": lambda ledger: ledger.savings.put({2: None}),
    "Forecasts.put": lambda ledger: ledger.forecasts.put({1: None}),
    "Savings.claw_back": lambda ledger: ledger.savings.claw_back(
        [Clawback(number=2, key=KEY, run=1, amount=1, currency="CNY", assumed=False)], at_ms=7
    ),
}
# A person's switch, and the retention of all runs by their age, which anybody may do.
OF_NO_TARGET = {"Ledger.set_pause", "History.forget", "History.forget_findings"}
READS = {
    *(f"Ledger.{name}" for name in ("attempts", "before", "finding_counts", "findings", "intents", "known", "open_intents")),
    *(
        f"Ledger.{name}"
        for name in ("nothing_stops", "open_since", "pause", "sightings", "steps", "tallies", "used", "walked", "walks")
    ),
    *(f"History.{name}" for name in ("busy", "last_known", "left", "lives", "newest")),
    *(f"Forecasts.{name}" for name in ("asked", "kept")),
    *(f"Savings.{name}" for name in ("counted", "estimates", "pending", "since", "stops", "submitted", "terminated")),
}


def test_every_method_is_told_of():
    """
    A method that is added to the ledger is fenced, or it is said here why it need not be.
    """
    there = {
        f"{port.__name__}.{name}"
        for port in (Ledger, History, Savings, Forecasts)
        for name, _ in inspect.getmembers(port, inspect.isfunction)
        if not name.startswith("_")
    }
    assert there == {*WRITES, *OF_NO_TARGET, *READS}


async def content(ledger):
    """
    All rows but those of the leases.
    """

    def read(at):
        tables = [one for one in metadata.sorted_tables if one.name not in ("replicas", "leases")]
        return {one.name: at.execute(sa.select(one)).all() for one in tables}

    return await ledger.read("look", read)


async def prepared(url):
    """
    A ledger whose fence is a lease that another replica has taken over, behind its back, and that replica's.
    """
    ledger, successor = await open_ledger(url), await open_ledger(url)
    ledger.fence = SqlLease(ledger, "first", ToldClock(), projects=NORTH, shared=True)
    await ledger.fence.acquire()
    await ledger.fence.renew()
    await ledger.open_intent(DRAFT, at_ms=1, quota=None)
    await ledger.open_intent(replace(DRAFT, key=named("other")), at_ms=1, quota=None)
    await ledger.record([replace(FINDING, reason="earlier")], at_ms=1)
    await ledger.close(2, Closing(outcome=Outcome.CONFIRMED, note=""), at_ms=2)
    await ledger.remember([replace(SIGHTING, key=named("known"))], facts={named("known"): replace(JOB, key=named("known"))})
    successor.fence = SqlLease(successor, "second", ToldClock(), projects=NORTH, shared=False)
    silence = sa.text("UPDATE replicas SET beat_ms = 0")
    await successor.write("stop a heart", lambda at: at.execute(silence))
    await successor.fence.acquire()
    return ledger, successor


@pytest.mark.parametrize("what", WRITES)
def test_a_late_write_is_none(lasting_url, what):
    """
    A write with an older token raises, whatever its process believes, and leaves the ledger as it was.
    """

    async def work():
        ledger, successor = await prepared(lasting_url)
        assert ledger.fence.held("north")
        before = await content(successor)
        with pytest.raises(LeaseLost, match="is not this process's any more"):
            await WRITES[what](ledger)
        assert await content(successor) == before
        for each in (ledger, successor):
            await each.aclose()

    asyncio.run(work())


def test_the_holder_writes(lasting_url):
    """
    With the newest token every one of these writes is done, or refused for what it says itself.
    """

    async def work():
        ledger, successor = await prepared(lasting_url)
        for what, write in WRITES.items():
            (refusal,) = await asyncio.gather(write(successor), return_exceptions=True)
            assert not isinstance(refusal, LeaseLost), what
        assert (await successor.intents(job_id="job-1"))[0].outcome == "failed"
        for each in (ledger, successor):
            await each.aclose()

    asyncio.run(work())


def test_a_lease_that_is_known_to_be_gone_asks_nobody(lasting_url):
    """
    A write about a target whose lease this process knows not to have does not reach the database; one of both is none.
    """

    async def work():
        ledger, successor = await prepared(lasting_url)
        await successor.fence.release("south")
        south = replace(SIGHTING, key=replace(KEY, region="elsewhere", project_id="another"), target="south")
        with pytest.raises(LeaseLost, match="'another' in 'elsewhere'"):
            await successor.remember([SIGHTING, south])
        assert list(await successor.sightings([KEY])) == []
        with pytest.raises(LeaseLost):
            await successor.note_walk(replace(WALK, target="south"))
        with pytest.raises(LeaseLost):
            await successor.note_walk(replace(WALK, target="never heard of"))
        for each in (ledger, successor):
            await each.aclose()

    asyncio.run(work())
