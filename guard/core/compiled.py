"""
Policies compiled for deciding on very many jobs: the same answers as ``decide``, worked out together instead of one by one.

A job's facts are looked up as bit masks (``masks``), whose `and` tells which alternatives of which policies are left. What
time then does to these is worked out once for each combination that occurs (``programs``), on a time line that begins
with the run or the creation, so a job costs some look-ups and one bisection. Whatever is out of the ordinary (a job that
is not Running, elastic nodes, a price that changes during the run, a rate below zero) takes the careful way, by the very
functions of ``decide``.

No code is generated: whatever a policy says stays an operand, so there is nothing that a policy could inject. What is kept
between calls are answers that depend on nothing but their key, in tables of bounded size.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import msgspec

from guard.core.clock import TOLERANCE_MS, ClockRule, running_time
from guard.core.decide import Decision, decide
from guard.core.facts import ABSENT, Bent, Growing, Job, Missing, Resource
from guard.core.fields import Terms, facts_of, total_cards
from guard.core.lookups import Kept, KeptLarge, Lookups
from guard.core.masks import GROWING, MOST_OF_ALL, MOST_OF_ONE, MOST_TAGS, encode
from guard.core.policy import PolicySet
from guard.core.programs import NO_RATES, Program, Rates, program
from guard.core.ruling import Ruling, row_of
from guard.core.sighting import SECONDS_BELOW, Sighting
from guard.core.spend import rates_of
from guard.core.steps import stretches_of
from guard.core.stretches import NOTHING, Row, row_at

_UNUSUAL = -1
_PRICED = frozenset({"cost_rate", "cost"})
_RATED = _PRICED | {"total_cards", "card_hours"}

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
    _programs: KeptLarge[_Tables] = field(default_factory=KeptLarge)
    _sizes: Kept[int] = field(default_factory=Kept)
    _numbers: dict[Rates, int] = field(default_factory=lambda: {NO_RATES: 0})
    _rates: list[Rates] = field(default_factory=lambda: [NO_RATES])
    _steps: list[tuple[int, int]] = field(default_factory=list)
    _running: int = field(init=False)
    _no_duration: int = field(init=False)
    _no_age: int = field(init=False)
    _rated: bool = field(init=False)
    _priced: bool = field(init=False)

    def __post_init__(self) -> None:
        masks, unknown = self._lookups.masks, Missing.UNREADABLE
        self._running = masks.of("phase", "Running") & masks.of("waiting", unknown)
        self._no_duration = masks.of("duration", unknown) & masks.of("cost", unknown) & masks.of("card_hours", unknown)
        self._no_age = masks.of("age", unknown)
        self._rated = not _RATED.isdisjoint(masks.fields)
        self._priced = not _PRICED.isdisjoint(masks.fields)

    def rule(self, jobs: Iterable[tuple[Job, Sighting]], *, now_ms: int) -> list[Ruling]:
        """
        Return the ruling on each job at *now_ms*, in order; equal to ``decide`` in everything that a ruling says.
        """
        if self._rest is None:
            return self._rule(jobs, now_ms)
        return [
            self._with_rest(self._rest, job, seen, ruling, now_ms)
            for job, seen in jobs
            for ruling in self._rule([(job, seen)], now_ms)
        ]

    def explain(self, job: Job, seen: Sighting, *, now_ms: int) -> Decision:
        """
        Return the whole decision with its reasons, for a job that matters or that somebody asks about.
        """
        return decide(self.policies, job, seen, self.terms, now_ms=now_ms)

    def _rule(self, jobs: Iterable[tuple[Job, Sighting]], now_ms: int) -> list[Ruling]:
        # One long loop without calls: at some microseconds for all policies of a job, each call would show.
        sizes, size_of, rated, programs = self._sizes, self._lookups.resources, self._rated, self._programs
        plain = not self._lookups.flavors
        by_user, by_name, name_prefixes = self._lookups.by_user, self._lookups.by_name, self._lookups.name_prefixes
        places, texts, by_place = self._lookups.places, self._lookups.texts, self._lookups.by_place
        smaller, by_duration = self.terms.clock is ClockRule.SMALLER, self.terms.clock is ClockRule.DURATION
        rulings: list[Ruling] = []
        add = rulings.append
        for job, seen in jobs:
            if job.phase != "Running" or (rated and job.node_counts):
                add(self._careful(job, seen, now_ms))
                continue
            resources = job.resources
            if plain and len(resources) == 1 and job.pool_id is ABSENT:
                only = resources[0]
                size: object = (only.billing_code, only.unit_num, only.node_count, only.cards_per_node)
            else:
                size = (job.pool_id, *map(size_of, resources))
            key = sizes.get(size) or self._size(job, size)
            if key < 0:
                key = self._settled(key, job, seen, now_ms)
                if key == _UNUSUAL:
                    add(self._careful(job, seen, now_ms))
                    continue
            if by_user is not None:
                mask = by_user.get(job.user)
                key &= self._lookups.of("user", job.user) if mask is None else mask
            if name_prefixes is not None and type(name := job.name) is str:
                for begins, met, missed in name_prefixes:
                    key &= met if name.startswith(begins) else missed
            elif by_name is not None:
                mask = by_name.get(job.name)
                key &= self._lookups.of("name", job.name) if mask is None else mask
            if places is not None:
                place = places(job)
                mask = by_place.get(place)
                key &= self._lookups.of_place(place) if mask is None else mask
            for name, getter, table in texts:
                mask = table.get(getter(job))
                key &= self._lookups.of(name, getter(job)) if mask is None else mask
            # Where both clocks are usable, what ``running_time`` would say; it says all else itself.
            start, duration, created = job.start_time_ms, job.duration_ms, job.create_time_ms
            reading, reading_at = seen.reading_ms, seen.reading_at_ms
            if (
                type(created) is int
                and type(start) is int
                and type(duration) is int
                and reading is not None
                and reading_at is not None
                and duration > 0
                and SECONDS_BELOW <= start <= job.read_at_ms
                and (earliest := created - TOLERANCE_MS) <= start <= now_ms
                and earliest <= (counted := reading_at - reading) <= now_ms
            ):
                began_ms: int | None = (
                    (counted if counted > start else start) if smaller else counted if by_duration else start
                )
                disputed = not -TOLERANCE_MS <= counted - start <= TOLERANCE_MS
            else:
                began_ms, disputed = _began(job, seen, self.terms.clock, now_ms)
                if began_ms is None:
                    key &= self._no_duration
            if type(created) is not int or not 0 < created <= now_ms:
                created = 0
                key &= self._no_age
            run_cuts, run_rows, age_cuts, age_rows, made = programs.get(key) or self._program(key)
            moment, wake_ms = now_ms - (began_ms or 0), None
            run = run_rows[bisect_right(run_cuts, moment)] or made.run.at(moment)
            age = clock = NOTHING
            matches, unknown = run.matches, run.unknown
            if run.wake is not None and began_ms is not None:
                wake_ms = began_ms + run.wake
            if age_cuts:
                moment = now_ms - created
                age = age_rows[bisect_right(age_cuts, moment)] or made.age.at(moment)
                matches |= age.matches
                unknown |= age.unknown
                if age.wake is not None and (wake_ms is None or created + age.wake < wake_ms):
                    wake_ms = created + age.wake
            if made.clocked:
                clock = made.on_clock(began_ms or 0, created, now_ms=now_ms)
                matches |= clock.matches
                unknown |= clock.unknown
                if clock.wake is not None and (wake_ms is None or clock.wake < wake_ms):
                    wake_ms = clock.wake
            first_seen_ms = seen.first_seen_ms
            add(Ruling(matches, unknown, wake_ms, run, age, clock, began_ms, created, first_seen_ms, disputed))
        return rulings

    def _careful(self, job: Job, seen: Sighting, now_ms: int) -> Ruling:
        lookups, fields = self._lookups, self._lookups.masks.fields
        if job.phase != "Running" and "phase" in fields and not lookups.of("phase", job.phase) & lookups.masks.standing:
            # Nobody asks about jobs in this phase.
            return _on_clock(NOTHING, None, seen, disputed=False)
        facts = facts_of(job, seen, self.terms, now_ms=now_ms)
        growing = {name: fact for name in GROWING if isinstance(fact := facts[0].named[name], Growing | Bent)}
        if any(isinstance(fact, Growing) and fact.per_ms < 0 for fact in growing.values()):
            whole = self.policies
            decision = decide(whole, job, seen, self.terms, now_ms=now_ms)
            row = row_of(decision, range(len(whole.policies)), whole.exemptions)
        else:
            row = row_at(stretches_of(lookups, facts, growing), now_ms)
        began_ms, disputed = _began(job, seen, self.terms.clock, now_ms)
        return _on_clock(row, began_ms if job.phase == "Running" else seen.waiting_since_ms, seen, disputed=disputed)

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
        rates = rates_of(job.pool_id, job.resources, self.terms.prices) if self._priced else ((None, Fraction(0)),)
        (since_ms, cost), cards = rates[-1], total_cards(job.resources)
        key &= masks.of("cost_rate", cost) & masks.of("total_cards", cards)
        if isinstance(cost, Missing):
            cost = Fraction(0)
            key &= masks.of("cost", Missing.UNREADABLE)
        if isinstance(cards, Missing):
            cards = 0
            key &= masks.of("card_hours", Missing.UNREADABLE)
        if cost < 0 or cards < 0 or len(self._rates) >= MOST_TAGS or len(self._steps) >= MOST_TAGS:
            return self._sizes.keep(size, _UNUSUAL)
        gathers = Rates(cost, cards)
        number = self._numbers.setdefault(gathers, len(self._rates))
        if number == len(self._rates):
            self._rates.append(gathers)
        key = masks.tagged(key, number)
        if since_ms is not None:
            self._steps.append((since_ms, key))
            key = _UNUSUAL - len(self._steps)
        return self._sizes.keep(size, key)

    def _settled(self, key: int, job: Job, seen: Sighting, now_ms: int) -> int:
        """
        Return the mask of a job that began after the last change of its price, by a negative *key*; of another, _UNUSUAL.
        """
        if key == _UNUSUAL:
            return key
        since_ms, after = self._steps[_UNUSUAL - key - 1]
        began_ms, _ = _began(job, seen, self.terms.clock, now_ms)
        return after if began_ms is not None and since_ms <= began_ms else _UNUSUAL

    def _with_rest(self, rest: _Rest, job: Job, seen: Sighting, ruling: Ruling, now_ms: int) -> Ruling:
        decision = decide(rest.policies, job, seen, self.terms, now_ms=now_ms)
        row = row_of(decision, rest.indices, rest.policies.exemptions)
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


def _began(job: Job, seen: Sighting, rule: ClockRule, now_ms: int) -> tuple[int | None, bool]:
    """
    Return when the run of a Running job began by the clock that counts (None: unreadable), and whether its clocks differ.
    """
    clock = running_time(job, seen, rule, now_ms=now_ms)
    began = now_ms - int(clock.fact.value) if isinstance(clock.fact, Growing) else None
    return began, bool(clock.dispute)


def _on_clock(row: Row, began_ms: int | None, seen: Sighting, *, disputed: bool) -> Ruling:
    return Ruling(row.matches, row.unknown, row.wake, NOTHING, NOTHING, row, began_ms, 0, seen.first_seen_ms, disputed)
