"""
What time does to the alternatives that the facts of a job leave: worked out once for all jobs that are left with the same.

Fields that grow follow one of three time lines: that of the run (its duration, card-hours and cost), that of the age, and
the clock, on which exemptions end. What depends on a single line has one table for all jobs; what depends on several is
worked out for each job.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

from guard.core.facts import Growing
from guard.core.masks import Masks, Rule
from guard.core.spans import HOUR_MS
from guard.core.stretches import Row, Stretch, Table, row_at, stretches, window

RUN, AGE, CLOCK, _SEVERAL = "run", "age", "clock", "several"
_LINES = {"duration": RUN, "cost": RUN, "card_hours": RUN, "age": AGE}
_RATED = ("cost", "card_hours")

Alive = tuple[tuple[Rule, bool], ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """
    What a job gathers per hour of its run: money and card-hours. An unreadable rate is 0 here, for no rule is left that
    needs it.
    """

    cost: Fraction = Fraction(0)
    cards: int = 0


NO_RATES = Rates()
Window = tuple[float, float]


@dataclass(slots=True)
class Program:
    """
    The alternatives that are alive for some combination of facts and rates, parted by the time lines that they need.

    *known* are the growing fields that have a value. What depends on one line is in its table; what depends on several is
    not, and makes a *clocked* program, like anything that depends on the clock.
    """

    alive: Alive
    known: frozenset[str]
    rates: Rates
    run: Table = field(init=False)
    age: Table = field(init=False)
    clocked: bool = field(init=False)
    _clock: Table = field(init=False)
    _several: tuple[tuple[Rule, bool, Window, Window], ...] = field(init=False)

    def __post_init__(self) -> None:
        lines: dict[int | None, set[str]] = {}
        for rule, _ in self.alive:
            lines.setdefault(_owner(rule), set()).update(self._needed(rule))
        parts: dict[str, list[tuple[Rule, bool]]] = {RUN: [], AGE: [], CLOCK: [], _SEVERAL: []}
        for one in self.alive:
            needed = lines[_owner(one[0])]
            # What no time changes may stand on any line.
            calm = RUN if "duration" in self.known else CLOCK
            parts[_SEVERAL if len(needed) > 1 else next(iter(needed), calm)].append(one)
        run, age = self._facts(RUN), self._facts(AGE)
        self.run = Table(stretches(parts[RUN], run))
        self.age = Table(stretches(parts[AGE], age))
        self._clock = Table(stretches(parts[CLOCK], {}))
        self._several = tuple((rule, sure, window(rule, run), window(rule, age)) for rule, sure in parts[_SEVERAL])
        self.clocked = bool(parts[CLOCK] or parts[_SEVERAL])

    def on_clock(self, began_ms: int, created_ms: int, *, now_ms: int) -> Row:
        """
        Return what depends on the clock or on several lines, of a job whose run began then and that was created then.
        """
        row = self._clock.at(now_ms)
        if not self._several:
            return row
        found: dict[int | None, list[Stretch]] = {}
        for rule, sure, (run_begin, run_end), (age_begin, age_end) in self._several:
            begin = max(run_begin + began_ms, age_begin + created_ms)
            end = min(run_end + began_ms, age_end + created_ms, math.inf if rule.until_ms is None else rule.until_ms)
            if begin < end:
                found.setdefault(_owner(rule), []).append(Stretch(begin, end, sure, rule.owner))
        return row.joined(row_at(found, now_ms))

    def _needed(self, rule: Rule) -> set[str]:
        fields = (literal.condition.field for literal in rule.growing)
        needed = {_LINES[name] for name in fields if name in self.known and name in _LINES}
        return needed if rule.until_ms is None else needed | {CLOCK}

    def _facts(self, line: str) -> dict[str, Growing]:
        """
        Return the known facts that grow on a line, from its zero.
        """
        per_hour = {"cost": self.rates.cost, "card_hours": Fraction(self.rates.cards)}
        return {
            name: Growing(0, 0, per_hour[name] / HOUR_MS if name in per_hour else 1)
            for name, its_line in _LINES.items()
            if its_line == line and name in self.known
        }


def program(masks: Masks, key: int, rates: Rates) -> Program:
    """
    Return the program for the facts that left *key* and these rates.
    """
    return Program(tuple(masks.alive(key)), frozenset(name for name, bit in masks.known.items() if key & bit), rates)


def _owner(rule: Rule) -> int | None:
    # Exemptions spare a job together, so they need their lines together.
    return rule.owner if rule.until_ms is None else None
