"""
What must hold for every policy and every job: nothing missing ever adds a termination, and no deadline is off.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from built import CPU_NODES, KEY, NOW, P100, P100_NODES, RUNNING, TERMS, facts, key, regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.core.clock import TOLERANCE_MS, ClockRule, running_time
from guard.core.decide import Decision, decide
from guard.core.facts import ABSENT, TERMINABLE_PHASES, UNREADABLE, Growing, Job, Missing, Resource
from guard.core.fields import facts_of
from guard.core.hold import Hold
from guard.core.judge import judge, turning_points
from guard.core.limits import Allowance
from guard.core.plan import Attempt, Standing, plan
from guard.core.policy import Act, All, Clause, Condition, Exemption, Mode, Not, Policy, PolicySet, Some
from guard.core.sighting import Sighting, observe
from guard.core.spans import MINUTE_MS
from guard.core.verdict import Verdict, some
from guard.core.windows import Window
from tests.changing import replace

EXAMPLES = settings(max_examples=100, deadline=None)
TEXTS = ("a", "b", P100)
LAWFUL = ("pool_id", "description", "engine", "image")
HALVES = st.integers(0, 12).map(lambda n: Fraction(n, 2))
TEXT = st.sampled_from(TEXTS)
PATTERNS = st.sampled_from([regex("a|b"), regex(".*p100.*"), regex(".*")])


def text_condition(name: str) -> st.SearchStrategy[Condition]:
    """
    Return conditions on a field that is text.
    """
    listed = st.lists(TEXT, min_size=1, max_size=2).map(tuple)
    return st.one_of(
        st.builds(Condition, st.just(name), st.sampled_from(["eq", "ne"]), TEXT),
        st.builds(Condition, st.just(name), st.sampled_from(["in", "not_in"]), listed),
        st.builds(Condition, st.just(name), st.sampled_from(["glob", "regex"]), PATTERNS),
    )


def number_condition(name: str, numbers: st.SearchStrategy[Any], *, grows: bool = False) -> st.SearchStrategy[Condition]:
    """
    Return conditions on a field that is a number or a span.
    """
    ops = ["gt", "gte", "lt", "lte"] if grows else ["gt", "gte", "lt", "lte", "eq", "ne"]
    return st.builds(Condition, st.just(name), st.sampled_from(ops), numbers)


def nested(conditions: st.SearchStrategy[Clause]) -> st.SearchStrategy[Clause]:
    """
    Return clauses of these conditions, nested freely.
    """
    return st.recursive(
        conditions,
        lambda part: st.one_of(
            st.lists(part, min_size=1, max_size=3).map(lambda parts: All(tuple(parts))),
            st.lists(part, min_size=1, max_size=3).map(lambda parts: Some(tuple(parts))),
            part.map(Not),
        ),
        max_leaves=6,
    )


SMALL = st.integers(0, 40)
PLAIN = st.one_of(
    *(text_condition(name) for name in ("billing_code", "user", "name", "pool_id", "annotation.team")),
    *(number_condition(name, st.integers(0, 9)) for name in ("node_count", "unit_num", "cards", "total_cards")),
    *(number_condition(name, SMALL, grows=True) for name in ("duration", "age", "waiting")),
    *(number_condition(name, HALVES, grows=True) for name in ("cost", "card_hours")),
    number_condition("cost_rate", HALVES.map(lambda half: half * 20)),
)
EXISTS = st.builds(
    Condition, st.sampled_from(["pool_id", "description", "annotation.team", "user"]), st.just("exists"), st.booleans()
)
CLAUSES = nested(PLAIN)
ALL_CLAUSES = nested(st.one_of(PLAIN, EXISTS))
GROWING = nested(
    st.one_of(
        number_condition("duration", SMALL, grows=True),
        number_condition("age", SMALL, grows=True),
        number_condition("cost", HALVES, grows=True),
        number_condition("card_hours", HALVES, grows=True),
        text_condition("user"),
    )
)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """
    Return a value or that it is unreadable.
    """
    return st.one_of(values, st.just(UNREADABLE))


def lawful(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """
    Return a value, that it is absent, or that it is unreadable.
    """
    return st.one_of(values, st.sampled_from([ABSENT, UNREADABLE]))


RESOURCES = st.builds(
    Resource,
    billing_code=maybe(st.sampled_from([P100, "a", "modelarts.vm.cpu.8u"])),
    unit_num=maybe(st.integers(0, 4)),
    node_count=maybe(st.integers(0, 9)),
    cards_per_node=maybe(st.sampled_from([0, 1, 8])),
)
PHASES = st.sampled_from(
    ["Running", "Running", "Running", "Pending", "Creating", "Terminating", "Completed", "Odd", UNREADABLE]
)
JOBS = st.builds(
    Job,
    key=st.sampled_from("abcdef").map(key),
    target=st.just("lab"),
    read_at_ms=st.integers(NOW - 5, NOW),
    phase=PHASES,
    name=maybe(TEXT),
    user=maybe(TEXT),
    pool_id=lawful(TEXT),
    description=lawful(TEXT),
    annotations=st.one_of(st.just(UNREADABLE), st.dictionaries(st.just("team"), TEXT)),
    create_time_ms=maybe(SMALL.map(lambda ago: NOW - ago)),
    start_time_ms=lawful(st.one_of(st.just(0), SMALL.map(lambda ago: NOW - ago))),
    duration_ms=lawful(SMALL),
    resources=st.lists(RESOURCES, max_size=3).map(tuple),
)
POLICIES = st.lists(
    st.builds(
        Policy,
        name=st.sampled_from(["p1", "p2", "p3"]),
        clause=st.one_of(
            ALL_CLAUSES.map(lambda clause: All((RUNNING, clause))),
            ALL_CLAUSES.map(
                lambda clause: All((Condition("phase", "in", ("Pending", "Completed", "Running", "Odd")), clause))
            ),
            ALL_CLAUSES.map(lambda clause: All((clause,))),
        ),
        mode=st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE, Mode.OBSERVE]),
        action=st.sampled_from([Act.TERMINATE, Act.TERMINATE, Act.TERMINATE, Act.NOTIFY]),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
EXEMPTIONS = st.lists(
    st.builds(
        Exemption,
        name=st.just("e"),
        clause=ALL_CLAUSES.map(lambda clause: All((clause,))),
        reason=st.just("r"),
        owner=st.just("o"),
        until_ms=st.integers(NOW - 1, NOW + 30),
    ),
    max_size=2,
).map(tuple)


@st.composite
def sets(draw: Any) -> PolicySet:
    """
    Return a set of policies and exemptions.
    """
    return PolicySet(policies=draw(POLICIES), exemptions=draw(EXEMPTIONS))


def decision_on(policies: PolicySet, job: Job, *, now_ms: int = NOW) -> Decision:
    """
    Return the decision on a job that was seen once.
    """
    return decide(policies, job, observe(None, job), TERMS, now_ms=now_ms)


NAMED: Mapping[str, st.SearchStrategy[Any]] = {
    "billing_code": TEXT,
    "user": TEXT,
    "name": TEXT,
    "pool_id": TEXT,
    "node_count": st.integers(0, 9),
    "unit_num": st.integers(0, 9),
    "cards": st.integers(0, 9),
    "total_cards": st.integers(0, 9),
    "duration": st.builds(Growing, SMALL, st.just(0), st.just(1)),
    "age": st.builds(Growing, SMALL, st.just(0), st.just(1)),
    "waiting": st.builds(Growing, SMALL, st.just(0), st.just(1)),
    "cost": st.builds(Growing, HALVES, st.just(0), HALVES),
    "card_hours": st.builds(Growing, HALVES, st.just(0), HALVES),
    "cost_rate": HALVES,
}
COMPLETE = st.fixed_dictionaries({**NAMED, "annotations": st.fixed_dictionaries({"team": TEXT})})
MISSING = st.lists(
    st.fixed_dictionaries({}, optional={name: st.sampled_from([ABSENT, UNREADABLE]) for name in [*NAMED, "annotations"]}),
    min_size=1,
    max_size=2,
)


@EXAMPLES
@given(CLAUSES, MISSING, st.data(), st.integers(0, 60))
def test_a_sure_verdict_survives_every_completion(clause, gaps, data, at_ms):
    """
    What was sure of facts with gaps stays so, however the gaps are filled, over all resources of a job.
    """
    whole = [data.draw(COMPLETE) for _ in gaps]
    partial = [
        {**full, **{name: {} if (name, lack) == ("annotations", ABSENT) else lack for name, lack in gap.items()}}
        for full, gap in zip(whole, gaps, strict=True)
    ]
    before = some(judge(clause, facts(**one), at_ms=at_ms) for one in partial)
    after = some(judge(clause, facts(**one), at_ms=at_ms) for one in whole)
    assert before in (after, Verdict.UNKNOWN)
    assert after is not Verdict.UNKNOWN


@EXAMPLES
@given(nested(PLAIN), st.lists(RESOURCES, min_size=1, max_size=3), st.data())
def test_a_sure_verdict_survives_better_readings(clause, resources, data):
    """
    What was sure of a job with unreadable resources stays so when these are read.
    """
    job = Job(key=KEY, target="lab", read_at_ms=NOW, phase="Running", duration_ms=20, start_time_ms=NOW - 20, pool_id=ABSENT)

    def filled(resource: Resource) -> Resource:
        return Resource(
            billing_code=read(resource.billing_code, st.sampled_from([P100, "a"])),
            unit_num=read(resource.unit_num, st.integers(0, 4)),
            node_count=read(resource.node_count, st.integers(0, 9)),
            cards_per_node=read(resource.cards_per_node, st.sampled_from([0, 8])),
        )

    def read(fact: Any, values: st.SearchStrategy[Any]) -> Any:
        return data.draw(values) if isinstance(fact, Missing) else fact

    policies = PolicySet(policies=(Policy(name="p", clause=All((clause,))),))
    before = decision_on(policies, replace(job, resources=tuple(resources))).judgements[0].verdict
    after = decision_on(policies, replace(job, resources=tuple(filled(one) for one in resources))).judgements[0].verdict
    assert before in (after, Verdict.UNKNOWN)


STANDINGS = st.builds(
    Standing,
    closed=st.sampled_from([None, None, None, Hold(reason="paused", text="t")]),
    open_jobs=st.sets(st.sampled_from("abcdef").map(key), max_size=2),
    attempts=st.dictionaries(
        st.sampled_from("abcdef").map(key),
        st.builds(Attempt, run=st.integers(1, 2), fingerprint=st.just("0"), closed_ms=st.just(NOW), count=st.just(1)),
        max_size=2,
    ),
    allowance=st.one_of(
        st.just(Allowance(total=None)), st.builds(Allowance, total=st.integers(0, 4), limit=st.just("max_terminations"))
    ),
    window=st.builds(Window, total=st.integers(0, 3)),
)
MANY = st.lists(JOBS, max_size=6, unique_by=lambda job: job.key)


@EXAMPLES
@given(sets(), MANY, STANDINGS)
def test_only_a_match_is_ever_planned(policies, jobs, standing):
    """
    Every order is a MATCH of a policy that terminates, on a job that can be terminated and that nothing spares.
    """
    decisions = [decision_on(policies, job) for job in jobs]
    orders = plan(decisions, standing).orders
    for order in orders:
        job, clause = order.decision.job, order.judgement.policy.clause
        assert order.judgement.policy.mode is Mode.ENFORCE
        assert order.judgement.policy.action is Act.TERMINATE
        assert job.phase in TERMINABLE_PHASES
        known = facts_of(job, order.decision.seen, TERMS, now_ms=NOW)
        assert some(judge(clause, one, at_ms=NOW) for one in known) is Verdict.MATCH
        for rule in policies.exemptions:
            spares = some(judge(rule.clause, one, at_ms=NOW, absent_is_no=True) for one in known)
            assert spares is Verdict.NO_MATCH or rule.until_ms <= NOW
        assert order.key not in standing.open_jobs
        assert standing.closed is None
        assert max(order.deadline_ms, order.decision.seen.first_seen_ms) <= order.due_ms <= NOW
    allowed = standing.allowance.total
    assert allowed is None or len(orders) <= max(0, allowed - standing.window.total)
    assert len({order.key for order in orders}) == len(orders)


UNREAD: Mapping[str, Any] = {
    **dict.fromkeys(("phase", "name", "user", "pool_id", "description", "annotations", "create_time_ms"), UNREADABLE),
    "resources": (),
}


def one_worse(job: Job, data: st.DataObject) -> Job:
    """
    Return the job with one of its facts unreadable: of its own, or of one of its resources.
    """
    names = sorted(UNREAD)
    if not job.resources:
        name = data.draw(st.sampled_from(names))
        return replace(job, **{name: UNREAD[name]})
    name = data.draw(st.sampled_from([*names, "billing_code", "unit_num", "node_count", "cards_per_node"]))
    if name in UNREAD:
        return replace(job, **{name: UNREAD[name]})
    index = data.draw(st.integers(0, len(job.resources) - 1))
    worse = replace(job.resources[index], **{name: UNREADABLE})
    return replace(job, resources=(*job.resources[:index], worse, *job.resources[index + 1 :]))


@settings(max_examples=150, deadline=None)
@given(sets(), JOBS, st.data())
def test_an_unreadable_fact_never_adds_an_order(policies, job, data):
    """
    Whatever becomes unreadable, no order is added, exemptions included.
    """
    after = plan([decision_on(policies, one_worse(job, data))], Standing()).orders
    assert not after or plan([decision_on(policies, job)], Standing()).orders


@settings(max_examples=150, deadline=None)
@given(st.lists(CLAUSES, min_size=1, max_size=2), JOBS, st.sampled_from([*LAWFUL, "annotations"]))
def test_a_fact_that_goes_missing_never_adds_an_order(clauses, job, name):
    """
    Whatever lawfully goes missing, policies that do not ask for absence order nothing more.
    """
    policies = PolicySet(
        policies=tuple(Policy(name="p", clause=All((one,)), mode=Mode.ENFORCE) for one in clauses),
    )
    absent = replace(job, **{name: {} if name == "annotations" else ABSENT})
    if name == "pool_id" and not isinstance(job.pool_id, str):
        absent = job
    after = plan([decision_on(policies, absent)], Standing()).orders
    assert not after or plan([decision_on(policies, job)], Standing()).orders


@EXAMPLES
@given(sets(), MANY, STANDINGS, st.randoms(use_true_random=False))
def test_the_order_of_jobs_changes_nothing(policies, jobs, standing, random):
    """
    Orders, holds and notices are the same in whatever order the jobs were read.
    """
    decisions = [decision_on(policies, job) for job in jobs]
    shuffled = random.sample(decisions, len(decisions))
    assert plan(shuffled, standing) == plan(decisions, standing)


GRID = 45


@settings(max_examples=80, deadline=None)
@given(
    GROWING,
    st.lists(
        st.fixed_dictionaries(
            {
                "user": maybe(TEXT),
                "duration": maybe(st.builds(Growing, SMALL, st.just(0), st.just(1))),
                "age": maybe(st.builds(Growing, SMALL, st.just(0), st.just(1))),
                "cost": maybe(st.builds(Growing, HALVES, st.just(0), st.integers(0, 6).map(lambda n: Fraction(n, 7)))),
                "card_hours": maybe(st.builds(Growing, HALVES, st.just(0), st.just(Fraction(1, 3)))),
            }
        ),
        min_size=1,
        max_size=2,
    ),
)
def test_verdicts_change_only_at_turning_points(clause, named):
    """
    Between two turning points every verdict is constant, by trying every millisecond.
    """
    known = [facts(**one) for one in named]
    turns = {turn for one in known for turn in turning_points(clause, one)}
    for one in known:
        for at_ms in range(-GRID, GRID):
            if at_ms not in turns:
                assert judge(clause, one, at_ms=at_ms) is judge(clause, one, at_ms=at_ms - 1)


def small_job(elapsed_ms: int, age_ms: int) -> Job:
    """
    Return a job that began so few milliseconds ago that each of them can be tried; it gathers fast money.
    """
    return Job(
        key=KEY,
        target="lab",
        read_at_ms=NOW,
        phase="Running",
        user="a",
        create_time_ms=NOW - elapsed_ms - age_ms,
        start_time_ms=NOW - elapsed_ms,
        duration_ms=elapsed_ms,
        resources=(replace(P100_NODES, unit_num=200_000), replace(CPU_NODES, node_count=9)),
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(GROWING, min_size=1, max_size=2), EXEMPTIONS, st.integers(1, 30), st.integers(0, 10))
@example([Not(All((Condition("duration", "gte", 10), Condition("duration", "lt", 12))))], (), 11, 0)
def test_deadline_and_wake_are_those_of_brute_force(clauses, exemptions, elapsed_ms, age_ms):
    """
    The computed deadline and the next wake equal those that are found by deciding on every millisecond.
    """
    policies = PolicySet(
        policies=tuple(Policy(name=f"p{n}", clause=All((RUNNING, one))) for n, one in enumerate(clauses)),
        exemptions=exemptions,
    )
    job = small_job(elapsed_ms, age_ms)
    now = decision_on(policies, job)
    tried = {at_ms: brute_force(policies, job, at_ms) for at_ms in range(NOW - elapsed_ms, NOW + GRID)}
    wake = next((at_ms for at_ms in range(NOW + 1, NOW + GRID) if tried[at_ms] != tried[NOW]), None)
    assert wake == (now.wake_ms if now.wake_ms is not None and now.wake_ms < NOW + GRID else None)
    for index, judgement in enumerate(now.judgements):
        found = first_of_match({at_ms: matches[index] for at_ms, matches in tried.items()})
        computed = judgement.deadline_ms
        assert found == (computed if computed is not None and computed < NOW + GRID else None)


def brute_force(policies: PolicySet, job: Job, at_ms: int) -> list[bool]:
    """
    Return whether each policy matches at that millisecond, and whether the job is exempt, by the facts of that millisecond.
    """
    known = facts_of(job, observe(None, job), TERMS, now_ms=at_ms)
    matches = [some(judge(one.clause, each, at_ms=at_ms) for each in known) is Verdict.MATCH for one in policies.policies]
    spares = [
        some(judge(one.clause, each, at_ms=at_ms, absent_is_no=True) for each in known)
        for one in policies.exemptions
        if at_ms < one.until_ms
    ]
    return [*matches, any(one is not Verdict.NO_MATCH for one in spares)]


def first_of_match(matches: Mapping[int, bool]) -> int | None:
    """
    Return the first millisecond of the match that holds at NOW, or of the next one, by trying each.
    """
    if not matches[NOW]:
        return next((at_ms for at_ms in range(NOW + 1, max(matches) + 1) if matches[at_ms]), None)
    first = NOW
    while matches.get(first - 1, False):
        first -= 1
    return first


READINGS = st.lists(
    st.fixed_dictionaries(
        {
            "read_at_ms": st.integers(NOW, NOW + 60 * MINUTE_MS),
            "phase": PHASES,
            "start_time_ms": lawful(st.one_of(st.just(0), st.integers(NOW - 60 * MINUTE_MS, NOW + 90 * MINUTE_MS))),
            "duration_ms": lawful(st.one_of(st.just(0), st.integers(-5, 200 * MINUTE_MS))),
        }
    ),
    min_size=1,
    max_size=6,
)


@EXAMPLES
@given(READINGS, st.sampled_from(ClockRule), st.integers(0, 30 * MINUTE_MS))
def test_sightings_and_clocks(readings, rule, later_ms):
    """
    A reading seen twice changes nothing, the memory never goes back, and no job runs longer than it exists.
    """
    created = NOW - 30 * MINUTE_MS
    memory: Sighting | None = None
    for reading in readings:
        job = Job(key=KEY, target="lab", create_time_ms=created, **reading)
        seen = observe(memory, job)
        assert observe(seen, job) == seen
        if memory is not None:
            assert seen.run >= memory.run
            assert seen.last_seen_ms >= memory.last_seen_ms
            assert seen.ran >= memory.ran
        memory = seen
        now_ms = job.read_at_ms + later_ms
        fact = running_time(job, seen, rule, now_ms=now_ms).fact
        if not isinstance(fact, Missing):
            assert 0 <= fact.at(now_ms) <= now_ms - created + TOLERANCE_MS
        assert seen.waiting_since_ms is None or seen.waiting_since_ms <= seen.last_seen_ms


@EXAMPLES
@given(READINGS, st.sampled_from(["start_time_ms", "duration_ms"]), st.sampled_from([0, ABSENT, UNREADABLE, -1]))
def test_a_reading_that_loses_a_clock_never_makes_the_job_older(readings, lost, nothing):
    """
    With the smaller clock counting, a newer reading that lacks one of the clocks shows no more time than passed.
    """
    memory: Sighting | None = None
    jobs = [Job(key=KEY, target="lab", **{**reading, "phase": "Running"}) for reading in readings]
    for last in sorted(jobs, key=lambda one: one.read_at_ms):
        memory = observe(memory, last)
    assert memory is not None
    now_ms = memory.last_seen_ms + 7
    before = running_time(last, memory, ClockRule.SMALLER, now_ms=now_ms).fact
    worse = replace(last, **{lost: nothing}, read_at_ms=now_ms)
    after = running_time(worse, observe(memory, worse), ClockRule.SMALLER, now_ms=now_ms).fact
    if isinstance(before, Growing) and isinstance(after, Growing):
        assert after.at(now_ms) <= before.at(now_ms)
