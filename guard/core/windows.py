"""
What counts in the sliding window of the limits, and whether one more termination still fits.

The arithmetic, for a window of W that ends now. Counted is every intent whose newest ``sending`` lies within W, and every
open one. Of these n is the number, n(p), n(u) and n(t) that of one policy, user or target, c the sum of their cards and r
that of their cost rates. One more termination fits if n < total, n(p) < per_policy, n(u) < per_user, n(t) < per_target;
c + its own cards <= cards, or n < 3; and r + its own rate <= cost_rate.

Doubt counts against the termination: a user that cannot be read is one user of its own, cards that cannot be read count as
those of the largest job that is known to run, and a cost rate that is not known, its own or one of those counted, fits
nothing.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction

ALWAYS_ALLOWED = 3

Project = tuple[str, str]
"""Region and project id: a target by what does not change with its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    What the window allows of each policy, user and target, and of cards and cost rate (money per hour in *currency*); None
    is no limit. A job whose cards cannot be read counts as *unknown_cards*.
    """

    per_policy: int | None = None
    per_user: int | None = None
    per_target: int | None = None
    cards: int | None = None
    unknown_cards: int = 0
    cost_rate: Fraction | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    What one termination takes up; *user*, *cards* and *cost_rate* are None if they are not known.
    """

    policy: str
    project: Project
    user: str | None = None
    cards: int | None = None
    cost_rate: Fraction | None = None
    currency: str = ""


@dataclass(slots=True, kw_only=True)
class Window:
    """
    The sums over what counts; *rates* by currency. *uncarded* and *unrated* count those whose cards or rate are not known.
    """

    total: int = 0
    policies: Counter[str] = field(default_factory=Counter)
    users: Counter[str | None] = field(default_factory=Counter)
    projects: Counter[Project] = field(default_factory=Counter)
    cards: int = 0
    uncarded: int = 0
    rates: dict[str, Fraction] = field(default_factory=dict)
    unrated: int = 0

    def copy(self) -> "Window":
        """
        Return another window with the same sums.
        """
        users, policies, projects = Counter(self.users), Counter(self.policies), Counter(self.projects)
        return replace(self, users=users, policies=policies, projects=projects, rates=dict(self.rates))

    def add(self, place: Place, times: int = 1) -> None:
        """
        Count a place *times* more.
        """
        self.total += times
        self.policies[place.policy] += times
        self.users[place.user] += times
        self.projects[place.project] += times
        if place.cards is None:
            self.uncarded += times
        else:
            self.cards += place.cards * times
        if place.cost_rate is None:
            self.unrated += times
        else:
            self.rates[place.currency] = self.rates.get(place.currency, Fraction(0)) + place.cost_rate * times

    def cards_held(self, bounds: Bounds) -> int:
        """
        Return the cards of all that counts, those that are not known by what the *bounds* say.
        """
        return self.cards + self.uncarded * bounds.unknown_cards

    def rate_held(self, bounds: Bounds) -> Fraction | None:
        """
        Return the cost rate of all that counts in the currency of the *bounds*, None if that of one is not known.
        """
        foreign = any(rate for currency, rate in self.rates.items() if currency != bounds.currency)
        return None if self.unrated or foreign else self.rates.get(bounds.currency, Fraction(0))


def lacking(place: Place, window: Window, bounds: Bounds) -> str:
    """
    Return which of the *bounds* leaves no room for one more place in the window, as a sentence; "" if it fits.
    """
    for name, used, allowed, whose in (
        ("max_per_policy", window.policies[place.policy], bounds.per_policy, f"by {place.policy}"),
        ("max_per_user", window.users[place.user], bounds.per_user, "of this user's jobs"),
        ("max_per_target", window.projects[place.project], bounds.per_target, "in this target"),
    ):
        if allowed is not None and used >= allowed:
            return f"{used} terminations {whose} in the window, {name} allows {allowed}"
    if bounds.cards is not None and window.total >= ALWAYS_ALLOWED:
        held, own = window.cards_held(bounds), bounds.unknown_cards if place.cards is None else place.cards
        if held + own > bounds.cards:
            return f"{held} cards were freed in the window and the job has {own}, max_percent_of_cards allows {bounds.cards}"
    return "" if bounds.cost_rate is None else _too_dear(place, window, bounds, bounds.cost_rate)


def _too_dear(place: Place, window: Window, bounds: Bounds, allowed: Fraction) -> str:
    held = window.rate_held(bounds)
    if place.cost_rate is None or (place.cost_rate and place.currency != bounds.currency):
        return "the cost rate of the job is not known, so it does not fit into max_cost_rate"
    if held is None:
        return "the cost rate of a termination in the window is not known, so nothing fits into max_cost_rate"
    if held + place.cost_rate <= allowed:
        return ""
    sums = f"{float(held):.2f} of cost rate were ended in the window and the job has {float(place.cost_rate):.2f}"
    return f"{sums}, max_cost_rate allows {float(allowed):.2f} {bounds.currency}"


def rate_of(text: str) -> Fraction | None:
    """
    Return a cost rate from its text on record, None if there is none; raises ``ValueError`` if the text is no number.
    """
    return Fraction(text) if text else None
