"""
What a new process makes of the intents that an earlier one left, and that no death between two instructions loses one.
"""

import asyncio
import itertools

import pytest
from daemon_stand import NOW_MS, ONE_DAY, Stand, on_stand, running

from guard.core.limits import Limits
from guard.core.protocol import State
from guard.core.records import Pause
from guard.errors import LedgerUnusable
from guard.simulator import Fault
from tests.changing import replace

STUCK = "policies: [{name: stuck, mode: enforce, match: {waiting: {gt: 6h}}}]"
ANY_RUNNING = ONE_DAY.replace(", duration: {gt: 24h}", "")


class Death(BaseException):
    """
    The end of a process: nothing catches it.
    """


async def left_behind(stand, state):
    """
    Leave an open intent in *state*, as a process that died then would, and begin a new process.
    """
    stand.hooks.after("intended", lambda: stand.raw.set_pause(Pause(reason="x", since_ms=0)))
    await stand.walk()
    await stand.raw.set_pause(None)
    draft = (await stand.intent()).draft
    opened = await stand.raw.open_intent(draft, at_ms=stand.world.now_ms, quota=None)
    at_ms = stand.world.now_ms
    if state != "intended":
        await stand.raw.advance(opened.number, State.SENDING, at_ms=at_ms)
    if state in ("sending-carried-out", "accepted"):
        async with stand.target.terminator.turn(rank=0) as turn:
            await stand.target.terminator.terminate("job-1", turn)
    if state in ("denied", "accepted"):
        await stand.raw.advance(opened.number, State(state), at_ms=at_ms)
    await stand.http.aclose()
    stand.begin()


@pytest.mark.parametrize(
    ("state", "gate", "outcome", "sent_anew"),
    [
        pytest.param("intended", "open", "confirmed", 1, id="intended"),
        pytest.param("intended", "disarmed", "held_back", 0, id="intended-disarmed"),
        pytest.param("intended", "paused", "held_back", 0, id="intended-paused"),
        pytest.param("sending-carried-out", "open", "confirmed", 0, id="carried-out"),
        pytest.param("sending-carried-out", "disarmed", "confirmed", 0, id="carried-out-disarmed"),
        pytest.param("sending-carried-out", "paused", "confirmed", 0, id="carried-out-paused"),
        pytest.param("sending-lost", "open", "confirmed", 1, id="lost"),
        pytest.param("sending-lost", "disarmed", "unconfirmed", 0, id="lost-disarmed"),
        pytest.param("sending-lost", "paused", "unconfirmed", 0, id="lost-paused"),
        pytest.param("denied", "open", "confirmed", 1, id="denied"),
        pytest.param("denied", "disarmed", "held_back", 0, id="denied-disarmed"),
        pytest.param("denied", "paused", "held_back", 0, id="denied-paused"),
        pytest.param("accepted", "open", "confirmed", 0, id="accepted"),
        pytest.param("accepted", "disarmed", "confirmed", 0, id="accepted-disarmed"),
        pytest.param("accepted", "paused", "confirmed", 0, id="accepted-paused"),
    ],
)
def test_resume(state, gate, outcome, sent_anew):
    """
    An open intent passes the gate again: closed, nothing is sent and what was sent is only read until it settles.
    """

    async def act(stand):
        stand.armed = gate != "disarmed"
        await left_behind_armed(stand, state)
        if gate == "paused":
            await stand.raw.set_pause(Pause(reason="a test", since_ms=0))
        before = stand.sent()
        assert await stand.cycle.resume() == 1
        await stand.settle()
        intent = await stand.intent(2)
        assert intent.outcome == outcome, intent.note
        assert stand.sent() - before == sent_anew
        assert len(stand.accepted()) == (outcome == "confirmed")
        assert stand.value("terminations_total", target="lab", policy="one-day", outcome=outcome) == 1

    on_stand(act, running())


async def left_behind_armed(stand, state):
    """
    The earlier process was armed, whatever the new one is.
    """
    armed, stand.armed = stand.armed, True
    await stand.http.aclose()
    stand.begin()
    await left_behind(stand, state)
    if not armed:
        stand.armed = False
        await stand.http.aclose()
        stand.begin()


@pytest.mark.parametrize("offset", [200, -200])
@pytest.mark.parametrize(("state", "outcome"), [("intended", "held_back"), ("sending-lost", "unconfirmed")])
def test_resume_with_a_wrong_clock(state, outcome, offset):
    """
    A new process asks for the service's clock before it sends, and a wrong one closes the gate.
    """

    async def act(stand):
        await left_behind(stand, state)
        stand.world.knobs = replace(stand.world.knobs, clock_offset_seconds=offset)
        await stand.cycle.resume()
        await stand.settle()
        # By a clock that was set back, what is read now began before what is known: then it is called out of date.
        assert (await stand.intent(2)).outcome in (outcome, "no_longer_matches", "failed" if offset < 0 else outcome)
        assert stand.sent() == 0

    on_stand(act, running(), text=ANY_RUNNING)


def test_resume_knows_earlier_runs():
    """
    The memory of jobs is there before the first intent is taken up, so a run that began since is not taken for the old one.
    """

    async def act(stand):
        await left_behind(stand, "intended")
        stand.world.restart("job-1")
        stand.clock.seconds += 60
        await stand.cycle.resume()
        await stand.settle()
        assert (await stand.intent(2)).outcome == "no_longer_matches"
        assert stand.sent() == 0
        assert stand.view.seen((await stand.intent()).draft.key).run == 2

    on_stand(act, running(), text=ANY_RUNNING)


@pytest.mark.parametrize(
    ("allowed", "state", "outcome"),
    [
        pytest.param(1, "intended", "confirmed", id="room"),
        pytest.param(0, "intended", "held_back", id="no-room"),
        pytest.param(0, "denied", "held_back", id="no-room-after-a-refusal"),
        pytest.param(0, "accepted", "confirmed", id="no-room-but-accepted"),
        pytest.param(None, "intended", "confirmed", id="no-limit"),
    ],
)
def test_resume_with_lowered_limits(allowed, state, outcome):
    """
    Whoever lowers the limits and starts anew stops what an earlier process intended under the old ones.
    """

    async def act(stand):
        await left_behind(stand, state)
        before = stand.sent()
        stand.cycle.rules = replace(stand.cycle.rules, limits=Limits(max_terminations=allowed))
        await stand.cycle.resume()
        await stand.settle()
        assert (await stand.intent(2)).outcome == outcome
        assert stand.sent() - before == (outcome == "confirmed" and state != "accepted")

    on_stand(act, running())


def test_lowered_limits_hold_back_the_latest_deadlines():
    """
    Of several intents that an earlier process left the oldest deadlines keep their room.
    """

    async def act(stand):
        stand.hooks.after("intended", lambda: stand.raw.set_pause(Pause(reason="x", since_ms=0)))
        await stand.walk()
        await stand.raw.set_pause(None)
        for number in (1, 2, 3):
            await stand.raw.open_intent((await stand.intent(number)).draft, at_ms=stand.world.now_ms, quota=None)
        await stand.http.aclose()
        stand.limits = Limits(max_terminations=2)
        stand.begin()
        await stand.cycle.resume()
        await stand.settle()
        assert sorted(stand.accepted()) == ["job-1", "job-2"]

    on_stand(act, *(running(f"job-{index}", hours=30 - index) for index in (3, 1, 2)))


def test_a_target_of_another_name_keeps_the_memory_of_its_jobs():
    """
    A job that returned to Pending waits since then, also for a process that calls the target otherwise.
    """

    async def act(stand):
        await stand.walk()
        stand.world.job("job-1").start_time_ms = None
        stand.clock.seconds += 60
        await stand.walk()
        await stand.http.aclose()
        stand.names = ("renamed",)
        stand.begin()
        stand.clock.seconds += 60
        await stand.walk()
        assert stand.sent() == 0
        memory = await stand.raw.sightings(stand.view.watched)
        assert [(one.ran, one.waiting_since_ms) for one in memory.values()] == [(True, NOW_MS + 60_000)]

    on_stand(act, running(queued_time_ms=0), text=STUCK)


def test_resume_twice_drives_once():
    """
    Taking up open intents again does not touch those that are on their way.
    """

    async def act(stand):
        await left_behind(stand, "sending-lost")
        await asyncio.gather(stand.cycle.resume(), stand.cycle.resume(), stand.cycle.walk(stand.target))
        await stand.cycle.resume()
        await stand.settle()
        assert len(stand.accepted()) == stand.sent() == 1
        assert await stand.raw.open_intents() == []
        assert stand.cycle.drives.broken is None

    on_stand(act, running())


def test_orphans():
    """
    An unsent intent of a target that is no longer configured is held back, a sent one stays open and is not driven.
    """

    async def act(stand):
        for state in ("intended", "sending-lost"):
            await left_behind(stand, state)
            stand.cycle.targets = {}
            await stand.cycle.resume()
            await stand.cycle.resume()
            stand.cycle.targets = stand.targets
            if state == "intended":
                assert (await stand.intent(2)).outcome == "held_back"
        numbers = [one.number for one in await stand.raw.open_intents()]
        outcomes = [one.outcome for one in await stand.raw.intents()]
        assert numbers == [4]
        assert outcomes == [None, "held_back", "held_back", "held_back"]
        assert stand.sent() == 0

    on_stand(act, running())


def test_a_renamed_target_goes_on_with_its_intents():
    """
    An intent whose target has another name now is taken up by the target that watches its job.
    """

    async def act(stand):
        await left_behind(stand, "sending-lost")
        stand.names = ("new",)
        await stand.http.aclose()
        stand.begin()
        await stand.cycle.resume()
        assert stand.cycle.drives.under_way == {}
        await stand.walk()
        await stand.cycle.resume()
        await stand.settle()
        assert (await stand.intent(2)).outcome == "confirmed"
        assert len(stand.accepted()) == 1

    on_stand(act, running())


EVENTS = ("intended", "sending", "denied", "accepted", "closed")
FAULTS = {
    "smooth": (),
    "conflict": (Fault(operation="terminate", kind="status", status=409, code="ModelArts.2796", times=1),),
    "silent": (Fault(operation="terminate", kind="reset_before", times=1),),
    "answer-lost": (Fault(operation="terminate", kind="reset_after", times=1),),
    "fault": (Fault(operation="terminate", kind="status", status=503, times=1),),
}


COMMITS_AND_CALLS = (*EVENTS, "show", "terminate")


@pytest.mark.parametrize(
    ("how", "fault", "events", "nths"),
    [
        *(pytest.param("death", one, COMMITS_AND_CALLS, (1,), id=f"death-{one}") for one in FAULTS),
        *(pytest.param("death", one, COMMITS_AND_CALLS, (2,), id=f"death-later-{one}") for one in ("conflict", "silent")),
        *(
            pytest.param("cancelled", fault, COMMITS_AND_CALLS, (1,), id=f"cancelled-{fault}")
            for fault in ("smooth", "silent")
        ),
        *(pytest.param("ledger", fault, EVENTS, (1,), id=f"ledger-{fault}") for fault in ("smooth", "fault")),
    ],
)
def test_death_anywhere(how, fault, events, nths):
    """
    A process that ends before or after any commit or call leaves a ledger from which the next one finishes, with one kill.
    """

    def end():
        if how == "cancelled":
            asyncio.current_task().cancel()
            return
        raise Death if how == "death" else LedgerUnusable("a test")

    async def act(first):
        for number, (event, when, nth) in enumerate(itertools.product(events, ("before", "after"), nths)):
            job_id = f"job-{number}"
            stand = Stand(first.raw, running(job_id), knobs={"faults": FAULTS[fault]})
            getattr(stand.hooks, when)(event, end, nth=nth)
            try:
                await stand.walk()
            except (Death, LedgerUnusable, asyncio.CancelledError):
                asyncio.current_task().uncancel()
            await stand.settle()
            await stand.http.aclose()
            stand.begin()
            await stand.cycle.resume()
            await stand.settle()
            await stand.walk()
            await stand.http.aclose()
            place = f"{when} {event} {nth}"
            assert await stand.raw.open_intents() == [], place
            assert stand.accepted() == [job_id], place
            outcomes = [one.outcome for one in await stand.raw.intents(job_id=job_id)]
            assert outcomes.count("confirmed") == 1, place

    on_stand(act)


def test_a_drive_that_a_failure_stopped_is_taken_up_again():
    """
    An intent whose step could not be recorded is gone on with by the same process once the ledger works again.
    """

    async def act(stand):
        def fail():
            raise LedgerUnusable("the disk is full")

        stand.hooks.before("sending", fail)
        await stand.walk()
        assert str(stand.cycle.drives.broken) == "the disk is full"
        assert stand.sent() == 0
        await stand.cycle.resume()
        await stand.settle()
        assert (await stand.intent()).outcome == "confirmed"

    on_stand(act, running())


@pytest.mark.parametrize("event", ["remember", "intended", "sending"])
def test_no_record_no_act(event):
    """
    Nothing is sent while the ledger cannot take the memory, the intent or the step before the call.
    """

    async def act(stand):
        def fail():
            raise LedgerUnusable("a test")

        stand.hooks.before(event, fail, nth=0)
        for _ in range(3):
            try:
                await stand.walk()
            except LedgerUnusable:
                stand.cycle.drives.broken = True
            await stand.cycle.resume()
            await stand.settle()
        assert stand.cycle.drives.broken
        assert stand.sent() == 0

    on_stand(act, running())
