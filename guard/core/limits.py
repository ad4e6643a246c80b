"""
How many terminations a sliding window allows, whatever the policies say.

Limits exist for the day on which a policy is wrong: they turn a disaster into a handful of jobs.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from guard.core.facts import Inventory
from guard.core.spans import HOUR_MS
from guard.core.windows import ALWAYS_ALLOWED, Bounds, Place, Window, lacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    At most *max_terminations*, and *max_percent_of_running* of the Running jobs, within a sliding *window_ms*; None is no
    limit.

    Beside these: how many by one policy, of one user and in one target; what share of the cards of the Running jobs; and how
    much money per hour the jobs may cost together (``windows`` has the arithmetic).
    """

    window_ms: int = HOUR_MS
    max_terminations: int | None = 20
    max_percent_of_running: Fraction | None = Fraction(25)
    max_per_policy: int | None = None
    max_per_user: int | None = None
    max_per_target: int | None = None
    max_percent_of_cards: Fraction | None = None
    max_cost_rate: Fraction | None = None

    @property
    def needs_inventory(self) -> bool:
        """
        Whether one of them is a share of what runs, which means nothing without a fresh inventory.
        """
        return self.max_percent_of_running is not None or self.max_percent_of_cards is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """
    What runs by the newest complete inventories: *running* jobs, their *cards* as far as they are known, and how many the
    *largest* of them has.
    """

    running: int = 0
    cards: int = 0
    largest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """
    What the limits allow in the window now: *total* terminations (None: any number) and the limit that says so, and the
    other *bounds*.
    """

    total: int | None
    limit: str = ""
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def is_boundless(self) -> bool:
        """
        Whether anything is allowed.
        """
        return self.total is None and self.bounds == Bounds()


def allowance(limits: Limits | None, fleet: Fleet, *, currency: str = "") -> Allowance:
    """
    Return what the limits allow while *fleet* runs in all targets; a percentage always allows 3. Money is in *currency*.
    """
    bounds: list[tuple[int, str]] = []
    if limits is not None and limits.max_terminations is not None:
        bounds.append((limits.max_terminations, "max_terminations"))
    if limits is not None and limits.max_percent_of_running is not None:
        share = int(limits.max_percent_of_running * fleet.running / 100)
        bounds.append((max(ALWAYS_ALLOWED, share), "max_percent_of_running"))
    total, name = min(bounds) if bounds else (None, "")
    return Allowance(total=total, limit=name, bounds=Bounds() if limits is None else _bounds(limits, fleet, currency))


def _bounds(limits: Limits, fleet: Fleet, currency: str) -> Bounds:
    share, rate = limits.max_percent_of_cards, limits.max_cost_rate
    return Bounds(
        per_policy=limits.max_per_policy,
        per_user=limits.max_per_user,
        per_target=limits.max_per_target,
        cards=None if share is None else int(share * fleet.cards / 100),
        unknown_cards=0 if share is None else fleet.largest,
        cost_rate=rate,
        currency="" if rate is None else currency,
    )


def without_room(place: Place, window: Window, allowed: Allowance) -> str:
    """
    Return which limit leaves no room for one more place in the window, as a sentence; "" if it fits.
    """
    if allowed.total is not None and window.total >= allowed.total:
        return f"{window.total} terminations in the window, {allowed.limit} allows {allowed.total}"
    return lacking(place, window, allowed.bounds)


def is_stale(complete: Inventory | None, *, walk_every_ms: int, now_ms: int) -> bool:
    """
    Tell whether the newest complete inventory of a target is missing or older than three complete walks.

    A walk takes its own time and starts every *walk_every_ms*, whichever is longer.
    """
    if complete is None:
        return True
    walk_ms = max(walk_every_ms, complete.finished_at_ms - complete.started_at_ms)
    return now_ms - complete.finished_at_ms > 3 * walk_ms
