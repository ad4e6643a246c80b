"""
The Prometheus metrics, all of them, under the names that dashboards and alerts rely on.

Label sets are closed: never a job, never a user. Known label sets start at 0; counters that the ledger backs are seeded
from it, so a restart does not lower them.
"""

import itertools
from collections import Counter as Count
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram

from guard.core.breaker import Scope
from guard.core.decide import Decision
from guard.core.facts import Inventory
from guard.core.plan import OBSERVED, SPARED, Finding
from guard.core.policy import PolicySet
from guard.core.protocol import Outcome
from guard.core.records import Intent, Tally
from guard.core.verdict import Verdict
from guard.daemon.auditmetrics import AuditMetrics
from guard.daemon.fleetmetrics import FleetMetrics
from guard.daemon.pacemetrics import PaceMetrics
from guard.daemon.room import LIMITS
from guard.daemon.savingsmetrics import SavingsMetrics
from guard.daemon.targetmetrics import TargetRegistry
from guard.ports import JobSource, Potential

PREFIX = "costguard"
LATENESS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
CONFIRM_BUCKETS = (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
SCAN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
OUTCOMES = tuple(outcome.value for outcome in Outcome)
SCAN_OUTCOMES = ("complete", "incomplete", "failed")
HOLD_REASONS = (
    "disarmed",
    "paused",
    "lease",
    "ledger",
    "clock",
    "stale_inventory",
    "limit",
    "exempt",
    "not_terminable",
    "retry_later",
    "breaker",
    "new_ledger",
    "first_enforce",
)


class Metrics:
    """
    The metrics of one process, in a registry of their own.
    """

    def __init__(self, *, version: str) -> None:
        self.registry = TargetRegistry()
        self._found: Count[tuple[str, str]] = Count()
        self._calls: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace=PREFIX, registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace=PREFIX, registry=self.registry)

        def histogram(name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, labels, namespace=PREFIX, registry=self.registry, buckets=buckets)

        self.build_info = gauge("build_info", "Always 1; the version of the guard.", "version")
        self.build_info.labels(version).set(1)
        self.armed = gauge("armed", "1 if this process may terminate jobs.")
        self.paused = gauge("paused", "1 while a pause holds every termination back.")
        self.policy_info = gauge("policy_info", "Always 1; a policy in force.", "policy", "mode", "digest")
        self.reload_ok = gauge("config_last_reload_successful", "1 if the newest policy files were taken.")
        self.reload_at = gauge("config_last_reload_success_timestamp_seconds", "When policies were last taken.")
        self.scans = counter("scans", "Walks over a target.", "target", "outcome")
        self.scan_seconds = histogram("scan_duration_seconds", "Seconds that a walk took.", ["target"], SCAN_BUCKETS)
        self.walked_at = gauge("last_complete_walk_timestamp_seconds", "End of the last complete walk.", "target")
        self.unreadable = gauge("unreadable_jobs", "Items without a usable identity at the last walk.", "target")
        self.offset = gauge("clock_offset_seconds", "Service time minus local time.", "target")
        self.verdicts = gauge("verdicts", "Jobs by verdict at the last decision.", "policy", "verdict")
        self.held = gauge("held_back_jobs", "Jobs held back at the last plan.", "policy", "reason")
        self.exempt_unknown = gauge("exempt_by_unknown_jobs", "Jobs spared by an unreadable fact alone.", "exemption")
        self.terminations = counter("terminations", "Closed intents by outcome.", "target", "policy", "outcome")
        self.potential = counter("potential_terminations", "Matches that led to no call.", "policy", "reason")
        late = "Seconds from due to the accepted call."
        self.lateness = histogram("termination_lateness_seconds", late, ["target"], LATENESS_BUCKETS)
        self.confirm_seconds = histogram(
            "termination_confirm_seconds", "Seconds from the accepted call to its confirmation.", [], CONFIRM_BUCKETS
        )
        self.cards_released = counter("cards_released", "Cards freed by confirmed terminations.", "target", "policy")
        self.limit_used = gauge("limit_used_ratio", "Used share of a limit of terminations.", "limit")
        self.breaker_open = gauge("breaker_open", "Breakers that are open now, by what they are open for.", "scope")
        self.savings = SavingsMetrics(self.registry, PREFIX)
        self.api_requests = counter("api_requests", "Calls to the service.", "operation", "code")
        self.api_seconds = histogram("api_request_duration_seconds", "Seconds per call.", ["operation"], SCAN_BUCKETS)
        self.api_throttled = counter("api_throttled", "Calls that the service throttled.", "operation")
        self.paces = PaceMetrics(self.registry, PREFIX)
        self.fleet = FleetMetrics(self.registry, PREFIX)
        self.audit = AuditMetrics(self.registry, PREFIX)
        self.ledger_usable = gauge("ledger_usable", "1 if the ledger takes writes; else nothing is terminated.")
        self.ledger_usable.set(1)
        self.open_intents = gauge("ledger_open_intents", "Intents without an outcome.")
        self.oldest_intent = gauge(
            "ledger_oldest_open_intent_timestamp_seconds", "Creation of the oldest open intent; 0 if there is none."
        )
        self.credentials_expiry = gauge(
            "credentials_expiry_timestamp_seconds", "When the credentials end; 0 if they do not.", "target"
        )
        self.scheduler_events = counter("scheduler_events", "Events of the scheduler.", "event")
        self.leader = gauge("leader", "1 if this process acts on the target.", "target")

    def start(self, targets: Iterable[str]) -> None:
        """
        Put every known label set at 0.
        """
        for target in targets:
            for outcome in SCAN_OUTCOMES:
                self.scans.labels(target, outcome)
            self.scan_seconds.labels(target)
            self.lateness.labels(target)
            for one in (self.walked_at, self.unreadable, self.offset, self.leader):
                one.labels(target)
            self.credentials_expiry.labels(target).set(0)
            self.fleet.start(target)
            self.audit.start(target)
            self.paces.start(target)
        for event in ("error", "missed", "max_instances"):
            self.scheduler_events.labels(event)
        for limit in LIMITS:
            self.limit_used.labels(limit)
        for scope in Scope:
            self.breaker_open.labels(scope.value)
        for operation in ("list", "show", "terminate"):
            self.api_seconds.labels(operation)
            self.api_throttled.labels(operation)

    def begin(self, targets: Iterable[str], policies: PolicySet, currency: str) -> None:
        """
        Put every label set of targets at 0 that this process begins to act on, under the policies in force.
        """
        targets = list(targets)
        self.start(targets)
        self._start_policies(targets, policies)
        if currency:
            self.savings.start(targets, policies, currency)

    def _start_policies(self, targets: Iterable[str], policies: PolicySet) -> None:
        for target, policy in itertools.product(targets, policies.policies):
            for outcome in OUTCOMES:
                self.terminations.labels(target, policy.name, outcome)
            self.cards_released.labels(target, policy.name)

    def seed(
        self,
        tallies: Sequence[Tally],
        findings: Mapping[tuple[str, str], int],
        potentials: Sequence[Potential] = (),
        clawed_back: Sequence[Potential] = (),
    ) -> None:
        """
        Bring the counters to what the ledger has on record.
        """
        for tally in tallies:
            self.terminations.labels(tally.target, tally.policy, tally.outcome.value).inc(tally.count)
            if tally.outcome is Outcome.CONFIRMED:
                self.cards_released.labels(tally.target, tally.policy).inc(tally.cards)
        self.savings.seed(tallies)
        self.savings.measured(potentials)
        self.savings.taken_back(clawed_back)
        self.found(findings)

    def found(self, counts: Mapping[tuple[str, str], int]) -> None:
        """
        Bring the matches that led to no call to what the ledger has on record, whichever replica recorded them.
        """
        for (policy, reason), count in counts.items():
            for _ in range(count - self._found[policy, reason]):
                self.reported(policy, reason)

    def reported(self, policy: str, reason: str) -> None:
        """
        Count a match that led to no call.
        """
        self._found[policy, reason] += 1
        self.potential.labels(policy, reason).inc()

    def end(self, target: str) -> None:
        """
        Drop the series of a target that this process does not act on any more.
        """
        self.registry.forget(target, but=[self.leader])
        self.fleet.forget(target)
        self.audit.end(target)
        self.leader.labels(target).set(0)

    def took_policies(self, policies: PolicySet, targets: Iterable[str], *, at: float) -> None:
        """
        Show the policies in force; gauges of policies that went go with them.
        """
        for one in (self.policy_info, self.verdicts, self.held, self.exempt_unknown):
            one.clear()
        for policy in policies.policies:
            self.policy_info.labels(policy.name, policy.mode.value, policy.digest).set(1)
            for verdict in Verdict:
                self.verdicts.labels(policy.name, verdict.name)
            for reason in HOLD_REASONS:
                self.held.labels(policy.name, reason)
            for reason in (OBSERVED, SPARED, "notify", *HOLD_REASONS):
                self.potential.labels(policy.name, reason)
        self._start_policies(targets, policies)
        for exemption in policies.exemptions:
            self.exempt_unknown.labels(exemption.name)
        self.reload_ok.set(1)
        self.reload_at.set(at)

    def reached(self, source: JobSource) -> None:
        """
        Show what a target that answered says of its clock and of the credentials.
        """
        if (offset := source.offset_s()) is not None:
            self.offset.labels(source.target).set(offset)
        self.credentials_expiry.labels(source.target).set(source.credentials_expire_at() or 0.0)

    def walked(self, inventory: Inventory) -> None:
        """
        Show what a walk read.
        """
        target = inventory.target
        self.scans.labels(target, "complete" if inventory.complete else "incomplete").inc()
        self.scan_seconds.labels(target).observe((inventory.finished_at_ms - inventory.started_at_ms) / 1000)
        self.unreadable.labels(target).set(inventory.unreadable)
        if not inventory.complete:
            return
        self.walked_at.labels(target).set(inventory.finished_at_ms / 1000)

    def decided(
        self, policies: PolicySet, verdicts: Mapping[tuple[str, Verdict], int], decisions: Sequence[Decision]
    ) -> None:
        """
        Show the verdicts on all jobs, and by the decisions on those that match what spares them.
        """
        for policy in policies.policies:
            for verdict in Verdict:
                self.verdicts.labels(policy.name, verdict.name).set(verdicts[policy.name, verdict])
        doubts = Count(
            spared.exemption.name
            for each in decisions
            # Asked first what costs least: each second this looks at every job that matches.
            if each.spared and each.terminating and all(one.verdict is Verdict.UNKNOWN for one in each.spared)
            for spared in each.spared
        )
        for exemption in policies.exemptions:
            self.exempt_unknown.labels(exemption.name).set(doubts[exemption.name])

    def held_back(self, policies: PolicySet, held: Iterable[Finding]) -> None:
        """
        Show which jobs are held back now.
        """
        counts = Count((one.policy, one.reason) for one in held)
        for policy in policies.policies:
            for reason in HOLD_REASONS:
                self.held.labels(policy.name, reason).set(counts[policy.name, reason])

    def left_open(self, count: int, oldest_ms: int | None) -> None:
        """
        Show how many intents have no outcome, and when the oldest of them was made.
        """
        self.open_intents.set(count)
        self.oldest_intent.set((oldest_ms or 0) / 1000)

    def accepted(self, intent: Intent) -> None:
        """
        Count an accepted terminate call.
        """
        if intent.lateness_ms is not None:
            self.lateness.labels(intent.draft.target).observe(intent.lateness_ms / 1000)

    def closed(self, intent: Intent) -> None:
        """
        Count an outcome; cards and savings only of confirmed terminations.
        """
        draft = intent.draft
        assert intent.outcome is not None  # noqa: S101 - the ledger returns closed intents from close()
        self.terminations.labels(draft.target, draft.policy, intent.outcome.value).inc()
        if intent.outcome is not Outcome.CONFIRMED:
            return
        self.cards_released.labels(draft.target, draft.policy).inc(draft.cards or 0)
        self.savings.confirmed(intent)
        if intent.closed_ms is not None and intent.accepted_ms is not None:
            self.confirm_seconds.observe(max(0, intent.closed_ms - intent.accepted_ms) / 1000)

    def called(self, operation: str, code: str, seconds: float) -> None:
        """
        Count one call to the service.
        """
        # To look a series up by its labels costs more than to count, and these are few and stay.
        series = self._calls.get((operation, code))
        if series is None:
            series = self.api_requests.labels(operation, code), self.api_seconds.labels(operation)
            self._calls[operation, code] = series
        series[0].inc()
        series[1].observe(seconds)
        if code == "429":
            self.api_throttled.labels(operation).inc()
