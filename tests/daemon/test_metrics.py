"""
The metrics: the names that dashboards rely on, label sets that exist from the start, and counters that a restart keeps.
"""

import re
from fractions import Fraction

import pytest
from daemon_stand import ECO, EXEMPT, NONE, NOW_MS, OBSERVED, ONE_DAY, on_stand, running

from guard.core.fields import Terms
from guard.core.price import plain_book
from guard.core.protocol import Outcome
from guard.daemon.metrics import HOLD_REASONS, Metrics
from guard.daemon.room import LIMITS
from guard.simulator import Fault
from tests.changing import replace

NAMES = {
    "build_info version",
    "armed",
    "paused",
    "policy_info policy,mode,digest",
    "config_last_reload_successful",
    "config_last_reload_success_timestamp_seconds",
    "scans target,outcome",
    "scan_duration_seconds target",
    "last_complete_walk_timestamp_seconds target",
    "jobs target,phase",
    "cards target,billing_code",
    "unreadable_jobs target",
    "users_seen target",
    "last_look_timestamp_seconds target",
    "discovery_lag_seconds target",
    "walk_jobs_read target",
    "clock_offset_seconds target",
    "clock_disputed_jobs target",
    "verdicts policy,verdict",
    "held_back_jobs policy,reason",
    "exempt_by_unknown_jobs exemption",
    "terminations target,policy,outcome",
    "potential_terminations policy,reason",
    "termination_lateness_seconds target",
    "termination_confirm_seconds",
    "cards_released target,policy",
    "limit_used_ratio limit",
    "breaker_open scope",
    "savings_upper target,policy,currency",
    "savings_expected target,policy,currency",
    "savings_lower target,policy,currency",
    "savings_assumed target,policy,currency",
    "potential_savings target,policy,currency",
    "savings_clawed_back target,policy,currency",
    "savings_assumed_clawed_back target,policy,currency",
    "spend_rate_per_hour target,currency",
    "spend_rate_by_billing_code_per_hour billing_code,currency",
    "spend_rate_by_flavor_type_per_hour flavor_type,currency",
    "prices_last_reload_successful",
    "prices_last_reload_success_timestamp_seconds",
    "unpriced_jobs billing_code",
    "api_requests operation,code",
    "api_request_duration_seconds operation",
    "api_throttled operation",
    "api_rate_per_second target",
    "api_wait_seconds lane",
    "audit_head_position target",
    "audit_head_hash target",
    "audit_changed target",
    "ledger_open_intents",
    "ledger_usable",
    "ledger_oldest_open_intent_timestamp_seconds",
    "credentials_expiry_timestamp_seconds target",
    "scheduler_events event",
    "leader target",
}
NOTIFY = """
  - name: tell
    mode: enforce
    action: notify
    match: {duration: {gt: 1h}}
"""


def counters(metrics):
    """
    The samples above 0 of the counters that the ledger backs.
    """
    savings = ("savings_upper", "savings_expected", "savings_lower", "savings_assumed", "potential_savings")
    taken = ("savings_clawed_back", "savings_assumed_clawed_back")
    backed = ("terminations", "potential_terminations", "cards_released", *savings, *taken)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in metrics.registry.collect()
        if family.name.removeprefix("costguard_") in backed
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


def test_names_and_labels():
    """
    Names and labels are those of the contract, with the project's prefix, and no others.
    """
    found = set()
    for collector in Metrics(version="test").registry._collector_to_names:
        labels = ",".join(collector._labelnames)
        found.add(f"{collector._name.removeprefix('costguard_')} {labels}".strip())
        assert collector._name.startswith("costguard_")
    assert found == NAMES
    assert all(re.fullmatch(r"[a-z_]+( [a-z_,]+)?", one) for one in found)


def test_known_label_sets_start_at_zero():
    """
    Every label set that can be known at the start is there before anything happened.
    """

    async def act(stand):
        for outcome in Outcome:
            assert stand.value("terminations_total", target="lab", policy="one-day", outcome=outcome.value) == 0
        for reason in ("observe", "notify", *HOLD_REASONS):
            assert stand.value("potential_terminations_total", policy="one-day", reason=reason) == 0
        for outcome in ("complete", "incomplete", "failed"):
            assert stand.value("scans_total", target="lab", outcome=outcome) == 0
        for verdict in ("MATCH", "NO_MATCH", "UNKNOWN"):
            assert stand.value("verdicts", policy="one-day", verdict=verdict) == 0
        for limit in LIMITS:
            assert stand.value("limit_used_ratio", limit=limit) == 0
        for scope in ("all", "target", "policy"):
            assert stand.value("breaker_open", scope=scope) == 0
        assert stand.value("exempt_by_unknown_jobs", exemption="spared") == 0
        assert stand.value("termination_lateness_seconds_count", target="lab") == 0
        assert stand.value("cards_released_total", target="lab", policy="one-day") == 0
        for lane in ("terminate", "check", "confirm", "discovery"):
            assert stand.value("api_wait_seconds_count", lane=lane) == 0
        assert stand.value("api_rate_per_second", target="lab") == 20

    on_stand(act, text=ONE_DAY + EXEMPT)


def test_seeding_equals_counting():
    """
    A new process that is seeded from the ledger shows what the old one had counted, and taking up intents counts once.
    """

    async def act(stand):
        book = plain_book("CNY", {ECO.code: Fraction(7, 2)})
        stand.view.terms = Terms(prices=book)
        stand.world.knobs = replace(
            stand.world.knobs, faults=(Fault(operation="terminate", kind="status", status=403, job_id="job-1"),)
        )
        await stand.walk()
        await stand.walk()
        stand.take(OBSERVED)
        await stand.cycle.decide_all()
        live = counters(stand.metrics)
        assert len(live) >= 6
        seeded = Metrics(version="test")
        seeded.seed(await stand.raw.tallies(), await stand.raw.finding_counts())
        assert counters(seeded) == live

    jobs = [running("job-0"), running("job-1", hours=26), running("job-2", hours=2)]
    on_stand(act, *jobs, text=ONE_DAY + NOTIFY)


def test_gauges_of_a_removed_policy_go():
    """
    When a policy goes its gauges go with it, and its counters stay.
    """

    async def act(stand):
        await stand.walk()
        stand.take(NONE)
        stand.metrics.took_policies(stand.set, ["lab"], at=stand.clock.now())
        await stand.cycle.decide_all()
        assert stand.value("verdicts", policy="one-day", verdict="MATCH") is None
        assert stand.value("held_back_jobs", policy="one-day", reason="exempt") is None
        assert stand.value("exempt_by_unknown_jobs", exemption="spared") is None
        assert stand.value("potential_terminations_total", policy="one-day", reason="exempt") == 1

    on_stand(act, running(), text=ONE_DAY + EXEMPT)


@pytest.mark.parametrize(
    ("quirk", "shown"),
    [(None, "Running"), ("28-unknown-phase", "other"), ("null-status", "unreadable")],
    ids=["known", "unknown", "unreadable"],
)
def test_phases_are_a_closed_set(quirk, shown):
    """
    A phase that nobody knows is shown as "other", so that a service cannot make series without end.
    """

    async def act(stand):
        await stand.walk()
        assert stand.value("jobs", target="lab", phase=shown) == 1
        assert stand.value("jobs", target="lab", phase="Pending") == 0
        assert stand.value("last_complete_walk_timestamp_seconds", target="lab") == pytest.approx(NOW_MS / 1000)

    on_stand(act, running(hours=1, quirk=quirk))
