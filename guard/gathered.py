"""
What the confirmed terminations of a period come to, taken in one at a time: however many they are, only sums are held, and
the newest few.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from fractions import Fraction

from guard.core.records import Intent
from guard.core.savings import exact
from guard.core.totals import Sums, Total
from guard.ledger.clawbacks import Taken
from guard.saved import SavedRow

UNKNOWN = "unknown"
NEWEST = 200


@dataclass(slots=True)
class Group:
    """
    The terminations of one label: how many, their *sums*, and what re-submissions took back by currency.
    """

    terminations: int = 0
    sums: Sums = field(default_factory=Sums)
    taken: dict[str, Fraction] = field(default_factory=dict)
    taken_of_assumed: dict[str, Fraction] = field(default_factory=dict)

    def add(self, row: SavedRow, taken: Taken | None) -> None:
        """
        Take in one more.
        """
        self.terminations += 1
        if row.estimate is not None:
            self.sums.add(row.estimate)
        if taken is not None:
            currency = row.intent.draft.currency
            for sums, amount in ((self.taken, taken.measured), (self.taken_of_assumed, taken.assumed)):
                sums[currency] = sums.get(currency, Fraction(0)) + Fraction(amount)


@dataclass(slots=True)
class Stopped:
    """
    The jobs of one user that were stopped: what they had *cost*, of how many that is *unknown*, and what was saved.
    """

    jobs: int = 0
    cost: Fraction = Fraction(0)
    unknown: int = 0
    expected: Fraction | None = None

    def add(self, intent: Intent) -> None:
        """
        Take in one more.
        """
        self.jobs += 1
        if intent.cost is None:
            self.unknown += 1
        else:
            self.cost += Fraction(intent.cost)
        if intent.savings_expected is not None:
            self.expected = (self.expected or Fraction(0)) + Fraction(intent.savings_expected)


@dataclass(slots=True)
class Gathered:
    """
    The confirmed terminations of a period: *groups* by what they are labelled *by*, *users*, the *newest* (the last one
    last), and *whole*, all of them.
    """

    by: str
    zone: tzinfo
    terminations: int = 0
    whole: Sums = field(default_factory=Sums)
    groups: dict[str, Group] = field(default_factory=dict)
    users: dict[str, Stopped] = field(default_factory=dict)
    newest: deque[SavedRow] = field(default_factory=lambda: deque(maxlen=NEWEST))

    def add(self, row: SavedRow, taken: Taken | None) -> None:
        """
        Take in one more, and what re-submissions took back of it.
        """
        self.terminations += 1
        self.newest.append(row)
        if row.estimate is not None:
            self.whole.add(row.estimate)
        work = row.intent.draft.work
        user = (work.like.user if work is not None else None) or UNKNOWN
        self.users.setdefault(user, Stopped()).add(row.intent)
        self.groups.setdefault(self._label(row.intent), Group()).add(row, taken)

    def labelled(self) -> list[tuple[str, Group]]:
        """
        Return the groups: days in order, else the most terminations first.
        """
        return sorted(self.groups.items(), key=lambda one: (0 if self.by == "day" else -one[1].terminations, one[0]))

    def offenders(self) -> list[tuple[str, Stopped]]:
        """
        Return the users whose jobs had cost most when they were stopped, these first.
        """
        return sorted(self.users.items(), key=lambda one: (-exact(one[1].cost), -one[1].jobs, one[0]))

    def totals(self) -> dict[str, Total]:
        """
        Return the totals of all by currency.
        """
        return self.whole.totals()

    def _label(self, intent: Intent) -> str:
        like = intent.draft.work.like if intent.draft.work is not None else None
        if self.by == "day":
            return datetime.fromtimestamp((intent.closed_ms or 0) / 1000, self.zone).date().isoformat()
        if self.by == "user":
            return (like and like.user) or UNKNOWN
        if self.by == "billing_code":
            return (like and like.billing_codes) or UNKNOWN
        return intent.draft.policy if self.by == "policy" else intent.draft.target


def money(amount: Fraction | None) -> Decimal | None:
    """
    Return an exact sum as money.
    """
    return None if amount is None else exact(amount)
