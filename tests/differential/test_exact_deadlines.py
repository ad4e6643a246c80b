"""
Deadlines and wakes against brute force, on facts that are worked out here anew.

An operand is what its field amounts to at a drawn moment, or a part of a millisecond's growth beside it, so the moments at
which a condition may turn are known without solving anything. Each of them is tried, with three milliseconds on either side,
and of jobs that live for milliseconds every millisecond. Verdicts, amounts and logic are those of this file; the guard is
asked only through ``decide``, anew at each moment, as a daemon that is woken then would.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from worlds import NOW

from guard.core.decide import Decision, decide
from guard.core.facts import ABSENT, UNREADABLE, Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.policy import All, Clause, Condition, Exemption, Not, Policy, PolicySet, Some
from guard.core.price import Price, PriceBook
from guard.core.sighting import Sighting, observe
from guard.core.verdict import Verdict
from tests.changing import replace

HOUR = 3_600_000
DAY = 24 * HOUR
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}
MONEY = ("card_hours", "cost")
SPANS = ("duration", "age", "waiting")
BESIDE = (0, 0, 0, Fraction(1, 2), Fraction(-1, 2), Fraction(1, 3), Fraction(-2, 7))
"""How far an operand of money lies beside what is gathered at its moment, in milliseconds of gathering."""
CODES = {"a": Fraction(10, 3), "b": Fraction(22, 7), "c": Fraction(1, 11), "d": Fraction(5)}
NOT_CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """
    A job, what is known of it, and the plain numbers that it was made of.

    *began_ms* is when its running time counts from, *waits_ms* since when it waits; None if it does not. *stands_ms* is
    the running time of a job that runs no more. *reach_ms* is how far from now its conditions may turn.
    """

    job: Job
    seen: Sighting
    terms: Terms
    now_ms: int
    reach_ms: int
    began_ms: int | None = None
    waits_ms: int | None = None
    stands_ms: int | None = None
    changes: dict[str, dict[int, Fraction]]

    def amount(self, name: str, index: int, at_ms: int) -> Any:
        """
        Return a fact of the resource of that index at that moment, or None if it is not known.
        """
        job, resource = self.job, self.job.resources[index]
        match name:
            case "duration":
                return self.stands_ms if self.began_ms is None else at_ms - self.began_ms
            case "age":
                return at_ms - job.create_time_ms if isinstance(job.create_time_ms, int) else None
            case "waiting":
                return None if self.waits_ms is None else at_ms - self.waits_ms
            case "card_hours":
                return self._gathered(Fraction(sum(one.cards_per_node * one.node_count for one in job.resources)), at_ms)
            case "cost":
                return self._cost(at_ms)
            case "cost_rate":
                return self._rate(at_ms)
            case "phase":
                return job.phase
            case "user" | "description":
                value = getattr(job, name)
                return value if isinstance(value, str) else None
        return getattr(resource, name)

    def _rate(self, at_ms: int) -> Fraction:
        total = Fraction(0)
        for one in self.job.resources:
            nodes = one.node_count
            if self.job.node_counts:
                nodes = sum([nodes for since, nodes in self.job.node_counts if since <= at_ms][-1:])
            prices = self.changes["pool" if isinstance(self.job.pool_id, str) else one.billing_code]
            total += prices[max(since for since in prices if since <= at_ms)] * one.unit_num * nodes
        return total

    def _cost(self, at_ms: int) -> Fraction | None:
        begin_ms, end_ms = self.began_ms, at_ms
        if begin_ms is None:
            if self.stands_ms is None:
                return None
            begin_ms, end_ms = self.job.start_time_ms or at_ms, (self.job.start_time_ms or at_ms) + self.stands_ms
        if end_ms < begin_ms:
            return self._rate(begin_ms) * (end_ms - begin_ms) / HOUR
        steps = {
            *(since for prices in self.changes.values() for since in prices),
            *(since for since, _ in self.job.node_counts),
        }
        cuts = [begin_ms, *sorted(step for step in steps if begin_ms < step < end_ms), end_ms]
        return sum((self._rate(first) * (last - first) / HOUR for first, last in pairwise(cuts)), Fraction(0))

    def _gathered(self, per_hour: Fraction, at_ms: int) -> Fraction | None:
        if self.began_ms is None:
            return None if self.stands_ms is None else per_hour * self.stands_ms / HOUR
        if not self.job.node_counts:
            return per_hour * (at_ms - self.began_ms) / HOUR
        counts = self.job.node_counts
        ends = [*(since for since, _ in counts[1:]), at_ms]
        node_ms = sum(
            nodes * max(0, min(end, at_ms) - max(since, self.began_ms))
            for (since, nodes), end in zip(counts, ends, strict=True)
        )
        return per_hour * node_ms / self.job.resources[0].node_count / HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    A life, the rules that it is judged by, and the moments at which anything may turn.
    """

    life: Life
    rules: PolicySet
    moments: tuple[int, ...]

    def decided(self, at_ms: int) -> Decision:
        """
        Return the guard's decision at that moment, on the same reading.
        """
        return decide(self.rules, self.life.job, self.life.seen, self.life.terms, now_ms=at_ms)

    def verdicts(self, at_ms: int) -> tuple[Verdict, ...]:
        """
        Return the verdict of each policy by this file's own arithmetic and logic.
        """
        return tuple(self._verdict(policy.clause, at_ms) for policy in self.rules.policies)

    def spared(self, at_ms: int) -> bool:
        """
        Return whether an exemption spares the job, surely or not.
        """
        return any(
            at_ms < one.until_ms and self._verdict(one.clause, at_ms, exempts=True) is not Verdict.NO_MATCH
            for one in self.rules.exemptions
        )

    def orders(self, at_ms: int) -> tuple[bool, ...]:
        """
        Return what may be ordered at that moment: which policies match, and whether the job is spared.
        """
        return (*(verdict is Verdict.MATCH for verdict in self.verdicts(at_ms)), self.spared(at_ms))

    def _verdict(self, clause: Clause, at_ms: int, *, exempts: bool = False) -> Verdict:
        truths = [self._truth(clause, index, at_ms, exempts) for index in range(len(self.life.job.resources))]
        if True in truths:
            return Verdict.MATCH
        return Verdict.UNKNOWN if None in truths else Verdict.NO_MATCH

    def _truth(self, clause: Clause, index: int, at_ms: int, exempts: bool) -> bool | None:
        match clause:
            case Not(part=part):
                truth = self._truth(part, index, at_ms, exempts)
                return None if truth is None else not truth
            case All(parts=parts) | Some(parts=parts):
                truths = [self._truth(part, index, at_ms, exempts) for part in parts]
                decisive = isinstance(clause, Some)
                return decisive if decisive in truths else None if None in truths else not decisive
        amount = self.life.amount(clause.field, index, at_ms)
        if amount is None:
            return False if exempts and clause.field == "description" else None
        return ORDER[clause.op](amount, clause.operand)


@st.composite
def lives(draw: Any, *, tiny: bool) -> Life:
    """
    Return a job that runs, waits, waits again or ran: for milliseconds with fast money, or for days with ordinary money.
    """
    kind = draw(KINDS)
    unit, pace = (1, 10**7) if tiny else (HOUR, 1)
    read_ms = NOW - draw(FEW)
    resources = draw(RESOURCES)[: 1 if kind == "elastic" else 3]
    # Each clock may be the smaller one; neither says more than the age.
    spent, more, before = draw(SPENT) * unit + draw(FEW), draw(FEW) * unit, draw(SPENT) * unit
    by_duration = kind == "stood still" or draw(st.booleans())
    job = Job(
        key=JobKey(region="r", project_id="p", job_id="j"),
        target="lab",
        read_at_ms=read_ms,
        phase={"waiting": "Pending", "returned": "Creating", "completed": "Completed"}.get(kind, "Running"),
        user=draw(st.sampled_from(("ann", "bob", UNREADABLE))),
        description=draw(st.sampled_from(("ann", ABSENT))),
        pool_id=draw(st.sampled_from((ABSENT, ABSENT, "pool"))),
        create_time_ms=read_ms - spent - more - before,
        start_time_ms=read_ms - spent - (more if by_duration else 0),
        duration_ms=spent + (0 if by_duration else more),
        resources=tuple(
            replace(one, unit_num=one.unit_num * pace, cards_per_node=one.cards_per_node * pace) for one in resources
        ),
    )
    # The prices that always counted, and of some from a moment on another one, which may be nothing.
    changes = {code: {-(10**15): price} for code, price in {**CODES, "pool": Fraction(draw(SPENT), 13)}.items()}
    for code, since, price in draw(STEPS):
        changes[code][NOW + since * (1 if tiny else HOUR)] = price
    book = PriceBook(
        currency="CNY",
        entries=tuple(
            Price(
                code="" if code == "pool" else code,
                pool_id=code if code == "pool" else "",
                price=price,
                valid_from_ms=None if since < 0 else since,
            )
            for code, prices in changes.items()
            for since, price in prices.items()
        ),
    )
    life = Life(
        job=job,
        seen=observe(None, job),
        terms=Terms(prices=book),
        now_ms=NOW,
        reach_ms=40 if tiny else 2 * DAY,
        began_ms=read_ms - spent,
        changes=changes,
    )
    match kind:
        case "waiting":
            job = replace(job, start_time_ms=0, duration_ms=0)
            return replace(life, job=job, seen=observe(None, job), began_ms=None, waits_ms=job.create_time_ms, stands_ms=0)
        case "returned":
            ran = replace(job, phase="Running", read_at_ms=read_ms - 2 * unit)
            job = replace(job, start_time_ms=0, duration_ms=0)
            returned = replace(job, read_at_ms=read_ms - unit)
            seen = observe(observe(observe(None, ran), returned), job)
            return replace(life, job=job, seen=seen, began_ms=None, waits_ms=returned.read_at_ms, stands_ms=0)
        case "completed":
            return replace(life, began_ms=None, stands_ms=job.duration_ms)
        case "elastic":
            counts = tuple((read_ms - since * unit, nodes) for since, nodes in sorted(draw(SCALINGS).items(), reverse=True))
            return replace(life, job=replace(job, node_counts=counts))
        case "stood still":
            # A duration that stood still between two readings counts on from the first of them.
            earlier = replace(job, duration_ms=max(1, spent - unit), read_at_ms=read_ms - unit)
            job = replace(job, duration_ms=earlier.duration_ms)
            began_ms = max(earlier.read_at_ms - earlier.duration_ms, job.start_time_ms)
            return replace(life, job=job, seen=observe(observe(None, earlier), job), began_ms=began_ms)
    return life


KINDS = st.sampled_from(("several", "elastic", "stood still", "waiting", "returned", "several", "elastic", "completed"))
FEW = st.integers(0, 3)
SPENT = st.integers(1, 30)
STEPS = st.one_of(
    st.just([]),
    st.lists(
        st.tuples(
            st.sampled_from((*sorted(CODES), "pool")),
            st.integers(-40, 60),
            st.sampled_from((Fraction(0), Fraction(1), Fraction(7, 3), Fraction(20))),
        ),
        max_size=6,
    ),
)
SCALINGS = st.dictionaries(st.one_of(st.just(0), st.integers(0, 40)), st.integers(0, 4), min_size=1, max_size=4)
RESOURCES = st.lists(
    st.builds(
        Resource,
        billing_code=st.sampled_from(sorted(CODES)),
        unit_num=st.sampled_from((1, 2, 8)),
        node_count=st.integers(1, 5),
        cards_per_node=st.sampled_from((8, 1, 0)),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def cases(draw: Any, *, tiny: bool = False, begun: bool = False) -> Case:
    """
    Return a life under one or two policies, which likely have *begun* to match, and up to two exemptions.
    """
    life = draw(LIVES[tiny])
    met: set[int] = set()
    policies = tuple(
        Policy(name=f"p{n}", clause=clause_of(shape, life, met)) for n, shape in enumerate(draw(POLICIES[begun]))
    )
    exemptions = tuple(
        Exemption(name=f"e{n}", clause=clause_of(shape, life, met), reason="r", owner="o", until_ms=moment_of(until, life))
        for n, (shape, until) in enumerate(draw(EXEMPTING))
    )
    if tiny:
        moments = set(range(life.now_ms - 90, life.now_ms + 90))
    else:
        met |= {since for prices in life.changes.values() for since in prices if since > 0}
        met |= {life.now_ms, *(one.until_ms for one in exemptions)}
        moments = {turn + beside for turn in met for beside in range(-3, 4)}
    far = {life.now_ms + 10**12}
    return Case(life=life, rules=PolicySet(policies=policies, exemptions=exemptions), moments=tuple(sorted(moments | far)))


@dataclass(frozen=True, slots=True)
class Turn:
    """
    A condition yet to be made: one of the facts that grow in a life, compared with what it amounts to at a moment.

    *moment* is in fortieths of the life's reach from now, *later_ms* beyond that, and *beside* as in `BESIDE`.
    """

    choice: int
    op: str
    moment: int
    later_ms: int
    beside: int | Fraction


@dataclass(frozen=True, slots=True)
class Window:
    """
    Two conditions on one fact: it is open from the first to the second, for a few milliseconds or fortieths.
    """

    first: Turn
    fortieths: int
    width_ms: int
    until: str


def turns(moments: st.SearchStrategy[int], *ops: str) -> st.SearchStrategy[Turn]:
    """
    Return turns at these moments.
    """
    return st.builds(Turn, st.integers(0, 30), st.sampled_from(ops), moments, st.integers(0, 2), st.sampled_from(BESIDE))


ANY_TURN = turns(st.integers(-20, 40), "gt", "gte", "lt", "lte")
OPENING = turns(st.integers(1, 40), "gt", "gte")
WINDOWS = st.builds(Window, OPENING, st.integers(0, 9), st.integers(0, 3), st.sampled_from(("lt", "lte")))
FIXED = st.one_of(
    st.builds(Condition, st.sampled_from(("user", "user", "description")), st.sampled_from(("eq", "ne")), st.just("ann")),
    st.builds(Condition, st.just("node_count"), st.sampled_from(sorted(ORDER)), st.integers(1, 5)),
    st.builds(Condition, st.just("billing_code"), st.sampled_from(("eq", "ne")), st.sampled_from(sorted(CODES))),
)
NESTS = st.recursive(
    st.one_of(ANY_TURN, ANY_TURN, WINDOWS, FIXED),
    lambda part: st.one_of(
        st.tuples(st.sampled_from((All, Some, Some)), st.lists(part, min_size=1, max_size=3)),
        st.tuples(st.just(Not), st.lists(part, min_size=1, max_size=1)),
    ),
    max_leaves=7,
)
# Beside any nest: one that cannot match yet, and one that matches for a while.
SHAPES = st.one_of(
    NESTS,
    st.tuples(st.just(All), st.tuples(OPENING, NESTS)),
    st.tuples(st.just(Some), st.tuples(WINDOWS, NESTS)),
    st.tuples(st.just(Some), st.tuples(st.just(Condition("user", "eq", "nobody")), OPENING)),
)
# What may match already: since a moment, within a window that has closed or not, or beside any nest.
PAST = turns(st.integers(-20, 0), "gt", "gte", "lt", "lte")
BEGUN = st.one_of(
    PAST,
    st.tuples(st.sampled_from((All, Some)), st.tuples(PAST, ANY_TURN)),
    st.tuples(st.just(Not), st.tuples(st.tuples(st.sampled_from((All, Some)), st.tuples(PAST, PAST)))),
    st.tuples(st.sampled_from((All, Some)), st.tuples(PAST, NESTS)),
)
POLICIES = {False: st.lists(SHAPES, min_size=1, max_size=2), True: st.lists(BEGUN, min_size=1, max_size=2)}
EXEMPTING = st.lists(st.tuples(SHAPES, st.integers(-1, 40)), max_size=2)
LIVES = {tiny: lives(tiny=tiny) for tiny in (True, False)}


def clause_of(shape: Any, life: Life, met: set[int]) -> Clause:
    """
    Return the clause of that shape about a life, and add the moments at which it may turn to *met*.
    """
    match shape:
        case Turn():
            return compared(shape, life, met)
        case Window(first=first, fortieths=fortieths, width_ms=width_ms, until=until):
            last = replace(first, op=until, moment=first.moment + fortieths, later_ms=first.later_ms + width_ms)
            return All((compared(replace(first, op="gte"), life, met), compared(last, life, met)))
        case Condition():
            return shape
    word, parts = shape
    inner = tuple(clause_of(part, life, met) for part in parts)
    return Not(inner[0]) if word is Not else word(inner)


def compared(turn: Turn, life: Life, met: set[int]) -> Condition:
    """
    Return the condition of a turn. Of what is not known in that life, the operand is zero.
    """
    at_ms = moment_of(turn.moment, life) + turn.later_ms
    met.add(at_ms)
    known = [name for name in (*SPANS, *MONEY, *MONEY, "cost_rate") if life.amount(name, 0, at_ms) is not None]
    name = (*known, *known, *known, *SPANS)[turn.choice % (3 * len(known) + len(SPANS))]
    if name not in known:
        return Condition(name, turn.op, 0)
    amount = life.amount(name, 0, at_ms)
    slope = life.amount(name, 0, at_ms + 1) - amount if name in MONEY else int(name == "cost_rate")
    return Condition(name, turn.op, amount + turn.beside * slope)


def moment_of(fortieths: int, life: Life) -> int:
    """
    Return the moment that many fortieths of its reach from a life's present.
    """
    return life.now_ms + fortieths * life.reach_ms // 40


def ahead(case: Case) -> Iterator[int]:
    """
    Yield the moments from now on.
    """
    return (moment for moment in case.moments if moment >= case.life.now_ms)


def first_of_match(case: Case, index: int) -> int | None:
    """
    Return the first millisecond of the next match of a policy that does not match now, by trying each moment.
    """
    return next((moment for moment in ahead(case) if case.verdicts(moment)[index] is Verdict.MATCH), None)


def checked(case: Case) -> None:
    """
    Hold every deadline against brute force, from now to the deadline and at each moment between.
    """
    now_ms = case.life.now_ms
    decisions = {moment: case.decided(moment) for moment in ahead(case)}
    for moment, decision in decisions.items():
        assert tuple(one.verdict for one in decision.judgements) == case.verdicts(moment)
        assert bool(decision.spared) is case.spared(moment)
    for index, judgement in enumerate(decisions[now_ms].judgements):
        if judgement.verdict is Verdict.MATCH:
            continue
        deadline = judgement.deadline_ms
        assert deadline == first_of_match(case, index)
        for moment, decision in decisions.items():
            if deadline is None or moment < deadline:
                assert decision.judgements[index].verdict is not Verdict.MATCH
                assert decision.judgements[index].deadline_ms == deadline
        if deadline is not None:
            reached = case.decided(deadline).judgements[index]
            assert (reached.verdict, reached.deadline_ms) == (Verdict.MATCH, deadline)
            assert case.decided(deadline - 1).judgements[index].verdict is not Verdict.MATCH


@settings(NOT_CALM, max_examples=200)
@given(cases())
def test_no_deadline_is_off_by_a_millisecond(case):
    """
    Of jobs of days, no policy matches at any turn before the deadline, it matches on it, and None means never.
    """
    checked(case)


@settings(NOT_CALM, max_examples=100)
@given(cases(tiny=True))
def test_no_millisecond_matches_before_the_deadline(case):
    """
    Of jobs of milliseconds, the same holds for every millisecond there is.
    """
    checked(case)


def onsets(case: Case, index: int) -> list[int]:
    """
    Return the moments up to now at which a policy began to match, by trying each.
    """
    return [
        moment
        for moment in case.moments
        if moment <= case.life.now_ms
        and case.verdicts(moment)[index] is Verdict.MATCH is not case.verdicts(moment - 1)[index]
    ]


@settings(NOT_CALM, max_examples=250)
@given(st.booleans().flatmap(lambda tiny: cases(tiny=tiny, begun=True)))
def test_a_present_match_began_when_brute_force_says(case):
    """
    The deadline of a match that holds is its first millisecond, and not before its run or its wait began.
    """
    life = case.life
    start = life.began_ms if life.job.phase == "Running" else life.seen.waiting_since_ms
    for index, judgement in enumerate(case.decided(life.now_ms).judgements):
        # The past of an elastic job is reckoned at its present node count, so its beginnings are estimates.
        if judgement.verdict is not Verdict.MATCH or life.job.node_counts:
            continue
        known = [moment for moment in (start, *onsets(case, index)[-1:]) if moment is not None]
        assert judgement.deadline_ms == (max(known) if known else life.seen.first_seen_ms)


@settings(NOT_CALM, max_examples=250)
@given(st.booleans().flatmap(lambda tiny: cases(tiny=tiny)))
def test_who_only_follows_the_wakes_misses_nothing(case):
    """
    Between one wake and the next the orders stay as they are, at each wake they change, and after the last never again.
    """
    woken = case.decided(case.life.now_ms)
    for moment in ahead(case):
        while woken.wake_ms is not None and woken.wake_ms <= moment:
            assert woken.wake_ms > woken.at_ms
            assert case.orders(woken.wake_ms) != case.orders(woken.at_ms) == case.orders(woken.wake_ms - 1)
            woken = case.decided(woken.wake_ms)
        assert orders_of(woken) == case.orders(moment)


def orders_of(decision: Decision) -> tuple[bool, ...]:
    """
    Return what the guard would order: which policies match, and whether the job is spared.
    """
    return (*(one.verdict is Verdict.MATCH for one in decision.judgements), bool(decision.spared))


@pytest.mark.parametrize(
    ("begun", "kinds"),
    [
        pytest.param(
            False,
            (
                *("opens", "closes again", "of several resources", "elastic", "waiting", "out of the unknown", "never"),
                *("over a change of the price", "at a change of the price"),
                *("matches now", "spared", "woken by an expiry", "woken by a turn"),
            ),
            id="to-come",
        ),
        pytest.param(True, ("began in its life", "began before its life"), id="begun"),
    ],
)
def test_the_cases_are_those_that_matter(begun, kinds):
    """
    What these tests are about is met in any few hundred cases, so none of them passes for want of it.
    """
    met: Counter[str] = Counter()

    @settings(NOT_CALM, max_examples=500, derandomize=True, database=None, phases=[Phase.generate])
    @given(cases(begun=begun))
    def tally(case: Case) -> None:
        met.update(kinds_of(case))

    tally()
    assert min(met[kind] for kind in kinds) >= 3


def kinds_of(case: Case) -> Iterator[str]:
    """
    Yield what is special about a case, judged by its first policy.
    """
    life = case.life
    now, *later = [case.orders(moment)[0] for moment in ahead(case)]
    wake_ms = case.decided(life.now_ms).wake_ms
    if now:
        yield "matches now"
        if life.began_ms is not None and onsets(case, 0):
            yield "began in its life" if onsets(case, 0)[-1] > life.began_ms else "began before its life"
    elif not any(later):
        yield "never"
    else:
        yield "opens"
        if not all(later[later.index(True) :]):
            yield "closes again"
        if len(life.job.resources) > 1:
            yield "of several resources"
        if life.job.node_counts:
            yield "elastic"
        if life.waits_ms is not None:
            yield "waiting"
        opened_ms = first_of_match(case, 0) or 0
        steps = {since for prices in life.changes.values() for since in prices}
        if life.began_ms is not None and any(
            life._rate(step) != life._rate(step - 1) and life.began_ms < step < opened_ms for step in steps if step > 0
        ):
            yield "over a change of the price"
        if opened_ms in steps:
            yield "at a change of the price"
        if case.verdicts(life.now_ms)[0] is Verdict.UNKNOWN:
            yield "out of the unknown"
    if case.spared(life.now_ms):
        yield "spared"
    if wake_ms is not None:
        yield "woken by an expiry" if wake_ms in [one.until_ms for one in case.rules.exemptions] else "woken by a turn"
