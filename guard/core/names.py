"""
The stem of a job's name: what stays the same when a person submits the same work again.
"""

import re

_PART = re.compile(r"[^\W_]+")
_UUID = re.compile(r"(?<![^\W_])[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}", re.IGNORECASE)
_UUID_LENGTH = 36
_DIGITS = "0123456789"
_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sep(?:t|tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_COUNTER = re.compile(r"[0-9]+(?:T[0-9]+)?Z?")
_DATE = re.compile(rf"[0-9]{{1,2}}{_MONTH}(?:[0-9]{{2,4}})?|{_MONTH}[0-9]{{1,4}}", re.IGNORECASE)
_MONTH_ALONE = re.compile(_MONTH, re.IGNORECASE)
# Words such as "facade" or "deface" are no hashes: less than eight hexadecimal letters must hold a figure.
_HASH = re.compile(r"(?=[a-f]*[0-9])[0-9a-f]{6,}|[a-f]{8,}", re.IGNORECASE)


def name_stem(name: str) -> str:
    """
    Return a name without trailing digits, dates, hexadecimal parts and UUIDs (design section 6).

    ``resnet-50-20261127`` and ``resnet50`` have the stem ``resnet``; a name of which nothing would be left, such as
    ``20261127-1``, is its own stem, since numbers alone do not tell that two jobs are the same work. It takes linear time.
    """
    parts = [(found.start(), found.end()) for found in _PART.finditer(name)]
    dated = False
    while parts:
        uuid = _UUID.search(name, max(0, parts[-1][1] - _UUID_LENGTH), parts[-1][1])
        if uuid is not None and uuid.end() == parts[-1][1]:
            while parts and parts[-1][1] > uuid.start():
                parts.pop()
            continue
        start, end = parts.pop()
        part = name[start:end]
        # The name of a month is a part of a date only before a year or a day, and after something else.
        of_date = dated and parts and _MONTH_ALONE.fullmatch(part)
        dated = part.isdigit()
        if not of_date and not any(kind.fullmatch(part) for kind in (_COUNTER, _DATE, _HASH)):
            return name[:start] + part.rstrip(_DIGITS)
    return name
