"""
The audit outside the ledger: heads that were kept, an export as JSON lines, and the verification of an export by itself.

A line of an export has the fields of an entry, its hash, the hash before it, and under ``texts`` the long texts that its
content names by their digests, as far as the ledger still has them. So it can be verified with no ledger, and read without.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import msgspec
import sqlalchemy as sa

from guard.core.hashchain import (
    GENESIS,
    LONGEST,
    Difference,
    Entry,
    Head,
    Kept,
    Links,
    canonical,
    digest,
    head_of,
    is_digest,
)
from guard.errors import BadInput, LedgerUnusable
from guard.ledger.auditing import Progress, Verified, entries_of, long_texts
from guard.ledger.replay import content_of
from guard.ledger.tables import audit

HEAD_EVENT = "audit.head"


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    One line of an export.
    """

    chain: str
    position: int
    at_ms: int | None
    kind: str
    intent: int | None
    content: dict[str, Any]
    previous: str
    hash: str
    texts: dict[str, str] = {}


class _Logged(msgspec.Struct):
    """
    A line of a log; only of the event that tells a head the rest is there.
    """

    event: str = ""
    target: str = ""
    position: int = 0
    hash: str = ""


def kept_heads(given: Iterable[str]) -> Kept:
    """
    Read heads, each ``TARGET:POSITION:HASH`` or a file of such lines or of the guard's log; raises ``BadInput``.
    """
    found: list[Head] = []
    for one in given:
        path = Path(one)
        if path.is_file():
            before = len(found)
            found += _in_file(path)
            if len(found) == before:
                raise BadInput(
                    f"--head: {path}: expected lines with heads (TARGET:POSITION:HASH, or the log's {HEAD_EVENT})"
                )
        else:
            try:
                found.append(head_of(one))
            except BadInput as error:
                raise BadInput(f"--head: {error}; there is no such file either") from error
    return Kept.of(found)


def _in_file(path: Path) -> Iterator[Head]:
    for number, line in _lines(path):
        try:
            if not line.startswith(b"{"):
                yield head_of(line.decode())
                continue
            logged = msgspec.json.decode(line, type=_Logged)
            if logged.event == HEAD_EVENT:
                yield head_of(f"{logged.target}:{logged.position}:{logged.hash}")
        except (BadInput, ValueError) as error:
            raise BadInput(f"--head: {path}:{number}:1: {error}") from error


def export(connection: sa.Connection, *, from_ms: int | None = None, to_ms: int | None = None) -> Iterator[str]:
    """
    Yield the entries of every chain as JSON in ASCII, of a time without a gap: from the first to the last that is of it.
    """
    texts = lru_cache(maxsize=256)(lambda number: long_texts(connection, number))
    whole = from_ms is None and to_ms is None
    last = ("", 0, "")
    for entry, hash_ in entries_of(connection, None if whole else _within(connection, from_ms, to_ms)):
        follows = last[:2] == (entry.chain, entry.position - 1)
        previous = last[2] if follows else _hash_at(connection, entry.chain, entry.position - 1)
        last = (entry.chain, entry.position, hash_)
        content = content_of(entry) or {"unreadable": entry.content}
        named = set(_digests(content))
        known = texts(entry.intent) if named and entry.intent is not None else {}
        line = {
            "chain": entry.chain,
            "position": entry.position,
            "at_ms": entry.at_ms,
            "kind": entry.kind,
            "intent": entry.intent,
            "content": content,
            "previous": previous,
            "hash": hash_,
            "texts": {one: known[one] for one in sorted(named & known.keys())},
        }
        yield json.dumps(line, separators=(",", ":"))


@dataclass(slots=True, kw_only=True)
class Printing:
    """
    Writes an export to *out*, once: what a server that was restarted has not told is not told from the beginning again.
    """

    out: TextIO
    from_ms: int | None
    to_ms: int | None
    begun: bool = False

    def __call__(self, connection: sa.Connection) -> None:
        """
        Write it; whoever reads it may go away. Raises ``LedgerUnusable`` the second time.
        """
        if self.begun:
            raise LedgerUnusable("the connection broke in the middle; begin anew")
        self.begun = True
        try:
            for line in export(connection, from_ms=self.from_ms, to_ms=self.to_ms):
                self.out.write(f"{line}\n")
            self.out.flush()
        except BrokenPipeError:
            # Nobody reads on; what Python still holds of it would fail once more at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())


def verify_file(path: Path, kept: Kept, progress: Progress = lambda done, of: None) -> Verified:
    """
    Verify an export by itself; raises ``BadInput`` for what is no export. It may begin anywhere in a chain.
    """
    found, links, size, read = Verified(), Links(kept, excerpt=True), path.stat().st_size if path.is_file() else 0, 0
    for number, text in _lines(path):
        read += len(text) + 1
        try:
            line = msgspec.json.decode(text, type=Line)
            entry = Entry(line.chain, line.position, line.at_ms, line.kind, line.intent, canonical(line.content))
        except (ValueError, RecursionError) as error:
            raise BadInput(
                f"{path}:{number}:1: expected a line of guard audit export, got {_shown(text)}: {error}"
            ) from error
        found.take(links.take(entry, line.hash, previous=line.previous))
        found.take(_wrong_texts(entry, line.texts))
        progress(read, size)
    if not links.chains:
        raise BadInput(f"{path}: expected lines of guard audit export, got none")
    found.took(links)
    return found


def _shown(line: bytes) -> str:
    return repr(line[:100].decode("utf-8", errors="replace").rstrip("\r\n"))


def _wrong_texts(entry: Entry, texts: dict[str, str]) -> Iterator[Difference]:
    for name, text in texts.items():
        if len(text) <= LONGEST or digest(text) != name:
            what = f"the text of {name[:23]}... is not the one that was recorded"
            yield Difference(chain=entry.chain, position=entry.position, intent=entry.intent, what=what)


def _digests(value: object) -> Iterator[str]:
    several: Iterable[object] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if is_digest(value):
        yield str(value)
    for one in several:
        yield from _digests(one)


def _within(connection: sa.Connection, from_ms: int | None, to_ms: int | None) -> sa.ColumnElement[bool]:
    first = sa.select(audit.c.chain, sa.func.min(audit.c.position)).group_by(audit.c.chain)
    last = sa.select(audit.c.chain, sa.func.max(audit.c.position)).group_by(audit.c.chain)
    begins = dict(map(tuple, connection.execute(first if from_ms is None else first.where(audit.c.at_ms >= from_ms))))
    ends = dict(map(tuple, connection.execute(last if to_ms is None else last.where(audit.c.at_ms < to_ms))))
    parts = [
        sa.and_(audit.c.chain == chain, audit.c.position.between(begins[chain], ends[chain]))
        for chain in sorted(begins.keys() & ends.keys())
    ]
    return sa.or_(sa.false(), *parts)


def _hash_at(connection: sa.Connection, chain: str, position: int) -> str:
    if position == 0:
        return GENESIS
    one = sa.select(audit.c.hash).where(audit.c.chain == chain, audit.c.position == position)
    return str(connection.execute(one).scalar() or "")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if text := line.strip():
                    yield number, text
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
