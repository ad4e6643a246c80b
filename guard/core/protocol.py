"""
The kill protocol's reactions, as pure functions: what an answer means for an intent.

The order of the steps and the calls themselves live in the daemon; in here is only what decides between them.
"""

import enum

from guard.core.facts import TERMINABLE_PHASES

ENDED_BY_ITSELF = frozenset({"Completed", "Failed", "Abnormal"})


class State(enum.StrEnum):
    """
    The states of an intent in the ledger; only ``closed`` has an outcome.

    ``sending`` is on record before every call and means that a call may have been carried out. ``denied`` follows it when
    every call so far was answered with a refusal; another ``sending`` may follow that.
    """

    INTENDED = "intended"
    SENDING = "sending"
    DENIED = "denied"
    ACCEPTED = "accepted"
    CLOSED = "closed"


class Outcome(enum.StrEnum):
    """
    How an intent ended.
    """

    CONFIRMED = "confirmed"
    FINISHED_BY_ITSELF = "finished_by_itself"
    GONE = "gone"
    NO_LONGER_MATCHES = "no_longer_matches"
    EXEMPT = "exempt"
    HELD_BACK = "held_back"
    REFUSED = "refused"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"


# What proves that the run is over.
LAST = frozenset({Outcome.CONFIRMED, Outcome.FINISHED_BY_ITSELF, Outcome.GONE})


class Step(enum.Enum):
    """
    What follows a reading of the job: decide again and send, or wait for the end.
    """

    DECIDE = "decide"
    CONFIRM = "confirm"


def after_reread(phase: object, secondary_phase: object, *, sent: bool) -> Step | Outcome:
    """
    Return what a fresh reading means before a call; *sent* is true once ``sending`` is on record.

    Without a call of ours on record an ended or ending job did that by itself. An unknown or unreadable phase goes back
    to the decision, where it is never a match that may be terminated.
    """
    if phase in TERMINABLE_PHASES:
        return Step.DECIDE
    if sent:
        settled = after_confirm(phase, secondary_phase, ours=True)
        return Step.CONFIRM if settled is None else settled
    if phase in ENDED_BY_ITSELF or phase in {"Terminated", "Terminating"}:
        return Outcome.FINISHED_BY_ITSELF
    return Step.DECIDE


def after_confirm(phase: object, secondary_phase: object, *, ours: bool) -> Outcome | None:
    """
    Return the outcome that a reading after the call proves, or None if the job is still on its way.

    ``confirmed`` needs our accepted call, or our call without an answer (*ours*).
    """
    if secondary_phase == "TerminatedFailed":
        return Outcome.FAILED
    if phase == "Terminated":
        return Outcome.CONFIRMED if ours else Outcome.FINISHED_BY_ITSELF
    if phase in ENDED_BY_ITSELF:
        return Outcome.FINISHED_BY_ITSELF
    return None


def confirm_waits(limit_s: float) -> list[float]:
    """
    Return the pauses before each confirming read: 1, 2, 4 ... 30 s, until *limit_s* is used up.
    """
    waits: list[float] = []
    wait, total = 1.0, 0.0
    while total < limit_s:
        waits.append(min(wait, limit_s - total))
        total += waits[-1]
        wait = min(wait * 2, 30.0)
    return waits
