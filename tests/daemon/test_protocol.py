"""
The kill protocol of design section 5, driven from a walk over the simulator to the outcome on record, one row a transition.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from daemon_stand import EXEMPT, HOUR_MS, NONE, OBSERVED, ONE_DAY, on_stand, running

from guard.core.records import Pause
from guard.errors import LedgerHeld
from guard.simulator import Fault

ANY_RUNNING = ONE_DAY.replace(", duration: {gt: 24h}", "")
FIRST = """
policies:
  - name: first
    mode: enforce
    match: {name: other}
"""
GONE = {"kind": "status", "status": 400, "code": "ModelArts.2775"}
TAKEN_BACK = "intended sending denied"


def refusing(status, code="ModelArts.0010", *, times=None, **more):
    """
    Terminate calls that are answered with an error.
    """
    return Fault(operation="terminate", kind="status", status=status, code=code, times=times, **more)


def unanswered(kind="reset_before", *, times=1):
    """
    Terminate calls without an answer.
    """
    return Fault(operation="terminate", kind=kind, times=times)


def unreadable(*, times=None, **more):
    """
    Readings of the job that fail.
    """
    return Fault(operation="show", times=times, **{"kind": "status", "status": 503, **more})


# What may happen between two steps; each takes the stand.
def taking(text):
    return lambda stand: stand.take(text)


def faulty(*faults):
    def act(stand):
        stand.world.knobs = replace(stand.world.knobs, faults=faults)

    return act


def paused(stand):
    return stand.raw.set_pause(Pause(reason="a test", since_ms=0, by="alice"))


def lease_lost(stand):
    stand.lease.holding = False


def restarted(stand):
    stand.world.restart("job-1")


def stopped_by_somebody(stand):
    stand.world.terminate(stand.world.job("job-1"))


def ended(phase):
    def act(stand):
        job = stand.world.job("job-1")
        job.end_time_ms, job.ends_as = stand.world.now_ms, phase

    return act


def renamed(stand):
    stand.world.job("job-1").flavor = None


def later(stand):
    stand.clock.seconds += 5


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    *when* are (before or after, event, nth, act); *outcome* None means that the intent stays open.
    """

    outcome: str | None
    steps: str
    calls: int
    accepted: int
    when: tuple[tuple[str, str, int, Any], ...] = ()
    faults: tuple[Fault, ...] = ()
    knobs: dict[str, Any] = field(default_factory=dict)
    text: str = ONE_DAY
    statuses: dict[str, int] = field(default_factory=dict)


ROWS = {
    "confirmed-202": Row(outcome="confirmed", steps="intended sending accepted", calls=1, accepted=1),
    "confirmed-200": Row(
        outcome="confirmed", steps="intended sending accepted", calls=1, accepted=1, statuses={"terminate": 200}
    ),
    # Before the re-read: the gate.
    "paused-after-intent": Row(
        outcome="held_back", steps="intended", calls=0, accepted=0, when=(("after", "intended", 1, paused),)
    ),
    "lease-lost-after-intent": Row(
        outcome=None, steps="intended", calls=0, accepted=0, when=(("after", "intended", 1, lease_lost),)
    ),
    # At the re-read.
    **{
        f"re-read-{phase}": Row(
            outcome="finished_by_itself",
            steps="intended",
            calls=0,
            accepted=0,
            when=(("after", "intended", 1, ended(phase)),),
        )
        for phase in ("Completed", "Failed", "Abnormal", "Terminated")
    },
    "re-read-terminating": Row(
        outcome="finished_by_itself",
        steps="intended",
        calls=0,
        accepted=0,
        when=(("after", "intended", 1, stopped_by_somebody),),
    ),
    "re-read-gone": Row(outcome="gone", steps="intended", calls=0, accepted=0, faults=(unreadable(**GONE),)),
    "re-read-503": Row(outcome="failed", steps="intended", calls=0, accepted=0, faults=(unreadable(),)),
    "re-read-silent": Row(
        outcome="failed", steps="intended", calls=0, accepted=0, faults=(unreadable(kind="reset_before"),)
    ),
    "re-read-403": Row(outcome="failed", steps="intended", calls=0, accepted=0, faults=(unreadable(status=403),)),
    "re-read-404": Row(outcome="failed", steps="intended", calls=0, accepted=0, faults=(unreadable(status=404),)),
    "re-read-html": Row(
        outcome="failed", steps="intended", calls=0, accepted=0, faults=(unreadable(kind="html", status=None),)
    ),
    "re-read-503-twice": Row(
        outcome="confirmed", steps="intended sending accepted", calls=1, accepted=1, faults=(unreadable(times=2),)
    ),
    "run-changed": Row(
        outcome="no_longer_matches",
        steps="intended",
        calls=0,
        accepted=0,
        text=ANY_RUNNING,
        when=(("after", "intended", 1, restarted),),
    ),
    "facts-changed": Row(
        outcome="no_longer_matches", steps="intended", calls=0, accepted=0, when=(("after", "intended", 1, renamed),)
    ),
    "phase-unknown": Row(
        outcome="no_longer_matches",
        steps="intended",
        calls=0,
        accepted=0,
        when=(("after", "intended", 1, lambda stand: setattr(stand.world.job("job-1"), "quirk", "28-unknown-phase")),),
    ),
    "status-unreadable": Row(
        outcome="no_longer_matches",
        steps="intended",
        calls=0,
        accepted=0,
        when=(("after", "intended", 1, lambda stand: setattr(stand.world.job("job-1"), "quirk", "null-status")),),
    ),
    "policy-observed": Row(
        outcome="no_longer_matches",
        steps="intended",
        calls=0,
        accepted=0,
        when=(("after", "intended", 1, taking(OBSERVED)),),
    ),
    "policy-notifies": Row(
        outcome="no_longer_matches",
        steps="intended",
        calls=0,
        accepted=0,
        when=(("after", "intended", 1, taking(ONE_DAY + "    action: notify\n")),),
    ),
    "policy-removed": Row(
        outcome="no_longer_matches", steps="intended", calls=0, accepted=0, when=(("after", "intended", 1, taking(NONE)),)
    ),
    "policy-widened": Row(
        outcome="no_longer_matches",
        steps="intended",
        calls=0,
        accepted=0,
        when=(("after", "intended", 1, taking(ONE_DAY.replace("24h", "48h"))),),
    ),
    "exempted": Row(
        outcome="exempt", steps="intended", calls=0, accepted=0, when=(("after", "intended", 1, taking(ONE_DAY + EXEMPT)),)
    ),
    # Between the re-read and the call: the gate, and once more after the commit.
    "paused-before-sending": Row(
        outcome="held_back", steps="intended", calls=0, accepted=0, when=(("after", "show", 1, paused),)
    ),
    "paused-after-sending": Row(
        outcome="held_back", steps=TAKEN_BACK, calls=0, accepted=0, when=(("after", "sending", 1, paused),)
    ),
    "lease-lost-before-sending": Row(
        outcome=None, steps="intended", calls=0, accepted=0, when=(("after", "show", 1, lease_lost),)
    ),
    "lease-lost-after-sending": Row(
        outcome=None, steps=TAKEN_BACK, calls=0, accepted=0, when=(("after", "sending", 1, lease_lost),)
    ),
    "observed-after-sending": Row(
        outcome="no_longer_matches", steps=TAKEN_BACK, calls=0, accepted=0, when=(("after", "sending", 1, taking(OBSERVED)),)
    ),
    "removed-after-sending": Row(
        outcome="no_longer_matches", steps=TAKEN_BACK, calls=0, accepted=0, when=(("after", "sending", 1, taking(NONE)),)
    ),
    "exempted-after-sending": Row(
        outcome="exempt", steps=TAKEN_BACK, calls=0, accepted=0, when=(("after", "sending", 1, taking(ONE_DAY + EXEMPT)),)
    ),
    # Refusals.
    "409-for-ever": Row(
        outcome="refused",
        steps="intended" + 4 * " sending denied",
        calls=4,
        accepted=0,
        faults=(refusing(409, "ModelArts.2796"),),
    ),
    "409-three-times": Row(
        outcome="confirmed",
        steps="intended" + 3 * " sending denied" + " sending accepted",
        calls=4,
        accepted=1,
        faults=(refusing(409, "ModelArts.2878", times=3),),
    ),
    "409-stopped-by-somebody": Row(
        outcome="finished_by_itself",
        steps=TAKEN_BACK,
        calls=1,
        accepted=0,
        when=(("before", "terminate", 1, stopped_by_somebody),),
    ),
    "409-ended-by-itself": Row(
        outcome="finished_by_itself",
        steps=TAKEN_BACK,
        calls=1,
        accepted=0,
        when=(("before", "terminate", 1, ended("Completed")),),
    ),
    "409-then-exempted": Row(
        outcome="exempt",
        steps=TAKEN_BACK,
        calls=1,
        accepted=0,
        faults=(refusing(409, "ModelArts.2796"),),
        when=(("after", "denied", 1, taking(ONE_DAY + EXEMPT)),),
    ),
    "409-then-unreadable": Row(
        outcome="failed",
        steps=TAKEN_BACK,
        calls=1,
        accepted=0,
        faults=(refusing(409, "ModelArts.2796"),),
        when=(("after", "denied", 1, faulty(unreadable())),),
    ),
    "401-once": Row(
        outcome="confirmed",
        steps="intended sending denied sending accepted",
        calls=2,
        accepted=1,
        faults=(refusing(401, "APIGW.0301", times=1),),
    ),
    "401-twice": Row(
        outcome="refused",
        steps="intended sending denied sending denied",
        calls=2,
        accepted=0,
        faults=(refusing(401, "APIGW.0301"),),
    ),
    **{
        f"refused-{status}-{code}": Row(
            outcome="refused", steps=TAKEN_BACK, calls=1, accepted=0, faults=(refusing(status, code),)
        )
        for status, code in (
            (403, "ModelArts.0203"),
            (400, "ModelArts.0102"),
            (400, "ModelArts.2788"),
            (400, "ModelArts.2775"),
            (404, "APIGW.0101"),
            (302, ""),
            (418, "X.1"),
        )
    },
    # What may be repeated.
    "429-twice": Row(
        outcome="confirmed",
        steps="intended" + 2 * " sending denied" + " sending accepted",
        calls=3,
        accepted=1,
        faults=(refusing(429, "APIGW.0308", times=2, retry_after=7),),
    ),
    "429-for-ever": Row(
        outcome="failed",
        steps="intended" + 4 * " sending denied",
        calls=4,
        accepted=0,
        faults=(refusing(429, "APIGW.0308"),),
    ),
    "429-asks-for-too-long": Row(
        outcome="failed", steps=TAKEN_BACK, calls=1, accepted=0, faults=(refusing(429, "APIGW.0308", retry_after=3600),)
    ),
    "429-then-paused": Row(
        outcome="held_back",
        steps=TAKEN_BACK,
        calls=1,
        accepted=0,
        faults=(refusing(429, "APIGW.0308"),),
        when=(("after", "denied", 1, paused),),
    ),
    "503-three-times": Row(
        outcome="confirmed",
        steps="intended" + 4 * " sending" + " accepted",
        calls=4,
        accepted=1,
        faults=(refusing(503, times=3),),
    ),
    "503-for-ever": Row(
        outcome="unconfirmed", steps="intended" + 4 * " sending", calls=4, accepted=0, faults=(refusing(503),)
    ),
    "503-then-paused": Row(
        outcome="unconfirmed",
        steps="intended sending",
        calls=1,
        accepted=0,
        faults=(refusing(503),),
        when=(("after", "show", 2, paused),),
    ),
    # No answer.
    "silent-not-carried-out": Row(
        outcome="confirmed", steps="intended sending sending accepted", calls=2, accepted=1, faults=(unanswered(),)
    ),
    "silent-for-ever": Row(
        outcome="unconfirmed", steps="intended" + 3 * " sending", calls=3, accepted=0, faults=(unanswered(times=None),)
    ),
    **{
        f"carried-out-{kind}": Row(
            outcome="confirmed", steps="intended sending", calls=1, accepted=1, faults=(unanswered(kind),)
        )
        for kind in ("reset_after", "truncated", "html")
    },
    "carried-out-204": Row(outcome="confirmed", steps="intended sending", calls=1, accepted=1, statuses={"terminate": 204}),
    "silent-then-completed": Row(
        outcome="finished_by_itself",
        steps="intended sending",
        calls=1,
        accepted=0,
        faults=(unanswered(),),
        when=(("before", "show", 2, ended("Completed")),),
    ),
    "silent-then-gone": Row(
        outcome="gone",
        steps="intended sending",
        calls=1,
        accepted=0,
        faults=(unanswered(),),
        when=(("before", "show", 2, faulty(unreadable(**GONE))),),
    ),
    "silent-then-exempted": Row(
        outcome="unconfirmed",
        steps="intended sending",
        calls=1,
        accepted=0,
        faults=(unanswered(),),
        when=(("before", "show", 2, taking(ONE_DAY + EXEMPT)),),
    ),
    "silent-then-paused": Row(
        outcome="unconfirmed",
        steps="intended sending",
        calls=1,
        accepted=0,
        faults=(unanswered(),),
        when=(("before", "show", 2, paused),),
    ),
    "silent-then-restarted": Row(
        outcome="unconfirmed",
        steps="intended sending",
        calls=1,
        accepted=0,
        text=ANY_RUNNING,
        faults=(unanswered(),),
        when=(("before", "show", 2, restarted),),
    ),
    "silent-then-409": Row(
        outcome="unconfirmed",
        steps="intended" + 5 * " sending",
        calls=5,
        accepted=0,
        faults=(unanswered(), refusing(409, "ModelArts.2796")),
    ),
    "silent-then-401": Row(
        outcome="unconfirmed",
        steps="intended" + 3 * " sending",
        calls=3,
        accepted=0,
        faults=(unanswered(), refusing(401, "APIGW.0301")),
    ),
    "silent-then-403": Row(
        outcome="unconfirmed",
        steps="intended" + 2 * " sending",
        calls=2,
        accepted=0,
        faults=(unanswered(), refusing(403)),
    ),
    "silent-then-unreadable-for-a-while": Row(
        outcome="confirmed",
        steps="intended sending",
        calls=1,
        accepted=1,
        faults=(unanswered("reset_after"),),
        when=(("before", "show", 2, faulty(unreadable(times=6))),),
    ),
    # Confirmation.
    "terminated-failed": Row(
        outcome="failed", steps="intended sending accepted", calls=1, accepted=1, knobs={"terminate_fails_rate": 1}
    ),
    "completes-while-terminating": Row(
        outcome="finished_by_itself",
        steps="intended sending accepted",
        calls=1,
        accepted=1,
        knobs={"finishes_while_terminating_rate": 1},
    ),
    "still-terminating": Row(
        outcome="unconfirmed", steps="intended sending accepted", calls=1, accepted=1, knobs={"terminate_seconds": 601}
    ),
    "terminated-at-the-limit": Row(
        outcome="confirmed", steps="intended sending accepted", calls=1, accepted=1, knobs={"terminate_seconds": 600}
    ),
    "gone-at-confirm": Row(
        outcome="gone",
        steps="intended sending accepted",
        calls=1,
        accepted=1,
        when=(("after", "accepted", 1, faulty(unreadable(**GONE))),),
    ),
    "unreadable-at-confirm": Row(
        outcome="unconfirmed",
        steps="intended sending accepted",
        calls=1,
        accepted=1,
        when=(("after", "accepted", 1, faulty(unreadable())),),
    ),
    "restarted-at-confirm": Row(
        outcome="unconfirmed",
        steps="intended sending accepted",
        calls=1,
        accepted=1,
        when=(("after", "accepted", 1, later), ("before", "show", 2, restarted)),
    ),
    "paused-at-confirm": Row(
        outcome="confirmed", steps="intended sending accepted", calls=1, accepted=1, when=(("after", "accepted", 1, paused),)
    ),
    "exempted-at-confirm": Row(
        outcome="confirmed",
        steps="intended sending accepted",
        calls=1,
        accepted=1,
        when=(("after", "accepted", 1, taking(ONE_DAY + EXEMPT)),),
    ),
    "lease-lost-at-confirm": Row(
        outcome=None,
        steps="intended sending accepted",
        calls=1,
        accepted=1,
        when=(("after", "accepted", 1, lease_lost),),
    ),
    "duration-runs-ahead": Row(
        outcome="confirmed", steps="intended sending accepted", calls=1, accepted=1, knobs={"duration": "ahead"}
    ),
}


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
            assert isinstance(stand.cycle.broken, LedgerHeld)
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
    What was known before the job was asked for is older than the answer, even if the clock says otherwise.
    """

    async def act(stand):
        def back():
            stand.world.job("job-1").annotations["keep"] = "yes"
            stand.clock.behind = 90

        stand.hooks.after("intended", back)
        await stand.walk()
        assert (await stand.intent()).outcome == "exempt"
        assert stand.sent() == 0

    spared = EXEMPT.replace('id: {glob: "job-*"}', 'annotation.keep: "yes"')
    on_stand(act, running(), text=ONE_DAY + spared)


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
