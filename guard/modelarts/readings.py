"""
Single facts out of decoded JSON of which nothing is certain: each is a value, absent or unreadable.

Absent is what a job may lawfully lack; whatever else is missing, empty, of a wrong type or out of range is unreadable. The
documents of this API contradict each other about types (numbers as text, counts as floats), so these readings are tolerant
about form and strict about meaning.
"""

import enum
import json
import re
from collections.abc import Iterable
from typing import TypeGuard

import msgspec

from guard.core.facts import ABSENT, UNREADABLE, Missing, Text, Whole

SECONDS_BELOW = 10**11
_LARGEST = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"\d{1,19}(?:\.0{1,9})?", re.ASCII)


class Undecodable(ValueError):
    """
    The bytes are no JSON.
    """


def decoded(body: bytes | msgspec.Raw) -> object:
    """
    Return the value of a JSON text, or raise ``Undecodable``. NaN and Infinity are taken, which some writers emit.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"no JSON ({type(error).__name__})") from error


class Wrong(enum.Enum):
    """
    The marker of a value whose parent is not an object, so that it could not even be looked for.
    """

    PARENT = "parent"


def at(value: object, *path: str) -> object:
    """
    Return what stands at *path*: None if it or a parent is missing or null, ``Wrong.PARENT`` if a parent is no object.
    """
    for key in path:
        if value is None:
            return None
        if not isinstance(value, dict):
            return Wrong.PARENT
        value = value.get(key)
    return value


def text(value: object) -> Text:
    """
    Return a text that must be there.
    """
    return value if is_text(value) and value else UNREADABLE


def is_text(value: object) -> TypeGuard[str]:
    """
    Tell whether a value is text that can be written anywhere: half a surrogate or a NUL would break a database or a path.
    """
    return isinstance(value, str) and "\0" not in value and (value.isascii() or not _SURROGATE.search(value))


def lawful_text(value: object) -> Text:
    """
    Return a text that may lawfully be missing, null or empty.
    """
    return ABSENT if value is None or value == "" else text(value)


def whole(value: object) -> Whole:
    """
    Return a whole number from 0 up; integral floats and plain digits in text are accepted.
    """
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        return UNREADABLE
    return value


def lawful_whole(value: object) -> Whole:
    """
    Return a whole number that may lawfully be missing or null.
    """
    return ABSENT if value is None else whole(value)


def instant_ms(value: object) -> Whole:
    """
    Return a moment in epoch milliseconds; a number below 10^11 is read as seconds.
    """
    moment = whole(value)
    return moment if isinstance(moment, Missing) or moment >= SECONDS_BELOW else moment * 1000


def first_whole(values: Iterable[object]) -> Whole:
    """
    Return the first of *values* that is there as a whole number; unreadable if that one is none or nothing is there.
    """
    return next((whole(value) for value in values if value is not None), UNREADABLE)


def agreed(values: Iterable[Text]) -> Text:
    """
    Return the one value that all of *values* share, absent if there are none, unreadable if they differ.
    """
    different = set(values)
    if len(different) > 1:
        return UNREADABLE
    return different.pop() if different else ABSENT
