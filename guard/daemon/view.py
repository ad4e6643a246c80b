"""
What the daemon knows now: policies in force, every watched job with its memory, and the decisions that matter.

All jobs are ruled on by the compiled policies, which say what matches and when that changes. A whole decision with its
reasons is made, and kept, only of jobs that a policy matches; whoever plans or acts works with that one.
"""

import dataclasses
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from guard.core.decide import Decision
from guard.core.facts import Inventory, Job, JobKey
from guard.core.fields import Terms
from guard.core.limits import Fleet
from guard.core.outdated import outdated
from guard.core.policy import PolicySet
from guard.core.ruling import Ruling
from guard.core.sighting import Sighting, observe
from guard.core.verdict import Verdict
from guard.daemon.verdicts import Rulebook, rulebook, verdict_counts
from guard.daemon.watched import Tally, Watched, clock_of, less, shape_of

AHEAD_MS = 120_000


@dataclass(slots=True, kw_only=True)
class View:
    """
    The state between cycles, rebuilt from the ledger and the targets after a restart.

    *memory* is of jobs that are not watched. *decisions* are the newest ones on the jobs that a policy matches. *news* are
    jobs whose record is behind. *complete* is the newest complete inventory of each target, *running* what of it ran;
    *since_ms* is when each policy came into force here, *released_ms* when the last hold on a job fell.
    """

    policies: PolicySet = field(default_factory=PolicySet)
    terms: Terms = field(default_factory=Terms)
    watched: dict[JobKey, Watched] = field(default_factory=dict)
    memory: dict[JobKey, Sighting] = field(default_factory=dict)
    decisions: dict[JobKey, Decision] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    news: set[JobKey] = field(default_factory=set)
    complete: dict[str, Inventory] = field(default_factory=dict)
    running: dict[str, Fleet] = field(default_factory=dict)
    since_ms: dict[str, int] = field(default_factory=dict)
    held: set[JobKey] = field(default_factory=set)
    released_ms: dict[JobKey, int] = field(default_factory=dict)
    _rules: Rulebook = field(init=False, repr=False)
    _verdicts: Counter[tuple[int, int]] = field(default_factory=Counter, repr=False)
    # The newest decision and what it rests on: a reading is judged before it is taken in.
    _judged: tuple[Decision, Ruling] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._rules = rulebook(self.policies, self.terms)

    def remember(self, sightings: Mapping[JobKey, Sighting]) -> None:
        """
        Take over the ledger's memory of jobs that were not seen by this process yet.
        """
        for key in sightings.keys() - self.watched.keys():
            self.memory.setdefault(key, sightings[key])

    def seen(self, key: JobKey) -> Sighting | None:
        """
        Return the memory of a job, watched or not.
        """
        one = self.watched.get(key)
        return self.memory.get(key) if one is None else one.seen

    def look(self, job: Job, *, now_ms: int, naming: str = "") -> Decision:
        """
        Take in a reading of a job and decide on it; of two readings the newer one counts.
        The decision holds the judgements that match, and that of the policy *naming*.
        """
        newest = self._newer(job, now_ms)
        seen = self._observed(newest, now_ms)
        ruling = self._rules.rule([(newest, seen)], now_ms=now_ms)[0]
        self._put(newest, seen, ruling, now_ms)
        return self._decided(newest, seen, ruling, now_ms=now_ms, naming=naming)

    def judge(self, job: Job, *, now_ms: int, naming: str = "") -> Decision:
        """
        Decide on exactly this reading of a job, without taking it in.
        """
        seen = self._observed(job, now_ms)
        ruling = self._rules.rule([(job, seen)], now_ms=now_ms)[0]
        return self._decided(job, seen, ruling, now_ms=now_ms, naming=naming)

    def run_of(self, job: Job) -> int:
        """
        Return to which run of its job a reading belongs, without taking it in.
        """
        return self._observed(job, job.read_at_ms).run

    def take(self, jobs: Iterable[Job], *, now_ms: int, walk: int = 0) -> list[JobKey]:
        """
        Take in readings, of the walk of that number; return the jobs that may have to be acted on.
        """
        pairs = [(one, self._observed(one, now_ms)) for one in (self._newer(job, now_ms) for job in jobs)]
        matter = []
        for (job, seen), ruling in zip(pairs, self._rules.rule(pairs, now_ms=now_ms), strict=True):
            self._put(job, seen, ruling, now_ms, walk)
            if ruling.matches or job.key in self.held:
                matter.append(job.key)
        return matter

    def recall(self, known: Sequence[tuple[Job, Sighting]], *, now_ms: int) -> list[JobKey]:
        """
        Watch jobs that the ledger knows, except those that are watched already; return those that are new.
        """
        new = [(job, seen) for job, seen in known if job.key not in self.watched]
        self.remember({job.key: seen for job, seen in new})
        self.take([job for job, _ in new], now_ms=now_ms)
        for job, seen in new:
            one = self.watched[job.key]
            one.recalled = True
            one.keep(seen)
            self.news.discard(job.key)
        return [job.key for job, _ in new]

    def decide_again(self, keys: Iterable[JobKey], *, now_ms: int) -> list[JobKey]:
        """
        Decide on watched jobs again at *now_ms*, from the facts already read; return those that may have to be acted on.
        """
        return self.take([self.watched[key].job for key in keys if key in self.watched], now_ms=now_ms)

    def forget(self, target: str, *, before_ms: int) -> None:
        """
        Drop the memory of jobs that are not watched and were last seen before that moment.
        """
        old = [key for key, seen in self.memory.items() if seen.target == target and seen.last_seen_ms < before_ms]
        for key in old:
            del self.memory[key]

    def newest(self, key: JobKey) -> Decision | None:
        """
        Return the newest decision on a watched job.
        """
        decision, one = self.decisions.get(key), self.watched.get(key)
        if decision is not None or one is None:
            return decision
        return Decision(job=one.job, seen=one.seen, at_ms=one.at_ms, judgements=(), wake_ms=one.wake_ms)

    def close(self, inventory: Inventory, *, walk: int) -> list[Watched]:
        """
        Take in the end of the walk of that number; return what was known of those jobs that are no longer watched.
        A complete walk proves that what it did not read, and nobody has read since it began, is not there any more.
        """
        if not inventory.complete:
            return []
        self.complete[inventory.target] = inventory
        gone = [
            key
            for key, one in self.watched.items()
            if one.job.target == inventory.target and one.walk != walk and one.job.read_at_ms <= inventory.started_at_ms
        ]
        left = [one for key in gone if (one := self.drop(key)) is not None]
        self.running[inventory.target] = self.tally(inventory.target).fleet
        return left

    def unsettled(self, target: str, *, busy: Container[JobKey]) -> list[JobKey]:
        """
        Return the watched jobs of a target that are held back, or that a policy terminates and that are not *busy*.
        """
        wanted = {key for key, one in self.decisions.items() if one.terminating is not None and key not in busy}
        return [key for key in self.held | wanted if key in self.watched and self.watched[key].job.target == target]

    def keys_of(self, target: str) -> list[JobKey]:
        """
        Return the watched jobs of a target.
        """
        return [key for key, one in self.watched.items() if one.job.target == target]

    def tally(self, target: str) -> Tally:
        """
        Return the sums over the watched jobs of a target.
        """
        return self.tallies.setdefault(target, Tally())

    def verdicts(self) -> Counter[tuple[str, Verdict]]:
        """
        Count the watched jobs by policy and verdict.
        """
        return verdict_counts(self.policies, self._verdicts)

    def drop(self, key: JobKey) -> Watched | None:
        """
        Stop watching a job; return what was known of it.
        """
        self.decisions.pop(key, None)
        self.held.discard(key)
        self.news.discard(key)
        self.released_ms.pop(key, None)
        one = self.watched.pop(key, None)
        if one is not None:
            self._uncount(one)
        return one

    def note_holds(self, now_ms: Mapping[JobKey, int], held: set[JobKey]) -> bool:
        """
        Note which of these jobs are held back now; return whether one of them was released, whose moment is then known.
        """
        released = {key: at_ms for key, at_ms in now_ms.items() if key in self.held and key not in held}
        self.held |= held
        self.held.difference_update(released)
        self.released_ms.update(released)
        return bool(released)

    def take_policies(self, policies: PolicySet, *, now_ms: int, terms: Terms | None = None) -> None:
        """
        Put a new set of policies, or new *terms*, in force; an unchanged policy keeps the moment since which it is.
        What was decided by the set before counts no more; every job is to be decided on again.
        """
        before = {one.name: one.digest for one in self.policies.policies}
        self.since_ms = {
            one.name: self.since_ms.get(one.name, now_ms) if before.get(one.name) == one.digest else now_ms
            for one in policies.policies
        }
        self.policies, self.terms, self._judged = policies, terms or self.terms, None
        self._rules = rulebook(policies, self.terms)
        self.decisions.clear()
        for one in self.watched.values():
            one.matches = one.unknown = 0
        self._verdicts = Counter({(0, 0): len(self.watched)})

    def _newer(self, job: Job, now_ms: int) -> Job:
        last = self.watched.get(job.key)
        if last is None or last.job is job or last.job.read_at_ms > now_ms + AHEAD_MS:
            return job
        return last.job if job.read_at_ms < last.job.read_at_ms or outdated(last.seen, job) else job

    def _observed(self, job: Job, now_ms: int) -> Sighting:
        seen = self.seen(job.key)
        if seen is not None and seen.last_seen_ms > now_ms + AHEAD_MS:
            # It was timed by a clock that was wrong, and would make every true reading look old.
            return observe(replace(seen, last_seen_ms=job.read_at_ms, reading_ms=None, reading_at_ms=None), job)
        return seen if seen is not None and outdated(seen, job) else observe(seen, job)

    def _put(self, job: Job, seen: Sighting, ruling: Ruling, now_ms: int, walk: int = 0) -> None:
        key, one = job.key, self.watched.get(job.key)
        if one is None:
            one = Watched(job, seen, ruling.matches, ruling.unknown, None, now_ms, disputed=ruling.disputed)
            self.watched[key] = one
            self.memory.pop(key, None)
            self.news.add(key)
            self._count(one)
        else:
            if key not in self.news and not one.is_told_by_record(job, seen):
                self.news.add(key)
            one.drift_ms += clock_of(seen) - clock_of(one.seen)
            before = (one.matches, one.unknown, one.disputed, one.job.target, one.job.user, one.shape)
            counted = before == (ruling.matches, ruling.unknown, ruling.disputed, job.target, job.user, shape_of(job))
            if not counted:
                self._uncount(one)
            one.recalled = one.recalled and job is one.job
            if one.matches != ruling.matches:  # perhaps a clock became unreadable, which no ruling foretells
                self.decisions.pop(key, None)
            one.job, one.seen, one.at_ms = job, seen, now_ms
            one.matches, one.unknown, one.disputed = ruling.matches, ruling.unknown, ruling.disputed
            if not counted:
                self._count(one)
        one.wake_ms, one.walk = ruling.wake_ms, walk or one.walk
        if ruling.matches:
            self.decisions[key] = self._decided(job, seen, ruling, now_ms=now_ms)
        else:
            self.decisions.pop(key, None)

    def _decided(self, job: Job, seen: Sighting, ruling: Ruling, *, now_ms: int, naming: str = "") -> Decision:
        """
        Return the decision on a reading; the one that is there serves while only time has passed, and changed nothing.
        """
        last, told = self._judged if self._judged and self._judged[0].job is job else (self.decisions.get(job.key), ruling)
        serves = (
            last is not None
            and last.job is job
            and last.seen == seen
            and last.at_ms <= now_ms
            and (last.wake_ms is None or now_ms < last.wake_ms)
            and last.wake_ms == ruling.wake_ms
            and told == ruling
            and bool(last.spared) == bool(ruling.exempt | ruling.doubts)
            and (not naming or any(one.policy.name == naming for one in last.judgements))
        )
        if last is not None and serves:
            return dataclasses.replace(last, at_ms=now_ms)
        made = self._rules.decide(ruling, job, seen, now_ms=now_ms, naming=naming)
        self._judged = (made, ruling)
        return made

    def _count(self, one: Watched) -> None:
        self.tally(one.job.target).add(one)
        self._verdicts[one.matches, one.unknown] += 1

    def _uncount(self, one: Watched) -> None:
        self.tally(one.job.target).remove(one)
        less(self._verdicts, (one.matches, one.unknown))
