"""
The facts of a job under the names that policies use.
"""

from fractions import Fraction
from typing import Any

import pytest
from built import BOOK, CPU_NODES, KEY, NOW, P100, P100_NODES, TERMS, pending, running

from guard.core.facts import ABSENT, UNREADABLE, Growing, Job, Missing, Resource
from guard.core.fields import FIELDS, Facts, FieldType, Terms, facts_of, field_spec, field_type, total_cards
from guard.core.price import Per, Price, PriceBook
from guard.core.sighting import observe
from guard.core.spans import HOUR_MS
from guard.core.spend import rate_of_job
from tests.changing import replace


def of(job: Job, terms: Terms = TERMS, *, now_ms: int = NOW) -> tuple[Facts, ...]:
    """
    Return the facts of a job that was seen once.
    """
    return facts_of(job, observe(None, job), terms, now_ms=now_ms)


def value(fact: Any, at_ms: int = NOW) -> Any:
    """
    Return what a fact is worth at a moment.
    """
    return fact.at(at_ms) if isinstance(fact, Growing) else fact


def test_every_fact_of_a_plain_job():
    """
    A readable job has a value under every name that does not lawfully miss one.
    """
    (facts,) = of(running(2 * HOUR_MS, annotations={"team": "infra"}))
    assert {name: value(facts.get(name)) for name in FIELDS} == {
        "billing_code": P100,
        "unit_num": 2,
        "node_count": 4,
        "cards": 32,
        "flavor_id": "modelarts.p100.8",
        "flavor_type": "GPU",
        "accelerator": "NVIDIA-P100",
        "duration": 2 * HOUR_MS,
        "age": 3 * HOUR_MS,
        "waiting": UNREADABLE,
        "total_cards": 32,
        "card_hours": 64,
        "cost": 48,
        "cost_rate": 24,
        "phase": "Running",
        "pool_id": ABSENT,
        "user": "ann",
        "name": "resnet-50",
        "id": "job-1",
        "kind": "job",
        "description": ABSENT,
        "engine": ABSENT,
        "image": ABSENT,
        "target": "lab",
        "region": "cn-north-4",
        "project": "0" * 32,
        "workspace": "0",
    }
    assert facts.get("annotation.team") == "infra"
    assert facts.get("annotation.owner") is ABSENT


def test_a_job_without_anything_readable():
    """
    A job of which nothing could be read has one resource, and every fact of it is unreadable.
    """
    (facts,) = of(Job(key=KEY, target="lab", read_at_ms=NOW, annotations=UNREADABLE))
    known = {"id", "target", "region", "project"}
    lawful = {"pool_id", "description", "engine", "image"}
    assert {name for name in FIELDS if facts.get(name) is UNREADABLE} == set(FIELDS) - known - lawful
    assert {name for name in FIELDS if facts.get(name) is ABSENT} == lawful
    assert facts.get("annotation.team") is UNREADABLE


def test_facts_of_each_resource_stand_apart():
    """
    A hetero job has the facts of each resource beside its own, and never those of two mixed.
    """
    worker, learner = of(running(HOUR_MS, resources=(CPU_NODES, replace(P100_NODES, node_count=1, role="learner"))))
    assert [(one.role, one.get("flavor_type"), one.get("node_count")) for one in (worker, learner)] == [
        ("worker", "CPU", 8),
        ("learner", "GPU", 1),
    ]
    assert [(one.get("cards"), one.get("total_cards")) for one in (worker, learner)] == [(0, 8), (8, 8)]
    assert worker.get("cost_rate") == learner.get("cost_rate") == Fraction(68, 10)


def test_the_source_of_a_flavor_is_kept():
    """
    Whether a resource was read from the job or from the flavor table goes with its facts.
    """
    job = running(resources=(P100_NODES, replace(P100_NODES, source="flavor table")))
    assert [one.from_table for one in of(job)] == [False, True]


@pytest.mark.parametrize(
    ("asked", "left_out"),
    [
        pytest.param(None, set(), id="all"),
        pytest.param({"duration", "billing_code"}, {"card_hours", "cost", "cost_rate"}, id="no-sum"),
        pytest.param({"card_hours"}, {"cost", "cost_rate"}, id="card-hours"),
        pytest.param({"cost"}, {"card_hours"}, id="money"),
        pytest.param({"cost_rate", "phase"}, {"card_hours"}, id="rate"),
    ],
)
@pytest.mark.parametrize("terms", [TERMS, Terms()], ids=["priced", "no-prices"])
def test_only_sums_that_nobody_asks_for_are_left_out(terms, asked, left_out):
    """
    What is there has the same value in the same order, however little was asked for.
    """
    job = running(2 * HOUR_MS, resources=(P100_NODES, CPU_NODES), node_counts=())
    whole, some = of(job, terms), facts_of(job, observe(None, job), terms, now_ms=NOW, asked=asked)
    for one, other in zip(whole, some, strict=True):
        kept = [(name, fact) for name, fact in one.named.items() if name not in left_out]
        assert list(other.named.items()) == kept


@pytest.mark.parametrize(
    ("resources", "cards"),
    [
        pytest.param((P100_NODES,), 32, id="one"),
        pytest.param((P100_NODES, CPU_NODES), 32, id="cpu-adds-none"),
        pytest.param((P100_NODES, replace(CPU_NODES, node_count=UNREADABLE)), 32, id="cpu-without-node-count"),
        pytest.param((P100_NODES, replace(P100_NODES, node_count=UNREADABLE)), UNREADABLE, id="nodes-of-one-unreadable"),
        pytest.param((replace(P100_NODES, cards_per_node=UNREADABLE), CPU_NODES), UNREADABLE, id="cards-of-one-unreadable"),
        pytest.param((P100_NODES, Resource()), UNREADABLE, id="one-not-read-at-all"),
        pytest.param((), UNREADABLE, id="none-read"),
        pytest.param((replace(P100_NODES, node_count=0),), 0, id="no-nodes"),
    ],
)
def test_total_cards(resources, cards):
    """
    The cards of a job are the sum over its resources, and unreadable if one part is.
    """
    assert total_cards(resources) == cards
    fact = of(running(HOUR_MS, resources=resources))[0].get("card_hours")
    assert value(fact) == cards


@pytest.mark.parametrize(
    ("create_time", "now_ms", "age"),
    [
        pytest.param(NOW - 5, NOW, 5, id="past"),
        pytest.param(NOW, NOW, 0, id="now"),
        pytest.param(NOW + 1, NOW, UNREADABLE, id="future"),
        pytest.param(1, 2, 1, id="smallest"),
        pytest.param(0, NOW, UNREADABLE, id="zero"),
        pytest.param(-1, NOW, UNREADABLE, id="negative"),
        pytest.param(UNREADABLE, NOW, UNREADABLE, id="unreadable"),
    ],
)
def test_age(create_time, now_ms, age):
    """
    The age is the time since creation, if that is known and past.
    """
    assert value(of(pending(create_time_ms=create_time), now_ms=now_ms)[0].get("age"), now_ms) == age


UNNAMED = replace(P100_NODES, billing_code="modelarts.vm.unnamed")
POOLS = PriceBook(currency="CNY", entries=(*BOOK.entries, Price(pool_id="pool-a", price=Fraction(7, 2), per=Per.NODE_HOUR)))


@pytest.mark.parametrize(
    ("changes", "prices", "rate"),
    [
        pytest.param({}, BOOK, Fraction(24), id="price-x-units-x-nodes"),
        pytest.param({"resources": (P100_NODES, CPU_NODES)}, BOOK, Fraction(248, 10), id="sum-over-resources"),
        pytest.param({}, None, UNREADABLE, id="no-price-book"),
        pytest.param({"resources": (UNNAMED,)}, BOOK, UNREADABLE, id="no-price"),
        pytest.param({"resources": (P100_NODES, UNNAMED)}, BOOK, UNREADABLE, id="no-price-of-one"),
        pytest.param({"resources": (replace(P100_NODES, billing_code=UNREADABLE),)}, BOOK, UNREADABLE, id="no-code"),
        pytest.param({"resources": (replace(P100_NODES, unit_num=UNREADABLE),)}, BOOK, UNREADABLE, id="no-units"),
        pytest.param({"resources": (replace(P100_NODES, node_count=UNREADABLE),)}, BOOK, UNREADABLE, id="no-nodes"),
        pytest.param({"resources": ()}, BOOK, UNREADABLE, id="no-resource"),
        pytest.param({"pool_id": "pool-a"}, BOOK, Fraction(0), id="pool-costs-nothing-more"),
        pytest.param({"pool_id": "pool-a", "resources": ()}, BOOK, Fraction(0), id="pool-of-no-readable-resource"),
        pytest.param({"pool_id": "pool-a"}, POOLS, Fraction(14), id="pool-with-a-shadow-price"),
        pytest.param({"pool_id": "pool-b"}, POOLS, Fraction(0), id="pool-without-one"),
        pytest.param({"pool_id": "pool-a", "resources": ()}, POOLS, UNREADABLE, id="shadow-price-of-unknown-nodes"),
        pytest.param({"pool_id": UNREADABLE}, BOOK, UNREADABLE, id="pool-unreadable"),
        pytest.param({"pool_id": "pool-a"}, None, UNREADABLE, id="pool-without-a-price-book"),
    ],
)
def test_cost_rate(changes, prices, rate):
    """
    The cost per hour is exact, and unreadable, never 0, if anything in it is.
    """
    job = running(HOUR_MS, **changes)
    assert rate_of_job(job, prices, now_ms=NOW) == rate
    facts = of(job, Terms(prices=prices))[0]
    assert facts.get("cost_rate") == rate
    assert value(facts.get("cost")) == rate


def test_cost_is_exact_to_the_millisecond():
    """
    Money grows as an exact fraction, so that no rounding moves a deadline.
    """
    cost = of(running(1))[0].get("cost")
    assert cost == Growing(Fraction(24, HOUR_MS), NOW, Fraction(24, HOUR_MS))


def ran(*node_counts: tuple[int, int], **changes: Any) -> Any:
    """
    Return the card-hours of a job of 4 nodes with 8 cards each that has run for 4 hours, 32 an hour if nothing changed.
    """
    return of(running(4 * HOUR_MS, node_counts=node_counts, **changes))[0].get("card_hours")


def ago(hours: int) -> int:
    """
    Return the moment so many hours before NOW.
    """
    return NOW - hours * HOUR_MS


@pytest.mark.parametrize(
    ("node_counts", "card_hours", "in_an_hour"),
    [
        pytest.param((), 128, 160, id="not-elastic"),
        pytest.param(((ago(4), 4),), 128, 160, id="never-changed"),
        pytest.param(((ago(4), 2), (ago(1), 4)), 48 + 32, 112, id="grew"),
        pytest.param(((ago(4), 4), (ago(1), 1)), 96 + 8, 112, id="shrank"),
        pytest.param(((ago(9), 4), (ago(2), 2)), 64 + 32, 112, id="before-the-run-counts-for-nothing"),
        pytest.param(((ago(1), 4),), 32, 64, id="before-the-first-count-counts-for-nothing"),
        pytest.param(((ago(4), 2), (NOW + 1, 4)), 64, 80, id="the-future-is-not-there-yet"),
        pytest.param(((ago(4), 2), (NOW, 4)), 64, 96, id="changes-now"),
        pytest.param(((ago(4), 4), (ago(2), 0)), 64, 64, id="no-nodes-any-more"),
    ],
)
def test_an_elastic_job(node_counts, card_hours, in_an_hour):
    """
    Node counts over time are integrated, and the newest of them goes on.
    """
    fact = ran(*node_counts)
    assert [fact.at(NOW), fact.at(NOW + HOUR_MS)] == [card_hours, in_an_hour]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"node_counts": UNREADABLE}, id="counts-unreadable"),
        pytest.param({"node_counts": ((NOW + 1, 4),)}, id="all-counts-of-the-future"),
        pytest.param({"resources": (P100_NODES, CPU_NODES)}, id="which-resource-is-elastic"),
        pytest.param({"resources": (replace(P100_NODES, node_count=0),)}, id="no-nodes-to-scale-by"),
        pytest.param({"resources": (replace(P100_NODES, node_count=UNREADABLE),)}, id="nodes-unreadable"),
        pytest.param({"phase": "Pending"}, id="when-it-ran-is-not-known"),
        pytest.param({"start_time_ms": 0, "duration_ms": 0}, id="no-running-time"),
    ],
)
def test_an_elastic_job_that_cannot_be_integrated(changes):
    """
    With any doubt about the nodes or the time, card-hours and cost are unreadable.
    """
    facts = of(running(4 * HOUR_MS, **{"node_counts": ((ago(4), 4),), **changes}))[0]
    assert [facts.get("card_hours"), facts.get("cost")] == [UNREADABLE, UNREADABLE]


def test_outside_running_nothing_grows():
    """
    A job that returned to Pending keeps what its run has cost.
    """
    facts = of(running(2 * HOUR_MS, phase="Pending"))[0]
    assert [value(facts.get(name), NOW + HOUR_MS) for name in ("duration", "cost")] == [2 * HOUR_MS, 48]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("duration", FieldType.SPAN, id="span"),
        pytest.param("cards", FieldType.INTEGER, id="integer"),
        pytest.param("cost", FieldType.NUMBER, id="number"),
        pytest.param("annotation.team/owner", FieldType.TEXT, id="annotation"),
    ],
)
def test_types(name, kind):
    """
    Every field has one type, and annotations are text.
    """
    spec = field_spec(name)
    assert spec is not None
    assert spec.type is field_type(name) is kind


@pytest.mark.parametrize("name", ["annotation.", "annotations.team", "Duration", ""])
def test_unknown_fields(name):
    """
    What is not in the vocabulary is no field.
    """
    assert field_spec(name) is None


def test_what_grows():
    """
    Exactly the fields that the deadlines rest on grow.
    """
    assert {name for name, spec in FIELDS.items() if spec.grows} == {"duration", "age", "waiting", "card_hours", "cost"}
    growing = {name for name in FIELDS if isinstance(of(running())[0].get(name), Growing)}
    assert growing == {"duration", "age", "card_hours", "cost"}
    assert not isinstance(of(pending())[0].get("waiting"), Missing)
