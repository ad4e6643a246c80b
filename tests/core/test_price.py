"""
The price book: which entry counts for a billing code, and what a file of prices means.
"""

from dataclasses import replace
from datetime import UTC
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from built import BOOK, P100

from guard.core.price import Per, plain_book, plain_characters
from guard.core.pricebook import load_book

JULY = 1_782_864_000_000
"""2026-07-01T00:00:00Z"""
FILE = b"""
currency: CNY
prices:
- {glob: "*", price: 1}
- {glob: "vm.gpu.*", price: 2}
- {glob: "vm.*.eco", price: 3}
- {glob: "vm.gpu.p???.eco", price: 4}
- {billing_code: vm.gpu.p100.eco, price: 5, valid_from: 2026-07-01}
- {billing_code: vm.gpu.p100.eco, price: 6, valid_from: 2026-07-02T00:00:00+08:00, per: node-hour}
- {billing_code: vm.cpu, price: 7}
- {billing_code: vm.cpu, price: 8, valid_from: 1960-01-01}
- {pool_id: p, price: 9}
- {pool_id: p, glob: "vm.*", price: 10}
- {pool_id: p, billing_code: vm.cpu, price: 11, valid_from: 2026-07-01}
- {glob: "a*", price: 12}
- {glob: "*b", price: 13}
- {glob: "*c", price: 14}
- {glob: "a*", price: 15, valid_from: 2026-07-01}
"""
READ = load_book("prices.yaml", FILE, zone=UTC)


def test_price_of_a_code():
    """
    A code has the operator's price, and one that the operator did not name has none, not 0.
    """
    entry = BOOK.price(P100, at_ms=0)
    assert entry is not None
    assert (entry.price, entry.per) == (Fraction(3), Per.UNIT_HOUR)
    assert BOOK.price("modelarts.vm.gpu.p100", at_ms=0) is None
    assert BOOK.price(P100, pool_id="p", at_ms=0) is None


@pytest.mark.parametrize(
    ("code", "pool", "at_ms", "price"),
    [
        pytest.param("other", "", JULY, 1, id="a-glob-for-all"),
        pytest.param("vm.gpu.v100", "", JULY, 2, id="a-longer-glob"),
        pytest.param("vm.npu.v100.eco", "", JULY, 3, id="another-glob"),
        pytest.param("vm.gpu.v100.eco", "", JULY, 2, id="of-equally-long-globs-the-first"),
        pytest.param("vm.gpu.p100.eco", "", JULY - 1, 4, id="the-longest-glob-before-the-code-begins"),
        pytest.param("vm.gpu.p100.eco", "", JULY, 5, id="a-code-before-every-glob"),
        pytest.param("vm.gpu.p100.eco", "", JULY + 57_599_999, 5, id="the-newest-validity-has-not-begun"),
        pytest.param("vm.gpu.p100.eco", "", JULY + 57_600_000, 6, id="the-newest-validity-that-has-begun"),
        pytest.param("vm.cpu", "", -400_000_000_000, 7, id="before-the-first-moment-what-always-counts"),
        pytest.param("vm.cpu", "", 0, 8, id="a-moment-before-always"),
        pytest.param("other", "p", JULY, 9, id="every-code-of-a-pool"),
        pytest.param("vm.gpu.v100", "p", JULY, 10, id="a-glob-in-a-pool"),
        pytest.param("vm.cpu", "p", JULY - 1, 10, id="a-code-in-a-pool-that-has-not-begun"),
        pytest.param("vm.cpu", "p", JULY, 11, id="a-code-in-a-pool"),
        pytest.param("", "p", JULY, 9, id="an-unreadable-code-in-a-pool"),
        pytest.param("other", "q", JULY, None, id="a-pool-without-entries"),
        pytest.param("ab", "", JULY - 1, 12, id="of-two-that-fit-the-first"),
        pytest.param("ac", "", JULY, 15, id="of-two-that-fit-the-newer"),
    ],
)
def test_the_most_exact_entry_counts(code, pool, at_ms, price):
    """
    A code comes before a glob, a longer glob before a shorter one, then the newest validity that has begun, then the first.
    """
    entry = READ.price(code, pool_id=pool, at_ms=at_ms)
    assert (None if entry is None else entry.price) == price


def test_entries_know_where_they_stand():
    """
    Every entry names its line, what it is for, and when it begins; a bare date begins in the zone.
    """
    assert [one.place for one in READ.entries[:2]] == ["prices.yaml:4", "prices.yaml:5"]
    assert [READ.entries[index].what for index in (0, 4, 8, 9)] == ["*", "vm.gpu.p100.eco", "every code in p", "vm.* in p"]
    assert [READ.entries[index].valid_from_ms for index in (0, 4)] == [None, JULY]
    shanghai = load_book("p", FILE, zone=ZoneInfo("Asia/Shanghai"))
    assert shanghai.entries[4].valid_from_ms == JULY - 8 * 3_600_000


def test_changes_between():
    """
    A change is met once by who looks from moment to moment.
    """
    assert READ.changes_between(JULY - 1, JULY)
    assert not READ.changes_between(JULY, JULY + 1)
    assert not BOOK.changes_between(-(10**15), 10**15)


def test_the_short_form():
    """
    A mapping of codes to prices is a list of prices per unit-hour that always counted.
    """
    read = load_book("prices.yaml", b"currency: USD\nprices: {a: 0.10, b: 2e3}", zone=UTC, currency="USD")
    plain = plain_book("USD", {"a": Fraction(1, 10), "b": Fraction(2000)})
    assert [replace(one, place="") for one in read.entries] == list(plain.entries)
    assert read.currency == plain.currency == "USD"
    assert load_book("p", b"currency: USD\nprices: []", zone=UTC).entries == ()


@pytest.mark.parametrize(
    ("glob", "count"), [("", 0), ("*?", 0), ("a*b?c", 3), ("a[bc]d", 2), ("[]x]", 0), ("a[b", 3), ("[[]", 0), ("[!a]b", 1)]
)
def test_plain_characters(glob, count):
    """
    What may be any of several characters is not plain.
    """
    assert plain_characters(glob) == count
