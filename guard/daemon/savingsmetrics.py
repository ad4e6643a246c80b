"""
The metrics of savings: what the ledger has of confirmed terminations, each figure in a counter of its own.
"""

from collections.abc import Iterable
from decimal import Decimal
from itertools import product

from prometheus_client import CollectorRegistry, Counter

from guard.core.policy import PolicySet
from guard.core.protocol import Outcome
from guard.core.records import Intent, Tally
from guard.ports import Potential

LABELS = ("target", "policy", "currency")


class SavingsMetrics:
    """
    The counters of savings, in *registry* under *prefix*. The upper bound is counted with the outcome, the rest later.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, LABELS, namespace=prefix, registry=registry)

        self._upper = counter("savings_upper", "Upper bound of the savings of confirmed terminations.")
        self._expected = counter("savings_expected", "Expected savings of confirmed terminations with enough like runs.")
        self._lower = counter("savings_lower", "Lower limit (95 %) of the savings of confirmed terminations.")
        self._clawed_back = counter("savings_clawed_back", "Of the expected savings, what was submitted again.")
        self._assumed_clawed_back = counter(
            "savings_assumed_clawed_back", "Of the assumed savings, what was submitted again."
        )
        self._potential = counter("potential_savings", "Cost after the match of runs that policies only observed.")
        self._assumed = counter("savings_assumed", "Assumed savings of confirmed terminations without enough like runs.")

    def start(self, targets: Iterable[str], policies: PolicySet, currency: str) -> None:
        """
        Put every label set that the policies in force may fill at 0.
        """
        taken = self._clawed_back, self._assumed_clawed_back
        counters = self._upper, self._expected, self._lower, self._assumed, self._potential, *taken
        for target, policy, counter in product(targets, policies.policies, counters):
            _add(counter, (target, policy.name, currency), None)

    def seed(self, tallies: Iterable[Tally]) -> None:
        """
        Bring the counters to what the ledger has on record.
        """
        for one in tallies:
            if one.outcome is Outcome.CONFIRMED and one.currency:
                place = (one.target, one.policy, one.currency)
                _add(self._upper, place, one.savings_upper)
                _add(self._expected, place, one.savings_expected)
                _add(self._lower, place, one.savings_lower)
                _add(self._assumed, place, one.savings_assumed)

    def measured(self, potentials: Iterable[Potential]) -> None:
        """
        Count what policies that only observe would have saved.
        """
        for one in potentials:
            _add(self._potential, (one.target, one.policy, one.currency), one.amount)

    def taken_back(self, amounts: Iterable[Potential]) -> None:
        """
        Count what re-submissions took back of savings, of measured and assumed ones apart.
        """
        for one in amounts:
            _add(
                self._assumed_clawed_back if one.assumed else self._clawed_back,
                (one.target, one.policy, one.currency),
                one.amount,
            )

    def confirmed(self, intent: Intent) -> None:
        """
        Count the upper bound of a termination that was confirmed just now.
        """
        if intent.savings_upper is not None:
            _add(self._upper, _place(intent), intent.savings_upper)
            for counter in (self._expected, self._lower, self._assumed):
                _add(counter, _place(intent), None)

    def estimated(self, intent: Intent) -> None:
        """
        Count an estimate that was recorded just now.
        """
        for counter, amount in (
            (self._expected, intent.savings_expected),
            (self._lower, intent.savings_lower),
            (self._assumed, intent.savings_assumed),
        ):
            _add(counter, _place(intent), amount)


def _place(intent: Intent) -> tuple[str, str, str]:
    return intent.draft.target, intent.draft.policy, intent.draft.currency


def _add(counter: Counter, place: tuple[str, str, str], amount: Decimal | None) -> None:
    counter.labels(*place).inc(0.0 if amount is None else float(amount))
