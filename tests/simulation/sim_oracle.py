"""
What must hold at every moment, judged by the service's truth and by what is on record, never by the guard's own opinion.

``send`` is asked in the instant in which a terminate call leaves a daemon, ``committed`` after every commit, ``settled`` at
the end of a schedule. What does not hold is handed to ``world.fail``, and ends the schedule.
"""

from dataclasses import dataclass
from typing import Any

from sim_loop import ORIGIN_MS
from sim_policies import RuleSet, verdict
from sim_service import TARGET, Shown, TrueJob, key_of

from guard.errors import NoAnswer, Retryable, TargetError

# From the gate's last question to the call no time passes, unless the process is stopped in between (design section 5).
GRACE_MS = 2
STOPPED_GRACE_MS = 3_000
OLDEST_READING_MS = 6_000
LATEST_ANSWER_MS = 6_000
MAX_OFFSET_S = 121.5
SENT_ONCE_MS = 10_000
MATCHED_FOR_MS = 40_000
# Reading anew, waiting for the end, and both from the beginning when another daemon takes over.
LONGEST_INTENT_MS = 100_000
UNCHANGED_MS = 70_000
LATE_MS = 1_000
ONE_CLOCK_MS = 50
FENCED = frozenset({"intent", "sending", "accepted", "denied", "close", "remember", "walk", "findings"})
NOTHING_DONE = frozenset({"held_back", "exempt", "refused", "no_longer_matches"})


@dataclass(slots=True)
class Read:
    """
    One answer about a job that a daemon asked for, begun at *began* in the order of things and taken at *ended*.
    """

    daemon: int
    job: str
    shown: Shown
    began: int
    ended: int
    at_ms: int
    asked_ms: int


@dataclass(slots=True)
class Send:
    """
    One terminate call; *ended* is 0 while there is no answer, *maybe* whether it may have been carried out.
    """

    daemon: int
    job: str
    intent: int
    at_ms: int
    order: int
    ended: int = 0
    maybe: bool = True


@dataclass(slots=True)
class Row:
    """
    An intent as it was last on record, when it was made, and which run of its job it was then.
    """

    job: str
    state: str
    outcome: str | None
    order: int
    run: int
    made_ms: int
    policy: str
    digest: str
    user: str | None


class Oracle:
    """
    The invariants of one schedule.
    """

    def __init__(self, world: Any) -> None:
        self.world = world
        self.order = 0
        self.reads: list[Read] = []
        self.sends: list[Send] = []
        self.intents: dict[int, Row] = {}
        self.told_late: set[str] = set()
        self.told_running: set[tuple[str, int]] = set()
        self.holder = 0
        self.holder_name = ""
        self.held_since_ms = 0
        self.replaced: set[int] = set()
        self.opened_ms: dict[int, int] = {}

    def next(self) -> int:
        """
        Number what happens.
        """
        self.order += 1
        return self.order

    def told(self, shown: Shown) -> None:
        """
        Take note of an answer that is taken in now, and may be about what was.
        """
        if self.world.true_ms() - shown.at_ms > LATE_MS:
            self.told_late.add(shown.job.name)
        if shown.version.phase == "Running":
            self.told_running.add((shown.job.name, shown.version.run))

    def read(self, daemon: Any, job: str, shown: Shown, began: int, asked_ms: int) -> None:
        """
        Take note of an answer about a job.
        """
        self.told(shown)
        self.reads.append(Read(daemon.number, job, shown, began, self.next(), self.world.true_ms(), asked_ms))

    def send(self, daemon: Any, job: str) -> Send:
        """
        Judge a terminate call that leaves now.
        """
        world, now_ms = self.world, self.world.true_ms()
        rows = world.store.rows(
            "SELECT number, state, policy, accepted_ms FROM intents WHERE job_id = ? AND outcome IS NULL", job
        )
        number = rows[0][0] if rows else 0
        sent = Send(daemon.number, job, number, now_ms, self.next())
        what = f"d{daemon.number} sends a terminate call for {job}"
        world.tell(f"{what} (intent {number})")
        world.count("kills", "sent")
        if len(rows) != 1:
            world.fail(f"{what} without an open intent on record")
            return sent
        _, state, policy, accepted_ms = rows[0]
        self._check_breakers(daemon, policy, what, now_ms)
        if state != "sending":
            world.fail(f"{what} while the state {state!r} is on record, not 'sending'")
        self._check_gate(daemon, what, now_ms)
        earlier = [one for one in self.sends if one.intent == number]
        self._check_reading(daemon, job, policy, number, what, earlier)
        if accepted_ms is not None:
            world.fail(f"{what} again although its acceptance is on record")
        if len([one for one in earlier if one.daemon == daemon.number]) >= 20:
            world.fail(f"{what} for the 21st time")
        if not earlier:
            self._check_limits(daemon, number, what, now_ms)
            self._check_unconfirmed(number, what)
        self.sends.append(sent)
        return sent

    def answered(self, sent: Send, error: TargetError | None) -> None:
        """
        Take note of what came of a call.
        """
        sent.ended = self.next()
        sent.maybe = error is None or isinstance(error, NoAnswer) or (isinstance(error, Retryable) and error.status != 429)

    def _check_gate(self, daemon: Any, what: str, now_ms: int) -> None:
        world = self.world
        if not daemon.armed:
            world.fail(f"{what} although it is disarmed")
        was_stopped = daemon.stopped_until > world.loop.time() - 0.1
        grace_ms = STOPPED_GRACE_MS if was_stopped else GRACE_MS
        if world.paused_since_ms is not None and now_ms - world.paused_since_ms > grace_ms:
            pause = world.store.rows("SELECT until_ms FROM pause")
            if world.pause_file.exists() or (pause and (pause[0][0] is None or pause[0][0] > world.clock.now() * 1000)):
                world.fail(f"{what} although it is paused for {(now_ms - world.paused_since_ms) / 1000:.1f} s")
        if daemon.lease is None or world.store.holder() != daemon.lease.instance:
            world.fail(f"{what} without holding the ledger")
        if world.ledger_down_since_ms is not None and now_ms - world.ledger_down_since_ms > grace_ms:
            world.fail(f"{what} although the ledger cannot be used")
        if abs(world.clock.set_off_s) > MAX_OFFSET_S:
            world.fail(f"{what} although its clock is off by {world.clock.set_off_s} s")

    def _check_reading(self, daemon: Any, job: str, policy: str, number: int, what: str, earlier: list[Send]) -> None:
        world, now_ms = self.world, self.world.true_ms()
        since = max([self.intents[number].order, *(one.ended or one.order for one in earlier)])
        fresh = [one for one in self.reads if one.daemon == daemon.number and one.job == job and one.began > since]
        if not fresh:
            world.fail(f"{what} without a reading of it since the intent or the call before")
            return
        newest = fresh[-1]
        if now_ms - newest.at_ms > OLDEST_READING_MS:
            world.fail(f"{what} by a reading that is {(now_ms - newest.at_ms) / 1000:.1f} s old")
        if now_ms - newest.asked_ms > OLDEST_READING_MS + LATEST_ANSWER_MS:
            world.fail(f"{what} by a reading that was asked for {(now_ms - newest.asked_ms) / 1000:.1f} s ago")
        rules: RuleSet = world.in_force(daemon)
        facts = newest.shown.facts(now_ms, world.prices_in_force(daemon))
        asked = rules.terminating(facts)
        if asked is None:
            spared = " (it is exempt, or may be)" if rules.spares(facts) else ""
            world.fail(f"{what} although no policy in force asks for it{spared}: {facts}")
        elif asked != policy:
            world.fail(f"{what} by policy {policy}, but {asked} comes first: {facts}")
        if newest.shown.version.run != self.intents[number].run:
            world.fail(f"{what} although the intent was for run {self.intents[number].run} and this is another")

    def _check_limits(self, daemon: Any, number: int, what: str, now_ms: int) -> None:
        if daemon.most is None:
            return
        world = self.world
        most = daemon.most
        if world.plan.percent is not None:
            most = min(most, max(3, world.most_running * world.plan.percent // 100))
        since_ms = now_ms - world.plan.window_s * 1000 + SENT_ONCE_MS
        recent = [one for one in self.sends if one.at_ms > since_ms]
        used = len({one.intent for one in recent})
        if used >= most:
            world.fail(f"{what}, the {used + 1}. in the window, but the limits allow {most}")
        own, counted = self.intents[number], [self.intents[one] for one in {one.intent for one in recent}]
        for name, allowed in (("policy", world.plan.per_policy), ("user", world.plan.per_user)):
            used = sum(getattr(one, name) == getattr(own, name) for one in counted)
            if allowed is not None and used >= allowed:
                world.fail(f"{what}, the {used + 1}. of its {name} in the window, but the limits allow {allowed}")

    def _check_unconfirmed(self, number: int, what: str) -> None:
        """
        Judge a call by a policy that nobody has confirmed: it acts on a few jobs only.
        """
        own, allowed = self.intents[number], self.world.plan.first_enforce
        word = "SELECT 1 FROM confirmations WHERE policy = ? AND digest = ?"
        if allowed is None or self.world.store.rows(word, own.policy, own.digest):
            return
        ours = {one.intent for one in self.sends}
        acted = {
            one.job
            for other, one in self.intents.items()
            if other in ours and (one.policy, one.digest) == (own.policy, own.digest)
        }
        if len(acted - {own.job}) >= allowed:
            self.world.fail(f"{what}, a job more than the {allowed} that {own.policy} may act on before it is confirmed")

    def _check_breakers(self, daemon: Any, policy: str, what: str, now_ms: int) -> None:
        """
        Judge a call by what is open on record, and was for longer than the gate's last question may be ago.
        """
        was_stopped = daemon.stopped_until > self.world.loop.time() - 0.1
        grace_ms = STOPPED_GRACE_MS if was_stopped else GRACE_MS
        for number, scope, name in self.world.store.rows("SELECT id, scope, name FROM breakers WHERE closed_ms IS NULL"):
            covers = scope == "all" or name == (policy if scope == "policy" else TARGET)
            if covers and now_ms - self.opened_ms.setdefault(number, now_ms) > grace_ms:
                self.world.fail(f"{what} although the breaker is open for {scope} {name}".rstrip())

    def committed(self, owner: Any, kinds: list[str]) -> None:
        """
        Look at what is on record after a commit of these kinds of writes.
        """
        world = self.world
        world.count("commits", "done")
        holder = world.store.holder()
        before, self.holder_name = self.holder_name, holder
        self._note_holder(holder)
        if owner is not None and owner.lease is not None and holder != owner.lease.instance:
            for kind in kinds:
                world.count("writes without the lease", kind)
                # A group that gives the lease back, too, wrote the others before that.
                if kind in FENCED and before != owner.lease.instance:
                    world.fail(f"d{owner.number} wrote {kind!r} although {holder or 'nobody'} holds the lease")
        open_jobs: set[str] = set()
        for (number,) in world.store.rows("SELECT id FROM breakers WHERE closed_ms IS NULL"):
            self.opened_ms.setdefault(number, world.true_ms())
        query = "SELECT number, job_id, state, outcome, policy, deadline_ms, digest, user_name FROM intents"
        for number, job, state, outcome, policy, deadline_ms, digest, user in world.store.rows(query):
            if outcome is None:
                if job in open_jobs:
                    world.fail(f"two open intents for {job}")
                open_jobs.add(job)
            before = self.intents.get(number)
            if before is None:
                true = world.jobs.by_name.get(job)
                run = true.now.run if true is not None else 0
                self.intents[number] = Row(job, state, outcome, self.next(), run, world.true_ms(), policy, digest, user)
                world.tell(f"intent {number} for {job} is on record")
                if true is not None and owner is not None:
                    self._check_deadline(owner, true, policy, deadline_ms)
                continue
            if (state, outcome) == (before.state, before.outcome):
                continue
            if before.outcome is not None:
                world.fail(f"intent {number} had the outcome {before.outcome} and has {outcome} in state {state} now")
            world.tell(f"intent {number} for {job} is {outcome or state} on record")
            before.state, before.outcome = state, outcome
            if outcome is not None:
                world.count("outcomes", outcome)
                if outcome == "confirmed":
                    self._check_confirmed(number, job)
                elif outcome in NOTHING_DONE and any(one.intent == number and one.maybe for one in self.sends):
                    world.fail(f"intent {number} is {outcome} although a call for it may have been carried out")

    def _note_holder(self, token: str) -> None:
        daemons = self.world.daemons.values()
        now = next((one.number for one in daemons if one.lease is not None and one.lease.instance == token), 0)
        if now and now != self.holder:
            self.replaced.add(self.holder)
            self.holder, self.held_since_ms = now, self.world.true_ms()

    def _check_deadline(self, daemon: Any, job: TrueJob, policy: str, deadline_ms: int) -> None:
        """
        Judge the deadline of a new intent: to the millisecond, as long as nothing but time has changed for a while, and no
        answer lacked one of a job's two clocks, which differ by some milliseconds. Of a job that has one clock only, it is
        as exact as the way of the answer that told it; so it is of one that was read as it started: its start lies after
        the earliest moment of that answer, by which it is reckoned, and is no clock then.
        """
        world, since_ms = self.world, self.world.true_ms() - UNCHANGED_MS
        rule = next((one for one in world.in_force(daemon).policies if one.name == policy), None)
        began = job.at(since_ms)
        recent = {one.same for one in job.past if one.since_ms > since_ms or one is began} | {job.now.same}
        if rule is None or world.edits or world.halves or len(recent) > 1 or "waiting" in str(rule.clause):
            return
        shown = Shown(job, job.now, frozenset(), world.true_ms())
        by_one_clock = bool(job.now.hidden & {"start", "duration"}) or job.name in world.read_at_start
        facts = shown.facts(deadline_ms + by_one_clock * ONE_CLOCK_MS, world.prices_in_force(daemon))
        if job.now.phase == "Running" and verdict(rule, facts) is not True:
            world.fail(f"the deadline of {job.name} by policy {policy} lies before its match: {facts}")

    def _check_confirmed(self, number: int, job: str) -> None:
        ours = [one for one in self.sends if one.intent == number and one.maybe]
        if not ours:
            self.world.fail(f"intent {number} is confirmed without a call that may have been carried out")
            return
        first = min(one.order for one in ours)
        if not any(one.job == job and one.began > first and one.shown.version.phase == "Terminated" for one in self.reads):
            self.world.fail(f"intent {number} is confirmed, but {job} was not read back as Terminated")

    def settled(self) -> None:
        """
        Judge the end: with the faults off for a while, nothing is open, nothing is forgotten, and the counters are true.
        """
        world = self.world
        for number, row in self.intents.items():
            outcomes = world.store.rows(
                "SELECT count(*) FROM steps WHERE intent = ? AND state NOT IN ('intended', 'sending', 'denied', 'accepted')",
                number,
            )[0][0]
            if row.outcome is None and self.world.true_ms() - max(row.made_ms, self.held_since_ms) < LONGEST_INTENT_MS:
                continue
            if row.outcome is None:
                world.fail(f"intent {number} for {row.job} is still open, in state {row.state}")
            elif outcomes != 1:
                world.fail(f"intent {number} has {outcomes} outcomes")
        daemon = world.acting()
        if daemon is None:
            world.fail("no daemon holds the ledger at the end")
            return
        if not daemon.misled and daemon.number not in self.replaced:
            # Whoever takes for failed what is on record, or gets the ledger back, counts right only after its next start.
            self._check_counters(daemon)
        self._check_nothing_forgotten(daemon)

    def _check_counters(self, daemon: Any) -> None:
        world = self.world
        on_record = {
            (policy, outcome): count
            for policy, outcome, count in world.store.rows(
                "SELECT policy, outcome, count(*) FROM intents WHERE outcome IS NOT NULL GROUP BY policy, outcome"
            )
        }
        found = {(one.labels["policy"], one.labels["outcome"]): one.value for one in _samples(daemon.metrics.terminations)}
        for key in on_record.keys() | {key for key, value in found.items() if value}:
            if found.get(key, 0) != on_record.get(key, 0):
                world.fail(f"the counter of {key} says {found.get(key, 0):g}, on record are {on_record.get(key, 0)}")
        on_record = {
            (policy, reason): count
            for policy, reason, count in world.store.rows(
                "SELECT policy, reason, count(*) FROM findings GROUP BY policy, reason"
            )
        }
        found = {(one.labels["policy"], one.labels["reason"]): one.value for one in _samples(daemon.metrics.potential)}
        for key in on_record.keys() | {key for key, value in found.items() if value}:
            if found.get(key, 0) != on_record.get(key, 0):
                world.fail(
                    f"the counter of findings {key} says {found.get(key, 0):g}, on record are {on_record.get(key, 0)}"
                )

    def _check_nothing_forgotten(self, daemon: Any) -> None:
        world, now_ms = self.world, self.world.true_ms()
        rules, prices = world.in_force(daemon), world.prices_in_force(daemon)
        if rules != world.folder:
            world.fail("the policies in force are not those in the folder")
        held = daemon.service.cycle.held
        for job in world.jobs.by_name.values():
            shown = Shown(job, job.now, job.now.hidden, now_ms)
            asked = rules.terminating(shown.facts(now_ms, prices)) if job.now.there else None
            if asked is None or asked != rules.terminating(shown.facts(now_ms - MATCHED_FOR_MS, prices)):
                continue
            if now_ms - max(job.now.since_ms, world.calm_since_ms) < MATCHED_FOR_MS:
                continue
            if any(row.job == job.name and row.outcome is None for row in self.intents.values()):
                # Under way: whether that takes too long is judged with the intents.
                continue
            rule = next(one for one in rules.policies if one.name == asked)
            if job.now.requeued_ms is not None and "waiting" in str(rule.clause) and self._is_unknown_since_when(job):
                # Since when it waits anew knows only who saw it run: nobody did, or that was lost, and then it ends nothing.
                continue
            why = {one.reason for one in held.get(key_of(job.name), ())}
            if not why and job.name in self.told_late:
                # What contradicts an answer of the past is believed after 10 minutes (core.outdated).
                continue
            if not why:
                world.fail(
                    f"{job.name} matches {asked} and was neither terminated nor held back: {shown.facts(now_ms, prices)}"
                )
            elif strange := {one for one in why if not self._may_hold(daemon, job.name, one)}:
                world.fail(f"{job.name} is held back by {strange} for no reason")

    def _is_unknown_since_when(self, job: TrueJob) -> bool:
        """
        Whether it is not on record since when a job waits, and nobody was told that it ran, or a write failed.
        """
        counts = self.world.result.counts
        since = self.world.store.rows("SELECT waiting_since_ms FROM sightings WHERE job_id = ?", job.name)
        lost = counts["faults", "fail"] or counts["happened", "ledger"]
        return since == [(None,)] and bool(lost or (job.name, job.now.run) not in self.told_running)

    def _may_hold(self, daemon: Any, job: str, reason: str) -> bool:
        world = self.world
        if reason == "disarmed":
            return not daemon.armed
        if reason == "clock":
            return bool(world.clock_set_ms is not None and world.true_ms() - world.clock_set_ms < 330_000)
        if reason == "retry_later":
            return any(row.job == job and row.outcome is not None for row in self.intents.values())
        if reason == "limit":
            return daemon.most is not None and bool(self.intents)
        if reason == "first_enforce":
            return self.world.plan.first_enforce is not None and bool(self.intents)
        if reason == "breaker":
            return bool(world.store.rows("SELECT 1 FROM breakers"))
        return False


def _samples(counter: Any) -> list[Any]:
    return [one for metric in counter.collect() for one in metric.samples if one.name.endswith("_total")]


def when(at_ms: int) -> str:
    """
    A moment of the schedule, for a reader.
    """
    return f"{(at_ms - ORIGIN_MS) / 1000:9.3f} s"
