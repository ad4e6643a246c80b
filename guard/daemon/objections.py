"""
Why a recorded intent is not carried out any more, as pure functions; the calls themselves live in ``enforce``.
"""

from guard.core.decide import Decision
from guard.core.hold import Hold
from guard.core.plan import job_hold
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Intent
from guard.core.verdict import Verdict

EARLY_MS = 5_000


def in_flight(intent: Intent) -> bool:
    """
    Tell whether a call of ours may have been carried out: accepted, or sent and not denied.
    """
    return intent.state in (State.SENDING, State.ACCEPTED)


def named(intent: Intent) -> dict[str, object]:
    """
    Return what the log says of an intent, whatever becomes of it.
    """
    about = intent.draft
    return {"intent": intent.number, "job": about.key.job_id, "target": about.target, "policy": about.policy}


def held_back(hold: Hold) -> Closing:
    """
    Return the end of an intent of which no call is on its way when the gate is closed.
    """
    return Closing(outcome=Outcome.HELD_BACK, note=f"{hold.reason}: {hold.text}")


def objection(intent: Intent, decision: Decision) -> Closing | None:
    """
    Return why a decision no longer asks for this termination, or None if it does.
    """
    if decision.seen.run != intent.draft.run:
        return Closing(outcome=Outcome.NO_LONGER_MATCHES, note="the job was started anew since")
    judgement = decision.terminating
    if judgement is None or judgement.policy.name != intent.draft.policy:
        own = next((one for one in decision.judgements if one.policy.name == intent.draft.policy), None)
        if own is not None and judgement is not None and own.policy.terminates and own in decision.matches:
            return Closing(outcome=Outcome.NO_LONGER_MATCHES, note=f"policy {judgement.policy.name} comes first now")
        if own is not None and not own.policy.terminates:
            note = f"the policy is now in {own.policy.mode.value} with action {own.policy.action.value}"
            return Closing(outcome=Outcome.NO_LONGER_MATCHES, note=note)
        return Closing(outcome=Outcome.NO_LONGER_MATCHES, note=own.reason if own else "the policy is no longer in force")
    hold = job_hold(decision)
    if hold is None:
        return None
    outcome = Outcome.EXEMPT if hold.reason == "exempt" else Outcome.NO_LONGER_MATCHES
    return Closing(outcome=outcome, note=hold.text)


def too_early_ms(intent: Intent, decision: Decision) -> int:
    """
    Return how many milliseconds are missing to the match if those are a few seconds at most, else 0.

    Readings of one clock over a network differ by fractions of a second, so a match may lie ahead of a re-read again.
    """
    own = next((one for one in decision.judgements if one.policy.name == intent.draft.policy), None)
    if own is None or not own.policy.terminates or own.verdict is Verdict.MATCH or own.deadline_ms is None:
        return 0
    missing_ms = own.deadline_ms - decision.at_ms
    return missing_ms if 0 < missing_ms <= EARLY_MS else 0
