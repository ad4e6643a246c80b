"""
What begins a turn: intervals, and the date job that wakes whoever waits for a deadline.
"""

import asyncio

import pytest
from daemon_stand import NOW_MS, ManualClock

from guard.core.facts import JobKey
from guard.daemon.clocks import RealClock
from guard.daemon.deadlines import Deadlines
from guard.daemon.metrics import Metrics
from guard.daemon.schedule import LONGEST_S, NEAR_S, Schedule
from guard.daemon.targets import Target

PATIENCE_S = 20
KEY = JobKey(region="r", project_id="p", job_id="j")


class Source:
    """
    A source that only tells service time, which is real time off by *ahead_s*.
    """

    def __init__(self):
        self.ahead_s = 0.0

    def now_ms(self):
        return int((RealClock().now() + self.ahead_s) * 1000)


class Scheduled:
    """
    A schedule with one target and its deadlines.
    """

    def __init__(self, clock=None):
        self.metrics = Metrics(version="test")
        self.schedule = Schedule(clock=clock or RealClock(), metrics=self.metrics)
        self.source, self.queue = Source(), Deadlines()
        self.target = Target(name="lab", source=self.source)

    def in_ms(self, left_ms):
        """
        Set the deadline of the one job so long from now, and arm.
        """
        self.queue.put(KEY, None if left_ms is None else self.source.now_ms() + left_ms)
        self.queue.changed.clear()
        self.schedule.arm(self.target, self.queue)

    def events(self, name):
        """
        How often the scheduler was in that trouble.
        """
        return self.metrics.registry.get_sample_value("costguard_scheduler_events_total", {"event": name}) or 0


async def until(true):
    """
    Wait until something is true of what the scheduler does by itself.
    """
    while not true():  # noqa: ASYNC110 - the scheduler tells nobody
        await asyncio.sleep(0.05)


def on_schedule(act):
    """
    Run *act* with a schedule that was started.
    """

    async def run():
        scheduled = Scheduled()
        scheduled.schedule.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await act(scheduled)
        finally:
            scheduled.schedule.stop()

    asyncio.run(run())


def test_the_earliest_deadline_rings():
    """
    The queue's event is set when its earliest moment comes, not before, and again for the next one: by a timer for one that
    is near, and by a date job for one that is not.
    """

    async def act(one):
        for left_ms in (150, 1_000 * NEAR_S + 200, 150):
            one.in_ms(int(left_ms))
            assert (one.schedule.armed(one.target) is None) is (left_ms < 1_000)
            due_ms = one.queue.next_ms()
            assert not one.queue.changed.is_set()
            await one.queue.changed.wait()
            assert one.source.now_ms() >= due_ms - 2
        assert one.events("missed") == 0

    on_schedule(act)


def test_a_deadline_that_moves():
    """
    One that comes nearer rings then, one that goes does not ring at all, and one that has passed rings at once.
    """

    async def act(one):
        one.in_ms(3_600_000)
        one.in_ms(100)
        await one.queue.changed.wait()
        one.in_ms(100)
        one.in_ms(None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.queue.changed.wait(), 0.4)
        one.in_ms(-5)
        assert one.queue.changed.is_set()

    on_schedule(act)


def test_a_clock_that_jumps():
    """
    When service time jumps ahead, the next look at the clocks rings what has become due; when it falls back, nothing rings.
    """

    async def act(one):
        one.in_ms(3_600_000)
        one.source.ahead_s = 7_200.0
        one.schedule.arm(one.target, one.queue)
        assert one.queue.changed.is_set()
        one.in_ms(200)
        one.source.ahead_s -= 3_600.0
        one.schedule.arm(one.target, one.queue)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.queue.changed.wait(), 0.5)

    on_schedule(act)


@pytest.mark.parametrize("left_ms", [300_000_000_000_000, 2**63], ids=["after-the-year-9999", "beyond-all-clocks"])
def test_a_deadline_that_no_calendar_has(left_ms):
    """
    A deadline beyond the last year that there is, as of an exemption without end or a garbled date, is armed for a day.
    """

    async def act(one):
        one.in_ms(left_ms)
        day = one.schedule.armed(one.target)
        assert day.timestamp() == pytest.approx(RealClock().now() + LONGEST_S, abs=60)
        one.schedule.arm(one.target, one.queue)
        assert one.schedule.armed(one.target) == day
        one.in_ms(100)
        await one.queue.changed.wait()

    on_schedule(act)


def test_turns_are_begun_and_never_twice_at_once(caplog):
    """
    A turn is begun at once or after one interval, again each interval, and not while it still goes on, which is counted.
    """

    async def act(one):
        begun, may_end = [], asyncio.Event()

        async def slow(target):
            begun.append(target.name)
            await may_end.wait()

        later = asyncio.Event()

        async def quick(target):
            later.set()

        one.schedule.every("slow", one.target, slow, seconds=0.2, at_once=True)
        one.schedule.every("quick", one.target, quick, seconds=0.3, at_once=False)
        await later.wait()
        await until(lambda: one.events("max_instances") >= 1)
        assert begun == ["lab"]
        # It is told once, as a line of the guard's own log.
        assert not [record for record in caplog.records if "maximum number" in record.getMessage()]
        may_end.set()
        await until(lambda: len(begun) >= 3)

    on_schedule(act)


def test_an_error_of_a_turn_is_counted():
    """
    A turn that raises is told of and counted, and the next one begins all the same.
    """

    async def act(one):
        tries = []

        async def fails(target):
            tries.append(target)
            raise RuntimeError("a test")

        one.schedule.every("fails", one.target, fails, seconds=0.2, at_once=True)
        await until(lambda: one.events("error") >= 2)
        assert len(tries) >= 2

    on_schedule(act)


def test_a_schedule_in_scaled_time():
    """
    A deadline in the guard's time is a date in real time, by the guard's clock.
    """
    clock = ManualClock()
    one = Scheduled(clock)
    one.source.now_ms = lambda: NOW_MS
    one.queue.put(KEY, NOW_MS + 60_000)
    one.schedule.arm(one.target, one.queue)
    assert one.schedule.armed(one.target).timestamp() == pytest.approx(NOW_MS / 1000 + 60)
