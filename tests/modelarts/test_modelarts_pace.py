"""
The pace of one target: how often, in which order, and how it gives way, in virtual time.
"""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import VirtualClock, in_virtual_time

from guard.core.lanes import Lane
from guard.modelarts.pace import BURST_S, CONFIRMS_IN_A_ROW, LONGEST_PAUSE_S, MAKE_WAY_S, RECOVERY_S, Pace

TERMINATE, CHECK, CONFIRM, DISCOVERY = Lane


class Caller:
    """
    Calls at one pace, each a task, and what went out: (seconds, lane, name), in order.
    """

    def __init__(self, **options):
        self.pace = Pace(VirtualClock(), **options)
        self.sent = []
        self.tasks = []

    def call(self, lane, name="", *, rank=0, takes=0.0):
        """
        Begin one call that takes so many seconds once it went out.
        """

        async def one():
            async with self.pace.turn(lane, rank=rank) as turn:
                self.pace.used(turn)
                self.sent.append((now(), lane, name))
                await asyncio.sleep(takes)

        self.tasks.append(asyncio.create_task(one()))
        return self.tasks[-1]

    async def empty(self):
        """
        Send calls until no token is left but the one that is kept for a kill, and that one too.
        """
        while self.pace._missing(TERMINATE) <= 0:
            async with self.pace.turn(TERMINATE) as turn:
                self.pace.used(turn)

    async def done(self):
        """
        Wait for all calls.
        """
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def names(self):
        """
        The names in the order in which they went out.
        """
        return [name for _, _, name in self.sent]


def now():
    """
    The virtual seconds.
    """
    return asyncio.get_running_loop().time()


def sleepers():
    """
    How many tasks of a pace there are.
    """
    return sum(task.get_name() == "pace" and not task.cancelling() for task in asyncio.all_tasks())


@settings(deadline=None, max_examples=60)
@given(
    rate=st.sampled_from([0.1, 0.7, 1.0, 3.0, 20.0, 1000.0]),
    in_flight=st.integers(min_value=1, max_value=20),
    calls=st.lists(
        st.tuples(st.sampled_from(Lane), st.floats(0, 30), st.floats(0, 3), st.sampled_from(["", "", "", "cancelled"])),
        max_size=60,
    ),
)
def test_never_more_than_the_rate(rate, in_flight, calls):
    """
    In no window there are more calls than the rate and what was kept allow, nobody is forgotten, and nothing is left over.
    """

    async def act():
        caller = Caller(per_second=rate, in_flight=in_flight)
        for lane, wait_s, takes_s, fate in sorted(calls, key=lambda each: each[1]):
            await asyncio.sleep(max(0.0, wait_s - now()))
            task = caller.call(lane, takes=takes_s)
            if fate:
                asyncio.get_running_loop().call_later(takes_s / 2, task.cancel)
        await caller.done()
        wanted = sum(not fate for _, _, _, fate in calls)
        assert len(caller.sent) >= wanted
        assert (caller.pace.waiting, sleepers(), caller.pace._held) == (0, 0, [0, 0, 0, 0])
        kept = max(2.0, rate * BURST_S)
        moments = [at for at, _, _ in caller.sent]
        for first in range(len(moments)):
            for last in range(first, len(moments)):
                allowed = kept + rate * (moments[last] - moments[first])
                assert last - first + 1 <= allowed + 1e-6

    in_virtual_time(act())


def test_the_most_urgent_lane_then_the_smallest_rank_then_first_come():
    """
    Whatever the order of arrival, kills go before confirmations and these before discovery, by rank within a lane.
    """

    async def act():
        caller = Caller(per_second=10)
        await caller.empty()
        caller.call(DISCOVERY, "list")
        caller.call(CONFIRM, "end")
        caller.call(CHECK, "late", rank=30)
        caller.call(CHECK, "early", rank=10)
        caller.call(CHECK, "early too", rank=10)
        caller.call(TERMINATE, "kill late", rank=9)
        caller.call(TERMINATE, "kill early", rank=8)
        await caller.done()
        assert caller.names() == ["kill early", "kill late", "early", "early too", "late", "end", "list"]

    in_virtual_time(act())


def test_the_last_token_is_left_to_a_kill():
    """
    Reads leave one token behind, so that the call of a job that was just read again goes out at once, at any rate.
    """

    async def act():
        caller = Caller(per_second=0.1)
        for name in ("a", "b", "c"):
            caller.call(CHECK, name)
        await asyncio.sleep(1)
        caller.call(TERMINATE, "kill")
        await asyncio.sleep(1)
        assert caller.sent == [(0, CHECK, "a"), (1, TERMINATE, "kill")]
        await caller.done()

    in_virtual_time(act())


@pytest.mark.parametrize(
    ("lane", "most"),
    [
        pytest.param(DISCOVERY, 8, id="discovery"),
        pytest.param(CONFIRM, 12, id="confirm"),
        pytest.param(CHECK, 14, id="check"),
        pytest.param(TERMINATE, 16, id="terminate"),
    ],
)
def test_a_service_that_hangs_keeps_no_kill_back(lane, most):
    """
    Each lane and those behind it hold a part of the turns, and what is more urgent finds one at once.
    """

    async def act():
        caller = Caller(per_second=1000)
        for _ in range(40):
            caller.call(lane, takes=100)
        await asyncio.sleep(1)
        assert len(caller.sent) == most
        assert sleepers() == 0
        for each in Lane:
            caller.call(each, "urgent")
        await asyncio.sleep(1)
        assert [which for _, which, name in caller.sent if name] == [each for each in Lane if each < lane]
        await caller.done()

    in_virtual_time(act())


def test_lanes_behind_count_towards_those_before():
    """
    Discovery and confirmations together leave the same turns to kills as confirmations alone.
    """

    async def act():
        caller = Caller(per_second=1000)
        for lane in (DISCOVERY, CONFIRM):
            for _ in range(40):
                caller.call(lane, takes=100)
        await asyncio.sleep(1)
        assert len(caller.sent) == 12
        await caller.done()

    in_virtual_time(act())


@pytest.mark.parametrize(("in_flight", "most"), [(1, 1), (4, 2), (7, 3), (1000, 500)])
def test_how_many_discovery_holds(in_flight, most):
    """
    Discovery holds half of the turns that there are, but always one.
    """

    async def act():
        caller = Caller(per_second=1000, in_flight=in_flight)
        for _ in range(600):
            caller.call(DISCOVERY, takes=100)
        await asyncio.sleep(1)
        assert len(caller.sent) == most
        for task in caller.tasks:
            task.cancel()
        await caller.done()

    in_virtual_time(act())


def test_a_burst_of_429_halves_once():
    """
    Calls that were on their way together are one event however many are throttled; one that was sent after it is another.
    """

    async def act():
        pace = Pace(VirtualClock(), per_second=16)
        turns = []
        for _ in range(5):
            async with pace.turn(CHECK) as turn:
                turns.append(turn)
                pace.used(turn)
        for turn in turns:
            pace.throttled(turn, retry_after=None)
        assert pace.rate == 8
        async with pace.turn(CHECK) as turn:
            pace.throttled(turn, retry_after=None)
        assert pace.rate == pytest.approx(4, rel=0.1)

    in_virtual_time(act())


@pytest.mark.parametrize(("full", "floor"), [(20, 1), (1000, 1), (0.5, 0.5)])
def test_the_rate_has_a_floor(full, floor):
    """
    However often it is throttled, a call each second stays, unless fewer were asked for.
    """

    async def act():
        pace = Pace(VirtualClock(), per_second=full)
        for _ in range(20):
            async with pace.turn(TERMINATE) as turn:
                pace.used(turn)
                pace.throttled(turn, retry_after=None)
                assert pace.rate >= floor
        assert pace.rate == pytest.approx(floor, rel=0.5) or full > 100

    in_virtual_time(act())


def test_the_rate_rises_slowly_to_what_was_set():
    """
    From any rate it rises by a sixtieth of the full one per second, never above it, and lets through what that allows.
    """

    async def act():
        caller = Caller(per_second=20)
        async with caller.pace.turn(CHECK) as turn:
            caller.pace.throttled(turn, retry_after=None)
        rates = []
        for _ in range(40):
            rates.append(caller.pace.rate)
            await asyncio.sleep(1)
        assert rates[0] == 10
        assert all(after - before <= 20 / RECOVERY_S + 1e-9 for before, after in pairwise(rates))
        assert rates[15] == pytest.approx(15)
        assert rates[30:] == pytest.approx([20] * 10)

    in_virtual_time(act())


@pytest.mark.parametrize(
    ("asked_s", "pause_s"),
    [
        pytest.param(None, 0, id="none"),
        pytest.param(0.0, 0, id="zero"),
        pytest.param(7.0, 7, id="some"),
        pytest.param(1e9, LONGEST_PAUSE_S, id="absurd"),
    ],
)
def test_retry_after_stops_everything(asked_s, pause_s):
    """
    Nothing goes out before the time that a Retry-After names, up to a bound, and no token comes in meanwhile.
    """

    async def act():
        caller = Caller(per_second=20)
        async with caller.pace.turn(CHECK) as turn:
            caller.pace.used(turn)
            caller.pace.throttled(turn, retry_after=asked_s)
        assert caller.pace.stopped_s() == pause_s
        for _ in range(4):
            caller.call(TERMINATE)
        await caller.done()
        moments = [at - pause_s for at, _, _ in caller.sent]
        assert moments == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.01)

    in_virtual_time(act())


def test_a_shorter_retry_after_does_not_end_a_longer_one():
    """
    Of several Retry-Afters the latest moment counts.
    """

    async def act():
        pace = Pace(VirtualClock())
        async with pace.turn(CHECK) as turn:
            pace.throttled(turn, retry_after=30)
            pace.throttled(turn, retry_after=2)
        assert pace.stopped_s() == 30

    in_virtual_time(act())


def test_a_pause_that_begins_while_others_wait_holds_them():
    """
    Whoever waits for a token already when the service asks for a pause goes out after it.
    """

    async def act():
        caller = Caller(per_second=1)
        async with caller.pace.turn(CHECK) as turn:
            caller.pace.used(turn)
            caller.call(CHECK, "waits")
            await asyncio.sleep(0.5)
            caller.pace.throttled(turn, retry_after=10)
        await caller.done()
        assert caller.sent[0][0] >= 10.5

    in_virtual_time(act())


def test_cancelled_waiters_leave_no_trace():
    """
    Thousands that are cancelled free their places at once, and those between them are served as if they had been alone.
    """

    async def act():
        caller = Caller(per_second=10)
        await caller.empty()
        gone = [caller.call(CHECK, rank=each) for each in range(3000)]
        kept = caller.call(CHECK, "kept", rank=10**6)
        await asyncio.sleep(0)
        assert caller.pace.waiting == 3001
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        assert caller.pace.waiting == 1
        assert len(caller.pace._lines[CHECK]._heap) <= 40
        await kept
        assert caller.sent == [(pytest.approx(0.2, abs=0.01), CHECK, "kept")]
        assert (caller.pace.waiting, sleepers(), caller.pace._held) == (0, 0, [0, 0, 0, 0])

    in_virtual_time(act())


def test_cancelled_in_the_moment_in_which_the_turn_comes():
    """
    A turn that comes to somebody who is cancelled in the same moment goes to the next, token and all.
    """

    async def act():
        caller = Caller(per_second=1000, in_flight=1)
        async with caller.pace.turn(CHECK):
            victim, heir = caller.call(CHECK, "victim"), caller.call(CHECK, "heir")
            await asyncio.sleep(1)
        victim.cancel()
        await caller.done()
        assert victim.cancelled()
        assert caller.names() == ["heir"]
        assert heir.exception() is None
        assert caller.pace._held == [0, 0, 0, 0]

    in_virtual_time(act())


def test_the_alarm_of_a_lonely_waiter_goes_with_it():
    """
    When the only one that waits is cancelled, no task sleeps on.
    """

    async def act():
        caller = Caller(per_second=0.1)
        await caller.empty()
        waiter = caller.call(CHECK)
        await asyncio.sleep(1)
        assert sleepers() == 1
        waiter.cancel()
        await asyncio.wait([waiter])
        assert sleepers() == 0

    in_virtual_time(act())


def test_a_turn_that_is_given_back_unused_costs_nothing():
    """
    Whoever finds its reading too old gives token and place to the next.
    """

    async def act():
        pace = Pace(VirtualClock(), per_second=1)
        for _ in range(100):
            async with pace.turn(TERMINATE):
                pass
        assert now() == 0
        assert pace._tokens == 2.0

    in_virtual_time(act())


def test_discovery_does_not_starve_behind_confirmations():
    """
    Beside confirmations without end each fifth call is discovery's, and with nobody else waiting it has all of them.
    """

    async def act():
        caller = Caller(per_second=20)
        await caller.empty()
        for _ in range(500):
            caller.call(CONFIRM)
        for _ in range(50):
            caller.call(DISCOVERY)
        await asyncio.sleep(10)
        lanes = [lane for _, lane, _ in caller.sent]
        assert lanes.count(DISCOVERY) == pytest.approx(len(lanes) / (CONFIRMS_IN_A_ROW + 1), abs=1)
        await caller.done()

    in_virtual_time(act())


def test_kills_make_way_for_nobody():
    """
    While kills wait neither a confirmation nor a discovery goes out.
    """

    async def act():
        caller = Caller(per_second=20)
        await caller.empty()
        for lane in (DISCOVERY, CONFIRM, CHECK):
            for _ in range(100):
                caller.call(lane)
        await caller.done()
        lanes = [lane for _, lane, _ in caller.sent]
        assert lanes[:100] == [CHECK] * 100

    in_virtual_time(act())


def test_an_urgent_one_is_not_kept_waiting_by_the_alarm_of_others():
    """
    A terminate call that needs less than those that wait already is woken at its own moment.
    """

    async def act():
        caller = Caller(per_second=0.1)
        await caller.empty()
        caller.call(CHECK, "read")
        await asyncio.sleep(1)
        caller.call(TERMINATE, "kill")
        await caller.done()
        assert [(round(at), name) for at, _, name in caller.sent] == [(10, "kill"), (30, "read")]

    in_virtual_time(act())


def test_one_throttled_target_does_not_slow_another():
    """
    Each target has its own pace: a Retry-After of one leaves the calls of the other where they were.
    """

    async def act():
        slow, quick = Caller(per_second=20), Caller(per_second=20)
        async with slow.pace.turn(CHECK) as turn:
            slow.pace.throttled(turn, retry_after=60)
        for caller in (slow, quick):
            for _ in range(100):
                caller.call(CHECK)
        await asyncio.sleep(4)
        assert (len(slow.sent), len(quick.sent)) == (0, 100)
        await slow.done()

    in_virtual_time(act())


def test_waits_are_told():
    """
    Whoever watches is told of each turn how long it took, at once or not.
    """

    async def act():
        told = []
        caller = Caller(per_second=1, waited=lambda lane, seconds: told.append((lane, round(seconds, 1))))
        for lane in (CHECK, TERMINATE, CHECK):
            caller.call(lane)
        await caller.done()
        assert told == [(CHECK, 0), (TERMINATE, 0), (CHECK, 2)]

    in_virtual_time(act())


def test_one_turn_of_many_thousands_is_cheap():
    """
    With thousands waiting, a turn looks at a few of them only.
    """

    async def act():
        looked = 0

        class Rank(int):
            def __lt__(self, other):
                nonlocal looked
                looked += 1
                return int(self) < int(other)

        caller = Caller(per_second=1000)
        await caller.empty()
        for each in range(5000):
            caller.call(CHECK, rank=Rank(each * 7919 % 5000))
        await caller.done()
        assert looked < 5000 * 2 * 16

    in_virtual_time(act())


@pytest.mark.parametrize("kill", [TERMINATE, CHECK])
def test_discovery_makes_way_for_kills(kill):
    """
    While a kill's turn is held, discovery goes out now and then only; confirmations do not wait for it, and after the kill
    it goes on at once.
    """

    async def act():
        caller = Caller(per_second=1000.0)
        caller.call(kill, takes=1.1)
        for _ in range(12):
            caller.call(DISCOVERY)
        for _ in range(2 * CONFIRMS_IN_A_ROW):
            caller.call(CONFIRM, takes=0.1)
        await caller.done()
        found = [round(at, 3) for at, lane, _ in caller.sent if lane is DISCOVERY]
        assert found[:5] == [0.0, MAKE_WAY_S, 2 * MAKE_WAY_S, 3 * MAKE_WAY_S, 4 * MAKE_WAY_S]
        assert len(found) == 12
        assert set(found[5:]) == {1.1}
        assert max(at for at, lane, _ in caller.sent if lane is CONFIRM) <= 0.2
        assert (caller.pace.waiting, sleepers()) == (0, 0)

    in_virtual_time(act())
