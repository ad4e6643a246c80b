"""
What the price book prices of the jobs that the ledger knows: by which entry, what has no price, what no longer occurs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from guard.core.facts import Job, Missing, Resource
from guard.core.price import Price, PriceBook
from guard.core.sighting import Sighting
from guard.core.spans import format_number
from guard.core.spend import charges_of
from guard.report import iso

UNREADABLE = "unreadable"


@dataclass(slots=True)
class Seen:
    """
    How many jobs use a billing code in a pool, and since when one of them was first seen.
    """

    jobs: int = 0
    since_ms: int = 0


Use = tuple[str, str]
"""A billing code, and the pool that it is used in ("" for the public one)."""


@dataclass(slots=True, kw_only=True)
class Priced:
    """
    What is seen against a *book* at *at_ms*: with a price, and *without* one, because none is in the book or a fact is
    unreadable.
    """

    book: PriceBook
    at_ms: int
    seen: dict[Use, Seen] = field(default_factory=dict)
    without: dict[Use, Seen] = field(default_factory=dict)

    def take(self, known: Iterable[tuple[Job, Sighting]]) -> None:
        """
        Count jobs and when each was first seen; a code that a job uses in two of its resources counts once.
        """
        for job, sighting in known:
            pool = (
                UNREADABLE if job.pool_id is Missing.UNREADABLE else "" if isinstance(job.pool_id, Missing) else job.pool_id
            )
            unknown: dict[str, bool] = {}
            for one in job.resources or (Resource(),):
                code = UNREADABLE if isinstance(one.billing_code, Missing) else one.billing_code
                charges = charges_of(job.pool_id, (one,), self.book, at_ms=self.at_ms)
                unknown[code] = unknown.get(code, False) or isinstance(charges, Missing)
            for code, missing in unknown.items():
                seen = (self.without if missing else self.seen).setdefault(
                    (code, pool), Seen(since_ms=sighting.first_seen_ms)
                )
                seen.jobs += 1
                seen.since_ms = min(seen.since_ms, sighting.first_seen_ms)

    def entry(self, code: str, pool: str) -> Price | None:
        """
        Return the entry that counts now for what is seen under that code and pool.
        """
        return self.book.price(_code(code), pool_id=pool, at_ms=self.at_ms)

    def unused(self) -> list[Price]:
        """
        Return the entries that are for nothing that is seen, now or later.
        """
        uses = {*self.seen, *self.without}
        used = {id(one) for code, pool in uses for one in self.book.fitting(_code(code), pool_id=pool)}
        return [one for one in self.book.entries if id(one) not in used]


def _code(code: str) -> str:
    return "" if code == UNREADABLE else code


def priced_data(priced: Priced) -> dict[str, Any]:
    """
    Return the report as plain data, moments in ISO 8601 and prices as exact text; what most jobs use comes first.
    """
    return {
        "at": iso(priced.at_ms),
        "currency": priced.book.currency,
        "priced": [{**_row(use, seen), **_entry(priced.entry(*use))} for use, seen in _most_first(priced.seen)],
        "unpriced": [_row(use, seen) for use, seen in _most_first(priced.without)],
        "unused": [_entry(one) for one in priced.unused()],
    }


def _most_first(seen: dict[Use, Seen]) -> list[tuple[Use, Seen]]:
    return sorted(seen.items(), key=lambda one: (-one[1].jobs, one[0]))


def _row(use: Use, seen: Seen) -> dict[str, Any]:
    code, pool = use
    return {"billing_code": code, "pool_id": pool or None, "jobs": seen.jobs, "first_seen": iso(seen.since_ms)}


def _entry(entry: Price | None) -> dict[str, Any]:
    if entry is None:
        return {"entry": None, "price": "0", "per": None, "valid_from": None, "place": None}
    return {
        "entry": entry.what,
        "price": format_number(entry.price, places=40),
        "per": entry.per.value,
        "valid_from": iso(entry.valid_from_ms),
        "place": entry.place,
    }
