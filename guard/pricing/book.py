"""
The operator's price book, as it is taken from disk: one YAML file, in the currency in which the process counts.

What may stand in it is said by ``core.pricebook``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from guard.core.price import PriceBook
from guard.core.pricebook import load_book


@dataclass(slots=True, kw_only=True)
class Books:
    """
    Turns price books into values, bare dates in *zone*. The first good one fixes the *currency*: one in another is refused.
    """

    zone: tzinfo
    currency: str | None = None

    def load(self, files: Sequence[tuple[str, bytes]]) -> PriceBook:
        """
        Return the book of a file that was read; raises ``PolicyErrors`` with every error.
        """
        ((name, content),) = files
        book = load_book(name, content, zone=self.zone, currency=self.currency)
        self.currency = book.currency
        return book
