"""
The cost of jobs that were worked out by hand, from the wire to the last cent.
"""

import json
from datetime import UTC
from fractions import Fraction

import pytest
from hand_computed import AT, BOOK, HOUR, ROWS, worth

from guard.core.decide import decide
from guard.core.facts import Bent, Growing, Missing
from guard.core.fields import Terms, facts_of
from guard.core.policy import All, Condition, Policy, PolicySet
from guard.core.pricebook import load_book
from guard.core.sighting import observe
from guard.core.verdict import Verdict
from guard.modelarts.wire import Origin, parse_item

TERMS = Terms(prices=load_book("prices.yaml", BOOK, zone=UTC))
KNOWN = [row for row in ROWS if row.expression is not None]


def wire(row):
    """
    Return a row as the service tells of the job.
    """

    def part(code, units, nodes):
        billing = {key: value for key, value in (("code", code), ("unit_num", units)) if value is not None}
        count = {} if nodes is None else {"node_count": nodes}
        return {**count, "flavor_id": "f", "flavor_type": "GPU", "billing": billing, "flavor_info": {"gpu": {"unit_num": 1}}}

    first = part(*row.parts[0])
    detail = {key: first.pop(key) for key in ("flavor_type", "billing", "flavor_info")}
    pool = {} if row.pool is None else {"pool_id": row.pool}
    hetero = [{"role": f"r{n}", "task_resource": {**part(*one), **pool}} for n, one in enumerate(row.parts)]
    return {
        "kind": "hetero_job" if len(row.parts) > 1 else "job",
        "metadata": {"id": row.id, "name": row.id, "user_name": "ann", "create_time": AT - 9_000 * HOUR},
        "status": {
            "phase": row.phase,
            **({} if row.ran is None else {"duration": row.ran}),
            **({} if row.since is None else {"start_time": AT - row.since}),
            "node_count_metrics": [[AT - ago, nodes] for ago, nodes in row.nodes] or None,
        },
        "spec": {"resource": {**first, "flavor_detail": detail, **pool}},
        **({"tasks": hetero} if len(row.parts) > 1 else {}),
    }


def job_of(row):
    """
    Return the job of a row as the guard reads it at AT.
    """
    body = json.dumps(wire(row)).encode()
    job = parse_item(body, Origin(target="lab", region="r", project_id="p", read_at_ms=AT))
    assert job is not None
    return job


def test_there_are_enough():
    """
    At least 25 rows come to a sum, each row has a name of its own, and all kinds of trouble are among them.
    """
    assert len(KNOWN) >= 25
    assert len({row.id for row in ROWS}) == len(ROWS)
    for kind in ("elastic", "hetero", "pool", "unpriced", "price", "disputed"):
        assert any(kind in row.id for row in ROWS)


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.id)
def test_the_sum_and_the_cents_of_a_row_agree(row):
    """
    The sum, evaluated without the guard, comes to the cents that stand beside it.
    """
    assert f"{float(round(worth(row.expression), 2)):.2f}" == row.cents


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_cost(row):
    """
    The guard's cost is the sum itself, not a rounding of it; and unknown, never 0, where a part of it is.
    """
    job = job_of(row)
    cost = facts_of(job, observe(None, job), TERMS, now_ms=AT)[0].get("cost")
    if row.expression is None:
        assert isinstance(cost, Missing)
    else:
        assert isinstance(cost, Growing | Bent)
        assert cost.at(AT) == worth(row.expression)


@pytest.mark.parametrize("row", [row for row in KNOWN if row.phase == "Running"], ids=lambda row: row.id)
def test_deadlines(row):
    """
    A policy in money holds from the first millisecond at which the sum is above its limit: never at the sum itself.
    """
    job, limit = job_of(row), worth(row.expression)
    rules = PolicySet(policies=(Policy(name="p", clause=All((Condition("cost", "gt", limit),))),))
    (now,) = decide(rules, job, observe(None, job), TERMS, now_ms=AT).judgements
    assert now.verdict is Verdict.NO_MATCH
    if now.deadline_ms is None:
        # Nothing more is spent, now or later.
        assert decide(rules, job, observe(None, job), TERMS, now_ms=AT + 10**12).judgements[0].verdict is Verdict.NO_MATCH
        return
    assert now.deadline_ms > AT
    for at_ms, verdict in ((now.deadline_ms - 1, Verdict.NO_MATCH), (now.deadline_ms, Verdict.MATCH)):
        assert decide(rules, job, observe(None, job), TERMS, now_ms=at_ms).judgements[0].verdict is verdict
    assert Fraction(0) < facts_of(job, observe(None, job), TERMS, now_ms=now.deadline_ms)[0].get("cost").at(now.deadline_ms)
