"""
The operator's price book: what a billing code costs per hour, and since when, in one currency.

There are no built-in prices, because the vendor publishes none for accelerator training.
"""

import enum
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol


class Per(enum.StrEnum):
    """
    What a price is for: an hour of one billing unit of one node, or an hour of one node.
    """

    UNIT_HOUR = "unit-hour"
    NODE_HOUR = "node-hour"


class Glob(Protocol):
    """
    A pattern for whole billing codes.
    """

    @property
    def text(self) -> str:
        """
        The pattern as it was written.
        """

    def fits(self, text: str) -> bool:
        """
        Tell whether the whole *text* fits.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    One entry of the price book: the *price* of a billing code, or of all codes that fit a *glob*.

    With a *pool_id* it is the shadow price of jobs in that dedicated pool, and may then be for every code in it (neither
    *code* nor *glob*); without one it is for jobs in the public pool. It counts from *valid_from_ms*, or always.
    """

    price: Fraction
    per: Per = Per.UNIT_HOUR
    code: str = ""
    glob: Glob | None = None
    pool_id: str = ""
    valid_from_ms: int | None = None
    place: str = ""

    @property
    def what(self) -> str:
        """
        What the entry is for, in the words of the price book.
        """
        codes = self.code or (self.glob.text if self.glob is not None else "every code")
        return f"{codes} in {self.pool_id}" if self.pool_id else codes

    @property
    def exactness(self) -> tuple[int, int, float]:
        """
        What decides between two entries that fit, the smallest first: a code before a glob before none, a glob with more
        plain characters before one with fewer, the newest validity.
        """
        since = math.inf if self.valid_from_ms is None else -self.valid_from_ms
        if self.glob is None:
            return (0 if self.code else 2, 0, since)
        return (1, -plain_characters(self.glob.text), since)

    def has_begun(self, at_ms: int) -> bool:
        """
        Tell whether the entry counts at that moment.
        """
        return self.valid_from_ms is None or self.valid_from_ms <= at_ms


def plain_characters(glob: str) -> int:
    """
    Return how many characters of a glob stand for themselves.
    """
    count = at = 0
    while at < len(glob):
        end = glob.find("]", at + 2) if glob[at] == "[" else -1
        count += glob[at] not in "*?" and end < 0
        at = max(at, end) + 1
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """
    All entries of the operator, in one *currency*. Of two that are equally exact the one that stands first counts.
    """

    currency: str
    entries: tuple[Price, ...] = ()
    _exact: Mapping[tuple[str, str], tuple[Price, ...]] = field(init=False, repr=False, compare=False)
    _others: Mapping[str, tuple[Price, ...]] = field(init=False, repr=False, compare=False)
    _pools: Mapping[str, tuple[Price, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact, others, pools = defaultdict(list), defaultdict(list), defaultdict(list)
        for one in self.entries:
            pools[one.pool_id].append(one)
            if one.code:
                exact[one.pool_id, one.code].append(one)
            else:
                others[one.pool_id].append(one)
        object.__setattr__(self, "_exact", {key: tuple(some) for key, some in exact.items()})
        object.__setattr__(self, "_others", {key: tuple(some) for key, some in others.items()})
        object.__setattr__(self, "_pools", {key: tuple(some) for key, some in pools.items()})

    def fitting(self, code: str, *, pool_id: str = "") -> tuple[Price, ...]:
        """
        Return the entries that are for a billing code, whether they have begun or not, the most exact one first.
        """
        others = self._others.get(pool_id, ())
        if not code:
            return tuple(sorted((one for one in others if one.glob is None), key=lambda one: one.exactness))
        loose = [one for one in others if one.glob is None or one.glob.fits(code)]
        return tuple(sorted((*self._exact.get((pool_id, code), ()), *loose), key=lambda one: one.exactness))

    def price(self, code: str, *, pool_id: str = "", at_ms: int) -> Price | None:
        """
        Return the entry that counts for a billing code at that moment, or None if the operator named none.
        """
        return next((one for one in self.fitting(code, pool_id=pool_id) if one.has_begun(at_ms)), None)

    def changes_between(self, after_ms: int, until_ms: int) -> bool:
        """
        Tell whether an entry begins to count after the one moment and until the other.
        """
        return any(one.valid_from_ms is not None and after_ms < one.valid_from_ms <= until_ms for one in self.entries)

    def entries_of(self, pool_id: str) -> tuple[Price, ...]:
        """
        Return the entries of a dedicated pool.
        """
        return self._pools.get(pool_id, ())


def plain_book(currency: str, prices: Mapping[str, Fraction], *, pools: Mapping[str, Fraction] | None = None) -> PriceBook:
    """
    Return a book of prices per billing unit and hour that were always valid: by billing code, and by dedicated pool for
    every code in it.
    """
    entries: Iterable[Price] = (Price(code=code, price=price) for code, price in prices.items())
    shadows = (Price(pool_id=pool, price=price) for pool, price in (pools or {}).items())
    return PriceBook(currency=currency, entries=(*entries, *shadows))
