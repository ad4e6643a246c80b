"""
The price book.
"""

from fractions import Fraction

from built import BOOK, P100


def test_price_of_a_code():
    """
    A code has the operator's price, and one that the operator did not name has none, not 0.
    """
    assert BOOK.price(P100) == Fraction(3)
    assert BOOK.price("modelarts.vm.gpu.p100") is None
    assert BOOK.pool_rate == 0
