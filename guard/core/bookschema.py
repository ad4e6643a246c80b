"""
The JSON Schema of price books, for editors; made of what their reader is made of.
"""

from guard.core.operands import LARGEST
from guard.core.pricebook import BOOK_KEYS, CURRENCY, ENTRY_KEYS, PERS
from guard.core.schema import DIALECT, Schema
from guard.core.until import DATE, MOMENT, OFFSET

_TEXT = {"type": "string", "pattern": r"\S"}
_PRICE = {"type": "number", "minimum": 0, "maximum": LARGEST, "examples": [3.5]}


def price_schema() -> Schema:
    """
    Return the schema of the price book.
    """
    entry: Schema = {
        "billing_code": {
            "description": "The billing code that the price is for.",
            **_TEXT,
            "not": {"pattern": r"\*"},
            "examples": ["modelarts.vm.gpu.p100.eco"],
        },
        "glob": {
            "description": "Billing codes that the price is for: * any text, ? one character.",
            **_TEXT,
            "examples": ["modelarts.vm.cpu.*"],
        },
        "pool_id": {
            "description": "A dedicated pool, of whose jobs it is the shadow price. Left out: the public pool.",
            **_TEXT,
            "examples": ["pool-vision"],
        },
        "price": {"description": "The price, in the currency of the book.", **_PRICE},
        "per": {"description": "What the price is for.", "enum": list(PERS), "default": PERS[0]},
        "valid_from": {
            "description": "Since when it counts, a date or a timestamp with its offset; left out: always.",
            "type": "string",
            "pattern": f"^({DATE}|{MOMENT}{OFFSET})$",
            "examples": ["2026-07-01", "2026-07-01T00:00:00+08:00"],
        },
    }
    listed = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {key: entry[key] for key in ENTRY_KEYS},
            "additionalProperties": False,
            "required": ["price"],
            "anyOf": [{"required": ["billing_code"]}, {"required": ["glob"]}, {"required": ["pool_id"]}],
            "not": {"required": ["billing_code", "glob"]},
        },
    }
    short = {
        "type": "object",
        "propertyNames": entry["billing_code"],
        "additionalProperties": _PRICE,
    }
    described: Schema = {
        "currency": {
            "description": "The one currency of all prices, as a code of three capitals.",
            "type": "string",
            "pattern": f"^{CURRENCY}$",
            "examples": ["CNY", "USD"],
        },
        "prices": {
            "description": "The entries, of which the most exact one counts; or billing codes with prices per unit-hour.",
            "oneOf": [listed, short],
            "examples": [{"modelarts.vm.gpu.p100.eco": 3.5}],
        },
    }
    return {
        "$schema": DIALECT,
        "title": "Cost Guard price book",
        "description": "What jobs cost per hour, by billing code. A code without a price makes money unknown.",
        "type": "object",
        "properties": {key: described[key] for key in BOOK_KEYS},
        "additionalProperties": False,
        "required": list(BOOK_KEYS),
        "examples": [
            {"currency": "CNY", "prices": {"modelarts.vm.gpu.p100.eco": 3.5}},
            {
                "currency": "CNY",
                "prices": [
                    {"billing_code": "modelarts.vm.gpu.p100.eco", "price": 3.5},
                    {"billing_code": "modelarts.vm.gpu.p100.eco", "price": 3.9, "valid_from": "2026-07-01"},
                    {"glob": "modelarts.vm.cpu.*", "price": 1.1, "per": "node-hour"},
                    {"pool_id": "pool-vision", "price": 2},
                ],
            },
        ],
    }
