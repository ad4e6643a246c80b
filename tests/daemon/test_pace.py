"""
The kill protocol when calls have to wait for their turn: on what readings a call may rest, and who goes first.
"""

import pytest
from daemon_stand import NONE, ManualClock, SharedClock, on_stand, running
from protocol_rows import ended, lease_lost, paused, refusing, restarted, taking

from guard.core.lanes import Lane
from guard.core.protocol import State
from guard.core.records import Pause
from guard.daemon.tries import MAX_LATE
from guard.modelarts.pace import IN_FLIGHT
from tests.changing import replace


def stall(stand, seconds):
    """
    What is to happen when the service stops the target for so many seconds.
    """

    async def act():
        async with stand.paces["lab"].turn(Lane.TERMINATE) as turn:
            stand.paces["lab"].throttled(turn, retry_after=seconds)

    return act


@pytest.mark.parametrize(
    ("seconds", "shows"),
    [pytest.param(1.5, 1, id="fresh"), pytest.param(2.5, 2, id="old")],
)
def test_a_call_rests_on_a_fresh_reading(seconds, shows):
    """
    Whoever waited longer than 2 s for its turn reads the job again before it sends, and nothing else is different.
    """

    async def act(stand):
        stand.hooks.after("show", stall(stand, seconds))
        read = []
        stand.hooks.before("terminate", lambda: read.append(len(stand.calls.of("show"))))
        await stand.walk()
        assert read == [shows]
        assert await stand.steps() == ["intended", "sending", "accepted", "confirmed"]
        assert stand.sent() == 1

    on_stand(act, running())


class Eventful(ManualClock):
    """
    A clock during whose next sleep something happens.
    """

    happens = None

    async def sleep(self, seconds):
        happens, self.happens = self.happens, None
        done = happens() if happens else None
        if done is not None:
            await done
        await super().sleep(seconds)


@pytest.mark.parametrize(
    ("happens", "seconds", "outcome"),
    [
        pytest.param(paused, 1.5, "held_back", id="paused"),
        pytest.param(paused, 30, "held_back", id="paused-long"),
        pytest.param(taking(NONE), 1.5, "no_longer_matches", id="policy-gone"),
        pytest.param(taking(NONE), 30, "no_longer_matches", id="policy-gone-long"),
        pytest.param(restarted, 30, "no_longer_matches", id="restarted-long"),
        pytest.param(ended("Completed"), 30, "finished_by_itself", id="ended-long"),
    ],
)
def test_what_happens_during_the_wait_counts(happens, seconds, outcome):
    """
    Gate and policies are asked after the wait, and the job after a long one: nothing is sent, nor on record as sent.
    """

    async def act(stand):
        stand.hooks.after("show", stall(stand, seconds))
        stand.hooks.after("show", lambda: setattr(stand.clock, "happens", lambda: happens(stand)))
        await stand.walk()
        assert await stand.steps() == ["intended", outcome]
        assert stand.sent() == 0

    on_stand(act, running(), clock=Eventful())


def test_the_lease_lost_during_the_wait_leaves_the_intent():
    """
    A process that lost the ledger while it waited for its turn sends nothing and closes nothing.
    """

    async def act(stand):
        stand.hooks.after("show", stall(stand, 1.5))
        stand.hooks.after("show", lambda: setattr(stand.clock, "happens", lambda: lease_lost(stand)))
        await stand.walk()
        assert await stand.steps() == ["intended"]
        assert stand.sent() == 0
        stand.lease.holding = True

    on_stand(act, running(), clock=Eventful())


def test_readings_that_grow_old_again_and_again_are_bounded():
    """
    After a few readings that grew old while the turn was waited for, the attempt fails, and is made again later.
    """

    async def act(stand):
        stand.hooks.after("show", stall(stand, 10), nth=0)
        await stand.walk()
        intent = await stand.intent()
        assert (intent.outcome, intent.state) == ("failed", "closed")
        assert "grew old" in intent.note
        assert (len(stand.calls.of("show")), stand.sent()) == (MAX_LATE + 1, 0)

    on_stand(act, running())


def test_an_unanswered_call_is_followed_up_however_old_readings_grow():
    """
    When a call may have been carried out, readings that grow old only end the sending: its effect is still waited for.
    """

    async def act(stand):
        stand.hooks.after("show", stall(stand, 10), nth=0)
        draft = await left_sending(stand)
        closed = await stand.enforcer.drive(draft, stand.target)
        assert closed.outcome == "unconfirmed"
        assert stand.sent() == 0

    on_stand(act, running())


async def left_sending(stand):
    """
    An open intent of which a call may have left, as a process that died leaves it.
    """
    stand.hooks.after("intended", lambda: stand.raw.set_pause(Pause(reason="x", since_ms=0)))
    await stand.walk()
    await stand.raw.set_pause(None)
    closed = await stand.intent()
    opened = await stand.raw.open_intent(closed.draft, at_ms=closed.created_ms, quota=None)
    return await stand.raw.advance(opened.number, State.SENDING, at_ms=closed.created_ms)


def test_waits_between_two_calls_hold_no_turn():
    """
    While a call that was throttled waits for its next attempt, its turn is free for others.
    """

    async def act(stand):
        held = []
        stand.world.knobs = replace(stand.world.knobs, faults=(refusing(503, times=2),))
        stand.clock.happens = lambda: held.append(list(stand.paces["lab"]._held))
        await stand.walk()
        assert held == [[0, 0, 0, 0]]
        assert stand.sent() == 3

    on_stand(act, running(), clock=Eventful())


def test_the_oldest_deadline_is_sent_first():
    """
    Jobs that fall due together are stopped in the order of their deadlines, but for those whose calls are out together.
    """

    async def act(stand):
        await stand.cycle.walk(stand.target)
        await stall(stand, 5)()
        await stand.settle()
        order = [int(job_id.removeprefix("job-")) for job_id in stand.accepted()]
        assert sorted(order) == list(range(60))
        assert all(abs(number - place) <= 2 * IN_FLIGHT for place, number in enumerate(order))

    on_stand(act, *(running(f"job-{each:02}", hours=100 - each) for each in range(60)), clock=SharedClock())


def test_nothing_is_lost_at_a_service_that_throttles():
    """
    Jobs that fall due together at two calls a second are all ended, the rate comes down, and the waits are told.
    """

    async def act(stand):
        rates = []
        stand.hooks.before("terminate", lambda: rates.append(stand.value("api_rate_per_second", target="lab")), nth=0)
        for _ in range(30):
            await stand.walk()
            if len(stand.accepted()) == 20:
                break
            stand.clock.seconds += 901
        assert sorted(stand.accepted()) == sorted(f"job-{each}" for each in range(20))
        assert stand.value("terminations_total", target="lab", policy="one-day", outcome="confirmed") == 20
        throttled = [stand.value("api_throttled_total", operation=each) for each in ("list", "show", "terminate")]
        assert sum(throttled) > 0
        assert min(rates) < 20
        assert stand.value("api_wait_seconds_count", lane="terminate") >= 20
        assert stand.value("api_wait_seconds_count", lane="confirm") >= 20

    on_stand(act, *(running(f"job-{each}") for each in range(20)), knobs={"rate_limit_per_second": 2}, clock=SharedClock())
