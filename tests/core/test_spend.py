"""
Money over time: the pieces of a run, prices that begin, nodes that come and go, and what makes the sum unknown.
"""

from fractions import Fraction

import pytest
from built import CPU_NODES, NOW, P100, P100_NODES, decided, facts, pending, policy, running

from guard.core.decide import decide
from guard.core.facts import ABSENT, UNREADABLE, Bent, Growing, Stepped
from guard.core.fields import Terms, facts_of
from guard.core.judge import explain, judge, show_fact
from guard.core.policy import Condition, PolicySet
from guard.core.price import Per, Price, PriceBook
from guard.core.sighting import observe
from guard.core.spans import HOUR_MS
from guard.core.spend import items_of, rate_of_job, rates_of, resources_now, spent
from guard.core.verdict import Verdict
from tests.changing import replace


def book(*entries: Price) -> PriceBook:
    """
    Return a price book of these entries.
    """
    return PriceBook(currency="CNY", entries=entries)


def price(amount: int, hours: int | None = None, **changes: object) -> Price:
    """
    Return the price of a unit of P100 that counts from so many hours after NOW on, or always.
    """
    since = None if hours is None else NOW + hours * HOUR_MS
    return replace(Price(code=P100, price=Fraction(amount), valid_from_ms=since), **changes)


ONE = replace(P100_NODES, unit_num=1, node_count=1)
RISING = book(price(1), price(2, -2), price(4, 3))


def money_of(job, prices, *, now_ms=NOW):
    """
    Return the facts cost_rate and cost of a job.
    """
    named = facts_of(job, observe(None, job), Terms(prices=prices), now_ms=now_ms)[0].named
    return named["cost_rate"], named["cost"]


def test_a_price_that_changes_during_the_run():
    """
    The cost grows piece by piece, and the rate takes a step at each change.
    """
    rate, cost = money_of(running(10 * HOUR_MS, resources=(ONE,)), RISING)
    assert rate == Stepped(Fraction(1), ((NOW - 2 * HOUR_MS, Fraction(2)), (NOW + 3 * HOUR_MS, Fraction(4))))
    assert [rate.at(NOW + hours * HOUR_MS) for hours in (-3, -2, 0, 3)] == [1, 2, 2, 4]
    assert [cost.at(NOW + hours * HOUR_MS) for hours in (-10, -2, 0, 3, 4)] == [0, 8, 12, 18, 22]
    assert cost.at(NOW - 11 * HOUR_MS) == -1
    assert [show_fact(name, fact, NOW) for name, fact in (("cost_rate", rate), ("cost", cost))] == ["2", "12"]


@pytest.mark.parametrize(
    ("hours", "rate"),
    [
        pytest.param(1, Stepped(Fraction(2), ((NOW + 3 * HOUR_MS, Fraction(4)),)), id="after-a-change"),
        pytest.param(2, Stepped(Fraction(2), ((NOW + 3 * HOUR_MS, Fraction(4)),)), id="at-a-change"),
    ],
)
def test_what_was_before_the_run_does_not_matter(hours, rate):
    """
    A run that began after a change, or with it, knows nothing of the price before.
    """
    assert money_of(running(hours * HOUR_MS, resources=(ONE,)), RISING)[0] == rate


def test_a_price_that_only_begins():
    """
    Before its first moment a price is unknown; what a run has cost that began before it stays unknown.
    """
    rate, cost = money_of(running(10 * HOUR_MS), book(price(1, -2)))
    assert rate == Stepped(UNREADABLE, ((NOW - 2 * HOUR_MS, Fraction(8)),))
    assert cost is UNREADABLE
    assert show_fact("cost_rate", rate, NOW - 3 * HOUR_MS) == "unreadable"
    assert money_of(running(2 * HOUR_MS), book(price(1, -2)))[1].at(NOW) == 16


@pytest.mark.parametrize(
    ("limit", "strictly", "turn"),
    [
        pytest.param(-1, False, -11, id="before-the-run"),
        pytest.param(0, False, -10, id="at-the-start"),
        pytest.param(8, False, -2, id="at-a-bend"),
        pytest.param(10, False, -1, id="between-bends"),
        pytest.param(22, False, 4, id="after-the-last-bend"),
    ],
)
def test_when_money_reaches_a_limit(limit, strictly, turn):
    """
    The turn is exact on every piece, and a strict one comes a millisecond later.
    """
    cost = money_of(running(10 * HOUR_MS, resources=(ONE,)), RISING)[1]
    assert cost.reaches(limit, strictly=strictly) == NOW + turn * HOUR_MS
    assert cost.reaches(limit, strictly=True) == NOW + turn * HOUR_MS + 1


def test_money_that_stands_still_for_a_while():
    """
    On a flat piece nothing turns: what is not reached waits for the next one, and what was always so never turns.
    """
    free_between = money_of(running(10 * HOUR_MS, resources=(ONE,)), book(price(1), price(0, -2), price(1, 3)))[1]
    assert free_between.reaches(8, strictly=False) == NOW - 2 * HOUR_MS
    assert free_between.reaches(8, strictly=True) == NOW + 3 * HOUR_MS + 1
    free_first = money_of(running(10 * HOUR_MS, resources=(ONE,)), book(price(0), price(1, -2)))[1]
    assert free_first.reaches(0, strictly=False) is None
    assert free_first.reaches(0, strictly=True) == NOW - 2 * HOUR_MS + 1
    free_last = money_of(running(10 * HOUR_MS, resources=(ONE,)), book(price(1), price(0, -2)))[1]
    assert free_last.reaches(8, strictly=False) == NOW - 2 * HOUR_MS
    assert free_last.reaches(8, strictly=True) is None
    assert free_last.reaches(9, strictly=False) is None


def test_a_jump_is_met_at_its_first_millisecond():
    """
    Pieces that overlap by less than a millisecond are taken from where each begins.
    """
    steep = Bent((Growing(0, 0, Fraction(1, 3)), Growing(Fraction(1, 3), 1, 10**6)))
    assert steep.reaches(Fraction(1, 3), strictly=False) == 1
    assert steep.reaches(Fraction(1, 3), strictly=True) == 2


def test_elastic_jobs():
    """
    The rate is that of the present nodes, and the cost that of the nodes of each time.
    """
    counts = ((NOW - 4 * HOUR_MS, 2), (NOW - HOUR_MS, 3), (NOW + 1, 9))
    job = running(10 * HOUR_MS, resources=(ONE,), node_counts=counts)
    rate, cost = money_of(job, RISING)
    assert [rate.at(NOW + hours * HOUR_MS) for hours in (-10, -4, -2, -1, 0, 3)] == [0, 2, 4, 6, 6, 12]
    assert [cost.at(NOW + hours * HOUR_MS) for hours in (-4, -2, -1, 0, 4)] == [0, 4, 8, 14, 14 + 18 + 12]
    assert rate_of_job(job, RISING, now_ms=NOW) == 6
    assert [one.node_count for one in resources_now(job)] == [3]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"node_counts": UNREADABLE}, id="counts-unreadable"),
        pytest.param({"node_counts": ((NOW + 1, 4),)}, id="all-counts-of-the-future"),
        pytest.param({"resources": (P100_NODES, CPU_NODES)}, id="which-resource-is-elastic"),
        pytest.param({"resources": (replace(P100_NODES, node_count=0),)}, id="no-nodes-to-scale-by"),
    ],
)
def test_elastic_jobs_in_doubt(changes):
    """
    With any doubt about the nodes, rate and cost are unreadable, and so are the nodes that it has.
    """
    job = running(4 * HOUR_MS, **{"node_counts": ((NOW - 4 * HOUR_MS, 4),), **changes})
    assert money_of(job, RISING) == (UNREADABLE, UNREADABLE)
    assert rate_of_job(job, RISING, now_ms=NOW) is UNREADABLE
    assert spent(job, RISING, begin_ms=NOW - 1, end_ms=NOW) is UNREADABLE
    assert {one.node_count for one in resources_now(job)} == {UNREADABLE}


def test_nodes_of_other_jobs_are_those_they_were_given():
    """
    A job that is not elastic, or does not run, has the nodes of its resource.
    """
    assert resources_now(running()) == (P100_NODES,)
    waits = pending(node_counts=((NOW - 1, 1),))
    assert resources_now(waits) == (P100_NODES,)
    assert rate_of_job(waits, RISING, now_ms=NOW) == 2 * 8


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        pytest.param({"duration_ms": 2 * HOUR_MS, "start_time_ms": NOW - 3 * HOUR_MS}, 1 + 2, id="over-a-change"),
        pytest.param({"duration_ms": 2 * HOUR_MS, "start_time_ms": ABSENT}, None, id="when-is-not-known"),
        pytest.param({"duration_ms": 0, "start_time_ms": ABSENT}, 0, id="it-did-not-run"),
        pytest.param({"duration_ms": ABSENT}, None, id="how-long-is-not-known"),
        pytest.param({"node_counts": ((NOW - 4 * HOUR_MS, 4),)}, None, id="elastic"),
    ],
)
def test_a_run_that_is_over(changes, cost):
    """
    What it cost is known if it is known when it ran, as far as that matters.
    """
    fact = money_of(running(4 * HOUR_MS, **{"phase": "Completed", "resources": (ONE,), **changes}), RISING)[1]
    assert (None if fact is UNREADABLE else fact) == (None if cost is None else Growing(Fraction(cost), NOW, 0))


def test_the_pieces_of_a_run():
    """
    Each piece names its time and what is charged in it, and together they are the cost.
    """
    job = running(4 * HOUR_MS, resources=(ONE, CPU_NODES))
    prices = book(
        price(1), price(2, -2), Price(glob=None, code="modelarts.vm.cpu.8u", price=Fraction(1, 2), per=Per.NODE_HOUR)
    )
    first, last = items_of(job, prices, begin_ms=NOW - 4 * HOUR_MS, end_ms=NOW)
    assert (first.begin_ms, first.end_ms, last.end_ms) == (NOW - 4 * HOUR_MS, NOW - 2 * HOUR_MS, NOW)
    assert [(one.code, one.entry.price, one.units, one.nodes) for one in last.charges] == [
        (P100, 2, 1, 1),
        ("modelarts.vm.cpu.8u", Fraction(1, 2), 1, 8),
    ]
    assert (first.cost, last.cost) == (10, 12)
    assert spent(job, prices, begin_ms=NOW - 4 * HOUR_MS, end_ms=NOW) == 22
    assert items_of(job, book(price(1)), begin_ms=NOW - 1, end_ms=NOW) is UNREADABLE


IN_POOL = book(price(3), Price(pool_id="p", code=P100, price=Fraction(5)), Price(pool_id="q", price=Fraction(7)))


@pytest.mark.parametrize(
    ("pool", "resource", "rate"),
    [
        pytest.param("p", P100_NODES, 40, id="a-price-for-the-code"),
        pytest.param("p", CPU_NODES, 0, id="no-price-for-the-code"),
        pytest.param("p", replace(P100_NODES, billing_code=UNREADABLE), UNREADABLE, id="which-code"),
        pytest.param("q", replace(P100_NODES, billing_code=UNREADABLE), 56, id="any-code"),
        pytest.param("q", replace(P100_NODES, unit_num=UNREADABLE), UNREADABLE, id="how-many-units"),
        pytest.param("r", replace(P100_NODES, billing_code=UNREADABLE), 0, id="no-shadow-price"),
        pytest.param(UNREADABLE, P100_NODES, UNREADABLE, id="which-pool"),
        pytest.param(ABSENT, P100_NODES, 24, id="no-pool"),
    ],
)
def test_pools(pool, resource, rate):
    """
    In a pool only its shadow prices count, and what they do not name costs nothing.
    """
    assert rates_of(pool, (resource,), IN_POOL) == ((None, rate),)


def test_steps_are_traced():
    """
    A condition on the rate turns where its value changes: the next time is told, else the last one.
    """
    rate = Stepped(Fraction(1), ((10, Fraction(5)), (20, Fraction(6)), (30, Fraction(2))))
    dear = Condition("cost_rate", "gte", 5)
    named = facts(cost_rate=rate)
    assert [judge(dear, named, at_ms=at) for at in (9, 10, 29, 30)] == [
        Verdict.NO_MATCH,
        Verdict.MATCH,
        Verdict.MATCH,
        Verdict.NO_MATCH,
    ]
    assert [explain(dear, named, at_ms=at).turns_at_ms for at in (0, 15, 30)] == [10, 30, 30]
    assert explain(Condition("cost_rate", "gte", 9), named, at_ms=15).turns_at_ms is None


def test_a_deadline_at_a_price_change():
    """
    A rate reaches its limit at the very moment at which the price begins, by the policy's own words.
    """
    job = running(10 * HOUR_MS, resources=(ONE,))
    terms = Terms(prices=RISING)
    rules = PolicySet(
        policies=(policy(Condition("cost_rate", "gte", 4)), policy(Condition("cost_rate", "eq", 2), name="two"))
    )
    found = decide(rules, job, observe(None, job), terms, now_ms=NOW)
    assert [one.deadline_ms for one in found.judgements] == [NOW + 3 * HOUR_MS, NOW - 2 * HOUR_MS]
    assert found.wake_ms == NOW + 3 * HOUR_MS
    assert found.cost_per_hour == "2"
    assert decided(job).cost_per_hour == "3"
