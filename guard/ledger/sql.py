"""
The ledger as the cycle knows it: transactions around the SQL of ``intents`` and ``observations``.

The rules of ``transactions`` hold for every method.
"""

import functools
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from guard.core.facts import Job, JobKey
from guard.core.plan import Attempt, Before, Finding, Rule
from guard.core.protocol import State
from guard.core.records import Closing, Draft, Intent, Pause, Quota, Tally, Walk
from guard.core.sighting import Sighting
from guard.ledger import foregoing, intents, observations, room
from guard.ledger.breaker import SqlBreaker
from guard.ledger.fence import project_of, projects
from guard.ledger.forecasts import SqlForecasts
from guard.ledger.glance import NEITHER, NO_PAUSE, AtOnce, Looked
from guard.ledger.groups import LONGEST_S
from guard.ledger.history import SqlHistory
from guard.ledger.savings import SqlSavings
from guard.ledger.transactions import Transactions
from guard.ports import NO_FACTS

# Of so many jobs what came before is read without a thread.
FEW = 8


class SqlLedger(Transactions):
    """
    A ledger in a SQL database. It implements the ``Ledger`` port. The schema of the database must be this version's.
    """

    def __init__(self, engine: sa.Engine, *, name: str, read_only: bool = False, longest_group_s: float = LONGEST_S) -> None:
        super().__init__(engine, name=name, read_only=read_only, longest_group_s=longest_group_s)
        self.history, self.savings, self.forecasts = SqlHistory(self), SqlSavings(self), SqlForecasts(self)
        self.breaker = SqlBreaker(self)
        self.paused = Looked(self._paused, question=NO_PAUSE, nothing=None)
        self._drafts: dict[int, Draft] = {}  # of the intents opened here, so that no step reads what never changes
        self.at_once: AtOnce | None = None

    async def aclose(self) -> None:
        """
        Let what is under way end, then close every connection; the ledger cannot be used any more.
        """
        self._closed = True
        self.paused.close()
        self.breaker.looked.close()
        await super().aclose()
        if self.at_once is not None:
            self.at_once.close()

    def lost(self) -> str:
        """
        Return what became of the ledger's file if it is not there any more or another one is, else "".
        """
        return self.paused.lost()

    async def _paused(self) -> Pause | None:
        return await self.read("tell whether it is paused", observations.pause_on_record, apart=True)

    async def sightings(self, keys: Collection[JobKey]) -> Mapping[JobKey, Sighting]:
        """
        Return what is remembered of these jobs.
        """
        return await self.read("give the memory of jobs", lambda at: observations.sightings_of(at, keys), apart=True)

    async def known(self, target: str, *, after: JobKey | None = None, limit: int = 2_000) -> Sequence[tuple[Job, Sighting]]:
        """
        Return jobs of a target whose facts are on record and that were live when they were last seen, in the order of their
        keys: the first ones *after* that key, at most *limit*.
        """
        work = functools.partial(observations.known, target=target, after=after, limit=limit)
        return await self.read("give the known jobs", work, apart=True)

    async def remember(self, sightings: Sequence[Sighting], *, facts: Mapping[JobKey, Job] = NO_FACTS) -> None:
        """
        Insert or replace the memory of these jobs, with their newest *facts*; a job without facts is not known any more.
        """
        of = projects(one.key for one in sightings)
        await self.write("take the memory of jobs", lambda at: observations.remember(at, sightings, facts), of=of)

    async def lose(self, keys: Sequence[JobKey]) -> None:
        """
        Drop the facts of jobs that are there no more, but not the memory of them.
        """
        await self.write("lose the facts of jobs", lambda at: observations.lose(at, keys), of=projects(keys))

    async def walked(self, target: str) -> Walk | None:
        """
        Return the newest complete walk of a target, or None if there was none.
        """
        return await self.read("give the newest walk", lambda at: observations.walked(at, target), apart=True)

    async def walks(self) -> Sequence[Walk]:
        """
        Return the newest complete walk of every target that has one, whoever walked it.
        """
        return await self.read("give the newest walks", observations.walks_of_all, apart=True)

    async def note_walk(self, walk: Walk) -> None:
        """
        Replace the newest complete walk of its target.
        """
        await self.write("take a walk", lambda at: observations.note_walk(at, walk), of=project_of(self.fence, walk.target))

    async def forget(self, target: str, *, before_ms: int) -> None:
        """
        Drop the memory of the target's jobs that were last seen before that moment and whose end is not still to be read.
        """
        of = project_of(self.fence, target)
        await self.write("forget jobs", lambda at: observations.forget(at, target, before_ms=before_ms), of=of)

    async def record(self, findings: Sequence[Finding], *, at_ms: int) -> Sequence[Finding]:
        """
        Record findings, each once per (job, run, policy, reason); return those that are new.
        """
        of = projects(one.key for one in findings)
        return await self.write("record findings", lambda at: observations.record(at, findings, at_ms=at_ms), of=of)

    async def findings(self, *, limit: int = 100) -> Sequence[tuple[int, Finding]]:
        """
        Return the newest findings with the moment of recording, newest first.
        """
        return await self.read("give the findings", lambda at: observations.newest_findings(at, limit=limit))

    async def open_intent(self, draft: Draft, *, at_ms: int, quota: Quota | None) -> Intent | None:
        """
        Record an intent if the job has no open one and the quota has room, in one transaction; else return None.
        """
        what, of = f"record an intent for job {draft.key.job_id[:100]!r}", projects([draft.key])
        made = await self.write(what, lambda at: intents.open_one(at, draft, at_ms=at_ms, quota=quota), of=of)
        if made is not None:
            self._drafts[made.number] = draft
        return made

    async def advance(self, number: int, state: State, *, at_ms: int, note: str = "") -> Intent:
        """
        Record a step of an open intent: ``sending``, ``denied`` or ``accepted``; the first moment of each is kept.
        """
        what = f"record {state.value!r} for intent {number}"
        draft = self._drafts.get(number)
        of = [number] if draft is None else projects([draft.key])
        work = functools.partial(intents.advance, number=number, state=state, at_ms=at_ms, note=note, draft=draft)
        return await self.write(what, work, of=of)

    async def close(self, number: int, closing: Closing, *, at_ms: int) -> Intent:
        """
        Record the outcome of an open intent; closing a closed one raises ``LedgerUnusable``.
        """
        what = f"record the outcome {closing.outcome.value!r} of intent {number}"
        draft = self._drafts.get(number)
        of = [number] if draft is None else projects([draft.key])
        work = functools.partial(intents.close, number=number, closing=closing, at_ms=at_ms, draft=draft)
        closed = await self.write(what, work, of=of)
        self._drafts.pop(number, None)
        return closed

    async def open_intents(self, *, besides: Collection[JobKey] = ()) -> Sequence[Intent]:
        """
        Return the intents without an outcome, oldest first, but those of the jobs *besides*.
        """
        return await self.read("give the open intents", lambda at: intents.open_ones(at, besides))

    async def open_since(self) -> tuple[int, int | None]:
        """
        Return how many intents have no outcome, and when the oldest of them was made.
        """
        return await self.read("count the open intents", intents.open_since, apart=True)

    async def before(self, keys: Collection[JobKey], *, since_ms: int | None, rules: Collection[Rule] = ()) -> Before:
        """
        Return what a plan for these jobs has to know, at one moment.
        """
        what = "tell what came before"
        work = functools.partial(foregoing.before, keys=keys, since_ms=since_ms, rules=rules)
        if self.at_once is not None and since_ms is None and len(keys) <= FEW:
            self._refuse_if_closed(what)
            if (found := self.at_once.read(work)) is not None:
                return found
        return await self.read(what, work)

    async def intents(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[Intent]:
        """
        Return intents, newest first.
        """
        return await self.read("give the intents", lambda at: intents.newest(at, job_id=job_id, limit=limit))

    async def intent(self, number: int) -> Intent | None:
        """
        Return the intent of that number, or None if there is none.
        """
        return await self.read(f"give intent {number}", lambda at: intents.one(at, number))

    async def steps(self, number: int) -> Sequence[tuple[int, str, str]]:
        """
        Return (moment, state or outcome, note) of every step of an intent, in order.
        """
        return await self.read(f"give the steps of intent {number}", lambda at: intents.steps_of(at, number))

    async def attempts(self, keys: Collection[JobKey]) -> Mapping[JobKey, Attempt]:
        """
        Return the newest closed intent of each of these jobs that has one but no open one; *count* counts those of its run.
        """
        return await self.read("give the attempts", lambda at: foregoing.attempts(at, keys))

    async def used(self, *, since_ms: int) -> int:
        """
        Return how many intents count against the limits since that moment: sent ones, and all open ones.
        """
        return await self.read("count against the limits", lambda at: room.used(at, since_ms=since_ms))

    async def tallies(self) -> Sequence[Tally]:
        """
        Return the totals of all closed intents.
        """
        return await self.read("give the totals", intents.tallies)

    async def finding_counts(self) -> Mapping[tuple[str, str], int]:
        """
        Return how many findings there are by (policy, reason).
        """
        return await self.read("count the findings", observations.finding_counts)

    async def pause(self) -> Pause | None:
        """
        Return the pause on record, expired or not.
        """
        return await self.paused()

    def nothing_stops(self) -> bool:
        """
        Tell whether surely neither a pause nor an open breaker is on record, by one look into the ledger's file.
        """
        return self.paused.is_surely(NEITHER)

    async def set_pause(self, pause: Pause | None, *, at_ms: int | None = None) -> None:
        """
        Put a pause on record, or lift it (*at_ms* tells the audit when).
        """
        await self.write("take the pause", lambda at: observations.set_pause(at, pause, at_ms=at_ms))
