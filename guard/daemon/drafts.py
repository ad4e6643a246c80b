"""
An order turned into the intent that is put on record: facts as text, reason, price and attempt.
"""

from collections.abc import Mapping

from guard.core.decide import Decision
from guard.core.facts import JobKey, Missing
from guard.core.fields import Terms, facts_of
from guard.core.judge import Trace, explain, show_fact
from guard.core.plan import Attempt, Order, fingerprint
from guard.core.policy import Clause
from guard.core.records import Draft


def draft(order: Order, terms: Terms, attempts: Mapping[JobKey, Attempt], *, credentials: str) -> Draft:
    """
    Return the record of an order; *credentials* is the tag of those that will be used.
    """
    decision, policy = order.decision, order.judgement.policy
    job, run = decision.job, decision.seen.run
    last = attempts.get(decision.key)
    return Draft(
        key=decision.key,
        target=job.target,
        workspace="" if isinstance(job.workspace, Missing) else job.workspace,
        run=run,
        policy=policy.name,
        digest=policy.digest,
        facts=facts_as_text(decision, terms),
        reason=order.judgement.reason,
        deadline_ms=order.deadline_ms,
        due_ms=order.due_ms,
        attempt=last.count + 1 if last is not None and last.run == run else 1,
        fingerprint=fingerprint(job, policy.digest, credentials),
        cost_per_hour=decision.cost_per_hour,
        currency=terms.prices.currency if terms.prices is not None else "",
        cards=decision.cards,
        traces=traces_of(decision, policy.clause, terms),
    )


def traces_of(decision: Decision, clause: Clause, terms: Terms, *, absent_is_no: bool = False) -> tuple[Trace, ...]:
    """
    Return how a clause came to its verdict, for each resource of the job.
    """
    at_ms = decision.at_ms
    every = facts_of(decision.job, decision.seen, terms, now_ms=at_ms)
    return tuple(explain(clause, facts, at_ms=at_ms, absent_is_no=absent_is_no) for facts in every)


def facts_as_text(decision: Decision, terms: Terms) -> dict[str, str]:
    """
    Return every fact of a job as a person reads it; facts in which a further resource differs carry its number.
    """
    found: dict[str, str] = {}
    for index, facts in enumerate(facts_of(decision.job, decision.seen, terms, now_ms=decision.at_ms)):
        for name, fact in facts.named.items():
            text = show_fact(name, fact, decision.at_ms)
            if index == 0:
                found[name] = text
            elif found[name] != text:
                found[f"{name}[{index + 1}]"] = text
    annotations = decision.job.annotations
    if not isinstance(annotations, Missing):
        found |= {f"annotation.{key}": value for key, value in annotations.items()}
    return found
