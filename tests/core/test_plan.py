"""
Which terminations are ordered, which are held back, and why.
"""

from typing import Any

import pytest
from built import KEY, NOW, OVER_A_DAY, P100_NODES, decided, exemption, key, policy, running

from guard.core.decide import Decision, Judgement
from guard.core.facts import ABSENT, UNREADABLE, Resource
from guard.core.hold import Hold
from guard.core.limits import Allowance
from guard.core.plan import Attempt, Finding, Plan, Standing, fingerprint, plan
from guard.core.policy import Act, All, Condition, Mode
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from guard.core.verdict import Verdict
from guard.core.windows import Bounds, Window
from tests.changing import replace

ENFORCED = policy(OVER_A_DAY)
ANN = Condition("user", "eq", "ann")
ANY_PHASE = policy(clause=All((Condition("phase", "ne", "Never"),)))


def made(*decisions: Decision, **standing: Any) -> Plan:
    """
    Return the plan of these decisions.
    """
    return plan(decisions, Standing(**standing))


def ordered(built: Plan) -> list[str]:
    """
    Return the ids of the jobs that are terminated, in order.
    """
    return [order.key.job_id for order in built.orders]


def reasons(built: Plan) -> list[tuple[str, str]]:
    """
    Return the policies and the reasons of what is held back.
    """
    return [(one.policy, one.reason) for one in built.held]


def aged(job_id: str, elapsed_ms: int) -> Decision:
    """
    Return the decision on a job of that age.
    """
    return decided(running(elapsed_ms, key=key(job_id)), ENFORCED)


def test_an_order():
    """
    A match in enforce is ordered, with its policy, deadline and due.
    """
    decision = decided(running(), ENFORCED)
    (order,) = made(decision).orders
    assert (order.key, order.judgement, order.decision) == (KEY, decision.judgements[0], decision)
    assert order.deadline_ms == NOW - HOUR_MS + 1
    assert order.due_ms == NOW


@pytest.mark.parametrize(
    ("elapsed_ms", "orders"),
    [(DAY_MS - 1, []), (DAY_MS, []), (DAY_MS + 1, ["job-1"])],
    ids=["1-ms-below", "on", "1-ms-above"],
)
def test_only_matches_are_ordered(elapsed_ms, orders):
    """
    A policy that does not match orders and reports nothing.
    """
    built = made(decided(running(elapsed_ms), ENFORCED))
    assert (ordered(built), built.held, built.notices) == (orders, (), ())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"start_time_ms": 0, "duration_ms": UNREADABLE}, id="no-clock"),
        pytest.param({"phase": UNREADABLE}, id="no-phase"),
    ],
)
def test_unknown_orders_nothing(changes):
    """
    UNKNOWN never leads to an action, nor to a notice.
    """
    built = made(decided(running(**changes), ENFORCED, policy(OVER_A_DAY, name="tell", action=Act.NOTIFY)))
    assert built == Plan()


@pytest.mark.parametrize(
    ("mode", "action", "orders", "held", "notices"),
    [
        pytest.param(Mode.ENFORCE, Act.TERMINATE, 1, [], 0, id="enforce-terminate"),
        pytest.param(Mode.ENFORCE, Act.NOTIFY, 0, [], 1, id="enforce-notify"),
        pytest.param(Mode.OBSERVE, Act.TERMINATE, 0, ["observe"], 0, id="observe-terminate"),
        pytest.param(Mode.OBSERVE, Act.NOTIFY, 0, ["observe_spared"], 0, id="observe-notify"),
    ],
)
def test_modes_and_actions(mode, action, orders, held, notices):
    """
    Only enforce and terminate together order a termination; observe only reports.
    """
    built = made(decided(running(), policy(OVER_A_DAY, mode=mode, action=action)))
    assert (len(built.orders), [one.reason for one in built.held], len(built.notices)) == (orders, held, notices)


def test_attribution():
    """
    One termination goes to the first that terminates; what is observed and notified stands beside it.
    """
    policies = [
        policy(OVER_A_DAY, name="watch", mode=Mode.OBSERVE),
        policy(OVER_A_DAY, name="tell", action=Act.NOTIFY),
        policy(OVER_A_DAY, name="first"),
        policy(OVER_A_DAY, name="second"),
    ]
    built = made(decided(running(), *policies))
    assert [order.judgement.policy.name for order in built.orders] == ["first"]
    assert reasons(built) == [("watch", "observe")]
    assert [one.policy for one in built.notices] == ["tell"]


def test_a_finding():
    """
    What is held back carries job, run, policy, deadline and a sentence.
    """
    decision = decided(running(), policy(OVER_A_DAY, mode=Mode.OBSERVE))
    assert made(decision).held == (
        Finding(
            key=KEY,
            target="lab",
            run=1,
            policy="one-day",
            reason="observe",
            text="duration > 24h (is 25h)",
            deadline_ms=NOW - HOUR_MS + 1,
        ),
    )


@pytest.mark.parametrize(
    ("user", "text"),
    [
        pytest.param("ann", "exemption spare: user = ann", id="surely"),
        pytest.param(
            UNREADABLE,
            "exemption spare, because a fact that it asks for is unreadable: user = ann (is unreadable)",
            id="by-unknown",
        ),
    ],
)
def test_exempt(user, text):
    """
    An exemption holds a termination back, also if it is only UNKNOWN, and notices go out all the same.
    """
    tell = policy(OVER_A_DAY, name="tell", action=Act.NOTIFY)
    built = made(decided(running(user=user), ENFORCED, tell, exemptions=(exemption(ANN),)))
    assert (built.orders, [(one.reason, one.text) for one in built.held]) == ((), [("exempt", text)])
    assert len(built.notices) == 1


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        pytest.param("Creating", "ordered", id="creating"),
        pytest.param("Pending", "ordered", id="pending"),
        pytest.param("Running", "ordered", id="running"),
        pytest.param("Terminating", "nothing", id="terminating-is-on-its-way"),
        pytest.param("Terminated", "not_terminable", id="terminated"),
        pytest.param("Completed", "not_terminable", id="completed"),
        pytest.param("Failed", "not_terminable", id="failed"),
        pytest.param("Abnormal", "not_terminable", id="abnormal"),
        pytest.param("running", "not_terminable", id="unknown-in-another-case"),
        pytest.param("Hibernating", "not_terminable", id="unknown"),
        pytest.param(UNREADABLE, "nothing", id="unreadable"),
    ],
)
def test_phases(phase, outcome):
    """
    Only the phases that the service lets go are terminated, an unknown one never.
    """
    built = made(decided(running(phase=phase), ANY_PHASE))
    assert len(built.orders) == (outcome == "ordered")
    assert [one.reason for one in built.held] == ([outcome] if outcome == "not_terminable" else [])


def test_an_unreadable_phase_is_not_terminable():
    """
    A match that asks for no phase at all is held back on a job whose phase could not be read.
    """
    built = made(decided(running(phase=UNREADABLE), policy(clause=All((ANN,)))))
    assert (built.orders, built.held[0].text) == ((), "a job in phase unreadable cannot be terminated")


def test_open_jobs_are_left_alone():
    """
    A job with an open intent is neither ordered again nor reported as held, but still observed.
    """
    decision = decided(running(), ENFORCED, policy(OVER_A_DAY, name="watch", mode=Mode.OBSERVE))
    built = made(decision, open_jobs={KEY})
    assert (built.orders, reasons(built)) == ((), [("watch", "observe")])
    assert ordered(made(decision, open_jobs={key("another")})) == ["job-1"]


PAUSED, STALE = Hold(reason="paused", text="by ann"), Hold(reason="stale_inventory", text="too old")


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        pytest.param({"closed": PAUSED}, "paused", id="all-targets"),
        pytest.param({"closed_targets": {"lab": STALE}}, "stale_inventory", id="this-target"),
        pytest.param({"closed": PAUSED, "closed_targets": {"lab": STALE}}, "paused", id="both"),
        pytest.param({"closed_targets": {"other": STALE}}, None, id="another-target"),
    ],
)
def test_a_closed_gate_holds_back(standing, reason):
    """
    A closed gate holds every termination of its targets back and says why.
    """
    built = made(decided(running(), ENFORCED), **standing)
    assert [one.reason for one in built.held] == ([] if reason is None else [reason])
    assert len(built.orders) == (reason is None)


@pytest.mark.parametrize(
    ("changes", "exemptions", "said"),
    [
        pytest.param({}, (exemption(ANN),), "exemption spare: user = ann", id="exempt"),
        pytest.param({"user": UNREADABLE}, (exemption(ANN),), "exemption spare, because a fact", id="perhaps-exempt"),
        pytest.param({"user": "bob"}, (exemption(ANN),), "", id="not-exempt"),
    ],
)
def test_what_would_be_spared_anyway_is_observed_apart(changes, exemptions, said):
    """
    A policy that only observes saves nothing of a job that it would not end if it were enforced.
    """
    decision = decided(running(**changes), policy(OVER_A_DAY, mode=Mode.OBSERVE), exemptions=exemptions)
    (found,) = made(decision).held
    assert (found.reason, said in found.text) == ("observe_spared" if said else "observe", True)


def test_the_job_itself_is_named_before_the_gate():
    """
    An exempt job is reported as exempt, whether the gate is open or not.
    """
    built = made(decided(running(), ENFORCED, exemptions=(exemption(ANN),)), closed=PAUSED)
    assert reasons(built) == [("one-day", "exempt")]


@pytest.mark.parametrize(
    ("count", "wait_ms"),
    [
        pytest.param(1, 15 * MINUTE_MS, id="first"),
        pytest.param(2, 30 * MINUTE_MS, id="second"),
        pytest.param(3, HOUR_MS, id="third"),
        pytest.param(5, 4 * HOUR_MS, id="fifth"),
        pytest.param(6, 6 * HOUR_MS, id="at-most-six-hours"),
        pytest.param(10**6, 6 * HOUR_MS, id="and-for-ever"),
    ],
)
def test_retry_later(count, wait_ms):
    """
    An attempt on the same facts is repeated after 15 minutes, doubling to 6 hours, to the millisecond.
    """
    decision = decided(running(72 * HOUR_MS), ENFORCED)
    resting = fingerprint(decision.job, ENFORCED.digest, "")

    def after(waited_ms: int) -> Plan:
        last = Attempt(run=1, fingerprint=resting, closed_ms=NOW - waited_ms, count=count)
        return made(decision, attempts={KEY: last})

    assert reasons(after(wait_ms - 1)) == [("one-day", "retry_later")]
    assert ordered(after(wait_ms)) == ordered(after(wait_ms + 1)) == ["job-1"]


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        pytest.param({}, False, id="nothing-changed"),
        pytest.param({"run": 2}, True, id="another-run"),
        pytest.param({"retries_at_once": True}, True, id="only-the-gate-had-stopped-it"),
        pytest.param({"fingerprint": "0" * 12}, True, id="other-facts"),
    ],
)
def test_what_ends_the_waiting(changes, again):
    """
    A new run, other facts or an open gate let the job be tried at once.
    """
    decision = decided(running(), ENFORCED)
    last = Attempt(run=1, fingerprint=fingerprint(decision.job, ENFORCED.digest, "k1"), closed_ms=NOW, count=1)
    built = made(decision, attempts={KEY: replace(last, **changes)}, credentials={"lab": "k1"})
    assert bool(built.orders) is again


@pytest.mark.parametrize(
    ("before_ms", "again"),
    [
        pytest.param(1, True, id="ended-before-the-match-began"),
        pytest.param(0, False, id="ended-as-it-began"),
        pytest.param(-1, False, id="ended-after"),
    ],
)
def test_an_attempt_on_another_match(before_ms, again):
    """
    An attempt that found the match to lie ahead does not hold back the one that is made once it has begun.
    """
    decision = decided(running(24 * HOUR_MS + 2), ENFORCED)
    began_ms = decision.judgements[0].deadline_ms
    assert began_ms == NOW - 1
    resting = fingerprint(decision.job, ENFORCED.digest, "")
    last = Attempt(run=1, fingerprint=resting, closed_ms=began_ms - before_ms, count=1)
    assert bool(made(decision, attempts={KEY: last}).orders) is again
    # An old answer of a run that is over puts its match later than it was.
    over = made(decision, attempts={KEY: replace(last, ended=True)})
    assert (over.orders, [one.reason for one in over.held]) == ((), ["retry_later"])


def test_new_credentials_end_the_waiting():
    """
    What was refused to one key may be granted to another.
    """
    decision = decided(running(), ENFORCED)
    last = Attempt(run=1, fingerprint=fingerprint(decision.job, ENFORCED.digest, "k1"), closed_ms=NOW, count=1)
    assert ordered(made(decision, attempts={KEY: last}, credentials={"lab": "k2"})) == ["job-1"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({"duration_ms": 5, "read_at_ms": NOW + 5, "start_time_ms": 7}, True, id="what-grows"),
        pytest.param({"annotations": {"b": "2", "a": "1"}}, True, id="order-of-annotations"),
        pytest.param({"annotations": {"a": "1"}}, False, id="annotations"),
        pytest.param({"annotations": UNREADABLE}, False, id="annotations-unreadable"),
        pytest.param({"phase": "Pending"}, False, id="phase"),
        pytest.param({"user": "bob"}, False, id="user"),
        pytest.param({"name": "x"}, False, id="name"),
        pytest.param({"kind": "x"}, False, id="kind"),
        pytest.param({"description": "x"}, False, id="description"),
        pytest.param({"engine": "x"}, False, id="engine"),
        pytest.param({"image": "x"}, False, id="image"),
        pytest.param({"pool_id": "x"}, False, id="pool"),
        pytest.param({"pool_id": UNREADABLE}, False, id="pool-unreadable"),
        pytest.param({"workspace": "x"}, False, id="workspace"),
        pytest.param({"resources": (P100_NODES, Resource())}, False, id="resources"),
    ],
)
def test_fingerprint(changes, same):
    """
    The fingerprint changes with the facts that do not grow, and with nothing else.
    """
    job = running(annotations={"a": "1", "b": "2"})
    assert (fingerprint(replace(job, **changes), "digest", "key") == fingerprint(job, "digest", "key")) is same
    assert fingerprint(job, "other", "key") != fingerprint(job, "digest", "key")


@pytest.mark.parametrize(
    ("total", "used", "orders"),
    [
        pytest.param(None, 10**6, ["old", "mid", "new"], id="no-limit"),
        pytest.param(5, 1, ["old", "mid", "new"], id="room-for-more"),
        pytest.param(5, 2, ["old", "mid", "new"], id="room-for-all"),
        pytest.param(5, 3, ["old", "mid"], id="room-for-two"),
        pytest.param(5, 4, ["old"], id="room-for-one"),
        pytest.param(5, 5, [], id="used-up"),
        pytest.param(5, 6, [], id="more-than-used-up"),
        pytest.param(0, 0, [], id="nothing-allowed"),
    ],
)
def test_limits(total, used, orders):
    """
    The oldest deadlines come first, and what is over the limit is held back.
    """
    decisions = [aged("new", 25 * HOUR_MS), aged("old", 40 * HOUR_MS), aged("mid", 30 * HOUR_MS)]
    built = made(*decisions, allowance=Allowance(total=total, limit="max_terminations"), window=Window(total=used))
    assert ordered(built) == orders
    assert [one.key.job_id for one in built.held] == ["old", "mid", "new"][len(orders) :]
    text = f"{max(used, total or 0)} terminations in the window, max_terminations allows {total}"
    assert {one.text for one in built.held} <= {text}
    assert {one.reason for one in built.held} <= {"limit"}


def test_equal_deadlines_are_served_by_name():
    """
    Jobs with the same deadline have one order, whatever order they are read in.
    """
    decisions = [aged(job_id, 25 * HOUR_MS) for job_id in ("b", "c", "a")]
    assert ordered(made(*decisions)) == ordered(made(*reversed(decisions))) == ["a", "b", "c"]


def test_held_jobs_take_no_room():
    """
    A job that is held back for itself leaves its place in the limit to the next.
    """
    spared = decided(running(40 * HOUR_MS), ENFORCED, exemptions=(exemption(ANN),))
    built = made(spared, aged("next", 25 * HOUR_MS), allowance=Allowance(total=1, limit="max_terminations"))
    assert ordered(built) == ["next"]


def test_a_job_that_was_read_twice_is_ordered_once():
    """
    Of two decisions on one job the one on the newest reading counts, in any order.
    """
    old = decided(running(), ENFORCED)
    young = decided(running(HOUR_MS, read_at_ms=NOW + 1), ENFORCED, now_ms=NOW + 1)
    newer = decided(running(read_at_ms=NOW + 1), ENFORCED, now_ms=NOW + 1)
    assert made(old, young).orders == made(young, old).orders == ()
    assert [one.decision for one in made(newer, old).orders] == [newer]


@pytest.mark.parametrize(
    ("standing", "due_ms"),
    [
        pytest.param({}, NOW, id="first-seen"),
        pytest.param({"since_ms": {"one-day": NOW + 1}}, NOW + 1, id="in-force"),
        pytest.param({"since_ms": {"other": NOW + 1}}, NOW, id="another-policy-in-force"),
        pytest.param({"since_ms": {"one-day": NOW + 1}, "released_ms": {KEY: NOW + 2}}, NOW + 2, id="released"),
        pytest.param({"released_ms": {key("other"): NOW + 2}}, NOW, id="another-released"),
    ],
)
def test_due(standing, due_ms):
    """
    Due is the latest of deadline, first seen, in force, armed and released.
    """
    assert made(decided(running(), ENFORCED), **standing).orders[0].due_ms == due_ms


def test_due_at_the_deadline():
    """
    A job that was seen before its deadline is due on it.
    """
    job = running(HOUR_MS)
    (order,) = made(decided(job, ENFORCED, now_ms=NOW + DAY_MS)).orders
    assert order.due_ms == order.deadline_ms == NOW + 23 * HOUR_MS + 1


def test_a_match_without_a_deadline_is_as_old_as_its_decision():
    """
    A judgement that names no deadline is served as one of this moment.
    """
    decision = decided(running(), ENFORCED)
    bare = Judgement(policy=ENFORCED, verdict=Verdict.MATCH, reason="")
    (order,) = made(replace(decision, judgements=(bare,))).orders
    assert (order.deadline_ms, order.due_ms) == (NOW, NOW)


def test_absence_of_everything():
    """
    No decisions make an empty plan.
    """
    assert made() == Plan()
    assert made(decided(running(user=ABSENT))) == Plan()


def test_an_open_breaker_holds_the_acts_of_one_policy():
    """
    What is closed for a policy holds back its acts and no others.
    """
    decisions = [aged("a", 25 * HOUR_MS), decided(running(30 * HOUR_MS, key=key("b")), policy(OVER_A_DAY, name="second"))]
    built = made(*decisions, closed_policies={"second": Hold(reason="breaker", text="t")})
    assert (ordered(built), [(one.key.job_id, one.reason) for one in built.held]) == (["a"], [("b", "breaker")])


@pytest.mark.parametrize(
    ("acted", "orders"),
    [
        pytest.param({"x", "y"}, ["old"], id="room-for-one"),
        pytest.param({"x", "new"}, ["old", "new"], id="one-was-acted-on-before"),
        pytest.param({"x", "y", "z"}, [], id="used-up"),
        pytest.param(None, ["old", "mid", "new"], id="confirmed"),
    ],
)
def test_a_new_policy_acts_on_the_first_few(acted, orders):
    """
    The oldest deadlines come first, and what is over the first few waits for a person; it takes no room in the window.
    """
    decisions = [aged("new", 25 * HOUR_MS), aged("old", 40 * HOUR_MS), aged("mid", 30 * HOUR_MS)]
    rule = (ENFORCED.name, ENFORCED.digest)
    known = {} if acted is None else {rule: {key(one) for one in acted}}
    built = made(*decisions, acted=known, first_enforce=3, allowance=Allowance(total=3, limit="max_terminations"))
    assert ordered(built) == orders
    assert {one.reason for one in built.held} <= {"first_enforce"}


def test_a_full_policy_leaves_room_to_others():
    """
    A bound on one policy holds back its jobs alone; each order counts for the next.
    """
    second = policy(OVER_A_DAY, name="second")
    decisions = [aged("a", 40 * HOUR_MS), aged("b", 30 * HOUR_MS), decided(running(26 * HOUR_MS, key=key("c")), second)]
    built = made(*decisions, allowance=Allowance(total=None, bounds=Bounds(per_policy=1)))
    assert (ordered(built), [one.key.job_id for one in built.held]) == (["a", "c"], ["b"])


def test_each_who_asked_is_told_of_its_own_jobs():
    """
    A plan for several, cut down to some of its jobs, has what is about those and nothing else.
    """
    policies = [
        ENFORCED,
        policy(OVER_A_DAY, name="tell", action=Act.NOTIFY),
        policy(OVER_A_DAY, name="see", mode=Mode.OBSERVE),
    ]
    built = made(*(decided(running(key=key(name)), *policies) for name in ("a", "b", "c")))
    for names in ([], ["b"], ["c", "a", "d"]):
        part, wanted = built.of([key(name) for name in names]), {key(name) for name in names} - {key("d")}
        for whole, some in ((built.orders, part.orders), (built.held, part.held), (built.notices, part.notices)):
            assert {one.key for one in some} == wanted
            assert list(some) == [one for one in whole if one.key in wanted]
