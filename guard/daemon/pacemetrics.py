"""
The metrics of how calls wait for their turn: the present rate of each target, and how long each lane waits.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

from guard.core.lanes import Lane

WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


class PaceMetrics:
    """
    Two metrics in *registry* under *prefix*; every lane is there from the start, every target once it is watched.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        text = "Calls per second that the target is sent at most now; throttling lowers it."
        self._rates: dict[str, Callable[[], float]] = {}
        self._rate = Gauge("api_rate_per_second", text, ["target"], namespace=prefix, registry=registry)
        text = "Seconds that a call waited for its turn."
        waits = Histogram("api_wait_seconds", text, ["lane"], namespace=prefix, registry=registry, buckets=WAIT_BUCKETS)
        self._waits = {lane: waits.labels(lane.name.lower()) for lane in Lane}

    def watch(self, target: str, rate: Callable[[], float]) -> None:
        """
        Show what *rate* says whenever somebody asks.
        """
        self._rates[target] = rate
        self.start(target)

    def start(self, target: str) -> None:
        """
        Show the rate of a target again, whose series may be gone.
        """
        if target in self._rates:
            self._rate.labels(target).set_function(self._rates[target])

    def waited(self, lane: Lane, seconds: float) -> None:
        """
        Count one turn.
        """
        self._waits[lane].observe(seconds)
