"""
What was spent in a period: runs and parts of runs, summed exactly.

Money is a whole number of 10^-10 currency units, the ten places to which every cost is kept. A run that spans the border of
a period is split pro rata: its cost lies evenly on its running time, which is taken as the last stretch before its end. The
parts are rounded down from its beginning on, so those of periods that follow each other add up to the whole, to the last
place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from guard.core.savings import PLACES

SCALE = 10**PLACES
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def scaled(money: Decimal) -> int:
    """
    Return money in 10^-10 currency units; it has no more places than that.
    """
    sign, digits, exponent = money.as_tuple()
    value: int = int("".join(map(str, digits))) * 10 ** (PLACES + int(exponent))
    return -value if sign else value


def unscaled(amount: int) -> Decimal:
    """
    Return an amount as money, without zeros at its end.
    """
    # Built from text: arithmetic on Decimals rounds to the digits of their context.
    whole, rest = divmod(abs(amount), SCALE)
    return Decimal(("-" if amount < 0 else "") + f"{whole}.{rest:0{PLACES}d}".rstrip("0").rstrip("."))


@dataclass(frozen=True, slots=True)
class Period:
    """
    A stretch of time: from its first millisecond to before *to_ms*.
    """

    from_ms: int
    to_ms: int

    def days(self, zone: tzinfo) -> Iterator[tuple[str, "Period"]]:
        """
        Yield the days of *zone* that the period touches, in ISO 8601, with the part of each that lies in it.
        """
        at_ms = self.from_ms
        while at_ms < self.to_ms:
            day = datetime.fromtimestamp(at_ms // 1000, zone).date()
            end_ms = min(midnight_ms(day + timedelta(days=1), zone), self.to_ms)
            yield day.isoformat(), Period(at_ms, end_ms)
            at_ms = end_ms


def midnight_ms(day: date, zone: tzinfo) -> int:
    """
    Return the beginning of a day by the wall clock of *zone*.
    """
    return (datetime.combine(day, time(), tzinfo=zone) - _EPOCH) // _MILLISECOND


@dataclass(frozen=True, slots=True)
class Stretch:
    """
    What a run cost (*amount*, None if unknown) over the *running_ms* milliseconds before *ended_ms*.
    """

    ended_ms: int
    running_ms: int
    amount: int | None

    def within(self, period: Period) -> "Sum | None":
        """
        Return the part of it that lies in a period, as one run; None if none does. One that never ran lies at its end.
        """
        began_ms = self.ended_ms - self.running_ms
        if not self.running_ms:
            inside = period.from_ms <= self.ended_ms < period.to_ms
            return Sum(1, int(self.amount is None), 0, self.amount or 0) if inside else None
        first = min(max(period.from_ms - began_ms, 0), self.running_ms)
        last = min(max(period.to_ms - began_ms, 0), self.running_ms)
        if last <= first:
            return None
        amount = self.amount or 0
        part = amount * last // self.running_ms - amount * first // self.running_ms
        return Sum(1, int(self.amount is None), last - first, part)


@dataclass(slots=True)
class Sum:
    """
    So many *runs*, of which the cost of *unpriced* is unknown, with their running time and what the others cost.
    """

    runs: int = 0
    unpriced: int = 0
    running_ms: int = 0
    amount: int = 0

    def add(self, other: "Sum") -> None:
        """
        Add another one to this one.
        """
        self.runs += other.runs
        self.unpriced += other.unpriced
        self.running_ms += other.running_ms
        self.amount += other.amount
