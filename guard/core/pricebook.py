"""
Price books into entries, as strictly as policies are read: every error with its place.

::

    currency: CNY
    prices:
      - {billing_code: modelarts.vm.gpu.p100.eco, price: 3.50}                            # per unit-hour when left out
      - {billing_code: modelarts.vm.gpu.p100.eco, price: 3.90, valid_from: 2026-07-01}
      - {glob: "modelarts.vm.cpu.*", price: 1.10, per: node-hour}
      - {pool_id: pool-vision, price: 2.00}                                               # a shadow price

`prices` may also be a mapping of billing codes to prices per unit-hour that were always valid.
"""

import re
from collections.abc import Mapping as Dictionary
from datetime import tzinfo
from fractions import Fraction

from guard.core import patterns
from guard.core.entries import choice_of, items_of, text_of, values_of
from guard.core.findings import Findings, did_you_mean
from guard.core.operands import number_of
from guard.core.price import Per, Price, PriceBook
from guard.core.until import EXPECTED, parse_since
from guard.core.yamlnode import Kind, Mapping, Node, Scalar, brief, describe, read_yaml
from guard.errors import PolicyErrors

BOOK_KEYS = ("currency", "prices")
ENTRY_KEYS = ("billing_code", "glob", "pool_id", "price", "per", "valid_from")
PERS = tuple(per.value for per in Per)
CURRENCY = "[A-Z]{3}"
"""The expression that a whole currency fits."""


def load_book(file: str, content: bytes, *, zone: tzinfo, currency: str | None = None) -> PriceBook:
    """
    Return the price book of one file; bare dates begin in *zone*, and the currency must be *currency* if there is one.

    Raises PolicyErrors with every error.
    """
    document = read_yaml(content)
    findings = Findings.of_file(file, document.problems)
    book = PriceBook(currency="")
    if isinstance(document.root, Mapping):
        values = values_of(document.root, BOOK_KEYS, findings, required=BOOK_KEYS)
        book = read_book(values, findings, zone=zone)
        if currency is not None and book.currency and book.currency != currency:
            fixed = f"expected {currency}, in which this process counts since its start, got {book.currency}"
            findings.add(values["currency"].mark, f"currency: {fixed}; restart the guard to change it")
    elif document.root is not None:
        findings.add(document.root.mark, f"expected a mapping with 'currency' and 'prices', got {describe(document.root)}")
    if found := findings.in_order():
        raise PolicyErrors(found)
    return book


def read_book(values: Dictionary[str, Node], findings: Findings, *, zone: tzinfo) -> PriceBook:
    """
    Return the book that stands under the keys of a mapping; what is wrong in it may be filled with anything.
    """
    currency = text_of("currency", values, findings)
    node = values.get("currency")
    if isinstance(node, Scalar) and node.kind is Kind.TEXT and not re.fullmatch(CURRENCY, currency):
        hint = did_you_mean(currency, (currency.upper(),)) if re.fullmatch(CURRENCY, currency.upper()) else ""
        findings.add(node.mark, f"currency: expected three capitals such as CNY or USD, got {brief(currency)}{hint}")
        currency = ""
    prices = values.get("prices")
    if isinstance(prices, Mapping):
        entries = tuple(
            Price(code=code.text, price=_price(code.text, node, findings), place=f"{findings.file}:{code.mark.line}")
            for code, node in prices.entries
            if _filled(code, findings)
        )
        return PriceBook(currency=currency, entries=entries)
    if isinstance(prices, Scalar):
        wanted = "a list of entries, or a mapping of billing code to price"
        findings.add(prices.mark, f"prices: expected {wanted}, got {describe(prices)}")
        prices = None
    places: dict[tuple[str, int | None, bool], str] = {}
    return PriceBook(
        currency=currency,
        entries=tuple(_entry(one, places, zone, findings) for one in items_of(prices, "prices", findings)),
    )


def _entry(node: Mapping, places: dict[tuple[str, int | None, bool], str], zone: tzinfo, findings: Findings) -> Price:
    values = values_of(node, ENTRY_KEYS, findings, required=("price",))
    code, glob, pool = (text_of(key, values, findings, filled=True) for key in ("billing_code", "glob", "pool_id"))
    if "billing_code" in values and "glob" in values:
        findings.add(values["glob"].mark, "glob: may not stand beside 'billing_code'")
    elif not any(key in values for key in ("billing_code", "glob", "pool_id")):
        findings.add(node.mark, "expected 'billing_code', 'glob' or 'pool_id': what the price is for")
    if "*" in code:
        findings.add(
            values["billing_code"].mark, f"billing_code: expected a whole code, got {brief(code)}; write glob: instead"
        )
    try:
        pattern = patterns.glob(glob) if glob else None
    except ValueError as wrong:
        findings.add(values["glob"].mark, f"glob: {brief(glob)} is not a valid glob: {wrong}")
        pattern = None
    price = Price(
        price=_price("price", values["price"], findings) if "price" in values else Fraction(0),
        per=Per(choice_of("per", PERS, values, findings) or Per.UNIT_HOUR),
        code=code,
        glob=pattern,
        pool_id=pool,
        valid_from_ms=_valid_from(values.get("valid_from"), zone, findings),
        place=f"{findings.file}:{node.mark.line}",
    )
    key = (price.what, price.valid_from_ms, bool(code))
    if key in places:
        findings.add(node.mark, f"another entry is for {price.what} from the same moment, at {places[key]}")
    places.setdefault(key, price.place)
    return price


def _filled(code: Scalar, findings: Findings) -> bool:
    if not code.text.strip():
        findings.add(code.mark, "prices: expected a billing code, got nothing")
    elif "*" in code.text:
        findings.add(code.mark, f"prices: expected a whole code, got {brief(code.text)}; write a list of entries with glob:")
    return bool(code.text.strip())


def _price(key: str, node: Node, findings: Findings) -> Fraction:
    numeric = isinstance(node, Scalar) and node.kind in (Kind.INTEGER, Kind.DECIMAL)
    price = number_of(node) if isinstance(node, Scalar) and numeric else None
    if price is None or price < 0:
        hint = "; numbers stand without quotes" if isinstance(node, Scalar) and not node.plain else ""
        findings.add(node.mark, f"{key}: expected a price from 0 to 10^15 such as 3.5, got {describe(node)}{hint}")
        return Fraction(0)
    return price


def _valid_from(node: Node | None, zone: tzinfo, findings: Findings) -> int | None:
    if node is None:
        return None
    try:
        if not isinstance(node, Scalar) or node.kind is not Kind.TEXT:
            raise ValueError(EXPECTED)
        return parse_since(node.text, zone=zone)
    except ValueError as wrong:
        findings.add(node.mark, f"valid_from: {wrong}, got {describe(node)}")
        return None
