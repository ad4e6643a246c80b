"""
The right of one process to act on targets: a heartbeat in the ledger, and a lease with a fencing token for each target.

Why two processes never act on one target at the same time, with L, R and E for the lease duration, the renew deadline and
the largest error of two steady clocks over L (R < L, see ``core.leasing``):

1. A holder counts from *before* the write that renews: a moment s by its own steady clock. The write is committed after s.
2. Another replica sees that heartbeat at a moment b after the commit, so after s, and counts from b by its own steady clock.
   It takes the lease only if the number of the heartbeat is still the same after more than L, read in the transaction that
   takes it. The database lets one of the two writes go first: if the holder's renewal does, the number differs.
3. The holder begins no act that may not be over by s + L - E, and none after s + R. So it has ended before b + L.

No clock of another machine is trusted, nor that of the database; a process that just started waits L for a holder that died.
Both clocks of the holder are asked: the steady one may stand still while a machine sleeps, the other one may be set back. A
clock that runs more than E fast or slow over L, or a process that is stopped between its last look at the lease and the
write to the socket, can break 3; then the token (``fence``) still keeps the late one from changing the ledger.

A process that died on this machine is recognised at once. On SQLite, which is a file on one machine, one process acts on all
targets or on none, and the wall clock of that machine also tells how old a heartbeat is.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from guard.core.facts import JobKey
from guard.core.leasing import Durations, Project
from guard.errors import LedgerHeld
from guard.ledger.heartbeats import Beaten, Observed, Self, beat, give_back, heard, hearts_now, holders
from guard.ledger.process import Process, this_process
from guard.ledger.sql import SqlLedger
from guard.ports import Clock, Term

# A free lease that its owner has not taken after so many retry periods is taken by anybody.
OVERDUE_PERIODS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """
    The last heartbeat of this process, by the clock that people read and by the one that never steps.
    """

    at_s: float
    monotonic_s: float


class SqlLease:
    """
    The leases of a ledger. It implements the ``Lease`` port; *holder* is the name that others are shown, *projects* are the
    targets by name. A ledger that is *shared* has several replicas; by default that is one that lies in a server.
    """

    def __init__(
        self,
        ledger: SqlLedger,
        holder: str,
        clock: Clock,
        *,
        projects: Mapping[str, Project] | None = None,
        durations: Durations | None = None,
        process: Process | None = None,
        shared: bool | None = None,
    ) -> None:
        self._ledger = ledger
        self._holder = holder
        self._clock = clock
        self._process = process or this_process()
        self._projects = dict(projects or {})
        self._durations = durations or Durations()
        self._shared = ledger.shared if shared is None else shared
        self.instance = uuid.uuid4().hex
        self._beat: Beat | None = None
        self._observed = Observed()
        self._terms: dict[Project, Term] = {}
        self._hurry = self._visits = False
        self.replicas = 0

    async def acquire(self) -> None:
        """
        Join those who act on the ledger; on a ledger of one machine take every target, also from a holder that has died or
        whose heart has stopped. Raises ``LedgerUnusable``, and ``LedgerHeld``, naming the holder, if another one holds it.
        """
        # A name is never used again: others may still wait for the heart of the one before.
        self._mark_lost()
        self.instance = uuid.uuid4().hex
        self._beat = None
        if not await self._beaten("give the lease", joins=True, takes=not self._shared):
            raise LedgerHeld(f"ledger {self._ledger.name} could not be joined")
        # Others may be starting too: whoever takes everything at once gives most of it away again.
        self._hurry = False

    async def visit(self) -> None:
        """
        Join for a short while: take those targets that no living replica holds, and ask for none.

        Whether a holder whose heart was not heard yet lives is waited for, at most as long as a lease lasts. Raises as
        ``acquire`` does.
        """
        self._visits = True
        await self.acquire()
        began_s = self._clock.monotonic()
        while self._shared and await self.renew():
            there = await self._ledger.read("tell who holds it", holders, apart=True)
            asked = {there[of]["instance"] for of in self._projects.values() if of in there} - {self.instance}
            hearts = self._observed.hearts
            if not any(hearts[one].since_s <= began_s for one in asked if one in hearts):
                return
            await self._clock.sleep(min(1.0, self._durations.retry_ms / 1000))

    async def renew(self) -> bool:
        """
        Beat the heart, and take, ask for and lose targets as things stand; False if others took this process for dead, which
        has lost everything then. Raises ``LedgerUnusable``.
        """
        kept = await self._beaten("renew the lease", joins=False, takes=True)
        if not kept:
            self._mark_lost()
        return kept

    async def watch(self) -> bool:
        """
        Look at the hearts of the others; tell whether to renew now rather than when the retry period is over.
        """
        beat = self._beat
        if not self._shared or beat is None:
            return False
        before = self._observed.hearts
        there = await self._ledger.read("look at the replicas", hearts_now, apart=True)
        # A heart counts from after it was seen: what was read may have been written while this waited for the answer.
        now_s = self._clock.monotonic()
        hearts = heard(before, ((name, beats) for name, beats in there if name != self.instance), steady_s=now_s)
        self._observed = replace(self._observed, hearts=hearts)
        # Only one that fell silent since the last beat: that beat has done about the others what there was to do.
        silent_s, beaten_s = self._durations.lease_ms / 1000, beat.monotonic_s
        stopped = any(beaten_s - heart.since_s <= silent_s < now_s - heart.since_s for heart in hearts.values())
        return self._hurry or stopped or not before.keys() <= hearts.keys()

    def terms(self) -> Mapping[str, Term]:
        """
        Return the leases of this process by target; a lost one stays until it is released.
        """
        return {name: self._terms[of] for name, of in self._projects.items() if of in self._terms}

    def tokens(self) -> Mapping[Project, int]:
        """
        Return the tokens of the leases that are not known to be lost, by project, whatever the clocks say.
        """
        return {project: term.token for project, term in self._terms.items() if not term.lost}

    def project_of(self, target: str) -> Project:
        """
        Return the project of a target.
        """
        return self._projects.get(target, ("", ""))

    def held(self, target: str = "", *, for_s: float = 0.0) -> bool:
        """
        Tell whether the lease of a target (of any, without a name) is held and fresh enough for an act of *for_s* seconds.
        """
        beat, now = self._beat, self._now()
        if beat is None:
            return False
        trusted_s = self._durations.trusted_ms(for_ms=int(for_s * 1000)) / 1000
        if now.monotonic_s - beat.monotonic_s > trusted_s or now.at_s - beat.at_s > trusted_s:
            return False
        if not target:
            return True
        term = self._terms.get(self.project_of(target))
        return term is not None and not term.lost

    def acts_on(self, key: JobKey) -> bool:
        """
        Tell whether a job belongs to a project whose lease this process has, as far as it knows.
        """
        term = self._terms.get((key.region, key.project_id))
        return term is not None and not term.lost

    async def release(self, target: str = "") -> None:
        """
        Give the lease of a target back, if it is still this process's, so that it may be taken anew; without a name give all
        back and leave. Raises ``LedgerUnusable``.
        """
        instance, project = self.instance, self._projects.get(target)
        if target:
            term = self._terms.get(project) if project is not None else None
            if project is not None and term is not None:
                mine = {project: term.token}
                await self._ledger.write("take a lease back", lambda at: give_back(at, instance, mine))
                self._terms.pop(project, None)
            return
        self._beat = None
        self._terms.clear()
        await self._ledger.write("take the lease back", lambda at: give_back(at, instance, None))

    async def refusals(self) -> Mapping[str, str]:
        """
        Return who holds the leases of those targets that this process does not hold, in a sentence for each.
        """
        found, now_ms = await self._ledger.read("tell who holds it", holders, apart=True), _ms(self._now())
        return {
            name: _told(f"target {name}", found[project], now_ms=now_ms)
            for name, project in self._projects.items()
            if project in found and found[project]["instance"] != self.instance
        }

    def _mark_lost(self) -> None:
        self._beat = None
        self._terms = {project: replace(term, lost=True) for project, term in self._terms.items()}

    async def _beaten(self, what: str, *, joins: bool, takes: bool) -> bool:
        # The moment before the write counts: the write may take long, and others count from what it wrote.
        now, seen = self._now(), self._observed
        me = Self(
            instance=self.instance,
            holder=self._holder,
            process=self._process,
            wants=frozenset(self._projects.values()),
            serves=frozenset() if self._visits else frozenset(self._projects.values()),
            alone=not self._shared,
            now_ms=_ms(now),
            steady_s=now.monotonic_s,
            silent_s=self._durations.lease_ms / 1000,
            patience_s=-1.0 if self._visits else OVERDUE_PERIODS * self._durations.retry_ms / 1000,
            takes=takes,
            joins=joins,
            unfit=frozenset(project for project, term in self._terms.items() if term.lost),
        )
        done = await self._ledger.write(what, lambda at: beat(at, me, seen), first=True)
        # As in ``watch``: those that beat since the last look are counted from here, not from before the write.
        hearts, after_s = done.observed.hearts, self._clock.monotonic()
        fresh = {name: replace(one, since_s=after_s) for name, one in hearts.items() if one != seen.hearts.get(name)}
        self._observed = replace(done.observed, hearts={**hearts, **fresh})
        if done.refused is not None and joins:
            raise LedgerHeld(self._refusal(done.refused, now_ms=_ms(now)))
        if done.kept:
            self._beat = now
            self._take_over(done)
        return done.kept

    def _take_over(self, done: Beaten) -> None:
        """
        Take in what the ledger says of this process's leases. What it took in a write whose answer was lost is its as well.
        """
        for project, term in self._terms.items():
            lost = term.lost or done.held.get(project) != term.token
            self._terms[project] = replace(term, lost=lost, wanted=project in done.give)
        # Of what was nobody's only the ledger's word counts: nothing runs on it here that has to end first.
        gone = self._terms.keys() - done.held.keys() - set(self._projects.values())
        self._terms = {project: term for project, term in self._terms.items() if project not in gone}
        for project, token in done.held.items():
            self._terms.setdefault(project, Term(token=token, wanted=project in done.give))
        self._hurry, self.replicas = done.asked or bool(done.observed.bare), done.replicas

    def _refusal(self, holder: sa.RowMapping, *, now_ms: int) -> str:
        wait = f"a lease is free {self._durations.lease_ms / 1000:.0f} s after the last heartbeat"
        return f"{_told(f'ledger {self._ledger.name}', holder, now_ms=now_ms)}; stop it first, or wait: {wait}"

    def _now(self) -> Beat:
        return Beat(at_s=self._clock.now(), monotonic_s=self._clock.monotonic())


def _ms(beat: Beat) -> int:
    return int(beat.at_s * 1000)


def _told(what: str, holder: sa.RowMapping, *, now_ms: int) -> str:
    since = datetime.fromtimestamp(holder["since_ms"] / 1000, UTC).isoformat(timespec="seconds")
    age_s = (now_ms - holder["beat_ms"]) / 1000
    beat = (
        f"its last heartbeat is {age_s:.0f} s old"
        if age_s >= 0
        else "its last heartbeat is in the future: compare the clocks"
    )
    return (
        f"{what} is held by {holder['holder'][:100]!r} (host {holder['host'][:100]!r}, pid {holder['pid']}) "
        f"since {since}, {beat}"
    )
