"""
Policies compiled for deciding on very many jobs: the same answers as ``decide``, worked out together instead of one by one.

A job's facts are looked up as bit masks (``masks``), whose `and` tells which alternatives of which policies are left. What
time then does to these is worked out once for each combination that occurs (``programs``), on a time line that begins
with the run or the creation, so a job costs some look-ups and one bisection. Whatever is out of the ordinary (a job that
is not Running, elastic nodes, a rate below zero) takes the careful way, by the very functions of ``decide``.

No code is generated: whatever a policy says stays an operand, so there is nothing that a policy could inject. What is kept
between calls are answers that depend on nothing but their key, in tables of bounded size.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import msgspec

from guard.core.clock import ClockRule, running_time
from guard.core.decide import Decision, decide
from guard.core.facts import ABSENT, Growing, Job, Missing, Resource
from guard.core.fields import Terms, cost_rate, facts_of, total_cards
from guard.core.lookups import Kept, Lookups
from guard.core.masks import GROWING, MOST_OF_ALL, MOST_OF_ONE, MOST_TAGS, encode
from guard.core.policy import Exemption, PolicySet
from guard.core.programs import NO_RATES, Program, Rates, program
from guard.core.ruling import Ruling
from guard.core.running import run_began
from guard.core.sighting import Sighting
from guard.core.stretches import NOTHING, Row, row_at, stretches
from guard.core.verdict import Verdict

_UNUSUAL = -1
_RATED = frozenset({"total_cards", "cost_rate", "cost", "card_hours"})

_Rows = list[Row | None]
_Tables = tuple[list[float], _Rows, list[float], _Rows, Program]
"""The cuts and rows of the run and of the age, and the program that has the rest: spread out, for the fewest steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    """
    The rules that are not compiled, because they have too many alternatives; *indices* are those of their policies.
    """

    policies: PolicySet
    indices: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Compiled:
    """
    Policies and terms, ready for batches of jobs; made by ``compile_policies``.
    """

    policies: PolicySet
    terms: Terms
    _lookups: Lookups
    _rest: _Rest | None
    _programs: Kept[_Tables] = field(default_factory=Kept)
    _sizes: Kept[int] = field(default_factory=Kept)
    _numbers: dict[Rates, int] = field(default_factory=lambda: {NO_RATES: 0})
    _rates: list[Rates] = field(default_factory=lambda: [NO_RATES])
    _running: int = field(init=False)
    _no_duration: int = field(init=False)
    _no_age: int = field(init=False)
    _rated: bool = field(init=False)
    _clock: ClockRule = field(init=False)

    def __post_init__(self) -> None:
        masks, unknown = self._lookups.masks, Missing.UNREADABLE
        self._running = masks.of("phase", "Running") & masks.of("waiting", unknown)
        self._no_duration = masks.of("duration", unknown) & masks.of("cost", unknown) & masks.of("card_hours", unknown)
        self._no_age = masks.of("age", unknown)
        self._clock = self.terms.clock
        self._rated = not _RATED.isdisjoint(masks.fields)

    def rule(self, jobs: Iterable[tuple[Job, Sighting]], *, now_ms: int) -> list[Ruling]:
        """
        Return the ruling on each job at *now_ms*, in order; equal to ``decide`` in everything that a ruling says.
        """
        if self._rest is None:
            ruling = self._ruling
            return [ruling(job, seen, now_ms) for job, seen in jobs]
        return [self._with_rest(self._rest, job, seen, now_ms) for job, seen in jobs]

    def explain(self, job: Job, seen: Sighting, *, now_ms: int) -> Decision:
        """
        Return the whole decision with its reasons, for a job that matters or that somebody asks about.
        """
        return decide(self.policies, job, seen, self.terms, now_ms=now_ms)

    def _ruling(self, job: Job, seen: Sighting, now_ms: int) -> Ruling:
        if job.phase != "Running" or (job.node_counts and self._rated):
            return self._careful(job, seen, now_ms)
        lookups, resources, pool_id = self._lookups, job.resources, job.pool_id
        if len(resources) == 1 and pool_id is ABSENT:
            size = lookups.resources(resources[0])
        else:
            size = (pool_id, *map(lookups.resources, resources))
        key = self._sizes.get(size) or self._size(job, size)
        if key == _UNUSUAL:
            return self._careful(job, seen, now_ms)
        if lookups.places is not None:
            place = lookups.places(job)
            mask = lookups.by_place.get(place)
            key &= lookups.of_place(place) if mask is None else mask
        for name, getter, table in lookups.texts:
            fact = getter(job)
            mask = table.get(fact)
            key &= lookups.of(name, fact) if mask is None else mask
        began_ms, disputed = run_began(job, seen, self._clock, now_ms)
        if began_ms is None:
            key &= self._no_duration
        created_ms = job.create_time_ms
        if isinstance(created_ms, Missing) or not 0 < created_ms <= now_ms:
            created_ms = 0
            key &= self._no_age
        run_cuts, run_rows, age_cuts, age_rows, made = self._programs.get(key) or self._program(key)
        moment, wake_ms, clock = now_ms - (began_ms or 0), None, NOTHING
        run = run_rows[bisect_right(run_cuts, moment)] or made.run.at(moment)
        matches, unknown = run.matches, run.unknown
        if run.wake is not None and began_ms is not None:
            wake_ms = began_ms + run.wake
        if age_cuts:
            moment = now_ms - created_ms
            age = age_rows[bisect_right(age_cuts, moment)] or made.age.at(moment)
            matches |= age.matches
            unknown |= age.unknown
            if age.wake is not None and (wake_ms is None or created_ms + age.wake < wake_ms):
                wake_ms = created_ms + age.wake
        else:
            age = NOTHING
        if made.clocked:
            clock = made.on_clock(began_ms or 0, created_ms, now_ms=now_ms)
            matches |= clock.matches
            unknown |= clock.unknown
            if clock.wake is not None and (wake_ms is None or clock.wake < wake_ms):
                wake_ms = clock.wake
        first_seen_ms = seen.first_seen_ms
        return Ruling(matches, unknown, wake_ms, run, age, clock, began_ms, created_ms, first_seen_ms, disputed)

    def _careful(self, job: Job, seen: Sighting, now_ms: int) -> Ruling:
        lookups, fields = self._lookups, self._lookups.masks.fields
        if job.phase != "Running" and "phase" in fields and not lookups.of("phase", job.phase) & lookups.masks.standing:
            # Nobody asks about jobs in this phase.
            return _on_clock(NOTHING, None, seen, disputed=False)
        clock = running_time(job, seen, self.terms.clock, now_ms=now_ms)
        facts = facts_of(job, seen, self.terms, now_ms=now_ms)
        growing = {name: fact for name in GROWING if isinstance(fact := facts[0].named[name], Growing)}
        key = 0
        for one in facts:
            mask = lookups.masks.full
            for name in fields:
                mask &= lookups.of(name, one.get(name))
            key |= mask
        if any(fact.per_ms < 0 for fact in growing.values()):
            whole = self.policies
            decision = decide(whole, job, seen, self.terms, now_ms=now_ms)
            row = _row_of(decision, range(len(whole.policies)), whole.exemptions)
        else:
            row = row_at(stretches(lookups.masks.alive(key), growing), now_ms)
        if job.phase == "Running":
            began_ms = None if isinstance(clock.fact, Missing) else now_ms - int(clock.fact.value)
        else:
            began_ms = seen.waiting_since_ms
        return _on_clock(row, began_ms, seen, disputed=bool(clock.dispute))

    def _program(self, key: int) -> _Tables:
        made = program(self._lookups.masks, key, self._rates[self._lookups.masks.tag(key)])
        return self._programs.keep(key, (made.run.cuts, made.run.rows, made.age.cuts, made.age.rows, made))

    def _size(self, job: Job, size: object) -> int:
        """
        Return the mask of a Running job's resources, their cost and their cards, tagged with the rates.

        A job's verdict is the `any` of those of its resources, and so is what each of them leaves of an alternative.
        """
        lookups, masks, key = self._lookups, self._lookups.masks, 0
        for resource in job.resources or (Resource(),):
            key |= lookups.of_resource(resource)
        key &= self._running
        if not self._rated:
            return self._sizes.keep(size, masks.tagged(key, 0))
        cost, cards = cost_rate(job, self.terms.prices), total_cards(job.resources)
        key &= masks.of("cost_rate", cost) & masks.of("total_cards", cards)
        if isinstance(cost, Missing):
            cost = Fraction(0)
            key &= masks.of("cost", Missing.UNREADABLE)
        if isinstance(cards, Missing):
            cards = 0
            key &= masks.of("card_hours", Missing.UNREADABLE)
        rates = Rates(cost, cards)
        if cost < 0 or cards < 0 or len(self._rates) >= MOST_TAGS:
            return self._sizes.keep(size, _UNUSUAL)
        number = self._numbers.setdefault(rates, len(self._rates))
        if number == len(self._rates):
            self._rates.append(rates)
        return self._sizes.keep(size, masks.tagged(key, number))

    def _with_rest(self, rest: _Rest, job: Job, seen: Sighting, now_ms: int) -> Ruling:
        ruling = self._ruling(job, seen, now_ms)
        decision = decide(rest.policies, job, seen, self.terms, now_ms=now_ms)
        row = _row_of(decision, rest.indices, rest.policies.exemptions)
        wakes = [wake for wake in (ruling.wake_ms, row.wake) if wake is not None]
        return msgspec.structs.replace(
            ruling,
            matches=ruling.matches | row.matches,
            unknown=ruling.unknown | row.unknown,
            wake_ms=min(wakes, default=None),
            clock=ruling.clock.joined(row),
        )


def compile_policies(
    policies: PolicySet, terms: Terms, *, most_of_one: int = MOST_OF_ONE, most_of_all: int = MOST_OF_ALL
) -> Compiled:
    """
    Compile a set of policies. What has more alternatives than *most_of_one*, or comes beyond *most_of_all*, is left to
    ``decide``.
    """
    encoded = encode(policies, most_of_one=most_of_one, most_of_all=most_of_all)
    left_out = PolicySet(
        policies=tuple(policies.policies[index] for index in encoded.left_out),
        exemptions=() if encoded.exemptions else policies.exemptions,
    )
    rest = _Rest(policies=left_out, indices=encoded.left_out)
    return Compiled(
        policies=policies,
        terms=terms,
        _lookups=Lookups(encoded.masks),
        _rest=rest if left_out.policies or left_out.exemptions else None,
    )


def _row_of(decision: Decision, indices: Sequence[int], exemptions: Sequence[Exemption]) -> Row:
    """
    Return a decision on the policies of these indices as a row on the line of the clock.
    """
    judged = list(zip(indices, decision.judgements, strict=True))
    spared = [
        (index, spared.verdict)
        for index, exemption in enumerate(exemptions)
        for spared in decision.spared
        if spared.exemption is exemption
    ]
    timed = [(index, one.verdict is Verdict.MATCH, one.deadline_ms) for index, one in judged if one.deadline_ms is not None]
    return Row(
        matches=sum(1 << index for index, one in judged if one.verdict is Verdict.MATCH),
        unknown=sum(1 << index for index, one in judged if one.verdict is Verdict.UNKNOWN),
        exempt=sum(1 << index for index, verdict in spared if verdict is Verdict.MATCH),
        doubts=sum(1 << index for index, verdict in spared if verdict is Verdict.UNKNOWN),
        ahead=tuple((index, moment) for index, present, moment in timed if not present),
        since=tuple((index, moment) for index, present, moment in timed if present),
        wake=decision.wake_ms,
    )


def _on_clock(row: Row, began_ms: int | None, seen: Sighting, *, disputed: bool) -> Ruling:
    return Ruling(row.matches, row.unknown, row.wake, NOTHING, NOTHING, row, began_ms, 0, seen.first_seen_ms, disputed)
