"""
The metrics of the jobs that are watched: how many, what they use and cost, and how soon new ones are found.
"""

from collections import Counter as Count
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge, Histogram

from guard.core.facts import KNOWN_PHASES, LIVE_PHASES, Missing, Text
from guard.core.fields import cards_of
from guard.core.price import PriceBook
from guard.daemon.spendmetrics import SpendMetrics, capped, code_of, spend_of
from guard.daemon.watched import Tally

Told = Callable[[str, int, int | None], None]
LAG_BUCKETS = (1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 2400, 3600)


class FleetMetrics:
    """
    The metrics of the fleet, in *registry* under *prefix*.

    *told* is told too how far a walk is: the target, the jobs read so far, and of about how many, if that can be guessed.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.told: Told = lambda target, read, of: None
        # By target, and of that by gauge.
        self._shown: dict[str, dict[Gauge, set[str]]] = {}

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace=prefix, registry=registry)

        self._jobs = gauge("jobs", "Live jobs that are watched.", "target", "phase")
        self._cards = gauge("cards", "Accelerators of Running jobs.", "target", "billing_code")
        self._users = gauge("users_seen", "Distinct users of the live jobs.", "target")
        self._disputed = gauge("clock_disputed_jobs", "Jobs whose clocks differ by over 2 minutes.", "target")
        self.spend = SpendMetrics(registry, prefix)
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

    def forget(self, target: str) -> None:
        """
        Forget what was shown of a target whose series are gone.
        """
        self._shown.pop(target, None)
        self.spend.forget(target)

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

    def show(self, target: str, tally: Tally, prices: PriceBook | None, *, now_ms: int) -> None:
        """
        Show the watched jobs of a target, their accelerators, users, clocks, and what they cost per hour.
        """
        phases: Count[str] = Count(dict.fromkeys(sorted(LIVE_PHASES), 0))
        cards: Count[str] = Count()
        for (phase, _, resources), count in tally.shapes.items():
            phases[_phase(phase)] += count
            if phase != "Running":
                continue
            for resource in resources:
                each = cards_of(resource)
                cards[code_of(resource)] += 0 if isinstance(each, Missing) else each * count
        self._show(self._jobs, target, phases)
        self._show(self._cards, target, capped(cards))
        self._users.labels(target).set(sum(not isinstance(user, Missing) for user in tally.users))
        self._disputed.labels(target).set(tally.disputed)
        self.spend.show(target, spend_of(tally, prices, now_ms=now_ms))

    def _show(self, gauge: Gauge, target: str, values: Mapping[str, float]) -> None:
        """
        Replace the series of a target; those that are no longer there go.
        """
        shown = self._shown.setdefault(target, {})
        for name in shown.get(gauge, set()) - set(values):
            gauge.remove(target, name)
        shown[gauge] = set(values)
        for name, value in values.items():
            gauge.labels(target, name).set(value)


def _phase(phase: Text) -> str:
    if isinstance(phase, Missing):
        return "unreadable"
    return phase if phase in KNOWN_PHASES else "other"
