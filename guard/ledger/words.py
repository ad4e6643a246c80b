"""
Texts that repeat, each kept once under a number.

A word says when it was last used, to within a day, so that it can be dropped when nothing that is kept can refer to it.
Every function works in the transaction of its caller.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

import sqlalchemy as sa

from guard.core.spans import DAY_MS
from guard.ledger.engine import insert
from guard.ledger.historytables import words

T = TypeVar("T")

AT_ONCE = 500


def numbers_of(connection: sa.Connection, used: Mapping[str, int]) -> dict[str, int]:
    """
    Return the number of each of these texts, which are used at that moment; new ones are added.
    """
    by_digest = {_digest(text): text for text in used}
    found = _found(connection, by_digest, used)
    strange = [digest for digest in by_digest if by_digest[digest] not in found]
    if strange:
        new = [{"digest": one, "text": by_digest[one], "used_ms": used[by_digest[one]]} for one in strange]
        connection.execute(insert(words).on_conflict_do_nothing(index_elements=["digest"]), new)
        found |= _found(connection, {one: by_digest[one] for one in strange}, used)
    return found


def found_of(connection: sa.Connection, texts: Collection[str]) -> dict[str, int]:
    """
    Return the number of those of these texts that have one; nothing is written.
    """
    by_digest, found = {_digest(text): text for text in texts}, dict[str, int]()
    for some in portions(list(by_digest), AT_ONCE):
        wanted = sa.select(words.c.id, words.c.digest).where(words.c.digest.in_(some))
        found.update({by_digest[bytes(row.digest)]: row.id for row in connection.execute(wanted)})
    return found


def texts_of(connection: sa.Connection, numbers: Collection[int]) -> dict[int, str]:
    """
    Return the texts of these numbers.
    """
    found: dict[int, str] = {}
    for some in portions(sorted(numbers), AT_ONCE):
        rows = connection.execute(sa.select(words.c.id, words.c.text).where(words.c.id.in_(some)))
        found.update({row.id: row.text for row in rows})
    return found


def forget(connection: sa.Connection, *, before_ms: int, limit: int) -> int:
    """
    Drop words that nothing after that moment uses, at most *limit*; return how many.
    """
    old = sa.select(words.c.id).where(words.c.used_ms < before_ms - DAY_MS).limit(limit)
    return connection.execute(sa.delete(words).where(words.c.id.in_(old))).rowcount


def portions(several: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """
    Yield a sequence in portions.
    """
    for at in range(0, len(several), size):
        yield several[at : at + size]


def _found(connection: sa.Connection, by_digest: Mapping[bytes, str], used: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    aged = []
    for some in portions(list(by_digest), AT_ONCE):
        wanted = sa.select(words.c.id, words.c.digest, words.c.used_ms).where(words.c.digest.in_(some))
        for row in connection.execute(wanted):
            text = by_digest[bytes(row.digest)]
            found[text] = row.id
            if used[text] > row.used_ms + DAY_MS:
                aged.append({"of": row.id, "now_ms": used[text]})
    if aged:
        renewed = sa.update(words).where(words.c.id == sa.bindparam("of")).values(used_ms=sa.bindparam("now_ms"))
        connection.execute(renewed, aged)
    return found


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
