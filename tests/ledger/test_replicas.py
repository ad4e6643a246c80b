"""
Several replicas on one ledger: who has which target, and when another may take it. Each has clocks of its own.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, KEY, ToldClock, use

from guard.core.leasing import Durations
from guard.core.protocol import Outcome, State
from guard.core.records import Closing
from guard.errors import LeaseLost
from guard.ledger import SqlLease, open_ledger
from guard.ledger.leasetables import leases, replicas
from guard.ledger.process import Process
from tests.changing import replace

PROJECTS = {f"target-{number}": ("cn-north-4", f"project-{number}") for number in range(6)}
NORTH = {"north": (KEY.region, KEY.project_id)}
LEASE_S = Durations().lease_ms / 1000


class OwnClock(ToldClock):
    """
    A clock whose sleeps others can join.
    """

    async def sleep(self, seconds):
        await self.meanwhile(seconds)
        self.pass_by(seconds)


class Replica:
    """
    A replica on a machine of its own: its ledger, its lease and its clocks.
    """

    def __init__(self, name, ledger, projects):
        self.clock = OwnClock(at_s=1_700_000_000.0 + 7_000 * ord(name[0]), monotonic_s=1_000.0 * ord(name[0]))
        self.ledger = ledger
        elsewhere = Process(host=name, boot_id=name, pid_namespace="n", pid=7, start="1")
        self.lease = SqlLease(ledger, name, self.clock, projects=projects, process=elsewhere, shared=True)
        ledger.fence = self.lease

    async def beat(self, *, after_s=0.0):
        """
        Renew after so much time of its own.
        """
        self.clock.pass_by(after_s)
        return await self.lease.renew()

    def has(self):
        """
        The targets that it holds for all that it knows.
        """
        return sorted(name for name, term in self.lease.terms().items() if not term.lost)


@asynccontextmanager
async def replicas_on(url, *names, projects=PROJECTS):
    """
    Replicas that have joined, in this order, and taken nothing yet; *projects* may be told by name.
    """
    ledgers = []
    try:
        made = []
        for name in names:
            ledgers.append(await open_ledger(url))
            made.append(Replica(name, ledgers[-1], projects.get(name, projects)))
            await made[-1].lease.acquire()
        yield made
    finally:
        for ledger in ledgers:
            await ledger.aclose()


async def tokens(replica):
    """
    The tokens on record.
    """
    rows = await replica.ledger.read("look", lambda at: at.execute(sa.select(leases)).mappings().all())
    return {row["project_id"]: row["token"] for row in rows}


async def settled(*these, rounds=6):
    """
    Let all beat in turn, and give what they are asked for.
    """
    for _ in range(rounds):
        for one in these:
            await one.beat(after_s=1)
            for name, term in one.lease.terms().items():
                if term.wanted or term.lost:
                    await one.lease.release(name)


def shared_out(*these):
    """
    The targets of all, each once or the list is longer.
    """
    return sorted(name for one in these for name in one.has())


def test_all_that_start_at_once_get_their_share(lasting_url):
    """
    Whoever starts together knows the others before it takes anything, and takes its share only.
    """

    async def work():
        async with replicas_on(lasting_url, "a", "b", "c") as these:
            assert shared_out(*these) == []
            await asyncio.gather(*(one.beat() for one in these))
            assert [len(one.has()) for one in these] == [2, 2, 2]
            assert shared_out(*these) == sorted(PROJECTS)

    asyncio.run(work())


def test_a_replica_that_joins_is_given_its_share(lasting_url):
    """
    It asks, the holder is told and gives; the token has risen by one, and what stays where it was keeps its token.
    """

    async def work():
        async with replicas_on(lasting_url, "a") as (first,):
            await first.beat()
            assert first.has() == sorted(PROJECTS)
            async with replicas_on(lasting_url, "b") as (second,):
                await second.beat()
                assert second.has() == []
                assert await second.lease.watch()
                await first.beat()
                wanted = [name for name, term in first.lease.terms().items() if term.wanted]
                assert len(wanted) == 3
                assert first.has() == sorted(PROJECTS)
                await settled(first, second)
                assert second.has() == sorted(wanted)
                assert shared_out(first, second) == sorted(PROJECTS)
                assert sorted((await tokens(first)).values()) == [1, 1, 1, 2, 2, 2]
                await second.lease.release()
                await settled(first)
                assert first.has() == sorted(PROJECTS)
                assert sorted((await tokens(first)).values()) == [1, 1, 1, 3, 3, 3]

    asyncio.run(work())


@pytest.mark.parametrize(
    ("silent_s", "taken"), [(LEASE_S, False), (LEASE_S + 0.001, True)], ids=["on-the-limit", "just-over"]
)
def test_a_silent_replica_is_waited_for_by_ones_own_clock(lasting_url, silent_s, taken):
    """
    Others wait a whole lease duration from when they saw its heart beat, whatever the wall clocks of anybody say.
    """

    async def work():
        async with replicas_on(lasting_url, "a", "b", projects=NORTH) as (first, second):
            await settled(first, second)
            holder, other = (first, second) if first.has() else (second, first)
            await holder.beat(after_s=1)
            await other.beat(after_s=1)
            other.clock.at_s += 86_400
            await other.beat(after_s=silent_s)
            assert other.has() == (["north"] if taken else [])
            assert (await holder.beat()) is not taken

    asyncio.run(work())


def test_a_lease_has_to_last_as_long_as_the_call(lasting_url):
    """
    A holder may begin an act only if it is over, by every clock, before the lease is; and none after the renew deadline.
    """

    async def work():
        async with replicas_on(lasting_url, "a", projects=NORTH) as (one,):
            await one.beat()
            one.clock.pass_by(18)
            assert one.lease.held("north", for_s=10)
            one.clock.pass_by(0.001)
            assert not one.lease.held("north", for_s=10)
            assert one.lease.held("north")
            one.clock.pass_by(2)
            assert not one.lease.held("north")
            assert not one.lease.held()
            await one.beat()
            assert one.lease.held("north", for_s=10)

    asyncio.run(work())


def test_whoever_just_started_waits_too(lasting_url):
    """
    A replica that never saw the heart of a holder beat waits a whole lease duration from when it first looked.
    """

    async def work():
        async with replicas_on(lasting_url, "a", projects=NORTH) as (first,):
            await first.beat()
        async with replicas_on(lasting_url, "b", projects=NORTH) as (second,):
            await second.beat(after_s=LEASE_S)
            assert second.has() == []
            second.clock.pass_by(0.001)
            assert await second.lease.watch()
            await second.beat()
            assert second.has() == ["north"]

    asyncio.run(work())


def test_a_replica_that_was_stopped_has_lost_everything(lasting_url):
    """
    Continued after its lease, it knows at once that it may not act, writes nothing, and joins under another name.
    """

    async def work():
        async with replicas_on(lasting_url, "a", "b", projects=NORTH) as (first, second):
            await settled(first, second)
            stopped, other = (first, second) if first.has() else (second, first)
            intent = await stopped.ledger.open_intent(DRAFT, at_ms=1, quota=None)
            await other.beat(after_s=1)
            await other.beat(after_s=LEASE_S + 1)
            assert other.has() == ["north"]
            # It has not looked at the ledger yet, and its clocks stood still: only the database knows.
            assert stopped.lease.held("north")
            with pytest.raises(LeaseLost, match="is not this process's any more"):
                await stopped.ledger.open_intent(replace(DRAFT, key=replace(KEY, job_id="x")), at_ms=2, quota=None)
            with pytest.raises(LeaseLost):
                await stopped.ledger.advance(intent.number, State.SENDING, at_ms=2)
            stopped.clock.pass_by(LEASE_S + 1)
            assert not stopped.lease.held("north")
            name = stopped.lease.instance
            assert not await stopped.beat()
            assert stopped.lease.terms()["north"].lost
            assert not stopped.lease.acts_on(KEY)
            await stopped.lease.acquire()
            assert stopped.lease.instance != name
            # What it did for the target has to have ended before it takes it anew.
            await other.lease.release()
            await stopped.beat(after_s=1)
            assert stopped.has() == []
            await stopped.lease.release("north")
            await stopped.beat(after_s=1)
            assert stopped.has() == ["north"]
            assert stopped.lease.terms()["north"].token == 3

    asyncio.run(work())


def test_of_two_that_take_at_once_one_gets_it(lasting_url):
    """
    When a holder dies, of those who see it at the same moment one takes each target, and the token rises by one.
    """

    async def work():
        async with replicas_on(lasting_url, "a", "b", "c") as (first, *others):
            await settled(first, *others)
            await asyncio.gather(*(one.beat() for one in others))
            had = first.has()
            await asyncio.gather(*(one.beat(after_s=20) for one in others))
            await asyncio.gather(*(one.beat(after_s=LEASE_S - 19) for one in others))
            assert shared_out(*others) == sorted(PROJECTS)
            assert len(had) == 2
            assert sorted((await tokens(first)).values()) == [1, 1, 1, 1, 2, 2]
            assert not await first.beat()

    asyncio.run(work())


def test_a_replica_that_flaps_gets_what_it_had_no_second_time_without_a_new_token(lasting_url):
    """
    Leaving and joining again and again, a replica never has a token that was given before.
    """

    async def work():
        async with replicas_on(lasting_url, "a", projects=NORTH) as (one,):
            given = []
            for _ in range(5):
                await one.beat(after_s=1)
                given.append(one.lease.terms()["north"].token)
                await one.lease.release()
                await one.lease.acquire()
            assert given == [1, 2, 3, 4, 5]
            rows = await one.ledger.read("look", lambda at: at.execute(sa.select(replicas)).all())
            assert len(rows) == 1

    asyncio.run(work())


def test_replicas_with_other_targets(lasting_url):
    """
    A target goes to a replica that is set to serve it, whatever it is called there.
    """
    some = {"north": ("r", "p-1"), "south": ("r", "p-2")}
    other = {"sud": ("r", "p-2"), "east": ("r", "p-3")}

    async def work():
        async with replicas_on(lasting_url, "a", "b", projects={"a": some, "b": other}) as (first, second):
            await settled(first, second)
            assert "north" in first.has()
            assert "east" in second.has()
            assert len(first.has() + second.has()) == 3
            await first.lease.release()
            await settled(second, rounds=30)
            assert second.has() == ["east", "sud"]

    asyncio.run(work())


def test_a_target_whose_owner_does_not_come_is_taken_by_another(lasting_url):
    """
    A living replica that is to have a target and does not take it leaves no gap.
    """

    async def work():
        async with replicas_on(lasting_url, "a", "b") as (first, second):
            for _ in range(4):
                await first.beat(after_s=5)
                await second.lease._ledger.write("beat alone", lambda at: at.execute(sa.update(replicas).values(beats=77)))
            assert first.has() == sorted(PROJECTS)

    asyncio.run(work())


def test_a_renewal_whose_answer_was_lost(lasting_url):
    """
    What was taken by a write of which no answer came is known after the next renewal, and until then not acted on.
    """

    async def work():
        async with replicas_on(lasting_url, "a", projects=NORTH) as (one,):
            write = one.ledger.write

            async def unanswered(what, work, **rest):
                await write(what, work, **rest)
                raise ConnectionError("the answer was lost")

            one.ledger.write = unanswered
            with pytest.raises(ConnectionError):
                await one.beat(after_s=1)
            one.ledger.write = write
            assert await tokens(one) == {KEY.project_id: 1}
            assert not one.lease.held("north")
            await one.beat(after_s=1)
            assert one.lease.held("north")
            assert one.lease.terms()["north"].token == 1

    asyncio.run(work())


def test_an_intent_that_nobody_is_set_to_serve_is_anybodys(lasting_url):
    """
    The project of an open intent whose target was taken out of the settings is leased by one of the replicas.
    """

    async def work():
        async with replicas_on(lasting_url, "a", projects={}) as (one,):
            one.ledger.fence = None
            intent = await one.ledger.open_intent(DRAFT, at_ms=1, quota=None)
            one.ledger.fence = one.lease
            assert not one.lease.acts_on(KEY)
            await one.beat(after_s=1)
            assert one.lease.acts_on(KEY)
            assert one.has() == []
            await one.ledger.advance(intent.number, State.SENDING, at_ms=2)

    asyncio.run(work())


def test_a_visitor_takes_what_is_free_and_says_who_has_the_rest(lasting_url):
    """
    A scan takes the targets of a replica that died, after a lease duration, and nothing of one that lives.
    """

    async def work():
        two = {"north": ("r", "p-1"), "south": ("r", "p-2")}
        living, dead = {"north": ("r", "p-1")}, {"south": ("r", "p-2")}
        async with replicas_on(lasting_url, "a", "b", projects={"a": living, "b": dead}) as (first, second):
            await settled(first, second)
            ledger = await open_ledger(lasting_url)
            visitor = Replica("visitor", ledger, two)
            visitor.clock.meanwhile = lambda seconds: first.beat(after_s=seconds)
            await visitor.lease.visit()
            assert visitor.has() == ["south"]
            told = await visitor.lease.refusals()
            assert list(told) == ["north"]
            assert "target north is held by 'a' (host 'a', pid 7) since" in told["north"]
            await first.beat(after_s=1)
            assert first.has() == ["north"]
            await ledger.aclose()

    asyncio.run(work())


@pytest.mark.parametrize("slow", ["read", "write"])
def test_a_heart_is_not_counted_from_before_it_beat(lasting_url, slow):
    """
    A look or a write that waits for the ledger sees a beat that is younger than its own beginning, and counts from then.
    """

    async def work():
        async with replicas_on(lasting_url, "a", "b", projects=NORTH) as (first, second):
            await settled(first, second)
            holder, other = (first, second) if first.has() else (second, first)
            answer = getattr(other.ledger, slow)

            async def late(what, work, **of):
                other.clock.pass_by(15)
                assert await holder.beat(after_s=15)
                return await answer(what, work, **of)

            setattr(other.ledger, slow, late)
            await (other.lease.watch() if slow == "read" else other.beat())
            setattr(other.ledger, slow, answer)
            # Less than a lease after the holder's last beat, and more than one after the look at it began.
            await other.beat(after_s=LEASE_S - 1)
            assert other.has() == []
            await other.beat(after_s=2)
            assert other.has() == ["north"]

    asyncio.run(work())


def test_what_was_nobodys_goes_to_who_is_set_to_serve_it_again(lasting_url):
    """
    A replica that took the project of an open intent gives it back once another one serves it, and once no intent is open.
    """

    async def work():
        async with replicas_on(lasting_url, "a", projects={}) as (one,):
            one.ledger.fence = None
            intent = await one.ledger.open_intent(DRAFT, at_ms=1, quota=None)
            one.ledger.fence = one.lease
            for _ in range(2):
                await one.beat(after_s=1)
                assert one.lease.acts_on(KEY)
                async with replicas_on(lasting_url, "b", projects=NORTH) as (its,):
                    await settled(its, one, rounds=2)
                    assert (its.has(), one.lease.acts_on(KEY)) == (["north"], False)
                    await its.lease.release()
            await one.beat(after_s=1)
            await one.ledger.close(intent.number, Closing(outcome=Outcome.FAILED, note=""), at_ms=2)
            await one.beat(after_s=1)
            assert not one.lease.acts_on(KEY)

    asyncio.run(work())


def test_a_dead_holder_of_what_nobody_serves_hurries_nobody_for_ever():
    """
    Its row stays, since a lease is its; the beat after it fell silent has done what there was to do.
    """

    async def act(ledger):
        dead = Replica("dead", ledger, {"old": ("cn-north-4", "old-project")})
        live = Replica("live", ledger, {"t": ("cn-north-4", "t-project")})
        await dead.lease.acquire()
        await dead.beat()
        await dead.beat(after_s=6)
        await live.lease.acquire()
        await live.beat()
        await live.beat(after_s=20)
        live.clock.pass_by(31)
        hurried = 0
        for _ in range(100):
            if await live.lease.watch():
                hurried += 1
                await live.beat()
            live.clock.pass_by(0.5)
        assert (live.has(), hurried) == (["t"], 1)

    use("sqlite://", act)


def test_a_look_at_the_others_while_the_own_heart_is_buried():
    """
    The two go on beside each other: a look that comes back after the leases were lost asks for no beat, and fails not.
    """

    async def act(ledger):
        one = Replica("one", ledger, {"t": ("cn-north-4", "t-project")})
        other = Replica("two", ledger, {})
        await one.lease.acquire()
        await other.lease.acquire()
        await one.beat()
        await one.lease.watch()
        read = ledger.read

        async def slow(what, work, **how):
            found = await read(what, work, **how)
            await one.lease.release()
            return found

        ledger.read = slow
        assert await one.lease.watch() is False
        assert not one.lease.held("t")

    use("sqlite://", act)
