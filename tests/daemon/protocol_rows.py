"""
The transitions of the kill protocol as data: what happens between two steps, and what must come of it.
"""

from dataclasses import dataclass, field
from typing import Any

from daemon_stand import EXEMPT, NONE, OBSERVED, ONE_DAY

from guard.core.records import Pause
from guard.daemon.tries import MAX_LATE
from guard.simulator import Fault
from tests.changing import replace

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


def slow(stand):
    stand.clock.seconds += 6


@dataclass(frozen=True)
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
    "confirmed-202": Row("confirmed", "intended sending accepted", 1, 1),
    "confirmed-200": Row("confirmed", "intended sending accepted", 1, 1, statuses={"terminate": 200}),
    "paused-after-intent": Row("held_back", "intended", 0, 0, when=(("after", "intended", 1, paused),)),
    "lease-lost-after-intent": Row(None, "intended", 0, 0, when=(("after", "intended", 1, lease_lost),)),
    # At the re-read.
    **{
        f"re-read-{phase}": Row("finished_by_itself", "intended", 0, 0, when=(("after", "intended", 1, ended(phase)),))
        for phase in ("Completed", "Failed", "Abnormal", "Terminated")
    },
    "re-read-terminating": Row(
        "finished_by_itself", "intended", 0, 0, when=(("after", "intended", 1, stopped_by_somebody),)
    ),
    "re-read-gone": Row("gone", "intended", 0, 0, faults=(unreadable(**GONE),)),
    "re-read-503": Row("failed", "intended", 0, 0, faults=(unreadable(),)),
    "re-read-silent": Row("failed", "intended", 0, 0, faults=(unreadable(kind="reset_before"),)),
    "re-read-403": Row("failed", "intended", 0, 0, faults=(unreadable(status=403),)),
    "re-read-404": Row("failed", "intended", 0, 0, faults=(unreadable(status=404),)),
    "re-read-html": Row("failed", "intended", 0, 0, faults=(unreadable(kind="html", status=None),)),
    "re-read-503-twice": Row("confirmed", "intended sending accepted", 1, 1, faults=(unreadable(times=2),)),
    "run-changed": Row("no_longer_matches", "intended", 0, 0, text=ANY_RUNNING, when=(("after", "intended", 1, restarted),)),
    "facts-changed": Row("no_longer_matches", "intended", 0, 0, when=(("after", "intended", 1, renamed),)),
    "phase-unknown": Row(
        "no_longer_matches",
        "intended",
        0,
        0,
        when=(("after", "intended", 1, lambda stand: setattr(stand.world.job("job-1"), "quirk", "28-unknown-phase")),),
    ),
    "status-unreadable": Row(
        "no_longer_matches",
        "intended",
        0,
        0,
        when=(("after", "intended", 1, lambda stand: setattr(stand.world.job("job-1"), "quirk", "null-status")),),
    ),
    "policy-observed": Row("no_longer_matches", "intended", 0, 0, when=(("after", "intended", 1, taking(OBSERVED)),)),
    "policy-notifies": Row(
        "no_longer_matches", "intended", 0, 0, when=(("after", "intended", 1, taking(ONE_DAY + "    action: notify\n")),)
    ),
    "policy-removed": Row("no_longer_matches", "intended", 0, 0, when=(("after", "intended", 1, taking(NONE)),)),
    "policy-widened": Row(
        "no_longer_matches", "intended", 0, 0, when=(("after", "intended", 1, taking(ONE_DAY.replace("24h", "48h"))),)
    ),
    "exempted": Row("exempt", "intended", 0, 0, when=(("after", "intended", 1, taking(ONE_DAY + EXEMPT)),)),
    # Between the re-read and the call: the gate, and once more after the commit.
    "paused-before-sending": Row("held_back", "intended", 0, 0, when=(("after", "show", 1, paused),)),
    "paused-after-sending": Row("held_back", TAKEN_BACK, 0, 0, when=(("after", "sending", 1, paused),)),
    "lease-lost-before-sending": Row(None, "intended", 0, 0, when=(("after", "show", 1, lease_lost),)),
    "lease-lost-after-sending": Row(None, TAKEN_BACK, 0, 0, when=(("after", "sending", 1, lease_lost),)),
    "observed-after-sending": Row("no_longer_matches", TAKEN_BACK, 0, 0, when=(("after", "sending", 1, taking(OBSERVED)),)),
    "removed-after-sending": Row("no_longer_matches", TAKEN_BACK, 0, 0, when=(("after", "sending", 1, taking(NONE)),)),
    "exempted-after-sending": Row("exempt", TAKEN_BACK, 0, 0, when=(("after", "sending", 1, taking(ONE_DAY + EXEMPT)),)),
    # A commit that took long, or a process that was stopped in it: the reading is too old for a call.
    "slow-sending": Row(
        "confirmed", "intended sending denied sending accepted", 1, 1, when=(("after", "sending", 1, slow),)
    ),
    "slow-sending-restarted": Row(
        "no_longer_matches",
        TAKEN_BACK,
        0,
        0,
        text=ANY_RUNNING,
        when=(("after", "sending", 1, slow), ("after", "sending", 1, restarted)),
    ),
    "slow-sending-for-ever": Row(
        "failed", "intended" + (MAX_LATE + 1) * " sending denied", 0, 0, when=(("after", "sending", 0, slow),)
    ),
    "409-for-ever": Row("refused", "intended" + 4 * " sending denied", 4, 0, faults=(refusing(409, "ModelArts.2796"),)),
    "409-three-times": Row(
        "confirmed",
        "intended" + 3 * " sending denied" + " sending accepted",
        4,
        1,
        faults=(refusing(409, "ModelArts.2878", times=3),),
    ),
    "409-stopped-by-somebody": Row(
        "finished_by_itself", TAKEN_BACK, 1, 0, when=(("before", "terminate", 1, stopped_by_somebody),)
    ),
    "409-ended-by-itself": Row(
        "finished_by_itself", TAKEN_BACK, 1, 0, when=(("before", "terminate", 1, ended("Completed")),)
    ),
    "409-then-exempted": Row(
        "exempt",
        TAKEN_BACK,
        1,
        0,
        faults=(refusing(409, "ModelArts.2796"),),
        when=(("after", "denied", 1, taking(ONE_DAY + EXEMPT)),),
    ),
    "409-then-unreadable": Row(
        "failed",
        TAKEN_BACK,
        1,
        0,
        faults=(refusing(409, "ModelArts.2796"),),
        when=(("after", "denied", 1, faulty(unreadable())),),
    ),
    "401-once": Row(
        "confirmed", "intended sending denied sending accepted", 2, 1, faults=(refusing(401, "APIGW.0301", times=1),)
    ),
    "401-twice": Row("refused", "intended sending denied sending denied", 2, 0, faults=(refusing(401, "APIGW.0301"),)),
    **{
        f"refused-{status}-{code}": Row("refused", TAKEN_BACK, 1, 0, faults=(refusing(status, code),))
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
    "429-twice": Row(
        "confirmed",
        "intended" + 2 * " sending denied" + " sending accepted",
        3,
        1,
        faults=(refusing(429, "APIGW.0308", times=2, retry_after=7),),
    ),
    "429-for-ever": Row("failed", "intended" + 10 * " sending denied", 10, 0, faults=(refusing(429, "APIGW.0308"),)),
    "429-asks-for-too-long": Row("failed", TAKEN_BACK, 1, 0, faults=(refusing(429, "APIGW.0308", retry_after=3600),)),
    "429-then-paused": Row(
        "held_back", TAKEN_BACK, 1, 0, faults=(refusing(429, "APIGW.0308"),), when=(("after", "denied", 1, paused),)
    ),
    "503-three-times": Row("confirmed", "intended" + 4 * " sending" + " accepted", 4, 1, faults=(refusing(503, times=3),)),
    "503-for-ever": Row("unconfirmed", "intended" + 4 * " sending", 4, 0, faults=(refusing(503),)),
    "503-then-paused": Row(
        "unconfirmed", "intended sending", 1, 0, faults=(refusing(503),), when=(("after", "show", 2, paused),)
    ),
    "silent-not-carried-out": Row("confirmed", "intended sending sending accepted", 2, 1, faults=(unanswered(),)),
    "silent-for-ever": Row("unconfirmed", "intended" + 3 * " sending", 3, 0, faults=(unanswered(times=None),)),
    **{
        f"carried-out-{kind}": Row("confirmed", "intended sending", 1, 1, faults=(unanswered(kind),))
        for kind in ("reset_after", "truncated", "html")
    },
    "carried-out-204": Row("confirmed", "intended sending", 1, 1, statuses={"terminate": 204}),
    "silent-then-completed": Row(
        "finished_by_itself",
        "intended sending",
        1,
        0,
        faults=(unanswered(),),
        when=(("before", "show", 2, ended("Completed")),),
    ),
    "silent-then-gone": Row(
        "gone", "intended sending", 1, 0, faults=(unanswered(),), when=(("before", "show", 2, faulty(unreadable(**GONE))),)
    ),
    "silent-then-exempted": Row(
        "unconfirmed",
        "intended sending",
        1,
        0,
        faults=(unanswered(),),
        when=(("before", "show", 2, taking(ONE_DAY + EXEMPT)),),
    ),
    "silent-then-paused": Row(
        "unconfirmed", "intended sending", 1, 0, faults=(unanswered(),), when=(("before", "show", 2, paused),)
    ),
    "silent-then-restarted": Row(
        "unconfirmed",
        "intended sending",
        1,
        0,
        text=ANY_RUNNING,
        faults=(unanswered(),),
        when=(("before", "show", 2, restarted),),
    ),
    "silent-then-409": Row(
        "unconfirmed", "intended" + 5 * " sending", 5, 0, faults=(unanswered(), refusing(409, "ModelArts.2796"))
    ),
    "silent-then-401": Row(
        "unconfirmed", "intended" + 3 * " sending", 3, 0, faults=(unanswered(), refusing(401, "APIGW.0301"))
    ),
    "silent-then-403": Row("unconfirmed", "intended" + 2 * " sending", 2, 0, faults=(unanswered(), refusing(403))),
    "silent-then-unreadable-for-a-while": Row(
        "confirmed",
        "intended sending",
        1,
        1,
        faults=(unanswered("reset_after"),),
        when=(("before", "show", 2, faulty(unreadable(times=6))),),
    ),
    "terminated-failed": Row("failed", "intended sending accepted", 1, 1, knobs={"terminate_fails_rate": 1}),
    "completes-while-terminating": Row(
        "finished_by_itself", "intended sending accepted", 1, 1, knobs={"finishes_while_terminating_rate": 1}
    ),
    "still-terminating": Row("unconfirmed", "intended sending accepted", 1, 1, knobs={"terminate_seconds": 601}),
    "terminated-at-the-limit": Row("confirmed", "intended sending accepted", 1, 1, knobs={"terminate_seconds": 600}),
    "gone-at-confirm": Row(
        "gone", "intended sending accepted", 1, 1, when=(("after", "accepted", 1, faulty(unreadable(**GONE))),)
    ),
    "unreadable-at-confirm": Row(
        "unconfirmed", "intended sending accepted", 1, 1, when=(("after", "accepted", 1, faulty(unreadable())),)
    ),
    "restarted-at-confirm": Row(
        "unconfirmed",
        "intended sending accepted",
        1,
        1,
        when=(("after", "accepted", 1, later), ("before", "show", 2, restarted)),
    ),
    "paused-at-confirm": Row("confirmed", "intended sending accepted", 1, 1, when=(("after", "accepted", 1, paused),)),
    "exempted-at-confirm": Row(
        "confirmed", "intended sending accepted", 1, 1, when=(("after", "accepted", 1, taking(ONE_DAY + EXEMPT)),)
    ),
    "lease-lost-at-confirm": Row(None, "intended sending accepted", 1, 1, when=(("after", "accepted", 1, lease_lost),)),
    "duration-runs-ahead": Row("confirmed", "intended sending accepted", 1, 1, knobs={"duration": "ahead"}),
}
