"""
The operator's price book: what one billing unit of a billing code costs per hour, in one currency.

There are no built-in prices, because the vendor publishes none for accelerator training.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """
    Exact prices per billing unit and hour, by billing code; *pool_rate* is the cost per hour of any job in a dedicated pool.
    """

    currency: str
    prices: Mapping[str, Fraction] = field(default_factory=dict)
    pool_rate: Fraction = Fraction(0)

    def price(self, billing_code: str) -> Fraction | None:
        """
        Return the price of one unit for one hour, or None if the operator named none.
        """
        return self.prices.get(billing_code)
