"""
What the daemon knows now: policies in force, the memory of every job, and the newest decision on each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from guard.core.decide import Decision, decide
from guard.core.facts import Inventory, Job, JobKey
from guard.core.fields import Terms
from guard.core.limits import running_jobs
from guard.core.policy import PolicySet
from guard.core.sighting import Sighting, observe
from guard.core.spans import MINUTE_MS

AHEAD_MS = 2 * MINUTE_MS


@dataclass(slots=True, kw_only=True)
class View:
    """
    The state between cycles. It is rebuilt from the ledger and the targets after a restart.

    *complete* is the newest complete inventory of each target, *running* how many of its jobs were Running. *since_ms* is
    when each policy came into force here, by name; *released_ms* when the last hold on a job fell.
    """

    policies: PolicySet = field(default_factory=PolicySet)
    terms: Terms = field(default_factory=Terms)
    memory: dict[JobKey, Sighting] = field(default_factory=dict)
    decisions: dict[JobKey, Decision] = field(default_factory=dict)
    complete: dict[str, Inventory] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    since_ms: dict[str, int] = field(default_factory=dict)
    held: set[JobKey] = field(default_factory=set)
    released_ms: dict[JobKey, int] = field(default_factory=dict)

    def remember(self, sightings: Mapping[JobKey, Sighting]) -> None:
        """
        Take over the ledger's memory of jobs that were not seen by this process yet.
        """
        self.memory = {**sightings, **self.memory}

    def look(self, job: Job, *, now_ms: int) -> Decision:
        """
        Take in a reading of a job and decide on it; of two readings the newer one counts.
        """
        last = self.decisions.get(job.key)
        newest = last.job if last is not None and job.read_at_ms < last.job.read_at_ms <= now_ms + AHEAD_MS else job
        decision = self.judge(newest, now_ms=now_ms)
        self.memory[job.key] = decision.seen
        self.decisions[job.key] = decision
        return decision

    def judge(self, job: Job, *, now_ms: int) -> Decision:
        """
        Decide on exactly this reading of a job, without taking it in.
        """
        seen = self.memory.get(job.key)
        if seen is not None and seen.last_seen_ms > now_ms + AHEAD_MS:
            # It was timed by a clock that was wrong, and would make every true reading look old.
            seen = replace(seen, last_seen_ms=job.read_at_ms, reading_ms=None, reading_at_ms=None)
        return decide(self.policies, job, observe(seen, job), self.terms, now_ms=now_ms)

    def run_of(self, job: Job) -> int:
        """
        Return to which run of its job a reading belongs, without taking it in.
        """
        return observe(self.memory.get(job.key), job).run

    def take(self, inventory: Inventory, *, now_ms: int) -> list[Decision]:
        """
        Take in a walk: decide on every job that it read. What a complete walk did not find is no longer watched.
        """
        decisions = [self.look(job, now_ms=now_ms) for job in inventory.jobs]
        if inventory.complete:
            self.complete[inventory.target] = inventory
            self.running[inventory.target] = running_jobs([inventory])
            found = {job.key for job in inventory.jobs}
            for key, decision in list(self.decisions.items()):
                unseen = decision.job.target == inventory.target and key not in found
                if unseen and decision.job.read_at_ms <= inventory.started_at_ms:
                    self.drop(key)
        return decisions

    def decide_again(self, keys: Iterable[JobKey], *, now_ms: int) -> list[Decision]:
        """
        Decide on watched jobs again at *now_ms*, from the facts already read.
        """
        found = [self.decisions[key].job for key in keys if key in self.decisions]
        return [self.look(job, now_ms=now_ms) for job in found]

    def of(self, target: str) -> list[Decision]:
        """
        Return the newest decisions on the jobs of a target.
        """
        return [one for one in self.decisions.values() if one.job.target == target]

    def forget(self, target: str, *, before_ms: int) -> None:
        """
        Drop the memory of jobs that are no longer watched and were last seen before that moment.
        """
        for key, seen in list(self.memory.items()):
            if seen.target == target and seen.last_seen_ms < before_ms and key not in self.decisions:
                del self.memory[key]

    def drop(self, key: JobKey) -> None:
        """
        Stop watching a job.
        """
        self.decisions.pop(key, None)
        self.held.discard(key)
        self.released_ms.pop(key, None)

    def note_holds(self, keys: Iterable[JobKey], held: set[JobKey], *, now_ms: int) -> bool:
        """
        Note which of these jobs are held back now; return whether one of them was released, whose moment is then known.
        """
        released = [key for key in keys if key in self.held and key not in held]
        self.held |= held
        self.held.difference_update(released)
        self.released_ms.update(dict.fromkeys(released, now_ms))
        return bool(released)

    def take_policies(self, policies: PolicySet, *, now_ms: int) -> None:
        """
        Put a new set of policies in force; an unchanged policy keeps the moment since which it is.
        """
        before = {one.name: one.digest for one in self.policies.policies}
        self.since_ms = {
            one.name: self.since_ms.get(one.name, now_ms) if before.get(one.name) == one.digest else now_ms
            for one in policies.policies
        }
        self.policies = policies
