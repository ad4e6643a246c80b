"""
The arithmetic of a job's cost, piece by piece: price x units x nodes x time, as plain data and as lines for people.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from guard.core.clock import running_time
from guard.core.decide import Decision
from guard.core.facts import Growing, Missing, Resource
from guard.core.fields import Terms
from guard.core.price import Per
from guard.core.savings import exact
from guard.core.spans import HOUR_MS, format_number, format_span
from guard.core.spend import Charge, Item, charges_of, items_of, rates_of_job
from guard.report import iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """
    What a run has cost in *currency* until now, in pieces; *changes* are the coming ones of the cost per hour.

    Without pieces, *doubt* says why the cost is not known ("" if nobody asked: there is no price book).
    """

    currency: str = ""
    items: tuple[Item, ...] = ()
    changes: tuple[tuple[int, Fraction | Missing], ...] = ()
    doubt: str = ""


NO_BILL = Bill()


def bill_of(decision: Decision, terms: Terms) -> Bill:
    """
    Return the bill of a Running job at the moment of a decision; of another job there is none.
    """
    job, book, now_ms = decision.job, terms.prices, decision.at_ms
    if book is None or job.phase != "Running":
        return NO_BILL
    counted = rates_of_job(job, book, job.node_counts, now_ms=now_ms)
    changes = tuple((since, rate) for since, rate in counted if since is not None and since > now_ms)
    running = running_time(job, decision.seen, terms.clock, now_ms=now_ms).fact
    if not isinstance(running, Growing):
        return Bill(currency=book.currency, changes=changes, doubt="the running time is unreadable")
    items = items_of(job, book, begin_ms=now_ms - int(running.value), end_ms=now_ms)
    if not isinstance(items, Missing):
        return Bill(currency=book.currency, items=items, changes=changes)
    parts = [(one, charges_of(job.pool_id, (one,), book, at_ms=now_ms)) for one in job.resources or (Resource(),)]
    without = [str(one.billing_code) for one, charges in parts if isinstance(charges, Missing)]
    doubt = f"no price, or an unreadable fact, for {', '.join(without)}" if without else "no price, or no nodes, for a time"
    return Bill(currency=book.currency, changes=changes, doubt=doubt)


def bill_data(bill: Bill) -> dict[str, Any] | None:
    """
    Return a bill as plain data, money as exact text, or None if there is none.
    """
    if not bill.currency:
        return None
    return {
        "currency": bill.currency,
        "cost": None if bill.doubt else str(exact(_total(bill))),
        "doubt": bill.doubt or None,
        "pieces": [
            {
                "from": iso(item.begin_ms),
                "to": iso(item.end_ms),
                "billing_code": one.code or None,
                "price": format_number(one.entry.price, places=40),
                "per": one.entry.per.value,
                "units": one.units if one.entry.per is Per.UNIT_HOUR else None,
                "nodes": one.nodes,
                "cost": str(exact(_cost(item, one.per_hour))),
                "entry": one.entry.place,
            }
            for item in bill.items
            for one in item.charges
        ],
        "changes": [{"at": iso(since), "cost_rate": _shown(rate)} for since, rate in bill.changes],
    }


def bill_lines(bill: Bill) -> list[str]:
    """
    Return a bill as lines: a product for each piece and resource, and their sum.
    """
    if not bill.currency:
        return []
    lines = [_product(item, one, bill.currency) for item in bill.items for one in item.charges]
    total = f"unknown: {bill.doubt}" if bill.doubt else f"{format_number(_total(bill), places=6)} {bill.currency}"
    lines.append(f"cost so far: {total}")
    return [*lines, *(f"from {iso(since)}: {_shown(rate)} {bill.currency} per hour" for since, rate in bill.changes)]


def _total(bill: Bill) -> Fraction:
    return sum((one.cost for one in bill.items), Fraction(0))


def _cost(item: Item, rate: Fraction) -> Fraction:
    return rate * (item.end_ms - item.begin_ms) / HOUR_MS


def _product(item: Item, one: Charge, currency: str) -> str:
    price = f"{format_number(one.entry.price, places=10)} {currency}"
    factors = [price, *([_many(one.units, "unit")] if one.entry.per is Per.UNIT_HOUR else []), _many(one.nodes, "node")]
    time, cost = format_span(item.end_ms - item.begin_ms), format_number(_cost(item, one.per_hour), places=6)
    reckoned = f"{' x '.join(factors)} x {time} = {cost} {currency}"
    return f"{iso(item.begin_ms)} {one.code or 'every code'}: {reckoned}  ({one.entry.place})"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(rate: Fraction | Missing) -> str:
    return rate.value if isinstance(rate, Missing) else format_number(rate, places=10)
