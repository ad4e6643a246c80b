"""
An order turned into the intent that is put on record: facts as text, reason, price and attempt.
"""

from collections.abc import Callable, Mapping, Sequence

from guard.core.decide import Decision
from guard.core.estimate import Inputs, Method, Stopped, basis_of
from guard.core.facts import JobKey, Missing
from guard.core.fields import Facts, Terms, facts_of
from guard.core.judge import Trace, explain, show_fact
from guard.core.plan import Attempt, Order, fingerprint
from guard.core.policy import Clause
from guard.core.records import Draft
from guard.core.spend import rate_of_job
from guard.core.work import work_of
from guard.daemon.targets import Target


def drafting(terms: Terms, attempts: Mapping[JobKey, Attempt], *, targets: Mapping[str, Target]) -> Callable[[Order], Draft]:
    """
    Return what makes the record of an order, with the credentials that its target has by then.
    """
    return lambda order: draft(
        order, terms, attempts, credentials=targets[order.decision.job.target].source.credentials_tag()
    )


def draft(order: Order, terms: Terms, attempts: Mapping[JobKey, Attempt], *, credentials: str) -> Draft:
    """
    Return the record of an order; *credentials* is the tag of those that will be used.
    """
    decision, policy = order.decision, order.judgement.policy
    job, run = decision.job, decision.seen.run
    last = attempts.get(decision.key)
    every = facts_of(job, decision.seen, terms, now_ms=decision.at_ms)
    rate = rate_of_job(job, terms.prices, now_ms=decision.at_ms)
    return Draft(
        key=decision.key,
        target=job.target,
        workspace="" if isinstance(job.workspace, Missing) else job.workspace,
        run=run,
        policy=policy.name,
        digest=policy.digest,
        facts=facts_as_text(decision, every),
        reason=order.judgement.reason,
        deadline_ms=order.deadline_ms,
        due_ms=order.due_ms,
        attempt=last.count + 1 if last is not None and last.run == run else 1,
        fingerprint=fingerprint(job, policy.digest, credentials),
        # A decision may be older than the newest price.
        cost_per_hour="" if isinstance(rate, Missing) else str(rate),
        currency=terms.prices.currency if terms.prices is not None else "",
        cards=decision.cards,
        traces=traces_of(every, policy.clause, at_ms=decision.at_ms),
        work=work_of(job, decision.seen, terms.clock, now_ms=decision.at_ms),
        user=None if isinstance(job.user, Missing) else job.user,
    )


def stake_of(decision: Decision, terms: Terms, method: Method, *, at_ms: int) -> Inputs | None:
    """
    Return what an estimate asks of a run that would have been ended at *at_ms*, by the same words as for one that is; None
    without a price.
    """
    job = decision.job
    rate = rate_of_job(job, terms.prices, now_ms=at_ms)
    if isinstance(rate, Missing) or terms.prices is None:
        return None
    work = work_of(job, decision.seen, terms.clock, now_ms=at_ms)
    stopped = Stopped(
        like=work.like,
        elapsed_ms=work.elapsed_ms,
        per_hour=rate,
        currency=terms.prices.currency,
        auto_stop_ms=job.auto_stop_ms,
    )
    return basis_of(stopped, method)


def traces_of(every: Sequence[Facts], clause: Clause, *, at_ms: int, absent_is_no: bool = False) -> tuple[Trace, ...]:
    """
    Return how a clause came to its verdict on the facts of *every* resource of a job.
    """
    return tuple(explain(clause, facts, at_ms=at_ms, absent_is_no=absent_is_no) for facts in every)


def facts_as_text(decision: Decision, every: Sequence[Facts]) -> dict[str, str]:
    """
    Return every fact of a job as a person reads it, those of *every* resource; one in which a further resource differs
    carries its number.
    """
    found: dict[str, str] = {}
    for index, facts in enumerate(every):
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
