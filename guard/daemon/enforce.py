"""
The kill protocol: gate, intent, re-read, gate, send, confirm, outcome.

Each step is durable before the next one begins, so a process that dies anywhere leaves an intent that the next start can
finish. The reactions themselves are in ``core.protocol``; in here are the calls, their order and their bounds.
"""

import random
from dataclasses import dataclass
from fractions import Fraction

import structlog

from guard.core.decide import Decision
from guard.core.facts import Job
from guard.core.plan import Hold, job_hold
from guard.core.protocol import Outcome, State, Step, after_confirm, after_reread, confirm_waits
from guard.core.records import Closing, Intent
from guard.core.savings import settle
from guard.daemon.gate import Gate
from guard.daemon.metrics import Metrics
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.errors import Conflict, JobGone, NoAnswer, Retryable, TargetError, Unauthorized
from guard.ports import Clock, Ledger

MAX_CONFLICTS = 3
MAX_UNANSWERED = 3
MAX_RETRIES = 4
LONGEST_RETRY_S = 30.0

log = structlog.get_logger("guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """
    How long to wait for the end of a job after the call, and the horizon over which savings are counted.
    """

    limit_s: float = 600.0
    horizon_ms: int = 24 * 3_600_000


@dataclass(slots=True, kw_only=True)
class Tries:
    """
    What one drive of an intent has used up of its bounds.
    """

    conflicts: int = 0
    unanswered: int = 0
    retries: int = 0
    renewed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcer:
    """
    Drives an open intent to its outcome, from whatever state it is in.
    """

    ledger: Ledger
    gate: Gate
    view: View
    metrics: Metrics
    clock: Clock
    confirmation: Confirmation

    async def drive(self, intent: Intent, target: Target) -> Intent:
        """
        Bring an open intent to its outcome and return it closed.

        May be cancelled at any point; the intent then stays open in the state that was last recorded. Raises
        ``LedgerUnusable`` if a step cannot be recorded, and then does nothing further.
        """
        if intent.state is State.ACCEPTED:
            return await self._confirm(intent, target)
        if not intent.sent:
            hold = await self.gate.closed(target)
            if hold is not None:
                return await self._end(intent, target, Outcome.HELD_BACK, f"{hold.reason}: {hold.text}")
        tries = Tries()
        while True:
            step = await self._reread(intent, target)
            if isinstance(step, Closing):
                return await self._close(intent, target, step)
            if step is None:
                return await self._confirm(intent, target)
            intent, again = await self._send(intent, target, step, tries)
            if intent.outcome is not None:
                return intent
            if not again:
                return await self._confirm(intent, target)

    async def _reread(self, intent: Intent, target: Target) -> Decision | Closing | None:
        """
        Read the job and decide on it again; None means that only its end is to be waited for.
        """
        try:
            job = await self._read(intent, target)
        except JobGone as error:
            return Closing(outcome=Outcome.GONE, note=str(error))
        except TargetError as error:
            if _ours(intent):
                return None
            return Closing(outcome=Outcome.FAILED, note=f"the job could not be read again, nothing was done: {error}")
        step = after_reread(job.phase, job.secondary_phase, sent=_ours(intent))
        if isinstance(step, Outcome):
            return self._settled(intent, job, step)
        if step is Step.CONFIRM:
            return None
        decision = self.view.look(job, now_ms=target.source.now_ms())
        stop = _withdrawn(intent, decision)
        if stop is None:
            return decision
        # A call of ours may be on its way: then nothing more is sent, but its effect is waited for.
        return None if _ours(intent) else stop

    async def _read(self, intent: Intent, target: Target) -> Job:
        try:
            return await target.source.read(intent.draft.key.job_id)
        except Unauthorized:
            await target.source.renew()
            return await target.source.read(intent.draft.key.job_id)

    async def _send(self, intent: Intent, target: Target, decision: Decision, tries: Tries) -> tuple[Intent, bool]:
        """
        Send one call behind the gate; the flag tells whether to read and decide again before anything else.
        """
        hold = await self.gate.closed(target)
        if hold is not None or target.terminator is None:
            if _ours(intent):
                return intent, False
            text = f"{hold.reason}: {hold.text}" if hold else "disarmed"
            return await self._end(intent, target, Outcome.HELD_BACK, text), False
        unanswered = _ours(intent)
        intent = await self.ledger.advance(intent.number, State.SENDING, at_ms=target.source.now_ms())
        try:
            await target.terminator.terminate(intent.draft.key.job_id)
        except (NoAnswer, Retryable) as error:
            return await self._unclear(intent, target, error, tries, unanswered=unanswered)
        except Conflict as error:
            tries.conflicts += 1
            intent = await self._denied(intent, target, error, unanswered=unanswered)
            if tries.conflicts > MAX_CONFLICTS:
                return await self._end(intent, target, Outcome.REFUSED, str(error)), False
            await self.clock.sleep(float(tries.conflicts - 1))
            return intent, True
        except Unauthorized as error:
            intent = await self._denied(intent, target, error, unanswered=unanswered)
            if tries.renewed:
                return await self._end(intent, target, Outcome.REFUSED, str(error)), False
            tries.renewed = True
            await self._renew(target)
            return intent, True
        except TargetError as error:
            intent = await self._denied(intent, target, error, unanswered=unanswered)
            if unanswered:
                return intent, False
            return await self._end(intent, target, Outcome.REFUSED, str(error)), False
        intent = await self.ledger.advance(intent.number, State.ACCEPTED, at_ms=target.source.now_ms())
        self.metrics.accepted(intent)
        log.info("termination.accepted", **_named(intent), lateness_ms=intent.lateness_ms, reason=intent.draft.reason)
        return intent, False

    async def _unclear(
        self, intent: Intent, target: Target, error: TargetError, tries: Tries, *, unanswered: bool
    ) -> tuple[Intent, bool]:
        """
        React to a call that was not answered (it may have been carried out) or that may be repeated.
        """
        if isinstance(error, NoAnswer):
            tries.unanswered += 1
            return intent, tries.unanswered < MAX_UNANSWERED
        if error.status == 429:
            intent = await self._denied(intent, target, error, unanswered=unanswered)
        tries.retries += 1
        if tries.retries >= MAX_RETRIES:
            if _ours(intent):
                return intent, False
            return await self._end(intent, target, Outcome.FAILED, f"{error} (after {MAX_RETRIES} attempts)"), False
        pause = min(LONGEST_RETRY_S, 2.0**tries.retries) * random.uniform(0.5, 1.0)
        await self.clock.sleep(max(pause, min(error.retry_after or 0.0, LONGEST_RETRY_S)))
        return intent, True

    async def _denied(self, intent: Intent, target: Target, error: TargetError, *, unanswered: bool) -> Intent:
        if unanswered:
            return intent
        return await self.ledger.advance(intent.number, State.DENIED, at_ms=target.source.now_ms(), note=str(error))

    async def _renew(self, target: Target) -> None:
        try:
            await target.source.renew()
        except TargetError as error:
            log.warning("credentials.not_renewed", target=target.name, error=str(error))

    async def _confirm(self, intent: Intent, target: Target) -> Intent:
        """
        Read the job until it has ended; nothing is sent any more.
        """
        last = ""
        for pause in confirm_waits(self.confirmation.limit_s):
            await self.clock.sleep(pause)
            try:
                job = await self._read(intent, target)
            except JobGone as error:
                return await self._end(intent, target, Outcome.GONE, str(error))
            except TargetError as error:
                last = str(error)
                continue
            last = f"the job was last seen in phase {job.phase}"
            outcome = after_confirm(job.phase, job.secondary_phase, ours=_ours(intent))
            if outcome is not None:
                return await self._close(intent, target, self._settled(intent, job, outcome))
        limit = f"after {self.confirmation.limit_s:.0f} s"
        return await self._end(intent, target, Outcome.UNCONFIRMED, f"{last or 'no answer'} {limit}")

    def _settled(self, intent: Intent, job: Job, outcome: Outcome) -> Closing:
        if outcome is Outcome.FAILED:
            return Closing(outcome=outcome, note="the service reports TerminatedFailed: the job may still cost money")
        note = f"the job was read back as {job.phase}"
        if outcome is not Outcome.CONFIRMED or not intent.draft.cost_per_hour:
            return Closing(outcome=outcome, note=note)
        stopped_ms = intent.accepted_ms or intent.sending_ms or job.read_at_ms
        per_hour = Fraction(intent.draft.cost_per_hour)
        cost, upper = settle(job, per_hour, stopped_ms=stopped_ms, horizon_ms=self.confirmation.horizon_ms)
        return Closing(outcome=outcome, note=note, cost=cost, savings_upper=upper)

    async def _end(self, intent: Intent, target: Target, outcome: Outcome, note: str) -> Intent:
        return await self._close(intent, target, Closing(outcome=outcome, note=note))

    async def _close(self, intent: Intent, target: Target, closing: Closing) -> Intent:
        closed = await self.ledger.close(intent.number, closing, at_ms=target.source.now_ms())
        self.metrics.closed(closed)
        named = {**_named(closed), "outcome": closing.outcome.value, "note": closing.note}
        log.info("termination.settled", **named, reason=closed.draft.reason)
        return closed


def _ours(intent: Intent) -> bool:
    """
    Tell whether a call of ours may have been carried out: accepted, or sent and not denied.
    """
    return intent.state in (State.SENDING, State.ACCEPTED)


def _withdrawn(intent: Intent, decision: Decision) -> Closing | None:
    """
    Return why the fresh decision no longer asks for this termination, or None if it does.
    """
    if decision.seen.run != intent.draft.run:
        return Closing(outcome=Outcome.NO_LONGER_MATCHES, note="the job was started anew since")
    judgement = decision.terminating
    if judgement is None or judgement.policy.name != intent.draft.policy:
        now = next((one.reason for one in decision.judgements if one.policy.name == intent.draft.policy), "")
        return Closing(outcome=Outcome.NO_LONGER_MATCHES, note=now or "the policy is no longer in force")
    hold: Hold | None = job_hold(decision)
    if hold is None:
        return None
    outcome = Outcome.EXEMPT if hold.reason == "exempt" else Outcome.NO_LONGER_MATCHES
    return Closing(outcome=outcome, note=hold.text)


def _named(intent: Intent) -> dict[str, object]:
    draft = intent.draft
    return {"intent": intent.number, "job": draft.key.job_id, "target": draft.target, "policy": draft.policy}
