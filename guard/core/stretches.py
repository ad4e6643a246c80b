"""
The stretches of time in which alternatives hold, and what they say of all policies at one moment.

The facts of an alternative that grow are lines, so it holds in one stretch of time; a policy matches in the union of the
stretches of its sure alternatives. Moments are milliseconds on any time line on which the growing facts are given: that of
the clock, or one that begins with the run, whose answers then serve every job of that kind.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from guard.core.alternatives import Literal
from guard.core.facts import Bent, Growing
from guard.core.fields import Facts
from guard.core.judge import judge
from guard.core.masks import Rule

ALWAYS = (-math.inf, math.inf)
NEVER = (math.inf, -math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    What holds of all policies (as bits, by their index) and exemptions at a moment of some time line.

    *matches* and *unknown* are policies, all others being NO_MATCH; *exempt* and *doubts* are exemptions that are MATCH and
    UNKNOWN. *ahead* are (policy, first moment of its next match), *since* are (policy, first moment of the present match,
    or None if it had no beginning). *wake* is the next moment at which a match or the exemption of the job changes.
    """

    matches: int = 0
    unknown: int = 0
    exempt: int = 0
    doubts: int = 0
    ahead: tuple[tuple[int, int], ...] = ()
    since: tuple[tuple[int, int | None], ...] = ()
    wake: int | None = None

    def joined(self, other: "Row") -> "Row":
        """
        Return what two rows on one line say that speak of different policies, and of which one speaks of no exemption.
        """
        return Row(
            matches=self.matches | other.matches,
            unknown=self.unknown | other.unknown,
            exempt=self.exempt | other.exempt,
            doubts=self.doubts | other.doubts,
            ahead=(*self.ahead, *other.ahead),
            since=(*self.since, *other.since),
            wake=min((wake for wake in (self.wake, other.wake) if wake is not None), default=None),
        )


NOTHING = Row()


@dataclass(frozen=True, slots=True)
class Stretch:
    """
    From *begin* until before *end*, an alternative of that *owner* is possible, and *sure* or not.
    """

    begin: float
    end: float
    sure: bool
    owner: int


Stretches = Mapping[int | None, Sequence[Stretch]]
"""The stretches of each policy by its index, and under None those of all exemptions, which spare a job together."""


def stretches(alive: Iterable[tuple[Rule, bool]], facts: Mapping[str, Growing | Bent]) -> Stretches:
    """
    Return the stretches of alternatives that are alive, and sure or not, while the growing *facts* follow their lines.

    A growing field that is not among the facts is unreadable: it keeps nothing from being possible.
    """
    found: dict[int | None, list[Stretch]] = {}
    for rule, sure in alive:
        begin, end = window(rule, facts)
        if rule.until_ms is not None:
            end = min(end, rule.until_ms)
        if begin < end:
            one = Stretch(begin, end, sure, rule.owner)
            found.setdefault(rule.owner if rule.until_ms is None else None, []).append(one)
    return found


def window(rule: Rule, facts: Mapping[str, Growing | Bent]) -> tuple[float, float]:
    """
    Return from when until before when the literals on these growing *facts* hold, whatever the others do.
    """
    begin, end = ALWAYS
    for literal in rule.growing:
        fact = facts.get(literal.condition.field)
        if fact is not None:
            lower, upper = _holds(literal, fact)
            begin, end = max(begin, lower), min(end, upper)
    return begin, end


def _holds(literal: Literal, fact: Growing | Bent) -> tuple[float, float]:
    condition = literal.condition
    limit, strictly = condition.operand, condition.op in ("gt", "lte")
    turn: int | None
    if condition.op == "exists":
        turn = None
    elif isinstance(fact, Growing) and fact.per_ms == 1 and isinstance(limit, int) and isinstance(fact.value, int):
        turn = fact.at_ms + limit - fact.value + strictly
    else:
        turn = fact.reaches(limit, strictly=strictly)  # type: ignore[arg-type]  # operands of growing fields are numbers
    upwards = (condition.op in ("gt", "gte")) is not literal.negated
    if turn is not None:
        return (turn, math.inf) if upwards else (-math.inf, turn)
    # It is so at every moment.
    verdict = judge(condition, Facts({condition.field: fact}, {}), at_ms=0)
    return ALWAYS if bool(verdict) is not literal.negated else NEVER


def row_at(owners: Stretches, now: int) -> Row:
    """
    Return what the stretches say at that moment.
    """
    matches = unknown = exempt = doubts = 0
    ahead: list[tuple[int, int]] = []
    since: list[tuple[int, int | None]] = []
    changes: list[float] = []
    for owner, held in owners.items():
        if owner is None:
            present = [one for one in held if one.begin <= now < one.end]
            for one in present:
                exempt |= one.sure << one.owner
                doubts |= 1 << one.owner
            changes.append(_union(held, now)[1] if present else _next(held, now))
            continue
        sure = [one for one in held if one.sure]
        if any(one.begin <= now < one.end for one in sure):
            begin, end = _union(sure, now)
            matches |= 1 << owner
            since.append((owner, None if begin == -math.inf else int(begin)))
            changes.append(end)
            continue
        if any(one.begin <= now < one.end for one in held):
            unknown |= 1 << owner
        begin = _next(sure, now)
        if begin < math.inf:
            ahead.append((owner, int(begin)))
            changes.append(begin)
    change = min(changes, default=math.inf)
    return Row(
        matches=matches,
        unknown=unknown,
        exempt=exempt,
        doubts=doubts & ~exempt,
        ahead=tuple(ahead),
        since=tuple(since),
        wake=None if change == math.inf else int(change),
    )


def _next(held: Iterable[Stretch], now: int) -> float:
    return min((one.begin for one in held if one.begin > now), default=math.inf)


def _union(held: Sequence[Stretch], now: int) -> tuple[float, float]:
    """
    Return the begin and the end of the unbroken time around *now*; stretches that touch are one.
    """
    begin: float = now
    end: float = now
    while True:
        around = [one for one in held if one.begin <= end and one.end >= begin]
        wider = min(one.begin for one in around), max(one.end for one in around)
        if wider == (begin, end):
            return wider
        begin, end = wider


@dataclass(slots=True)
class Table:
    """
    The rows of stretches for every moment of their time line, each worked out when it is first asked for.

    *cuts* are the moments at which anything changes; *rows* are those between them, None while not worked out.
    """

    owners: Stretches
    cuts: list[float] = field(init=False)
    rows: list[Row | None] = field(init=False)

    def __post_init__(self) -> None:
        edges = {edge for held in self.owners.values() for one in held for edge in (one.begin, one.end)}
        self.cuts = sorted(edges - {math.inf, -math.inf})
        self.rows = [None] * (len(self.cuts) + 1)

    def at(self, now: int) -> Row:
        """
        Return the row of that moment.
        """
        index = bisect_right(self.cuts, now)
        row = self.rows[index]
        if row is None:
            row = self.rows[index] = row_at(self.owners, now) if self.owners else NOTHING
        return row
