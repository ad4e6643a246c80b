"""
What was reported of matches that led to no call: each once in the ledger, and what is held back now.
"""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from guard.core.decide import Decision
from guard.core.facts import JobKey
from guard.core.harm import match_ms
from guard.core.plan import OBSERVED, SPARED, Finding, Order, finding
from guard.daemon.drafts import stake_of
from guard.daemon.enforce import Enforcer
from guard.daemon.together import ends_of
from guard.errors import LedgerUnusable

EVENTS = {"notify": "policy.notified", OBSERVED: "policy.observed", SPARED: "policy.observed"}

log = structlog.get_logger("guard")


@dataclass(slots=True)
class Reported:
    """
    The findings on the jobs that are watched; *held* are those that hold a termination back now.
    """

    enforcer: Enforcer
    held: dict[JobKey, tuple[Finding, ...]] = field(default_factory=dict)
    _known: dict[JobKey, set[tuple[int, str, str]]] = field(default_factory=dict)

    async def record(self, decisions: Sequence[Decision], findings: Sequence[Finding]) -> Mapping[JobKey, LedgerUnusable]:
        """
        Record what is new of the findings on these decisions, count and log it, and note what is held back. Return the jobs
        of targets about which nothing could be recorded, and why.

        What is about one target is recorded by the time of its own service, and whatever becomes of the others.
        """
        about: defaultdict[str, tuple[list[Decision], list[Finding]]] = defaultdict(lambda: ([], []))
        names = {one.key: one.job.target for one in decisions}
        for decision in decisions:
            about[decision.job.target][0].append(decision)
        for one in findings:
            about[names[one.key]][1].append(one)
        ends = await ends_of([self._record(*some) for some in about.values()])
        failed: dict[JobKey, LedgerUnusable] = {}
        for (some, _), end in zip(about.values(), ends, strict=True):
            if isinstance(end, LedgerUnusable):
                failed.update(dict.fromkeys((one.key for one in some), end))
            elif end is not None:
                raise end
        return failed

    async def _record(self, decisions: Sequence[Decision], findings: Sequence[Finding]) -> None:
        at_ms, by_key = max(one.at_ms for one in decisions), {one.key: one for one in decisions}
        acts_on = self.enforcer.gate.lease.acts_on
        fresh = [
            self._with_stake(one, by_key[one.key], at_ms) if one.reason == OBSERVED else one
            for one in findings
            # Of a target that another process acts on, that one records.
            if acts_on(one.key) and _once(one) not in self._known.get(one.key, ())
        ]
        for one in await self.enforcer.ledger.record(fresh, at_ms=at_ms) if fresh else ():
            self.enforcer.metrics.reported(one.policy, one.reason)
            event = EVENTS.get(one.reason, "termination.held_back")
            log.info(event, job=one.key.job_id, target=one.target, policy=one.policy, why=one.reason, reason=one.text)
        for one in fresh:
            self._known.setdefault(one.key, set()).add(_once(one))
        for decision in decisions:
            self.held.pop(decision.key, None)
        for one in findings:
            if one.reason not in EVENTS:
                self.held[one.key] = (*self.held.get(one.key, ()), one)

    def _with_stake(self, one: Finding, decision: Decision, at_ms: int) -> Finding:
        """
        Return an observed match with what its run was then, because nobody can tell later.
        """
        terms, method = self.enforcer.view.terms, self.enforcer.confirmation.method
        return replace(one, basis=stake_of(decision, terms, method, at_ms=match_ms(one.deadline_ms, at_ms)))

    def over_limit(self, others: Sequence[JobKey]) -> list[JobKey]:
        """
        Return the jobs beside *others* that the limits hold back.
        """
        known = set(others)
        return [key for key, found in self.held.items() if key not in known and any(one.reason == "limit" for one in found)]

    def keep(self, watched: Container[JobKey]) -> None:
        """
        Drop what is about jobs that are no longer watched; the ledger still knows what was recorded.
        """
        for key in [key for key in (*self.held, *self._known) if key not in watched]:
            self.held.pop(key, None)
            self._known.pop(key, None)


def beaten(order: Order) -> Finding:
    """
    Return what is reported of an order that found no place in the ledger.
    """
    text = "another act came first: the limit is used up, or the job has an open intent"
    return finding(order.decision, order.judgement, "limit", text)


def _once(one: Finding) -> tuple[int, str, str]:
    return one.run, one.policy, one.reason
