"""
The kill protocol of design section 5, driven from a walk over the simulator to the outcome on record.
"""

import contextlib

import pytest
from daemon_stand import EXEMPT, HOUR_MS, OBSERVED, ONE_DAY, on_stand, running
from protocol_rows import ANY_RUNNING, FIRST, ROWS, later, lease_lost, paused, refusing

from guard.core.lanes import Turn
from guard.core.records import Pause
from guard.errors import LedgerHeld, Retryable
from tests.changing import replace


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])
def test_transitions(row):
    """
    Every transition ends in its outcome, with its steps on record and with no call more than the protocol allows.
    """

    async def act(stand):
        stand.world.knobs = replace(stand.world.knobs, faults=row.faults)
        stand.hooks.statuses = row.statuses
        for when, event, nth, happen in row.when:
            getattr(stand.hooks, when)(event, lambda happen=happen: happen(stand), nth=nth)
        await stand.walk()
        intent = await stand.intent()
        assert (intent.outcome and intent.outcome.value) == row.outcome, intent.note
        assert await stand.steps() == [*row.steps.split(), *([row.outcome] if row.outcome else [])]
        assert (stand.sent(), len(stand.accepted())) == (row.calls, row.accepted)
        assert stand.calls.of("delete") == []
        if row.outcome is None:
            assert isinstance(stand.cycle.drives.broken, LedgerHeld)
            assert [one.number for one in await stand.raw.open_intents()] == [1]
            return
        counted = stand.value("terminations_total", target="lab", policy="one-day", outcome=row.outcome)
        assert counted == 1
        assert stand.value("cards_released_total", target="lab", policy="one-day") == (row.outcome == "confirmed")
        assert await stand.raw.open_intents() == []

    on_stand(act, running(), knobs=row.knobs, text=row.text)


@pytest.mark.parametrize(
    ("reason", "prepare", "options"),
    [
        pytest.param("paused", paused, {}, id="paused"),
        pytest.param("lease", lease_lost, {}, id="lease-lost"),
        pytest.param("disarmed", None, {"armed": False}, id="disarmed"),
        pytest.param("clock", None, {"knobs": {"clock_offset_seconds": 200}}, id="clock-wrong"),
        pytest.param("exempt", None, {"text": ONE_DAY + EXEMPT}, id="exempt"),
        pytest.param("observe", None, {"text": OBSERVED}, id="observed"),
        pytest.param("notify", None, {"text": ONE_DAY + "    action: notify\n"}, id="notified"),
    ],
)
def test_gate_before_the_intent(reason, prepare, options):
    """
    A closed gate, an exemption or a policy that does not enforce leaves no intent, and one finding however often it is seen.
    """

    async def act(stand):
        done = prepare(stand) if prepare else None
        if done is not None:
            await done
        for _ in range(3):
            await stand.walk()
            stand.clock.seconds += 60
        assert await stand.raw.intents() == []
        assert [(one.reason, one.policy, one.run) for _, one in await stand.raw.findings()] == [(reason, "one-day", 1)]
        assert stand.value("potential_terminations_total", policy="one-day", reason=reason) == 1
        assert (stand.sent(), len(stand.calls.of("show"))) == (0, 0)

    on_stand(act, running(), **options)


class Keyless:
    """
    A terminator whose credentials cannot be had.
    """

    @contextlib.asynccontextmanager
    async def turn(self, *, rank):
        yield Turn(number=1)

    async def terminate(self, job_id, turn):
        raise Retryable("credentials could not be fetched, nothing was sent")


def test_a_call_that_was_not_sent_is_not_waited_for():
    """
    Without credentials no call is on its way, so the intent ends after its retries, and the record says so.
    """

    async def act(stand):
        stand.targets["lab"] = replace(stand.target, terminator=Keyless())
        await stand.walk()
        intent = await stand.intent()
        assert (intent.outcome, stand.sent()) == ("failed", 0)
        assert "nothing was sent" in intent.note
        assert await stand.steps() == ["intended", *4 * ["sending", "denied"], "failed"]

    on_stand(act, running())


def test_retry_after_is_waited_for():
    """
    A Retry-After is waited for in full before the next call, which passes the gate again.
    """

    async def act(stand):
        stand.world.knobs = replace(stand.world.knobs, faults=(refusing(429, "APIGW.0308", times=1, retry_after=45),))
        await stand.walk()
        assert 45 in stand.clock.slept
        assert stand.sent() == 2

    on_stand(act, running())


def test_retries_back_off():
    """
    Repeated faults are met with waits that grow and stay in their bounds.
    """

    async def act(stand):
        stand.world.knobs = replace(stand.world.knobs, faults=(refusing(503),))
        await stand.walk()
        first, second, third = stand.clock.slept[:3]
        assert 1 <= first <= 2
        assert 2 <= second <= 4
        assert 4 <= third <= 8

    on_stand(act, running())


def test_confirming_waits():
    """
    A confirmation reads after 1, 2, 4, 8, 16 and then every 30 s, for ten minutes in all.
    """

    async def act(stand):
        await stand.walk()
        assert stand.clock.slept[:5] == [1, 2, 4, 8, 16]
        assert set(stand.clock.slept[5:-1]) == {30}
        assert sum(stand.clock.slept) == 600

    on_stand(act, running(), knobs={"terminate_seconds": 10_000})


def test_lateness_is_from_due_to_acceptance():
    """
    Lateness is measured at the accepted call, from the moment at which the guard could first have acted.
    """

    async def act(stand):
        stand.hooks.before("terminate", lambda: later(stand))
        await stand.walk()
        intent = await stand.intent()
        assert intent.draft.deadline_ms == stand.world.job("job-1").start_time_ms + 24 * HOUR_MS + 1
        assert intent.draft.due_ms == intent.created_ms
        assert intent.lateness_ms in range(4_000, 6_001)
        assert stand.value("termination_lateness_seconds_count", target="lab") == 1

    on_stand(act, running())


def test_own_reading_counts_over_a_newer_one():
    """
    A walk that read the job before its restart and ended after the re-read does not make the re-read's facts old.
    """

    async def act(stand):
        async def overtake():
            before = await stand.target.source.read("job-1")
            stand.world.restart("job-1")
            stand.hooks.after(
                "show",
                lambda: stand.view.look(replace(before, read_at_ms=before.read_at_ms + 900), now_ms=before.read_at_ms),
                nth=2,
            )

        stand.hooks.after("intended", overtake)
        await stand.walk()
        intent = await stand.intent()
        assert intent.outcome == "no_longer_matches"
        assert stand.sent() == 0

    on_stand(act, running())


def test_a_clock_that_is_set_back_does_not_make_the_re_read_old():
    """
    What was known before the job was asked for is older than the answer, so a restart is seen whatever the clock says.
    """

    async def act(stand):
        def back():
            stand.world.restart("job-1")
            stand.clock.behind = 90

        stand.hooks.after("intended", back)
        await stand.walk()
        assert (await stand.intent()).outcome == "no_longer_matches"
        assert stand.sent() == 0

    on_stand(act, running(), text=ANY_RUNNING)


def test_another_policy_takes_over():
    """
    An intent is carried out only for the policy that it names; when another comes first now, the next plan names that one.
    """

    async def act(stand):
        both = ONE_DAY.replace("policies:", FIRST.replace("{name: other}", "{user: alice}").strip("\n"))
        stand.hooks.after("intended", lambda: stand.take(both))
        await stand.walk()
        assert (await stand.intent()).outcome == "no_longer_matches"
        assert "policy first comes first now" in (await stand.intent()).note
        await stand.walk()
        second = await stand.intent(2)
        assert (second.draft.policy, second.outcome) == ("first", "confirmed")
        assert len(stand.accepted()) == 1

    on_stand(act, running())


def test_a_target_that_became_another_project_is_not_touched():
    """
    A reading whose identity is not the intent's is refused, whatever its id says.
    """

    async def act(stand):
        stand.hooks.after("intended", lambda: stand.raw.set_pause(Pause(reason="x", since_ms=0)))
        await stand.walk()
        closed = await stand.intent()
        await stand.raw.set_pause(None)
        strange = replace(closed.draft, key=replace(closed.draft.key, project_id="f" * 32))
        other = await stand.raw.open_intent(strange, at_ms=closed.created_ms, quota=None)
        done = await stand.enforcer.drive(other, stand.target)
        assert done.outcome == "failed"
        assert stand.sent() == 0

    on_stand(act, running())
