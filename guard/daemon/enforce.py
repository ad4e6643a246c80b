"""
The kill protocol: gate, intent, re-read, gate, send, confirm, outcome.

Each step is durable before the next one begins, so a process that dies anywhere leaves an intent that the next start can
finish. The reactions themselves are in ``core.protocol``; in here are the calls, their order and their bounds.
"""

import random
from dataclasses import dataclass, field

import structlog

from guard.core.decide import Decision
from guard.core.facts import TERMINABLE_PHASES, Job, JobKey
from guard.core.lanes import Lane
from guard.core.protocol import Outcome, State, Step, after_confirm, after_reread, confirm_waits
from guard.core.records import Closing, Intent
from guard.daemon.gate import DISARMED, Gate
from guard.daemon.metrics import Metrics
from guard.daemon.objections import held_back, in_flight, named, objection, too_early_ms
from guard.daemon.precedence import LONGEST_CONFIRM_S, Precedence
from guard.daemon.rereading import Rereading
from guard.daemon.settling import Confirmation, settled
from guard.daemon.targets import Target, renewed
from guard.daemon.tries import (
    LONGEST_ASKED_S,
    LONGEST_HOLD_S,
    LONGEST_RETRY_S,
    MAX_CONFLICTS,
    MAX_EARLY,
    MAX_LATE,
    MAX_UNANSWERED,
    OLDEST_READING_S,
    Tries,
)
from guard.daemon.view import View
from guard.errors import (
    BadInput,
    Conflict,
    JobGone,
    LeaseLost,
    NoAnswer,
    Retryable,
    TargetError,
    Unauthorized,
)
from guard.ports import Clock, Ledger

log = structlog.get_logger("guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcer:
    """
    Drives an open intent to its outcome, from whatever state it is in.

    *ends* are the readings that showed the end of a job, until somebody takes them over.
    """

    ledger: Ledger
    gate: Gate
    view: View
    metrics: Metrics
    clock: Clock
    confirmation: Confirmation
    ends: dict[JobKey, Job] = field(default_factory=dict)
    precedence: Precedence = field(default_factory=Precedence)

    async def drive(self, intent: Intent, target: Target) -> Intent:
        """
        Bring an open intent to its outcome and return it closed.

        May be cancelled at any point; the intent then stays open in the state that was last recorded. Raises
        ``LedgerUnusable`` if a step cannot be recorded or the ledger is no longer this process's, and then does nothing
        further.
        """
        key = intent.draft.key
        self.precedence.begin([key])
        try:
            return await self._pursued(intent, target)
        finally:
            self.precedence.end([key])

    async def _pursued(self, intent: Intent, target: Target) -> Intent:
        if intent.state is State.ACCEPTED:
            return await self._confirm(intent, target)
        if not intent.sent:
            # The service's clock is known after the re-read at the latest, and asked before the call.
            hold = await self.gate.closed_but_for_clock(target, intent.draft.policy)
            if hold is not None:
                return await self._close(intent, target, held_back(hold))
        tries = Tries()
        while True:
            step = await self._reread(intent, target, tries)
            if isinstance(step, Closing):
                return await self._close(intent, target, step)
            if step is None:
                return await self._confirm(intent, target)
            intent, again = await self._send(intent, target, step, tries)
            if intent.outcome is not None:
                return intent
            if not again:
                return await self._confirm(intent, target)

    async def _reread(self, intent: Intent, target: Target, tries: Tries) -> Decision | Closing | None:
        """
        Read the job and decide on it again; None means that only its end is to be waited for.

        A match that has moved a little into the future, because the service's clock or the job's is a little off, is waited
        for, and read again if the reading would be too old by then.
        """
        while True:
            found = await self._reread_once(intent, target)
            if not isinstance(found, Decision):
                return found
            early_ms = too_early_ms(intent, found)
            if early_ms > 0 and tries.early < MAX_EARLY:
                tries.early += 1
                await self.clock.sleep(early_ms / 1000)
                now_ms = target.source.now_ms()
                if now_ms - found.job.read_at_ms > LONGEST_HOLD_S * 1000:
                    continue
                # The same reading a moment later: another one would be behind by its own way here again.
                found = self.view.judge(found.job, now_ms=now_ms, naming=intent.draft.policy)
            stop = self._withdrawn(intent, target, found)
            if stop is None:
                return found
            # A call of ours may be on its way: then nothing more is sent, but its effect is waited for.
            return None if in_flight(intent) else stop

    async def _reread_once(self, intent: Intent, target: Target) -> Decision | Closing | None:
        try:
            job = await self._rereading.newest(intent, target)
        except JobGone as error:
            return Closing(outcome=Outcome.GONE, note=str(error))
        except (TargetError, BadInput) as error:
            job = Closing(outcome=Outcome.FAILED, note=f"the job could not be read again, nothing was done: {error}")
        if isinstance(job, Closing):
            return None if in_flight(intent) else job
        step = after_reread(job.phase, job.secondary_phase, sent=in_flight(intent))
        if isinstance(step, Outcome):
            return settled(intent, job, step, self.confirmation, self.view.terms.prices)
        if step is Step.CONFIRM:
            return None
        return self.view.judge(job, now_ms=target.source.now_ms(), naming=intent.draft.policy)

    def _withdrawn(self, intent: Intent, target: Target, own: Decision) -> Closing | None:
        """
        Return why a termination is no longer asked for, by the intent's own reading or by a newer one, or None if it is.

        The own reading always counts: a walk that ended in the meantime may have read the job before. Service time may
        step back a little; the decision does not.
        """
        now_ms = max(target.source.now_ms(), own.at_ms)
        policy = intent.draft.policy
        newest = self.view.look(own.job, now_ms=now_ms, naming=policy)
        again = newest if newest.job is own.job else self.view.judge(own.job, now_ms=now_ms, naming=policy)
        return objection(intent, newest) or objection(intent, again)

    @property
    def _rereading(self) -> Rereading:
        return Rereading(view=self.view, clock=self.clock)

    async def _obstacle(self, intent: Intent, target: Target, own: Decision) -> Closing | None:
        """
        Return what forbids the call now: the gate, or a policy, an exemption or a reading that came since the decision.
        """
        hold = await self.gate.closed(target, intent.draft.policy)
        return held_back(hold) if hold is not None else self._withdrawn(intent, target, own)

    async def _send(self, intent: Intent, target: Target, own: Decision, tries: Tries) -> tuple[Intent, bool]:
        """
        Send one call in its turn and behind the gate; the flag tells whether to read and decide again before anything else.
        """
        unanswered, terminator, error = in_flight(intent), target.terminator, None
        if terminator is None:
            return await self._give_up(intent, target, held_back(DISARMED))
        # The wait for the turn comes first, so that the call goes out directly after the gate was asked for the last time.
        async with terminator.turn(rank=intent.draft.deadline_ms) as turn:
            if turn.waited_s > LONGEST_HOLD_S:
                return await self._late(intent, target, tries)
            if (obstacle := await self._obstacle(intent, target, own)) is not None:
                return await self._give_up(intent, target, obstacle)
            intent = await self.ledger.advance(intent.number, State.SENDING, at_ms=target.source.now_ms())
            # A commit may take long, on a slow disk or behind another writer, and much may have changed meanwhile.
            if (obstacle := await self._obstacle(intent, target, own)) is not None:
                intent = await self._denied(intent, target, f"nothing was sent: {obstacle.note}", unanswered=unanswered)
                return await self._give_up(intent, target, obstacle)
            if (aged_s := (target.source.now_ms() - own.job.read_at_ms) / 1000) > OLDEST_READING_S:
                why = f"nothing was sent: the reading is {aged_s:.0f} s old by now"
                return await self._late(await self._denied(intent, target, why, unanswered=unanswered), target, tries)
            try:
                await terminator.terminate(intent.draft.key.job_id, turn)
            except (TargetError, BadInput) as raised:
                error = raised
        if error is not None:
            return await self._not_accepted(intent, target, error, tries, unanswered=unanswered)
        intent = await self.ledger.advance(intent.number, State.ACCEPTED, at_ms=target.source.now_ms())
        self.metrics.accepted(intent)
        log.info("termination.accepted", **named(intent), lateness_ms=intent.lateness_ms, reason=intent.draft.reason)
        return intent, False

    async def _late(self, intent: Intent, target: Target, tries: Tries) -> tuple[Intent, bool]:
        """
        Go back to the re-read, because the reading grew old while the turn or the commit was waited for; nothing was sent.
        """
        tries.late += 1
        if tries.late <= MAX_LATE:
            return intent, True
        note = f"{MAX_LATE} readings grew old while the pace of the target or the ledger was waited for, nothing was sent"
        return await self._give_up(intent, target, Closing(outcome=Outcome.FAILED, note=note))

    async def _not_accepted(
        self, intent: Intent, target: Target, error: TargetError | BadInput, tries: Tries, *, unanswered: bool
    ) -> tuple[Intent, bool]:
        """
        React to a call that was not accepted; the flag tells whether to read and decide again.
        """
        if isinstance(error, NoAnswer | Retryable):
            return await self._unclear(intent, target, error, tries, unanswered=unanswered)
        intent = await self._denied(intent, target, str(error), unanswered=unanswered)
        if isinstance(error, Conflict):
            tries.conflicts += 1
            if tries.conflicts <= MAX_CONFLICTS:
                await self.clock.sleep(float(tries.conflicts - 1))
                return intent, True
        elif isinstance(error, Unauthorized) and not tries.renewed:
            tries.renewed = True
            await renewed(target)
            return intent, True
        return await self._give_up(intent, target, Closing(outcome=Outcome.REFUSED, note=str(error)))

    async def _unclear(
        self, intent: Intent, target: Target, error: TargetError, tries: Tries, *, unanswered: bool
    ) -> tuple[Intent, bool]:
        """
        React to a call that was not answered (it may have been carried out) or that may be repeated.
        """
        if isinstance(error, NoAnswer):
            tries.unanswered += 1
            return intent, tries.unanswered < MAX_UNANSWERED
        if error.status in (None, 429):  # not sent, or throttled: not carried out
            intent = await self._denied(intent, target, str(error), unanswered=unanswered)
        attempt, most = tries.count_retry(throttled=error.status == 429)
        asked_s = error.retry_after or 0.0
        if attempt >= most or asked_s > LONGEST_ASKED_S:
            end = Closing(outcome=Outcome.FAILED, note=f"{error} (attempt {attempt} of at most {most})")
            return await self._give_up(intent, target, end)
        await self.clock.sleep(max(asked_s, min(LONGEST_RETRY_S, 2.0**attempt) * random.uniform(0.5, 1.0)))
        return intent, True

    async def _give_up(self, intent: Intent, target: Target, closing: Closing) -> tuple[Intent, bool]:
        """
        Send nothing more: close the intent, unless a call of ours may have been carried out, whose effect is waited for.
        """
        return (intent if in_flight(intent) else await self._close(intent, target, closing)), False

    async def _denied(self, intent: Intent, target: Target, note: str, *, unanswered: bool) -> Intent:
        if unanswered:
            return intent
        return await self.ledger.advance(intent.number, State.DENIED, at_ms=target.source.now_ms(), note=note)

    async def _confirm(self, intent: Intent, target: Target) -> Intent:
        """
        Read the job until it has ended; nothing is sent any more.
        """
        last = ""
        self.precedence.end([intent.draft.key])
        for pause in confirm_waits(self.confirmation.limit_s):
            await self.clock.sleep(pause)
            await self.precedence.give_way(LONGEST_CONFIRM_S)
            try:
                job = await self._rereading.read(intent, target, lane=Lane.CONFIRM)
            except JobGone as error:
                return await self._close(intent, target, Closing(outcome=Outcome.GONE, note=str(error)))
            except (TargetError, BadInput) as error:
                last = str(error)
                continue
            last = f"the job was last seen in phase {job.phase}"
            if job.phase in TERMINABLE_PHASES and self.view.run_of(job) > intent.draft.run:
                # The end of the run that the call was meant for was not seen, and that of the next one is not ours.
                return await self._close(
                    intent, target, Closing(outcome=Outcome.UNCONFIRMED, note="the job was started anew since")
                )
            outcome = after_confirm(job.phase, job.secondary_phase, ours=in_flight(intent))
            if outcome is not None:
                return await self._close(
                    intent, target, settled(intent, job, outcome, self.confirmation, self.view.terms.prices)
                )
        last = f"{last or 'no answer'} after {self.confirmation.limit_s:.0f} s"
        return await self._close(intent, target, Closing(outcome=Outcome.UNCONFIRMED, note=last))

    async def _close(self, intent: Intent, target: Target, closing: Closing) -> Intent:
        if not self.gate.lease.held(target.name):
            # Whoever holds the lease now goes on with the intent; two processes must not write its end.
            raise LeaseLost(f"intent {intent.number} stays open: the lease of target {target.name} is not held any more")
        closed = await self.ledger.close(intent.number, closing, at_ms=target.source.now_ms())
        if closing.reading is not None:
            self.ends[intent.draft.key] = closing.reading
        self.metrics.closed(closed)
        ended = {"outcome": closing.outcome.value, "note": closing.note, "reason": closed.draft.reason}
        log.info("termination.settled", **named(closed), **ended)
        return closed
