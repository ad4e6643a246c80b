"""
Bad price books: what the loader says of each, to the word and to the column, and whether an editor sees it too.
"""

from datetime import UTC

import pytest
from bad_row import CALENDAR, JSON, PATTERN, TWO_PLACES, YAML, Bad
from jsonschema import Draft202012Validator
from plain_values import plain_values

from guard.core.bookschema import price_schema
from guard.core.pricebook import load_book
from guard.core.yamlnode import read_yaml
from guard.errors import PolicyErrors

VALIDATOR = Draft202012Validator(price_schema())
PROCESS = "a schema does not know in which currency a process counts"


def entry(written):
    """
    Return a book with one entry, at 3:3, whose first line this is.
    """
    return f"currency: CNY\nprices:\n- {written}\n"


KEYS = "expected one of billing_code, glob, pool_id, price, per, valid_from"
DATE = "valid_from: expected a date such as 2026-12-31 or a timestamp with its offset such as 2026-12-31T18:00:00Z"
OFFSET = "expected a timestamp with its offset such as 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+08:00"
FOR = "expected 'billing_code', 'glob' or 'pool_id': what the price is for"
TABLE = (
    Bad("empty-file", "", "1:1 expected a mapping with 'currency' and 'prices', got nothing"),
    Bad("null", "~\n", "1:1 expected a mapping with 'currency' and 'prices', got nothing"),
    Bad("text", "CNY\n", "1:1 expected a mapping with 'currency' and 'prices', got the text 'CNY'"),
    Bad("list", "- currency: CNY\n", "1:1 expected a mapping with 'currency' and 'prices', got a list"),
    Bad("empty-mapping", "{}\n", "1:1 the required key 'currency' is missing", "1:1 the required key 'prices' is missing"),
    Bad("no-currency", "prices: {}\n", "1:1 the required key 'currency' is missing"),
    Bad("no-prices", "currency: CNY\n", "1:1 the required key 'prices' is missing"),
    Bad(
        "mistyped-key",
        "curency: CNY\nprices: {}\n",
        "1:1 unknown key 'curency' (did you mean currency?); expected one of currency, prices",
        "1:1 the required key 'currency' is missing",
    ),
    Bad(
        "old-key",
        "currency: CNY\nprices: {}\npool_price_per_hour: 1\n",
        "3:1 unknown key 'pool_price_per_hour'; expected one of currency, prices",
    ),
    Bad(
        "key-twice",
        "currency: CNY\ncurrency: USD\nprices: {}\n",
        "2:1 the key 'currency' stands twice, first in line 1",
        unseen=YAML,
    ),
    Bad(
        "currency-in-small-letters",
        "currency: cny\nprices: {}\n",
        "1:11 currency: expected three capitals such as CNY or USD, got 'cny' (did you mean CNY?)",
    ),
    Bad(
        "currency-in-words",
        "currency: yuan\nprices: {}\n",
        "1:11 currency: expected three capitals such as CNY or USD, got 'yuan'",
    ),
    Bad(
        "currency-is-a-number",
        "currency: 156\nprices: {}\n",
        "1:11 currency: expected text, got the number 156; put it in quotes",
    ),
    Bad("currency-is-nothing", "currency:\nprices: {}\n", "1:10 currency: expected text, got nothing"),
    Bad("currency-is-a-list", "currency: [CNY, USD]\nprices: {}\n", "1:11 currency: expected text, got a list"),
    Bad(
        "currency-with-a-sign",
        "currency: CN¥\nprices: {}\n",
        "1:11 currency: expected three capitals such as CNY or USD, got 'CN¥'",
    ),
    Bad(
        "prices-is-text",
        "currency: CNY\nprices: none\n",
        "2:9 prices: expected a list of entries, or a mapping of billing code to price, got the text 'none'",
    ),
    Bad(
        "prices-is-nothing",
        "currency: CNY\nprices:\n",
        "2:8 prices: expected a list of entries, or a mapping of billing code to price, got nothing",
    ),
    Bad(
        "code-twice",
        "currency: CNY\nprices:\n  a: 1\n  a: 2\n",
        "4:3 the key 'a' stands twice, first in line 3",
        unseen=YAML,
    ),
    Bad(
        "negative",
        "currency: CNY\nprices: {a: -1}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the number -1",
    ),
    Bad(
        "price-in-quotes",
        "currency: CNY\nprices: {a: '3.5'}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the text '3.5'; numbers stand without quotes",
    ),
    Bad(
        "price-in-words",
        "currency: CNY\nprices: {a: free}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the text 'free'",
    ),
    Bad(
        "price-is-nothing",
        "currency: CNY\nprices: {a: }\n",
        "2:12 a: expected a price from 0 to 10^15 such as 3.5, got nothing",
    ),
    Bad(
        "price-is-a-list",
        "currency: CNY\nprices: {a: [1]}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got a list",
    ),
    Bad(
        "price-is-endless",
        "currency: CNY\nprices: {a: .inf}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the non-finite number .inf",
    ),
    Bad(
        "price-is-no-number",
        "currency: CNY\nprices: {a: .nan}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the non-finite number .nan",
        unseen=JSON,
    ),
    Bad(
        "price-is-too-large",
        "currency: CNY\nprices: {a: 1000000000000001}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the number 1000000000000001",
    ),
    Bad(
        "price-of-a-huge-exponent",
        "currency: CNY\nprices: {a: 1e999999}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the decimal number 1e999999",
    ),
    Bad(
        "price-with-a-comma",
        "currency: CNY\nprices:\n  a: 1,200\n",
        "3:6 a: expected a price from 0 to 10^15 such as 3.5, got the text '1,200'",
    ),
    Bad(
        "price-with-its-currency",
        "currency: CNY\nprices:\n  a: 3.5 CNY\n",
        "3:6 a: expected a price from 0 to 10^15 such as 3.5, got the text '3.5 CNY'",
    ),
    Bad(
        "price-true",
        "currency: CNY\nprices: {a: true}\n",
        "2:13 a: expected a price from 0 to 10^15 such as 3.5, got the boolean true",
    ),
    Bad(
        "star-in-a-code",
        "currency: CNY\nprices: {modelarts.vm.*: 1}\n",
        "2:10 prices: expected a whole code, got 'modelarts.vm.*'; write a list of entries with glob:",
    ),
    Bad("no-code", 'currency: CNY\nprices: {"": 1}\n', "2:10 prices: expected a billing code, got nothing"),
    Bad("entry-is-text", "currency: CNY\nprices: [a]\n", "2:10 prices: expected a mapping, got the text 'a'"),
    Bad(
        "entry-is-empty",
        "currency: CNY\nprices: [{}]\n",
        "2:10 the required key 'price' is missing",
        "2:10 expected 'billing_code', 'glob' or 'pool_id': what the price is for",
    ),
    Bad("entry-without-a-price", entry("billing_code: a"), "3:3 the required key 'price' is missing"),
    Bad("entry-for-nothing", entry("price: 1"), "3:3 expected 'billing_code', 'glob' or 'pool_id': what the price is for"),
    Bad("code-and-glob", entry("billing_code: a\n  glob: a*\n  price: 1"), "4:9 glob: may not stand beside 'billing_code'"),
    Bad(
        "mistyped-entry-key",
        entry("biling_code: a\n  price: 1"),
        f"3:3 unknown key 'biling_code' (did you mean billing_code?); {KEYS}",
        "3:3 expected 'billing_code', 'glob' or 'pool_id': what the price is for",
    ),
    Bad(
        "unknown-entry-key",
        entry("billing_code: a\n  price: 1\n  until: 2026-01-01"),
        f"5:3 unknown key 'until'; {KEYS}",
    ),
    Bad(
        "code-is-a-number",
        entry("billing_code: 7\n  price: 1"),
        "3:17 billing_code: expected text, got the number 7; put it in quotes",
    ),
    Bad("code-is-empty", entry("billing_code: ''\n  price: 1"), "3:17 billing_code: expected some text, got ''"),
    Bad(
        "code-with-a-star",
        entry("billing_code: a*\n  price: 1"),
        "3:17 billing_code: expected a whole code, got 'a*'; write glob: instead",
    ),
    Bad(
        "glob-never-closed",
        entry("glob: a[b\n  price: 1"),
        "3:9 glob: 'a[b' is not a valid glob: the '[' is never closed; write [[] for a bracket itself",
        unseen=PATTERN,
    ),
    Bad(
        "glob-backwards",
        entry("glob: 'a[z-a]'\n  price: 1"),
        "3:9 glob: 'a[z-a]' is not a valid glob: the range 'z-a' runs backwards",
        unseen=PATTERN,
    ),
    Bad("glob-is-a-list", entry("glob: [a, b]\n  price: 1"), "3:9 glob: expected text, got a list"),
    Bad(
        "glob-is-an-alias",
        entry("glob: *.eco\n  price: 1"),
        "3:10 not valid YAML: a value may not begin with '*' or '&'; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "pool-is-a-number",
        entry("pool_id: 12\n  price: 1"),
        "3:12 pool_id: expected text, got the number 12; put it in quotes",
    ),
    Bad("pool-is-empty", entry("pool_id: ' '\n  price: 1"), "3:12 pool_id: expected some text, got ' '"),
    Bad(
        "per-mistyped",
        entry("billing_code: a\n  price: 1\n  per: unit-hours"),
        "5:8 per: expected unit-hour or node-hour, got 'unit-hours' (did you mean unit-hour?)",
    ),
    Bad("per-day", entry("billing_code: a\n  price: 1\n  per: day"), "5:8 per: expected unit-hour or node-hour, got 'day'"),
    Bad(
        "per-is-a-number",
        entry("billing_code: a\n  price: 1\n  per: 24"),
        "5:8 per: expected unit-hour or node-hour, got the number 24",
    ),
    Bad(
        "valid-from-a-year",
        entry("billing_code: a\n  price: 1\n  valid_from: 2026"),
        f"5:15 {DATE}, got the number 2026",
    ),
    Bad(
        "valid-from-no-date",
        entry("billing_code: a\n  price: 1\n  valid_from: 2026-02-30"),
        "5:15 valid_from: there is no such date or time (day is out of range for month), got the text '2026-02-30'",
        unseen=CALENDAR,
    ),
    Bad(
        "valid-from-without-an-offset",
        entry("billing_code: a\n  price: 1\n  valid_from: 2026-07-01T00:00:00"),
        f"5:15 valid_from: {OFFSET}, got the text '2026-07-01T00:00:00'",
    ),
    Bad(
        "valid-from-words",
        entry("billing_code: a\n  price: 1\n  valid_from: next month"),
        f"5:15 {DATE}, got the text 'next month'",
    ),
    Bad(
        "valid-from-is-nothing",
        entry("billing_code: a\n  price: 1\n  valid_from:"),
        f"5:14 {DATE}, got nothing",
    ),
    Bad(
        "same-code-twice",
        "currency: CNY\nprices:\n- {billing_code: a, price: 1}\n- {billing_code: a, price: 2}\n",
        "4:3 another entry is for a from the same moment, at prices.yaml:3",
        unseen=TWO_PLACES,
    ),
    Bad(
        "same-glob-and-moment-twice",
        "currency: CNY\nprices:\n- {glob: a*, price: 1, valid_from: 2026-07-01}\n"
        "- {glob: a*, price: 2, valid_from: 2026-07-01T00:00:00Z}\n",
        "4:3 another entry is for a* from the same moment, at prices.yaml:3",
        unseen=TWO_PLACES,
    ),
    Bad(
        "same-pool-twice",
        "currency: CNY\nprices:\n- {pool_id: p, price: 1}\n- {pool_id: p, price: 2}\n",
        "4:3 another entry is for every code in p from the same moment, at prices.yaml:3",
        unseen=TWO_PLACES,
    ),
    Bad(
        "price-key-twice",
        entry("{billing_code: a, price: 1, price: 2}"),
        "3:31 the key 'price' stands twice, first in line 3",
        unseen=YAML,
    ),
    Bad(
        "several-errors",
        "currency: cny\nprices:\n- {billing_code: a, price: -1, per: hour}\n- {price: 1}\n",
        "1:11 currency: expected three capitals such as CNY or USD, got 'cny' (did you mean CNY?)",
        "3:28 price: expected a price from 0 to 10^15 such as 3.5, got the number -1",
        "3:37 per: expected unit-hour or node-hour, got 'hour' (did you mean unit-hour?)",
        "4:3 expected 'billing_code', 'glob' or 'pool_id': what the price is for",
    ),
    Bad("tab", "currency: CNY\nprices:\n\ta: 1\n", "3:1 indented with a tab; YAML takes spaces only", unseen=YAML),
    Bad(
        "no-yaml",
        "currency: CNY\nprices: {a: 1\n",
        "2:9 not valid YAML: the bracket that opens here is never closed",
        unseen=YAML,
    ),
    Bad("no-utf-8", b"currency: CNY\nprices: {a: 1} # \xff\n", "2:18 expected UTF-8, got the byte 0xff", unseen=YAML),
    Bad(
        "second-document",
        "currency: CNY\nprices: {}\n---\ncurrency: USD\n",
        "3:1 expected one document in a file, got a second one",
        unseen=YAML,
    ),
    Bad(
        "tag",
        "currency: !!str CNY\nprices: {}\n",
        "1:11 expected a value without a tag; put text that begins with '!' in quotes",
        unseen=YAML,
    ),
    Bad(
        "unseen-character",
        "currency: CNY\nprices: {a\u200b: 1}\n",
        "2:11 the character U+200B may not stand in a policy file (within double quotes, write it as an escape)",
        unseen=YAML,
    ),
    Bad(
        "other-currency",
        "prices: {a: 1}\ncurrency: USD\n",
        "2:11 currency: expected CNY, in which this process counts since its start, got USD; restart the guard to change it",
        unseen=PROCESS,
    ),
)


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.id)
def test_what_the_loader_says(bad):
    """
    Every error of a bad book has its exact place and its exact words, and there is no other.
    """
    content = bad.content if isinstance(bad.content, bytes) else bad.content.encode()
    with pytest.raises(PolicyErrors) as caught:
        load_book("prices.yaml", content, zone=UTC, currency="CNY")
    assert [f"{one.line}:{one.column} {one.message}" for one in caught.value.diagnostics] == list(bad.errors)
    assert {one.file for one in caught.value.diagnostics} == {"prices.yaml"}


@pytest.mark.parametrize("bad", [bad for bad in TABLE if bad.unseen != YAML], ids=lambda bad: bad.id)
def test_what_the_schema_says(bad):
    """
    The schema refuses every book whose shape is wrong, and takes the ones of which the table says that it cannot see why.
    """
    assert VALIDATOR.is_valid(plain_values(bad.content.encode())) is bool(bad.unseen)


@pytest.mark.parametrize("bad", [bad for bad in TABLE if bad.unseen == YAML], ids=lambda bad: bad.id)
def test_what_is_no_yaml(bad):
    """
    What the table calls bad YAML is refused before anything in it is read as a price.
    """
    assert read_yaml(bad.content if isinstance(bad.content, bytes) else bad.content.encode()).problems


def test_no_row_stands_twice():
    """
    Every row has a name and a content of its own.
    """
    assert len({bad.id for bad in TABLE}) == len({repr(bad.content) for bad in TABLE}) == len(TABLE) >= 40
