"""
What a job costs per hour and has cost so far, exact over milliseconds of running time.

Price changes and the node counts of an elastic job cut the time into pieces, and the cost of each piece is price x units x
nodes x time. What is not known in any piece makes the whole unknown, never 0 (design section 6).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from msgspec.structs import replace

from guard.core.facts import UNREADABLE, Bent, Fact, Growing, Job, Missing, Resource, Stepped, Text
from guard.core.price import Per, Price, PriceBook
from guard.core.sighting import usable_start
from guard.core.spans import HOUR_MS

Counts = tuple[tuple[int, int], ...]
"""Since when an elastic job has had how many nodes, in order of time; none stands for a job that is not elastic."""
Rates = tuple[tuple[int | None, Fraction | Missing], ...]
"""Since when (None: from ever) a job costs how much per hour, in order of time; neighbours differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """
    What one resource costs: the entry of the price book, the *units* that it multiplies (1 for a price per node) and the
    *nodes*.
    """

    entry: Price
    code: str
    units: int
    nodes: int

    @property
    def per_hour(self) -> Fraction:
        """
        The cost per hour.
        """
        return self.entry.price * self.units * self.nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    The charges of a job from *begin_ms* until before *end_ms*.
    """

    begin_ms: int
    end_ms: int
    charges: tuple[Charge, ...]

    @property
    def cost(self) -> Fraction:
        """
        What that time has cost.
        """
        return per_hour(self.charges) * (self.end_ms - self.begin_ms) / HOUR_MS


def per_hour(charges: tuple[Charge, ...]) -> Fraction:
    """
    Return the sum of some charges.
    """
    return sum((one.per_hour for one in charges), Fraction(0))


def charges_of(
    pool_id: Text, resources: tuple[Resource, ...], book: PriceBook | None, *, at_ms: int
) -> tuple[Charge, ...] | Missing:
    """
    Return what the resources of a job are charged at that moment; unreadable without a price for one of them.

    In a dedicated pool only its shadow prices count: a resource without one costs nothing, because the pool is billed
    whether jobs run in it or not.
    """
    if book is None or pool_id is UNREADABLE:
        return UNREADABLE
    pool = "" if isinstance(pool_id, Missing) else pool_id
    if pool and not book.entries_of(pool):
        return ()
    found = []
    for resource in resources or (Resource(),):
        code, nodes = resource.billing_code, resource.node_count
        if isinstance(code, Missing) and (not pool or any(one.code or one.glob for one in book.entries_of(pool))):
            return UNREADABLE
        entry = book.price("" if isinstance(code, Missing) else code, pool_id=pool, at_ms=at_ms)
        if entry is None and pool:
            continue
        units = 1 if entry is not None and entry.per is Per.NODE_HOUR else resource.unit_num
        if entry is None or isinstance(units, Missing) or isinstance(nodes, Missing):
            return UNREADABLE
        found.append(Charge(entry=entry, code="" if isinstance(code, Missing) else code, units=units, nodes=nodes))
    return tuple(found)


def changes_of(pool_id: Text, resources: tuple[Resource, ...], book: PriceBook | None) -> list[int]:
    """
    Return the moments at which a price of these resources changes, in order.
    """
    if book is None or pool_id is UNREADABLE:
        return []
    pool = "" if isinstance(pool_id, Missing) else pool_id
    codes = ("" if isinstance(one.billing_code, Missing) else one.billing_code for one in resources or (Resource(),))
    fitting = {one for code in set(codes) for one in book.fitting(code, pool_id=pool)}
    return sorted({one.valid_from_ms for one in fitting if one.valid_from_ms is not None})


def rates_of(pool_id: Text, resources: tuple[Resource, ...], book: PriceBook | None) -> Rates:
    """
    Return what these resources cost per hour, over all time.
    """
    changes = changes_of(pool_id, resources, book)
    return _merged((since, charges_of(pool_id, resources, book, at_ms=at)) for since, at in _moments(changes))


def rates_of_job(job: Job, book: PriceBook | None, counts: Counts | Missing, *, now_ms: int) -> Rates:
    """
    Return what a job costs per hour over all time, with those node *counts* instead of its own, if there are any.

    Counts of the future are not there yet, and time before the first of them has no nodes.
    """
    if counts == ():
        return rates_of(job.pool_id, job.resources, book)
    counted = _counted(job, counts, until_ms=now_ms)
    if isinstance(counted, Missing):
        return ((None, UNREADABLE),)
    changes = {*changes_of(job.pool_id, job.resources, book), *(since for since, _ in counted)}
    return _merged((since, _charges(job, book, counted, at_ms=at)) for since, at in _moments(sorted(changes)))


def rate_of_job(job: Job, book: PriceBook | None, *, now_ms: int) -> Fraction | Missing:
    """
    Return what a job costs per hour now: an elastic one that runs on the nodes that it has.
    """
    counts = _counted(job, job.node_counts if job.phase == "Running" else (), until_ms=now_ms)
    charges = UNREADABLE if isinstance(counts, Missing) else _charges(job, book, counts, at_ms=now_ms)
    return UNREADABLE if isinstance(charges, Missing) else per_hour(charges)


def resources_now(job: Job) -> tuple[Resource, ...]:
    """
    Return the resources of a job with the nodes that it had when it was read; unreadable ones if these are not known.
    """
    counts = _counted(job, job.node_counts if job.phase == "Running" else (), until_ms=job.read_at_ms)
    if counts == ():
        return job.resources
    if isinstance(counts, Missing):
        return tuple(replace(one, node_count=UNREADABLE) for one in job.resources)
    return _scaled(job, counts, at_ms=job.read_at_ms)


def items_of(job: Job, book: PriceBook | None, *, begin_ms: int, end_ms: int) -> tuple[Item, ...] | Missing:
    """
    Return the charges of a job that ran during that time, cut at every change of a price or of its nodes.
    """
    counts = _counted(job, job.node_counts, until_ms=end_ms)
    if isinstance(counts, Missing):
        return UNREADABLE
    changes = {*changes_of(job.pool_id, job.resources, book), *(since for since, _ in counts)}
    cuts = [begin_ms, *sorted(cut for cut in changes if begin_ms < cut < end_ms), end_ms]
    found = []
    for begin, end in pairwise(cuts):
        charges = _charges(job, book, counts, at_ms=begin)
        if isinstance(charges, Missing):
            return UNREADABLE
        found.append(Item(begin_ms=begin, end_ms=end, charges=charges))
    return tuple(found)


def spent(job: Job, book: PriceBook | None, *, begin_ms: int, end_ms: int) -> Fraction | Missing:
    """
    Return what a job cost that ran during that time.
    """
    items = items_of(job, book, begin_ms=begin_ms, end_ms=end_ms)
    return UNREADABLE if isinstance(items, Missing) else sum((one.cost for one in items), Fraction(0))


def money(job: Job, book: PriceBook | None, duration: Fact, *, now_ms: int) -> tuple[Fact, Fact]:
    """
    Return the facts (cost_rate, cost) of a job with that running time, as they are over time if only time passes.
    """
    if book is None:
        return UNREADABLE, UNREADABLE
    runs = job.phase == "Running"
    rates = rates_of_job(job, book, job.node_counts if runs else (), now_ms=now_ms)
    if not isinstance(duration, Growing):
        return _stepped(rates), UNREADABLE
    if runs:
        rates = _since(rates, now_ms - int(duration.value))
        return _stepped(rates), _grown(rates, duration)
    return _stepped(rates), _stood(job, book, rates, duration)


def _grown(rates: Rates, duration: Growing) -> Growing | Bent | Missing:
    value, at_ms, pieces = Fraction(0), duration.at_ms - int(duration.value), list[Growing]()
    for since, rate in rates:
        if isinstance(rate, Missing):
            return UNREADABLE
        if since is not None:
            value, at_ms = Fraction(pieces[-1].at(since)), since
        pieces.append(Growing(value, at_ms, rate / HOUR_MS))
    if len(pieces) > 1:
        return Bent(tuple(pieces))
    return Growing(pieces[0].per_ms * duration.value, duration.at_ms, pieces[0].per_ms * duration.per_ms)


def _stood(job: Job, book: PriceBook | None, rates: Rates, duration: Growing) -> Growing | Missing:
    """
    Return the cost of a run that is over: of an elastic job, or at prices that changed, only if it is known when it ran.
    """
    (_, rate), *more = rates
    start = usable_start(job) if duration.value else duration.at_ms
    total: Fraction | Missing = UNREADABLE
    if job.node_counts == () and not more and not isinstance(rate, Missing):
        total = rate * duration.value / HOUR_MS
    elif job.node_counts == () and start is not None:
        total = spent(job, book, begin_ms=start, end_ms=start + int(duration.value))
    return UNREADABLE if isinstance(total, Missing) else Growing(total, duration.at_ms, 0)


def _since(rates: Rates, began_ms: int) -> Rates:
    """
    Return the rates from that moment on; the first of them is taken to have been so from ever.
    """
    kept = [(since, rate) for since, rate in rates if since is not None and since > began_ms]
    before = rates[len(rates) - len(kept) - 1][1]
    return ((None, before), *kept)


def _stepped(rates: Rates) -> Fact:
    (_, first), *more = rates
    if not more:
        return first
    return Stepped(first, tuple((since, rate) for since, rate in more if since is not None))


def _moments(changes: list[int]) -> Iterator[tuple[int | None, int]]:
    """
    Yield since when something may hold (None: from ever), and a moment at which it then does.
    """
    yield None, changes[0] - 1 if changes else 0
    yield from ((change, change) for change in changes)


def _merged(charges: Iterator[tuple[int | None, tuple[Charge, ...] | Missing]]) -> Rates:
    found: list[tuple[int | None, Fraction | Missing]] = []
    for since, some in charges:
        rate = UNREADABLE if isinstance(some, Missing) else per_hour(some)
        if not found or found[-1][1] != rate:
            found.append((since, rate))
    return tuple(found)


def _counted(job: Job, counts: Counts | Missing, *, until_ms: int) -> Counts | Missing:
    """
    Return the node counts that are there by then, if it is known how many nodes the job has had: of an elastic job the one
    resource scales with them.
    """
    if counts == ():
        return ()
    there = () if isinstance(counts, Missing) else tuple(one for one in counts if one[0] <= until_ms)
    nodes = job.resources[0].node_count if len(job.resources) == 1 else UNREADABLE
    return UNREADABLE if not there or isinstance(nodes, Missing) or nodes <= 0 else there


def _charges(job: Job, book: PriceBook | None, counts: Counts, *, at_ms: int) -> tuple[Charge, ...] | Missing:
    return charges_of(job.pool_id, _scaled(job, counts, at_ms=at_ms), book, at_ms=at_ms)


def _scaled(job: Job, counts: Counts, *, at_ms: int) -> tuple[Resource, ...]:
    if not counts:
        return job.resources
    nodes = next((count for since, count in reversed(counts) if since <= at_ms), 0)
    return (replace(job.resources[0], node_count=nodes),)
