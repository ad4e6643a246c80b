"""
Verdicts on whole jobs, their deadlines, and the next moment at which they change.
"""

from fractions import Fraction

import pytest
from built import (
    CPU_NODES,
    KEY,
    NOW,
    OVER_A_DAY,
    P100,
    P100_NODES,
    RUNNING,
    TERMS,
    decided,
    exemption,
    pending,
    policy,
    regex,
    running,
)

from guard.core.clock import ClockRule
from guard.core.decide import decide
from guard.core.facts import ABSENT, UNREADABLE, Resource
from guard.core.fields import Terms
from guard.core.policy import Act, All, Condition, Mode, Not, PolicySet, Some
from guard.core.sighting import observe
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from guard.core.verdict import Verdict
from tests.changing import replace

NO, UNKNOWN, YES = Verdict.NO_MATCH, Verdict.UNKNOWN, Verdict.MATCH
LEARNER = replace(P100_NODES, node_count=1, role="learner")
DEAR = Condition("billing_code", "eq", P100)
LARGE = Condition("node_count", "gte", 8)


def duration(op, hours):
    """
    Return a condition on the running time, in hours.
    """
    return Condition("duration", op, hours * HOUR_MS)


@pytest.mark.parametrize(
    ("elapsed_ms", "verdict"),
    [
        pytest.param(DAY_MS - 1, NO, id="1-ms-below"),
        pytest.param(DAY_MS, NO, id="on"),
        pytest.param(DAY_MS + 1, YES, id="1-ms-above"),
    ],
)
def test_the_main_rule(elapsed_ms, verdict):
    """
    More than a day first holds at a day and a millisecond.
    """
    (judgement,) = decided(running(elapsed_ms), policy(OVER_A_DAY, DEAR)).judgements
    assert judgement.verdict is verdict
    assert judgement.deadline_ms == NOW - elapsed_ms + DAY_MS + 1


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [
        pytest.param("Running", YES, id="running"),
        pytest.param("Pending", NO, id="pending"),
        pytest.param("Completed", NO, id="completed"),
        pytest.param("Hibernating", NO, id="unknown-phase"),
        pytest.param(UNREADABLE, UNKNOWN, id="unreadable-phase"),
    ],
)
def test_the_phase(phase, verdict):
    """
    A job in another phase does not match, whatever its facts, and an unreadable phase is UNKNOWN.
    """
    (judgement,) = decided(running(phase=phase), policy(DEAR)).judgements
    assert judgement.verdict is verdict
    unreadable = decided(running(phase=phase, resources=()), policy(DEAR, OVER_A_DAY)).judgements[0].verdict
    assert unreadable is (UNKNOWN if phase == "Running" or phase is UNREADABLE else NO)


@pytest.mark.parametrize(
    ("resources", "verdict", "resource"),
    [
        pytest.param((CPU_NODES, LEARNER), NO, "resource 1 (worker)", id="cheap-and-large-beside-dear-and-small"),
        pytest.param((CPU_NODES, replace(LEARNER, node_count=8)), YES, "resource 2 (learner)", id="dear-and-large"),
        pytest.param((CPU_NODES, replace(LEARNER, role="", node_count=8)), YES, "resource 2", id="without-a-role"),
        pytest.param(
            (CPU_NODES, replace(LEARNER, node_count=UNREADABLE)), UNKNOWN, "resource 2 (learner)", id="nodes-unknown"
        ),
        pytest.param((CPU_NODES, Resource()), UNKNOWN, "resource 2", id="one-not-read-at-all"),
        pytest.param((Resource(), replace(LEARNER, node_count=8)), YES, "resource 2 (learner)", id="the-other-is-enough"),
        pytest.param((replace(CPU_NODES, node_count=UNREADABLE),), NO, "", id="surely-not-dear"),
        pytest.param((replace(LEARNER, node_count=8),), YES, "", id="alone"),
        pytest.param((), UNKNOWN, "", id="none-readable"),
    ],
)
def test_one_resource_at_a_time(resources, verdict, resource):
    """
    What is dear and what is large must be the same resource, which is named if there are several.
    """
    (judgement,) = decided(running(resources=resources), policy(DEAR, LARGE)).judgements
    assert (judgement.verdict, judgement.resource) == (verdict, resource)
    assert judgement.reason.startswith(f"{resource}: ") is bool(resource)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(Condition("billing_code", "ne", "another"), id="ne"),
        pytest.param(Condition("billing_code", "not_in", ("another", "third")), id="not-in"),
        pytest.param(Not(Condition("billing_code", "eq", "another")), id="not"),
        pytest.param(Not(Condition("billing_code", "exists", False)), id="not-exists"),
        pytest.param(Condition("total_cards", "lt", 10**9), id="total"),
        pytest.param(Condition("cost_rate", "gte", Fraction(0)), id="money"),
        pytest.param(Condition("node_count", "gte", 0), id="always-true-of-any-value"),
    ],
)
def test_a_job_without_a_readable_resource_never_matches_by_it(part):
    """
    Conditions that nearly every job fulfils are UNKNOWN on a job whose resources could not be read.
    """
    assert decided(running(resources=()), policy(part)).judgements[0].verdict is UNKNOWN
    assert decided(running(), policy(part)).judgements[0].verdict is YES


def test_reasons_name_their_doubts():
    """
    The sentence tells values, the resource, the flavor table and clocks that differ.
    """
    job = running(
        create_time_ms=NOW - 3 * DAY_MS,
        duration_ms=25 * HOUR_MS,
        start_time_ms=NOW - 26 * HOUR_MS,
        resources=(CPU_NODES, replace(LEARNER, source="flavor table")),
    )
    made = decided(job, policy(DEAR, OVER_A_DAY))
    assert made.judgements[0].reason == (
        f"resource 2 (learner): billing_code = {P100}; duration > 24h (is 25h), "
        "by the flavor table; duration says 25h and start_time says 26h; smaller was taken"
    )
    assert made.dispute == "duration says 25h and start_time says 26h; smaller was taken"


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [(ClockRule.SMALLER, NO), (ClockRule.DURATION, YES), (ClockRule.START_TIME, NO)],
)
def test_the_clock_setting(rule, verdict):
    """
    Only the operator can make the larger clock count.
    """
    job = running(create_time_ms=NOW - 3 * DAY_MS, duration_ms=25 * HOUR_MS, start_time_ms=NOW - 23 * HOUR_MS)
    made = decide(PolicySet(policies=(policy(OVER_A_DAY),)), job, observe(None, job), Terms(clock=rule), now_ms=NOW)
    assert made.judgements[0].verdict is verdict


WINDOW = (duration("gte", 10), duration("lt", 12))
AGE = Condition("age", "gt", 5 * HOUR_MS)


@pytest.mark.parametrize(
    ("parts", "hours", "deadline"),
    [
        pytest.param([duration("gt", 24)], 1, 24 * HOUR_MS + 1, id="gt-future"),
        pytest.param([duration("gte", 24)], 1, 24 * HOUR_MS, id="gte-future"),
        pytest.param([duration("gte", 24)], 24, 24 * HOUR_MS, id="gte-now"),
        pytest.param([duration("gt", 24)], 30, 24 * HOUR_MS + 1, id="gt-past"),
        pytest.param([duration("lt", 24)], 1, 0, id="lt-since-the-start"),
        pytest.param([duration("lt", 24)], 30, None, id="lt-never-again"),
        pytest.param(WINDOW, 9, 10 * HOUR_MS, id="window-ahead"),
        pytest.param(WINDOW, 11, 10 * HOUR_MS, id="window-open"),
        pytest.param(WINDOW, 12, None, id="window-shut"),
        pytest.param([Not(duration("lte", 24))], 1, 24 * HOUR_MS + 1, id="not-lte"),
        pytest.param([Not(duration("lt", 24))], 1, 24 * HOUR_MS, id="not-lt"),
        pytest.param([Not(All(WINDOW))], 11, 12 * HOUR_MS, id="not-a-window"),
        pytest.param([Not(All(WINDOW))], 13, 12 * HOUR_MS, id="second-stretch"),
        pytest.param([Not(All(WINDOW))], 9, 0, id="first-stretch"),
        pytest.param([Some((duration("gt", 24), duration("gt", 2)))], 30, 2 * HOUR_MS + 1, id="any-by-the-first"),
        pytest.param([Some((All(WINDOW), duration("gt", 11)))], 30, 10 * HOUR_MS, id="any-without-a-gap"),
        pytest.param([Some((All(WINDOW), duration("gte", 12)))], 30, 10 * HOUR_MS, id="any-that-touch"),
        pytest.param([Some((All(WINDOW), duration("gt", 12)))], 30, 12 * HOUR_MS + 1, id="any-with-a-gap-of-1-ms"),
        pytest.param([duration("gt", 2), AGE], 1, 4 * HOUR_MS + 1, id="all-by-the-last"),
        pytest.param([Condition("user", "eq", "ann")], 1, 0, id="always-since-the-start"),
        pytest.param([Condition("user", "eq", "bob"), OVER_A_DAY], 1, None, id="never"),
        pytest.param([Condition("pool_id", "eq", "p"), OVER_A_DAY], 30, None, id="unknown-stays-unknown"),
        pytest.param([Condition("age", "gt", HOUR_MS // 2)], 30, 0, id="no-match-is-older-than-its-phase"),
        pytest.param([Condition("card_hours", "gt", Fraction(64))], 1, 2 * HOUR_MS + 1, id="card-hours"),
        pytest.param([Condition("cost", "gte", Fraction(48))], 1, 2 * HOUR_MS, id="cost-on-a-millisecond"),
        pytest.param([Condition("cost", "gt", Fraction(48))], 1, 2 * HOUR_MS + 1, id="cost-above"),
        pytest.param([Condition("cost", "gte", Fraction(1, 7))], 1, 21_429, id="cost-between-milliseconds"),
        pytest.param(
            [Condition("cost", "gt", Fraction(10**15))], 1, 150_000_000_000_000_000_001, id="cost-in-the-far-future"
        ),
    ],
)
def test_deadlines(parts, hours, deadline):
    """
    The first millisecond of the present match, or of the next one, is exact for any nesting; none is none.
    """
    (judgement,) = decided(running(hours * HOUR_MS), policy(*parts)).judgements
    start = NOW - hours * HOUR_MS
    assert judgement.deadline_ms == (None if deadline is None else start + deadline)


def test_the_deadline_is_the_first_millisecond():
    """
    One millisecond before its deadline a policy does not match, and on it it does.
    """
    job = running(HOUR_MS)
    deadline = decided(job, policy(OVER_A_DAY)).judgements[0].deadline_ms
    assert deadline == NOW + 23 * HOUR_MS + 1
    verdicts = [decided(job, policy(OVER_A_DAY), now_ms=deadline + step).judgements[0].verdict for step in (-1, 0, 1)]
    assert verdicts == [NO, YES, YES]


def test_the_deadline_of_the_first_resource_that_gets_there():
    """
    The deadline of a job with several resources is that of the first one to match.
    """
    costly = Some((All((DEAR, duration("gt", 3))), All((Condition("flavor_type", "eq", "CPU"), duration("gt", 5)))))
    (judgement,) = decided(running(HOUR_MS, resources=(CPU_NODES, LEARNER)), policy(costly)).judgements
    assert judgement.deadline_ms == NOW + 2 * HOUR_MS + 1


@pytest.mark.parametrize(
    ("job", "deadline"),
    [
        pytest.param(running(start_time_ms=0), NOW - 25 * HOUR_MS, id="by-the-duration-alone"),
        pytest.param(running(start_time_ms=0, duration_ms=0), NOW, id="first-seen-without-a-clock"),
        pytest.param(
            running(create_time_ms=NOW - DAY_MS, start_time_ms=NOW - 2 * HOUR_MS, duration_ms=HOUR_MS),
            NOW - HOUR_MS,
            id="by-the-clock-that-counts",
        ),
    ],
)
def test_a_match_that_always_held(job, deadline):
    """
    A match without a growing condition is as old as the run, or as the first reading if that is not known.
    """
    assert decided(job, policy(Condition("user", "eq", "ann"))).judgements[0].deadline_ms == deadline


WAITS = All((Condition("phase", "in", ("Creating", "Pending")), Condition("waiting", "gt", 2 * HOUR_MS)))


@pytest.mark.parametrize(
    ("age_ms", "verdict"),
    [
        pytest.param(2 * HOUR_MS - 1, NO, id="1-ms-below"),
        pytest.param(2 * HOUR_MS, NO, id="on"),
        pytest.param(2 * HOUR_MS + 1, YES, id="1-ms-above"),
    ],
)
def test_waiting(age_ms, verdict):
    """
    A job that never ran waits since its creation, to the millisecond.
    """
    (judgement,) = decided(pending(age_ms), policy(clause=WAITS)).judgements
    assert (judgement.verdict, judgement.deadline_ms) == (verdict, NOW - age_ms + 2 * HOUR_MS + 1)


def test_no_match_is_older_than_the_return():
    """
    A job that returned to Pending matches from then on, not from the time when it ran.
    """
    first = running(HOUR_MS)
    second = replace(first, phase="Pending", read_at_ms=NOW + MINUTE_MS)
    seen = observe(observe(None, first), second)
    young = policy(clause=All((Condition("phase", "eq", "Pending"), Condition("age", "gt", HOUR_MS))))
    (judgement,) = decided(second, young, seen=seen, now_ms=NOW + MINUTE_MS).judgements
    assert (judgement.verdict, judgement.deadline_ms) == (YES, NOW + MINUTE_MS)


TEAM = Condition("annotation.team", "eq", "infra")


@pytest.mark.parametrize(
    ("changes", "parts", "spared"),
    [
        pytest.param({"annotations": {"team": "infra"}}, (TEAM,), YES, id="match"),
        pytest.param({"annotations": {"team": "vision"}}, (TEAM,), None, id="no-match"),
        pytest.param({"annotations": {}}, (TEAM,), None, id="absent-does-not-spare"),
        pytest.param({"annotations": UNREADABLE}, (TEAM,), UNKNOWN, id="unreadable-spares"),
        pytest.param({}, (Condition("pool_id", "ne", "shared"),), None, id="absent-with-ne"),
        pytest.param({}, (Condition("pool_id", "exists", False),), YES, id="absence-asked-for"),
        pytest.param({"pool_id": UNREADABLE}, (Condition("pool_id", "exists", False),), UNKNOWN, id="absence-unknown"),
        pytest.param({}, (Not(TEAM),), YES, id="not-of-absent"),
        pytest.param({"annotations": UNREADABLE}, (Not(TEAM),), UNKNOWN, id="not-of-unreadable"),
        pytest.param({"user": UNREADABLE}, (Condition("user", "eq", "ann"),), UNKNOWN, id="user-unreadable"),
        pytest.param(
            {"user": UNREADABLE, "annotations": {}}, (Condition("user", "eq", "ann"), TEAM), None, id="no-beats-unknown"
        ),
        pytest.param({"resources": ()}, (LARGE,), UNKNOWN, id="resource-unreadable"),
        pytest.param({"resources": (P100_NODES, CPU_NODES)}, (LARGE,), YES, id="one-resource-is-enough"),
        pytest.param({"resources": (P100_NODES, Resource())}, (LARGE,), UNKNOWN, id="one-resource-unreadable"),
        pytest.param({"phase": "Pending"}, (Condition("user", "eq", "ann"),), YES, id="no-default-phase"),
        pytest.param(
            {"description": ABSENT}, (Condition("description", "glob", regex(".*")),), None, id="pattern-on-absent"
        ),
    ],
)
def test_exemptions(changes, parts, spared):
    """
    Absence does not spare a job, an unreadable fact does.
    """
    made = decided(running(**changes), policy(DEAR), exemptions=(exemption(*parts),))
    assert [one.verdict for one in made.spared] == ([] if spared is None else [spared])


@pytest.mark.parametrize(
    ("until_ms", "spares"),
    [
        pytest.param(NOW - 1, False, id="over"),
        pytest.param(NOW, False, id="over-this-millisecond"),
        pytest.param(NOW + 1, True, id="last-millisecond"),
    ],
)
@pytest.mark.parametrize("user", ["ann", UNREADABLE])
def test_exemptions_end(user, until_ms, spares):
    """
    An exemption holds up to its last millisecond, also one that only an unreadable fact makes hold.
    """
    made = decided(running(user=user), exemptions=(exemption(Condition("user", "eq", "ann"), until_ms=until_ms),))
    assert bool(made.spared) is spares


def test_the_reason_of_an_exemption():
    """
    The fact that spares a job is named, out of the resource that decided.
    """
    job = running(resources=(P100_NODES, CPU_NODES))
    (spared,) = decided(job, exemptions=(exemption(LARGE, name="big"), exemption(TEAM))).spared
    assert (spared.exemption.name, spared.reason) == ("big", "node_count >= 8 (is 8)")


NONE = ()
DAY_LONG = exemption(Condition("user", "eq", "ann"), until_ms=NOW + 5)


@pytest.mark.parametrize(
    ("job", "policies", "exemptions", "wake"),
    [
        pytest.param(running(DAY_MS), (policy(OVER_A_DAY),), NONE, 1, id="deadline"),
        pytest.param(running(DAY_MS + 1), (policy(OVER_A_DAY),), NONE, None, id="match-for-ever"),
        pytest.param(running(11 * HOUR_MS), (policy(*WINDOW),), NONE, HOUR_MS, id="end-of-a-match"),
        pytest.param(running(DAY_MS + 1), (policy(OVER_A_DAY),), (DAY_LONG,), 5, id="exemption-expires"),
        pytest.param(running(DAY_MS - 9), (policy(OVER_A_DAY),), (DAY_LONG,), 5, id="exemption-first"),
        pytest.param(running(DAY_MS - 2), (policy(OVER_A_DAY),), (DAY_LONG,), 3, id="deadline-first"),
        pytest.param(running(user="bob"), (policy(DEAR),), (DAY_LONG,), None, id="another-is-exempt"),
        pytest.param(running(user=UNREADABLE), (policy(DEAR),), (DAY_LONG,), 5, id="exempt-by-unknown-expires"),
        pytest.param(
            running(DAY_MS), (policy(DEAR),), (DAY_LONG, replace(DAY_LONG, until_ms=NOW + 7)), 7, id="the-last-exemption"
        ),
        pytest.param(
            running(DAY_MS), (policy(DEAR),), (exemption(duration("lte", 24)),), 1, id="exemption-by-a-growing-fact"
        ),
        pytest.param(running(DAY_MS), (policy(OVER_A_DAY), policy(duration("gte", 24))), NONE, 1, id="first-of-several"),
        pytest.param(running(DAY_MS, user=UNREADABLE), (policy(OVER_A_DAY, DEAR, TEAM),), NONE, None, id="never-sure"),
        pytest.param(running(DAY_MS), NONE, NONE, None, id="no-policies"),
    ],
)
def test_wake(job, policies, exemptions, wake):
    """
    The next moment at which a match or an exemption changes by time alone is exact.
    """
    made = decided(job, *policies, exemptions=exemptions)
    assert made.wake_ms == (None if wake is None else NOW + wake)


def test_matches_and_attribution():
    """
    All matches are recorded in order, and the first in enforce that terminates has the termination.
    """
    policies = (
        policy(OVER_A_DAY, name="other", clause=All((RUNNING, Condition("user", "eq", "bob")))),
        policy(OVER_A_DAY, name="watch", mode=Mode.OBSERVE),
        policy(OVER_A_DAY, name="tell", action=Act.NOTIFY),
        policy(OVER_A_DAY, name="first"),
        policy(OVER_A_DAY, name="second"),
    )
    made = decided(running(), *policies)
    assert [one.policy.name for one in made.matches] == ["watch", "tell", "first", "second"]
    assert made.terminating is not None
    assert made.terminating.policy.name == "first"
    assert decided(running(), *policies[:3]).terminating is None


@pytest.mark.parametrize(
    ("resources", "cost_per_hour", "cards"),
    [
        pytest.param((P100_NODES,), "24", 32, id="readable"),
        pytest.param((CPU_NODES,), "4/5", 0, id="fraction"),
        pytest.param((P100_NODES, Resource()), "", None, id="unreadable"),
        pytest.param((), "", None, id="none"),
    ],
)
def test_what_a_decision_carries(resources, cost_per_hour, cards):
    """
    Cost and cards of the whole job go with the decision, exact or unknown.
    """
    made = decided(running(resources=resources))
    assert (made.cost_per_hour, made.cards, made.key, made.at_ms) == (cost_per_hour, cards, KEY, NOW)


def test_money_beyond_all_measure():
    """
    A hostile reading with a number of any size is judged like another.
    """
    job = running(resources=(replace(P100_NODES, unit_num=2**63 - 1, node_count=2**63 - 1),))
    (judgement,) = decided(job, policy(Condition("cost", "gt", Fraction(1)))).judgements
    assert judgement.verdict is YES


def test_no_prices():
    """
    Without a price book a policy on money is UNKNOWN.
    """
    job = running()
    rich = PolicySet(policies=(policy(Condition("cost", "gte", Fraction(0))),))
    assert decide(rich, job, observe(None, job), replace(TERMS, prices=None), now_ms=NOW).judgements[0].verdict is UNKNOWN
