"""
From what all policies say of a job in short to the decision that somebody works with, and to the sums over all jobs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from guard.core.compiled import Compiled, compile_policies
from guard.core.decide import Decision, decide
from guard.core.facts import Job
from guard.core.fields import Terms
from guard.core.policy import PolicySet
from guard.core.ruling import Ruling
from guard.core.sighting import Sighting
from guard.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """
    The policies in force, as a whole and compiled, and the terms that turn readings into facts.
    """

    policies: PolicySet
    terms: Terms
    compiled: Compiled

    def rule(self, readings: Sequence[tuple[Job, Sighting]], *, now_ms: int) -> list[Ruling]:
        """
        Return what all policies say of these readings, in short.
        """
        return self.compiled.rule(readings, now_ms=now_ms)

    def decide(self, ruling: Ruling, job: Job, seen: Sighting, *, now_ms: int, naming: str = "") -> Decision:
        """
        Return the decision behind a ruling: the judgements that match, and that of the policy *naming*.

        The judgements are worked out anew by ``core.decide``: no termination rests on a compiled verdict alone.
        """
        chosen = [
            one for index, one in enumerate(self.policies.policies) if ruling.matches >> index & 1 or one.name == naming
        ]
        if not chosen:
            return Decision(job=job, seen=seen, at_ms=now_ms, judgements=(), wake_ms=ruling.wake_ms)
        some = PolicySet(policies=tuple(chosen), exemptions=self.policies.exemptions)
        return decide(some, job, seen, self.terms, now_ms=now_ms, wake_ms=ruling.wake_ms)


def rulebook(policies: PolicySet, terms: Terms) -> Rulebook:
    """
    Return the rulebook of a set of policies.
    """
    return Rulebook(policies=policies, terms=terms, compiled=compile_policies(policies, terms))


def verdict_counts(policies: PolicySet, counts: Counter[tuple[int, int]]) -> Counter[tuple[str, Verdict]]:
    """
    Return how many jobs there are by policy and verdict, of the counts by (matches, unknown) as bits.
    """
    total = sum(counts.values())
    found: Counter[tuple[str, Verdict]] = Counter()
    for index, policy in enumerate(policies.policies):
        matches = sum(count for (bits, _), count in counts.items() if bits >> index & 1)
        unknown = sum(count for (_, bits), count in counts.items() if bits >> index & 1)
        found[policy.name, Verdict.MATCH] = matches
        found[policy.name, Verdict.UNKNOWN] = unknown
        found[policy.name, Verdict.NO_MATCH] = total - matches - unknown
    return found
