"""
Compiled policies say of every job exactly what ``decide`` says.
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from built import (
    CPU_NODES,
    NOW,
    OVER_A_DAY,
    P100,
    P100_NODES,
    RUNNING,
    TERMS,
    exemption,
    pending,
    policy,
    regex,
    running,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import ALL_CLAUSES, JOBS, sets

from guard.core.alternatives import Literal, alternatives
from guard.core.clock import ClockRule
from guard.core.compiled import Compiled, compile_policies
from guard.core.decide import decide
from guard.core.facts import ABSENT, UNREADABLE, Job, Missing, Resource
from guard.core.fields import FIELDS, Terms, facts_of
from guard.core.lookups import FLAVORS, MOST_KEPT, PLACES, SIZES, TEXTS, Kept
from guard.core.masks import GROWING, MOST_PREFIXES
from guard.core.patterns import glob
from guard.core.policy import All, Clause, Condition, Exemption, Not, Policy, PolicySet, Some
from guard.core.price import Per, Price, PriceBook, plain_book
from guard.core.sighting import Sighting, observe
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from guard.core.verdict import Verdict
from tests.changing import replace

WAITS = Condition("phase", "in", ("Creating", "Pending"))


def same(compiled: Compiled, job: Job, seen: Sighting, *, now_ms: int = NOW) -> None:
    """
    Hold the ruling on a job against the decision, twice: with tables that may be empty, and with what they kept.
    """
    decision = compiled.explain(job, seen, now_ms=now_ms)
    for ruling in compiled.rule([(job, seen), (job, seen)], now_ms=now_ms):
        assert [ruling.verdict(index) for index in range(len(decision.judgements))] == [
            one.verdict for one in decision.judgements
        ]
        deadlines = {index: one.deadline_ms for index, one in enumerate(decision.judgements)}
        assert ruling.deadlines() == {index: at_ms for index, at_ms in deadlines.items() if at_ms is not None}
        assert ruling.wake_ms == decision.wake_ms
        assert ruling.disputed is bool(decision.dispute)
        spared = {id(one.exemption): one.verdict for one in decision.spared}
        for index, one in enumerate(compiled.policies.exemptions):
            assert ruling.exempt >> index & 1 == (spared.get(id(one)) is Verdict.MATCH)
            assert ruling.doubts >> index & 1 == (spared.get(id(one)) is Verdict.UNKNOWN)
        doubtful = any(one.verdict is Verdict.UNKNOWN for one in decision.spared)
        assert ruling.matters is (bool(decision.matches) or doubtful)


def compiled_of(*policies: Policy, exemptions: Sequence[Exemption] = (), **options: Any) -> Compiled:
    """
    Return compiled policies and exemptions.
    """
    return compile_policies(PolicySet(policies=policies, exemptions=tuple(exemptions)), TERMS, **options)


@settings(max_examples=150, deadline=None)
@given(sets(), st.lists(JOBS, min_size=1, max_size=4), st.integers(0, 50), st.sampled_from([64, 64, 1]))
def test_rulings_equal_decisions(policies, jobs, later_ms, most):
    """
    Of any policies, exemptions and jobs with gaps, whether or not a rule has too many alternatives to be compiled.
    """
    compiled = compile_policies(policies, TERMS, most_of_one=most)
    for job in jobs:
        same(compiled, job, observe(None, job), now_ms=NOW + later_ms)


@settings(max_examples=100, deadline=None)
@given(sets(), JOBS, JOBS, st.integers(0, 50), st.sampled_from(ClockRule))
def test_rulings_equal_decisions_on_remembered_jobs(policies, before, job, later_ms, rule):
    """
    Of jobs that were seen before, in another state, by any rule for the clocks, and without prices.
    """
    compiled = compile_policies(policies, Terms(clock=rule))
    same(compiled, job, observe(observe(None, before), job), now_ms=NOW + later_ms)


def lines_of(rng: Random) -> Clause:
    """
    Return a clause about quantities on every line, and about what never changes.
    """
    name, limit = rng.choice(
        (
            ("duration", rng.randint(1, 40) * HOUR_MS),
            ("age", rng.randint(1, 60) * HOUR_MS),
            ("cost", Fraction(rng.randint(0, 900), 4)),
            ("card_hours", rng.randint(0, 900)),
            ("waiting", rng.randint(1, 30) * HOUR_MS),
            ("node_count", rng.randint(1, 8)),
            ("cost_rate", rng.randint(1, 30)),
            ("total_cards", rng.randint(1, 64)),
        )
    )
    if rng.random() < 0.2:
        return Condition("user", "in", ("ann", "bob"))
    if rng.random() < 0.1:
        return Condition(rng.choice(("description", "duration", "annotation.team")), "exists", rng.random() < 0.5)
    one = Condition(name, rng.choice(("gt", "gte", "lt", "lte")), limit)
    if rng.random() < 0.5:
        return one
    other = lines_of(rng)
    return rng.choice((All((one, other)), Some((one, other)), Not(Some((one, other))), Not(one)))


def random_job(rng: Random) -> Job:
    """
    Return a job of days, with any number of resources, rarely elastic, and rarely without one of its facts.
    """
    spent = rng.randint(0, 40) * HOUR_MS + rng.choice((0, 1, 5))
    make = pending if rng.random() < 0.1 else running
    resources = tuple(
        replace(rng.choice((P100_NODES, CPU_NODES)), node_count=rng.randint(1, 8))
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
    )
    job = make(
        spent,
        user=rng.choice(("ann", "bob", "eve")),
        pool_id=rng.choice((ABSENT, ABSENT, ABSENT, "pool")),
        annotations=rng.choice(({}, {"team": "vision"}, UNREADABLE)),
        resources=resources,
        node_counts=((NOW - spent, 2), (NOW - spent // 2, 3)) if rng.random() < 0.05 else (),
    )
    if rng.random() < 0.2:
        name = rng.choice(("user", "pool_id", "create_time_ms", "start_time_ms", "duration_ms", "phase", "node_counts"))
        job = replace(job, **{name: UNREADABLE})
    if rng.random() < 0.05:
        job = replace(job, resources=(Resource(), *job.resources) if rng.random() < 0.5 else ())
    return job


def test_rulings_equal_decisions_on_many_pairs():
    """
    Of 7,000 pairs, on every line of time, under 20 policies and two exemptions at once.
    """
    rng, met = Random(7), Counter[str]()
    for _ in range(10):
        phases = [rng.choice((RUNNING, RUNNING, WAITS)) for _ in range(20)]
        policies = [policy(lines_of(rng), clause=All((phase, lines_of(rng)))) for phase in phases]
        exemptions = [exemption(lines_of(rng), until_ms=NOW + rng.randint(-1, 9) * HOUR_MS) for _ in range(2)]
        compiled = compiled_of(*policies, exemptions=exemptions)
        for _ in range(35):
            job = random_job(rng)
            seen = observe(None, job)
            same(compiled, job, seen, now_ms=NOW + rng.choice((0, 1, HOUR_MS)))
            (ruling,) = compiled.rule([(job, seen)], now_ms=NOW)
            said = {
                "match": ruling.matches,
                "unknown": ruling.unknown,
                "exempt": ruling.exempt,
                "doubt": ruling.doubts,
                "run": ruling.run.ahead,
                "age": ruling.age.ahead,
                "clock": ruling.clock.ahead,
            }
            met.update(name for name, what in said.items() if what)
    assert min(met[name] for name in ("match", "unknown", "exempt", "doubt", "run", "age", "clock")) >= 10


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="plain"),
        pytest.param({"resources": (CPU_NODES, P100_NODES)}, id="hetero"),
        pytest.param({"resources": (CPU_NODES, Resource())}, id="one-resource-unreadable"),
        pytest.param({"resources": ()}, id="no-resources"),
        pytest.param({"pool_id": "pool"}, id="in-a-pool"),
        pytest.param({"pool_id": UNREADABLE}, id="pool-unreadable"),
        pytest.param({"node_counts": ((NOW - 20 * HOUR_MS, 4), (NOW - HOUR_MS, 2))}, id="elastic"),
        pytest.param({"node_counts": UNREADABLE}, id="nodes-unreadable"),
        pytest.param({"create_time_ms": UNREADABLE}, id="created-unreadable"),
        pytest.param({"create_time_ms": NOW + MINUTE_MS, "start_time_ms": NOW - HOUR_MS}, id="created-later"),
        pytest.param({"start_time_ms": UNREADABLE, "duration_ms": UNREADABLE}, id="no-clock"),
        pytest.param({"start_time_ms": NOW - 9 * HOUR_MS}, id="clocks-differ"),
        pytest.param({"annotations": {"team": "vision"}}, id="annotated"),
        pytest.param({"annotations": UNREADABLE}, id="annotations-unreadable"),
        pytest.param({"phase": "Completed"}, id="ended"),
        pytest.param({"phase": UNREADABLE}, id="phase-unreadable"),
        pytest.param({"user": UNREADABLE}, id="user-unreadable"),
        pytest.param({"resources": (replace(P100_NODES, node_count=-4),)}, id="rate-below-zero"),
    ],
)
@pytest.mark.parametrize("beside", [NOW, NOW + HOUR_MS, NOW + 90 * DAY_MS])
def test_every_kind_of_job(changes, beside):
    """
    Whatever is odd about a job, under policies on money, spans, cards, places, patterns and an end of an exemption.
    """
    spans = Some((OVER_A_DAY, Condition("age", "gt", 2 * DAY_MS)))
    compiled = compiled_of(
        policy(OVER_A_DAY),
        policy(Condition("billing_code", "eq", P100), Condition("cost", "gt", 700)),
        policy(Condition("cards", "gte", 32), Condition("card_hours", "gte", 900)),
        policy(Condition("cost_rate", "lt", 20), Not(Condition("total_cards", "gt", 40))),
        policy(spans, Condition("region", "eq", "cn-north-4"), Condition("pool_id", "exists", False)),
        policy(Not(Condition("name", "glob", regex("debug.*"))), Condition("annotation.team", "ne", "vision")),
        policy(Condition("flavor_type", "in", ("GPU", "Ascend"))),
        policy(Condition("duration", "exists", False), Condition("age", "exists", True)),
        policy(Not(Condition("cost", "exists", True)), Condition("card_hours", "exists", False)),
        policy(clause=All((WAITS, Condition("waiting", "gt", HOUR_MS)))),
        exemptions=[
            exemption(Condition("user", "eq", "bob"), OVER_A_DAY),
            exemption(Condition("annotation.team", "eq", "vision")),
            exemption(Condition("age", "exists", False)),
            exemption(Condition("duration", "lt", 26 * HOUR_MS), Condition("user", "eq", "ann")),
        ],
    )
    job = running(**changes)
    same(compiled, job, observe(None, job), now_ms=beside)


@pytest.mark.parametrize(
    "name", [UNREADABLE, "debug-1", "debug", "deb", "train-debug-1", "x-last", "b7", "", "DEBUG-1", "debug-1-last"]
)
@pytest.mark.parametrize(
    "globs",
    [
        pytest.param([], id="none"),
        pytest.param(["debug*"], id="a-beginning"),
        pytest.param(["debug*", "deb*", "*", "train-*"], id="several-beginnings"),
        pytest.param(["debug*", "*-last"], id="and-an-end"),
        pytest.param(["debug*", "d*b*"], id="and-a-middle"),
        pytest.param(["debug*", "debug-1"], id="and-a-whole"),
        pytest.param(["debug*", "debug-?"], id="and-one-of-re2"),
        pytest.param([f"b{number}*" for number in range(MOST_PREFIXES)], id="as-many-as-are-compared"),
        pytest.param([f"b{number}*" for number in range(MOST_PREFIXES + 1)], id="more-than-are-compared"),
    ],
)
@pytest.mark.parametrize("beside", [(), (Condition("name", "ne", "b7"),)], ids=["alone", "beside-another-condition"])
def test_globs_on_names(globs, name, beside):
    """
    Whether names are compared with beginnings or looked up in a table, the answers are those of ``decide``.
    """
    asked = [Condition("name", "glob", glob(text)) for text in globs]
    compiled = compiled_of(
        *[policy(OVER_A_DAY, each) for each in (*asked, *beside)],
        *[policy(Some((Not(each), Condition("user", "eq", "bob")))) for each in asked],
        exemptions=[exemption(each) for each in asked[:1]],
    )
    job = running(name=name)
    same(compiled, job, observe(None, job))


def test_only_the_clock_ends_an_exemption():
    """
    At the end of an exemption the job wakes, and is spared until then.
    """
    compiled = compiled_of(policy(OVER_A_DAY), exemptions=[exemption(Condition("user", "eq", "ann"))])
    job = running()
    for now_ms in (NOW, NOW + DAY_MS - 1, NOW + DAY_MS):
        same(compiled, job, observe(None, job), now_ms=now_ms)
    assert [one.wake_ms for one in compiled.rule([(job, observe(None, job))], now_ms=NOW)] == [NOW + DAY_MS]


def test_rules_that_are_not_compiled_still_count():
    """
    With no room for alternatives, for some of them and for all but the exemptions, the answers are the same.
    """
    either = Some((OVER_A_DAY, Condition("user", "eq", "bob")))
    policies = (policy(OVER_A_DAY), policy(either), policy(All((either, Condition("age", "lt", 2 * DAY_MS)))))
    spares = [exemption(Condition("user", "eq", "ann")), exemption(Some((Condition("user", "eq", "eve"), OVER_A_DAY)))]
    job = running()
    for options in ({"most_of_one": 1}, {"most_of_all": 3}, {"most_of_all": 0}, {"most_of_one": 0}):
        for exemptions in (spares, spares[:1], []):
            compiled = compiled_of(*policies, exemptions=exemptions, **options)
            for now_ms in (NOW, NOW + DAY_MS):
                same(compiled, job, observe(None, job), now_ms=now_ms)
                same(compiled, pending(), observe(None, pending()), now_ms=now_ms)


def test_nothing_to_say():
    """
    Without policies and exemptions every ruling is empty.
    """
    compiled = compiled_of()
    for job in (running(), pending(), running(resources=(), phase=UNREADABLE)):
        same(compiled, job, observe(None, job))


@settings(max_examples=100, deadline=None)
@given(ALL_CLAUSES, JOBS, st.booleans())
def test_alternatives_say_what_the_clause_says(clause, job, negated):
    """
    The best of the alternatives, each as bad as its worst literal, has the verdict of the clause.
    """
    clause = Not(clause) if negated else clause
    made = alternatives(clause, most=10_000)
    assert made is not None
    spelt = Some(tuple(All(tuple(Not(one.condition) if one.negated else one.condition for one in some)) for some in made))
    both = PolicySet(policies=(Policy(name="c", clause=All((clause,))), Policy(name="s", clause=All((spelt,)))))
    first, second = decide(both, job, observe(None, job), TERMS, now_ms=NOW).judgements
    assert (first.verdict, first.deadline_ms) == (second.verdict, second.deadline_ms)


def test_alternatives_are_limited():
    """
    One too many and there are none; equal ones count once, and so do equal literals.
    """
    here, there = Condition("user", "eq", "ann"), Condition("name", "eq", "x")
    assert alternatives(Some((here, there)), most=2) == ((Literal(here),), (Literal(there),))
    assert alternatives(Some((here, there)), most=1) is None
    assert alternatives(All((Some((here, there)), RUNNING)), most=1) is None
    assert alternatives(Not(All((here, All((here, here))))), most=1) == ((Literal(here, True),),)


def test_every_field_is_looked_up_somewhere():
    """
    A field is a place, a text, part of a resource, worked out of resources, a matter of time, or the phase.
    """
    worked_out = {"cards", "total_cards", "cost_rate", "phase"}
    named = ["user", "name", *PLACES, *TEXTS, *FLAVORS, *(name for name in SIZES if name in FIELDS), *GROWING, *worked_out]
    assert sorted(named) == sorted(FIELDS)
    job = running(description="d", engine="e", image="i", pool_id="p")
    known = facts_of(job, observe(None, job), TERMS, now_ms=NOW)[0]
    for name, where in {**PLACES, **TEXTS}.items():
        value: Any = job
        for part in where.split("."):
            value = getattr(value, part)
        assert known.get(name) == value


def test_tables_begin_anew_when_full():
    """
    A full table forgets what it kept and keeps the new entry.
    """
    table: Kept[int] = Kept.fromkeys(range(MOST_KEPT), 0)  # type: ignore[assignment]
    assert table.keep("new", 1) == 1
    assert table == {"new": 1}


CLOCKS = st.one_of(st.sampled_from([ABSENT, UNREADABLE, 0, 1_700_000_000]), st.integers(NOW - 3 * HOUR_MS, NOW + HOUR_MS))
SPENT = st.one_of(st.sampled_from([ABSENT, UNREADABLE, 0]), st.integers(-1, 3 * HOUR_MS))


@settings(max_examples=300, deadline=None)
@given(CLOCKS, CLOCKS, SPENT, SPENT, st.integers(0, HOUR_MS), st.sampled_from(ClockRule))
def test_every_pair_of_clocks(created, start, before, spent, later_ms, rule):
    """
    Whatever the clocks of two readings say, by each rule for them.
    """
    policies = (policy(Condition("duration", "gt", HOUR_MS)), policy(Condition("age", "gt", HOUR_MS)))
    compiled = compile_policies(PolicySet(policies=policies), Terms(clock=rule))
    job = running(create_time_ms=created, start_time_ms=start, duration_ms=spent)
    first = replace(job, duration_ms=before, read_at_ms=NOW - MINUTE_MS)
    same(compiled, job, observe(observe(None, first), job), now_ms=NOW + later_ms)


def test_prices_without_end_take_the_careful_way():
    """
    A price below zero and a pool that costs nothing are judged like any other.
    """
    for rate in (Fraction(-1), Fraction(0), Fraction(5)):
        terms = Terms(prices=plain_book("CNY", {}, pools={"pool": rate}))
        rules = (policy(Condition("cost", "gt", -1)), policy(Condition("cost", "lt", 50), OVER_A_DAY))
        compiled = compile_policies(PolicySet(policies=rules, exemptions=(exemption(OVER_A_DAY),)), terms)
        job = running(pool_id="pool")
        same(compiled, job, observe(None, job))


MOMENTS = st.one_of(st.none(), st.integers(-45, 60))
ENTRIES = st.lists(
    st.builds(
        lambda code, pool, price, since, hours: Price(
            code=code,
            pool_id="" if code else pool,
            price=price,
            per=Per.NODE_HOUR if price == 2 else Per.UNIT_HOUR,
            valid_from_ms=None if since is None else NOW + since * (HOUR_MS if hours else 1),
        ),
        st.sampled_from((P100, P100, "modelarts.vm.cpu.8u", "")),
        st.sampled_from(("pool", "a")),
        st.sampled_from((Fraction(0), Fraction(1, 3), Fraction(2), Fraction(20))),
        MOMENTS,
        st.booleans(),
    ),
    max_size=7,
)


@settings(max_examples=200, deadline=None)
@given(sets(), st.lists(JOBS, min_size=1, max_size=3), ENTRIES, st.integers(0, 70))
def test_rulings_equal_decisions_while_prices_change(policies, jobs, entries, later_ms):
    """
    Of jobs of milliseconds with gaps, whatever prices began before, in or after their runs.
    """
    compiled = compile_policies(policies, Terms(prices=PriceBook(currency="CNY", entries=tuple(entries))))
    for job in jobs:
        same(compiled, job, observe(None, job), now_ms=NOW + later_ms)


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), ENTRIES)
def test_rulings_equal_decisions_on_long_jobs_while_prices_change(rng, entries):
    """
    Of jobs of days, elastic ones too, under clauses on every quantity.
    """
    policies = tuple(policy(lines_of(rng)) for _ in range(3))
    spared = (exemption(lines_of(rng), until_ms=NOW + rng.randint(-1, 40) * HOUR_MS),)
    terms = Terms(prices=PriceBook(currency="CNY", entries=tuple(entries)))
    compiled = compile_policies(PolicySet(policies=policies, exemptions=spared), terms)
    for _ in range(3):
        job = random_job(rng)
        same(compiled, job, observe(None, job), now_ms=NOW + rng.choice((0, 1, HOUR_MS, 3 * HOUR_MS)))


def test_a_job_that_began_after_the_last_change_takes_the_short_way():
    """
    A price that changed before the run is like one that never did; at the very start of the run too.
    """
    for since in (25 * HOUR_MS + 1, 25 * HOUR_MS, 25 * HOUR_MS - 1):
        entries = (Price(code=P100, price=Fraction(1)), Price(code=P100, price=Fraction(2), valid_from_ms=NOW - since))
        rules = (policy(Condition("cost", "gt", 300)), policy(Condition("cost_rate", "gte", 16)))
        compiled = compile_policies(PolicySet(policies=rules), Terms(prices=PriceBook(currency="CNY", entries=entries)))
        same(compiled, running(), observe(None, running()))
        # On the time line of the run stands only what the short way found.
        assert bool(compiled.rule([(running(), observe(None, running()))], now_ms=NOW)[0].run.since) is (
            since >= 25 * HOUR_MS
        )


def test_missing_facts_are_told_apart():
    """
    The two reasons for a missing fact are different keys of a table.
    """
    assert len({Missing.ABSENT, Missing.UNREADABLE, ABSENT, UNREADABLE}) == 2
