"""
Decisions turned into ordered actions: who is terminated, who is only reported, and what holds the rest back.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

from guard.core.decide import Decision, Judgement
from guard.core.estimate import Inputs
from guard.core.facts import TERMINABLE_PHASES, Job, JobKey, Missing
from guard.core.hold import Hold, unconfirmed_hold
from guard.core.limits import Allowance, without_room
from guard.core.policy import Act, Mode
from guard.core.spans import HOUR_MS, MINUTE_MS
from guard.core.verdict import Verdict
from guard.core.windows import Place, Window, rate_of

OBSERVED, SPARED = "observe", "observe_spared"
"""Why a policy that only observes terminated nothing: it observes; or it would not have either if it were enforced."""
FIRST_RETRY_MS = 15 * MINUTE_MS
LAST_RETRY_MS = 6 * HOUR_MS

Rule = tuple[str, str]
"""A policy by name and digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    A match that led to no termination: an observed or held one, or a notice; recorded once per (job, run, policy, reason).

    *basis* is what an estimate of its savings asks of the run, of a match that was only observed and has a price.
    """

    key: JobKey
    target: str
    run: int
    policy: str
    reason: str
    text: str
    deadline_ms: int | None
    basis: Inputs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    A termination that the plan orders, attributed to one judgement.
    """

    decision: Decision
    judgement: Judgement
    due_ms: int

    @property
    def key(self) -> JobKey:
        """
        The identity of the job.
        """
        return self.decision.key

    @property
    def deadline_ms(self) -> int:
        """
        The first millisecond of the match.
        """
        deadline = self.judgement.deadline_ms
        return self.decision.at_ms if deadline is None else deadline

    @property
    def rule(self) -> Rule:
        """
        The policy by name and digest.
        """
        return self.judgement.policy.name, self.judgement.policy.digest

    def place(self, currency: str) -> Place:
        """
        Return what the termination takes up in the window of the limits; money is in *currency*.
        """
        job, decision = self.decision.job, self.decision
        return Place(
            policy=self.judgement.policy.name,
            project=(job.key.region, job.key.project_id),
            user=None if isinstance(job.user, Missing) else job.user,
            cards=decision.cards,
            cost_rate=rate_of(decision.cost_per_hour),
            currency=currency,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    The newest closed intent of a job: the run, the fingerprint of what it rested on, and when it closed.

    *count* is the number of attempts on this run. *retries_at_once* is true when only the gate had stopped it, *ended* when
    its outcome proves that the run is over.
    """

    run: int
    fingerprint: str
    closed_ms: int
    count: int
    retries_at_once: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """
    What the ledger knows of some jobs at one moment: the *busy* ones have an open intent, *attempts* are the newest closed
    intents of the others, and *window* is what counts against the limits (of all jobs). *acted* are the jobs that each of
    the policies asked for has acted on, if nobody has confirmed it. *walked* tells of each target what was walked
    completely.
    """

    busy: Set[JobKey] = frozenset()
    attempts: Mapping[JobKey, Attempt] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    acted: Mapping[Rule, Set[JobKey]] = field(default_factory=dict)
    walked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What the plan must know beside the decisions.

    *closed* holds for every job, *closed_targets* for those of one target, *closed_policies* for the acts of one policy.
    *open_jobs* already have an intent. *since_ms* is the latest moment at which a policy came into force or the process was
    armed, by policy name; *released_ms* when the last hold on a job fell. What is in the *window* counts against the
    *allowance*, and a policy that has *acted* on *first_enforce* jobs waits to be confirmed. Money is in *currency*.
    """

    closed: Hold | None = None
    closed_targets: Mapping[str, Hold] = field(default_factory=dict)
    closed_policies: Mapping[str, Hold] = field(default_factory=dict)
    open_jobs: Set[JobKey] = frozenset()
    attempts: Mapping[JobKey, Attempt] = field(default_factory=dict)
    since_ms: Mapping[str, int] = field(default_factory=dict)
    released_ms: Mapping[JobKey, int] = field(default_factory=dict)
    allowance: Allowance = field(default_factory=lambda: Allowance(total=None))
    window: Window = field(default_factory=Window)
    acted: Mapping[Rule, Set[JobKey]] = field(default_factory=dict)
    first_enforce: int | None = None
    currency: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What one cycle does: *orders* with the oldest deadline first, what is *held* or observed, and the *notices*.
    """

    orders: tuple[Order, ...] = ()
    held: tuple[Finding, ...] = ()
    notices: tuple[Finding, ...] = ()

    def of(self, keys: Collection[JobKey]) -> "Plan":
        """
        Return what is about these jobs.
        """
        these = set(keys)
        held, notices = (tuple(one for one in some if one.key in these) for some in (self.held, self.notices))
        return Plan(orders=tuple(one for one in self.orders if one.key in these), held=held, notices=notices)


def plan(decisions: Sequence[Decision], standing: Standing) -> Plan:
    """
    Order the terminations that the decisions ask for and the *standing* allows; pure, and independent of the order of jobs.

    Of several decisions on one job the one on the newest reading counts.
    """
    held: list[Finding] = []
    notices: list[Finding] = []
    candidates: list[Order] = []
    newest = {one.key: one for one in sorted(decisions, key=lambda one: (one.job.read_at_ms, one.at_ms))}
    for _, decision in sorted(newest.items()):
        for judgement in decision.matches:
            policy = judgement.policy
            if policy.mode is Mode.OBSERVE:
                held.append(_observed(decision, judgement))
            elif policy.action is Act.NOTIFY:
                notices.append(finding(decision, judgement, "notify", judgement.reason))
        chosen = decision.terminating
        if chosen is None or decision.key in standing.open_jobs or decision.job.phase == "Terminating":
            continue
        order = Order(decision=decision, judgement=chosen, due_ms=_due(decision, chosen, standing))
        hold = job_hold(decision) or _standing_hold(order, standing)
        if hold is None:
            candidates.append(order)
        else:
            held.append(finding(decision, chosen, hold.reason, hold.text))
    candidates.sort(key=lambda one: (one.deadline_ms, one.key))
    orders: list[Order] = []
    window, acted = standing.window.copy(), {rule: set(keys) for rule, keys in standing.acted.items()}
    for order in candidates:
        hold = _no_room(order, standing, window, acted)
        if hold is None:
            orders.append(order)
            window.add(order.place(standing.currency))
            acted.get(order.rule, set()).add(order.key)
        else:
            held.append(finding(order.decision, order.judgement, hold.reason, hold.text))
    return Plan(orders=tuple(orders), held=tuple(held), notices=tuple(notices))


def _no_room(order: Order, standing: Standing, window: Window, acted: Mapping[Rule, Set[JobKey]]) -> Hold | None:
    name = order.judgement.policy.name
    hold = unconfirmed_hold(name, acted.get(order.rule), order.key, first_enforce=standing.first_enforce)
    if hold is not None:
        return hold
    text = without_room(order.place(standing.currency), window, standing.allowance)
    return Hold(reason="limit", text=text) if text else None


def job_hold(decision: Decision) -> Hold | None:
    """
    Return what holds back any termination of this job by its own facts: an exemption, or a phase that cannot be ended.
    """
    for spared in decision.spared:
        doubt = "" if spared.verdict is Verdict.MATCH else ", because a fact that it asks for is unreadable"
        return Hold(reason="exempt", text=f"exemption {spared.exemption.name}{doubt}: {spared.reason}")
    if decision.job.phase not in TERMINABLE_PHASES:
        return Hold(reason="not_terminable", text=f"a job in phase {decision.job.phase} cannot be terminated")
    return None


def _observed(decision: Decision, judgement: Judgement) -> Finding:
    """
    Return the record of a match that was only observed, apart if enforcing the policy would not have ended the job either.
    """
    hold = job_hold(decision)
    if judgement.policy.action is Act.NOTIFY:
        hold = Hold(reason="notify", text="the policy only notifies")
    if hold is None:
        return finding(decision, judgement, OBSERVED, judgement.reason)
    return finding(decision, judgement, SPARED, f"{judgement.reason}; would not be terminated: {hold.text}")


def _standing_hold(order: Order, standing: Standing) -> Hold | None:
    closed = standing.closed or standing.closed_targets.get(order.decision.job.target)
    closed = closed or standing.closed_policies.get(order.judgement.policy.name)
    if closed is not None:
        return closed
    last = standing.attempts.get(order.key)
    if last is None or last.run != order.decision.seen.run or last.retries_at_once:
        return None
    later = order.judgement.deadline_ms is not None and order.judgement.deadline_ms > last.closed_ms
    # Of a run that is over only an old answer can show a later match: its clock was behind, and so is the deadline by it.
    if later and not last.ended:
        # The match that the attempt was for had not begun when it ended; this one is another.
        return None
    credentials = standing.credentials.get(order.decision.job.target, "")
    if last.fingerprint != fingerprint(order.decision.job, order.judgement.policy.digest, credentials):
        return None
    wait_ms = min(FIRST_RETRY_MS * 2 ** min(last.count - 1, 10), LAST_RETRY_MS)
    # By the clock of its own service: jobs of several are planned together.
    if order.decision.at_ms >= last.closed_ms + wait_ms:
        return None
    return Hold(reason="retry_later", text=f"attempt {last.count} ended without a termination; waiting to try again")


def _due(decision: Decision, judgement: Judgement, standing: Standing) -> int:
    moments = (
        judgement.deadline_ms or 0,
        decision.seen.first_seen_ms,
        standing.since_ms.get(judgement.policy.name, 0),
        standing.released_ms.get(decision.key, 0),
    )
    return max(moments)


def finding(decision: Decision, judgement: Judgement, reason: str, text: str) -> Finding:
    """
    Return the record of a match that leads to no termination.
    """
    return Finding(
        key=decision.key,
        target=decision.job.target,
        run=decision.seen.run,
        policy=judgement.policy.name,
        reason=reason,
        text=text,
        deadline_ms=judgement.deadline_ms,
    )


def fingerprint(job: Job, digest: str, credentials: str) -> str:
    """
    Return twelve hex digits of what an attempt rested on: the facts that do not grow, the policy and the credentials.
    """
    annotations = job.annotations if isinstance(job.annotations, Missing) else sorted(job.annotations.items())
    texts = (job.phase, job.user, job.name, job.kind, job.description, job.engine, job.image, job.pool_id, job.workspace)
    basis = repr((texts, annotations, job.resources, digest, credentials))
    return hashlib.sha256(basis.encode()).hexdigest()[:12]
