"""
The metrics of the jobs that are watched: how many, what they use and cost, and how soon new ones are found.
"""

from collections import Counter as Count
from collections.abc import Callable, Mapping
from fractions import Fraction

from prometheus_client import CollectorRegistry, Gauge, Histogram

from guard.core.facts import KNOWN_PHASES, LIVE_PHASES, Missing, Resource, Text
from guard.core.fields import cards_of, rate_of
from guard.core.price import PriceBook
from guard.daemon.watched import Tally

MAX_BILLING_CODES = 100
Told = Callable[[str, int, int | None], None]
LAG_BUCKETS = (1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 2400, 3600)


class FleetMetrics:
    """
    The metrics of the fleet, in *registry* under *prefix*.

    *told* is told too how far a walk is: the target, the jobs read so far, and of about how many, if that can be guessed.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.told: Told = lambda target, read, of: None
        self._shown: dict[tuple[Gauge, str], set[str]] = {}
        self._unpriced: dict[str, Count[str]] = {}

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace=prefix, registry=registry)

        self._jobs = gauge("jobs", "Live jobs that are watched.", "target", "phase")
        self._cards = gauge("cards", "Accelerators of Running jobs.", "target", "billing_code")
        self._users = gauge("users_seen", "Distinct users of the live jobs.", "target")
        self._disputed = gauge("clock_disputed_jobs", "Jobs whose clocks differ by over 2 minutes.", "target")
        self._spend_rate = gauge("spend_rate_per_hour", "Cost per hour of the Running jobs.", "target", "currency")
        self._unpriced_jobs = gauge("unpriced_jobs", "Running jobs without a price.", "billing_code")
        self._read = gauge("walk_jobs_read", "Jobs that the newest walk has read so far.", "target")
        self._looked_at = gauge("last_look_timestamp_seconds", "When new jobs were last looked for.", "target")
        text = "Seconds from the creation of a new job until it was first seen."
        self._lag = Histogram(
            "discovery_lag_seconds", text, ["target"], namespace=prefix, registry=registry, buckets=LAG_BUCKETS
        )

    def start(self, target: str) -> None:
        """
        Put what is known to be there at 0.
        """
        for one in (self._users, self._disputed, self._read, self._looked_at, self._lag):
            one.labels(target)

    def reading(self, target: str) -> Callable[[int, int | None], None]:
        """
        Return what a walk tells of how far it is.
        """
        gauge = self._read.labels(target)
        gauge.set(0)

        def read_so_far(read: int, of: int | None) -> None:
            gauge.set(read)
            self.told(target, read, of)

        return read_so_far

    def found(self, target: str, *, lag_ms: int) -> None:
        """
        Count a new job.
        """
        self._lag.labels(target).observe(max(0, lag_ms) / 1000)

    def looked(self, target: str, *, at_ms: int) -> None:
        """
        Note that new jobs were looked for.
        """
        self._looked_at.labels(target).set(at_ms / 1000)

    def show(self, target: str, tally: Tally, prices: PriceBook | None) -> None:
        """
        Show the watched jobs of a target, their accelerators, users, clocks, and what they cost per hour.
        """
        phases: Count[str] = Count(dict.fromkeys(sorted(LIVE_PHASES), 0))
        cards: Count[str] = Count()
        unpriced: Count[str] = Count()
        rate = Fraction(0)
        for (phase, pool, resources), count in tally.shapes.items():
            phases[_phase(phase)] += count
            if phase != "Running":
                continue
            for resource in resources:
                each = cards_of(resource)
                cards[_code(resource)] += 0 if isinstance(each, Missing) else each * count
            cost = rate_of(pool, resources, prices)
            if isinstance(cost, Missing):
                unpriced.update({_code(one): count for one in resources or (Resource(),)})
            else:
                rate += cost * count
        self._show(self._jobs, target, phases)
        self._show(self._cards, target, _capped(cards))
        self._users.labels(target).set(sum(not isinstance(user, Missing) for user in tally.users))
        self._disputed.labels(target).set(tally.disputed)
        if prices is not None:
            self._spend_rate.labels(target, prices.currency).set(float(rate))
        self._unpriced[target] = unpriced
        self._unpriced_jobs.clear()
        for code, number in _capped(sum(self._unpriced.values(), Count())).items():
            self._unpriced_jobs.labels(code).set(number)

    def _show(self, gauge: Gauge, target: str, values: Mapping[str, float]) -> None:
        """
        Replace the series of a target; those that are no longer there go.
        """
        for name in self._shown.get((gauge, target), set()) - set(values):
            gauge.remove(target, name)
        self._shown[gauge, target] = set(values)
        for name, value in values.items():
            gauge.labels(target, name).set(value)


def _phase(phase: Text) -> str:
    if isinstance(phase, Missing):
        return "unreadable"
    return phase if phase in KNOWN_PHASES else "other"


def _code(resource: Resource) -> str:
    return "unreadable" if isinstance(resource.billing_code, Missing) else resource.billing_code


def _capped(counts: Count[str]) -> Mapping[str, float]:
    kept = dict(counts.most_common(MAX_BILLING_CODES))
    rest = sum(counts.values()) - sum(kept.values())
    return {**kept, "other": rest} if len(counts) > MAX_BILLING_CODES else kept
