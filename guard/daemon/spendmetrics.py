"""
What everything that runs costs per hour: by target, billing code and flavor type, and the jobs that have no price.
"""

from collections import Counter as Count
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from guard.core.facts import Missing, Resource
from guard.core.price import PriceBook
from guard.core.spend import charges_of, per_hour
from guard.daemon.watched import Tally

MAX_BILLING_CODES = 100
FLAVOR_TYPES = ("CPU", "GPU", "Ascend")
OTHER, UNKNOWN = "other", "unreadable"


@dataclass(slots=True, kw_only=True)
class Spend:
    """
    What the Running jobs of a target cost per hour in *currency* ("" without a price book): in sum, by billing code and by
    flavor type. A job of which any price is unknown counts nowhere but in *unpriced*, under each code that has none.
    """

    currency: str
    per_hour: Fraction = Fraction(0)
    by_code: defaultdict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    by_type: defaultdict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    unpriced: Count[str] = field(default_factory=Count)


def spend_of(tally: Tally, book: PriceBook | None, *, now_ms: int) -> Spend:
    """
    Return what the Running jobs of a target cost per hour at that moment.
    """
    found = Spend(currency="" if book is None else book.currency)
    for (phase, pool, resources), count in tally.shapes.items():
        if phase != "Running":
            continue
        parts = resources or (Resource(),)
        charges = [charges_of(pool, (one,), book, at_ms=now_ms) for one in parts]
        unknown = {code_of(one) for one, some in zip(parts, charges, strict=True) if isinstance(some, Missing)}
        found.unpriced.update(dict.fromkeys(unknown, count))
        if unknown:
            continue
        for one, some in zip(parts, charges, strict=True):
            if isinstance(some, Missing) or not some:
                continue
            cost = per_hour(some) * count
            found.per_hour += cost
            found.by_code[code_of(one)] += cost
            found.by_type[_type(one)] += cost
    return found


def code_of(resource: Resource) -> str:
    """
    Return a billing code as the value of a label.
    """
    return UNKNOWN if isinstance(resource.billing_code, Missing) else resource.billing_code


def _type(resource: Resource) -> str:
    if isinstance(resource.flavor_type, Missing):
        return UNKNOWN
    return resource.flavor_type if resource.flavor_type in FLAVOR_TYPES else OTHER


def capped(values: Mapping[str, Any]) -> dict[str, float]:
    """
    Return the largest hundred values by billing code, and the sum of the rest as `other`.
    """
    ordered = sorted(values.items(), key=lambda one: (-one[1], one[0]))
    kept = {code: float(value) for code, value in ordered[:MAX_BILLING_CODES]}
    rest = ordered[MAX_BILLING_CODES:]
    return {**kept, OTHER: kept.get(OTHER, 0.0) + float(sum(value for _, value in rest))} if rest else kept


class SpendMetrics:
    """
    The metrics of spend, in *registry* under *prefix*. Those by billing code and flavor type are sums over the targets.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.by_target: dict[str, Spend] = {}

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace=prefix, registry=registry)

        self.reload_ok = gauge("prices_last_reload_successful", "1 if the newest price book was taken.")
        text = "When a price book was last taken."
        self._reload_at = gauge("prices_last_reload_success_timestamp_seconds", text)
        self._rate = gauge("spend_rate_per_hour", "Cost per hour of the Running jobs.", "target", "currency")
        text = "Cost per hour of the Running jobs by billing code."
        self._by_code = gauge("spend_rate_by_billing_code_per_hour", text, "billing_code", "currency")
        text = "Cost per hour of the Running jobs by flavor type."
        self._by_type = gauge("spend_rate_by_flavor_type_per_hour", text, "flavor_type", "currency")
        self._unpriced = gauge("unpriced_jobs", "Running jobs whose cost is unknown.", "billing_code")

    def took(self, *, at: float) -> None:
        """
        Note that a price book is in force.
        """
        self.reload_ok.set(1)
        self._reload_at.set(at)

    def forget(self, target: str) -> None:
        """
        Take a target out of the sums.
        """
        self.by_target.pop(target, None)

    def show(self, target: str, spend: Spend) -> None:
        """
        Show what the jobs of a target cost now; the sums follow by ``show_sums``.
        """
        self.by_target[target] = spend
        if spend.currency:
            self._rate.labels(target, spend.currency).set(float(spend.per_hour))

    def show_sums(self, currency: str) -> None:
        """
        Show what was shown of each target as sums over all of them.
        """
        codes: dict[str, Fraction] = defaultdict(Fraction)
        types: dict[str, Fraction] = defaultdict(Fraction, dict.fromkeys(FLAVOR_TYPES, Fraction(0)))
        unpriced: Count[str] = Count()
        for one in self.by_target.values():
            unpriced.update(one.unpriced)
            for code, cost in one.by_code.items():
                codes[code] += cost
            for kind, cost in one.by_type.items():
                types[kind] += cost
        for gauge in (self._by_code, self._by_type, self._unpriced):
            gauge.clear()
        for code, number in capped(unpriced).items():
            self._unpriced.labels(code).set(number)
        if not currency:
            return
        for code, rate in capped(codes).items():
            self._by_code.labels(code, currency).set(rate)
        for kind, cost in types.items():
            self._by_type.labels(kind, currency).set(float(cost))
