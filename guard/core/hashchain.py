"""
The hash chain of the audit: how an entry is written down and hashed, what a head is, and how a chain is followed.

No ledger in here, so that an export can be verified without one. The written form, version 1, is meant to be recomputed by
other programs:

* **Text** is what the database holds: NUL, U+001A and lone surrogates stand as U+001A and four hexadecimal digits.
* **Canonical JSON**: keys in the order of their code points, no spaces, whole numbers, characters outside ASCII as they are,
  control characters as ``\\b \\t \\n \\f \\r`` or ``\\u00xx``. That is RFC 8785, in which amounts of money are text.
* **Content** is one object in canonical JSON. In ``set`` and ``steps`` a text of more than 64 characters is replaced by
  ``sha256:`` and the 64 hexadecimal digits of the SHA-256 of its UTF-8; no text that stands there as it is has that length.
* **Hash** of an entry: the SHA-256, in 64 lower-case hexadecimal digits, of these four lines in UTF-8, without a line feed
  at the end: ``1`` (the version), the hash of the entry before (64 zeros for the first one), the canonical JSON of
  ``[chain, position, at_ms, kind, intent]``, and the content.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from guard.errors import BadInput

VERSION = b"1"
GENESIS = "0" * 64
# The chain of what concerns the whole ledger; no target can be called so.
LEDGER = "_ledger"
LONGEST = 64
# Of a head at least 48 bits, which is what the metric shows.
FEWEST_DIGITS = 12
_DIGEST = "sha256:"
_HEAD = re.compile(rf"(.+):([1-9][0-9]{{0,18}}):([0-9a-f]{{{FEWEST_DIGITS},64}})")
_DIGITS = re.compile(rf"[0-9a-f]{{{FEWEST_DIGITS}}}")
_JSON = msgspec.json.Encoder(order="sorted")


class Entry(msgspec.Struct, frozen=True):
    """
    One entry of a chain: *content* is canonical JSON, *at_ms* the moment that the writer gave, if it gave one.
    """

    chain: str
    position: int
    at_ms: int | None
    kind: str
    intent: int | None
    content: str


class Head(msgspec.Struct, frozen=True):
    """
    Where a chain ends, or ended at some time: the *hash* of its entry at *position*, or the first digits of it.
    """

    chain: str
    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.chain}:{self.position}:{self.hash}"

    @property
    def number(self) -> int:
        """
        The first 48 bits of the hash, which a float holds exactly; 0 if it is none.
        """
        digits = _DIGITS.match(self.hash)
        return int(digits[0], 16) if digits else 0


def head_of(text: str) -> Head:
    """
    Read ``TARGET:POSITION:HASH``; raises ``BadInput`` if it is something else.
    """
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise BadInput(
            f"expected TARGET:POSITION:HASH with {FEWEST_DIGITS} to 64 lower-case hexadecimal digits, got {text[:200]!r}"
        )
    return Head(found[1], int(found[2]), found[3])


def canonical(content: Mapping[str, Any]) -> str:
    """
    Return the canonical JSON of a content; raises ``ValueError`` for a lone surrogate, which no database holds.
    """
    return _JSON.encode(content).decode()


def digest(text: str) -> str:
    """
    Return what stands for a long text.
    """
    return _DIGEST + hashlib.sha256(text.encode()).hexdigest()


def shortened(text: str) -> str:
    """
    Return a text as it stands in a content: itself, or what stands for it.
    """
    return text if len(text) <= LONGEST else digest(text)


def kept(value: object) -> object:
    """
    Return the value of a column, as the database gives it, as it stands in a content.
    """
    if value is None or isinstance(value, int):
        return value
    return shortened(value if isinstance(value, str) else str(value))


def is_digest(value: object) -> bool:
    """
    Tell whether a value of a content stands for a long text.
    """
    return isinstance(value, str) and len(value) > LONGEST and value.startswith(_DIGEST)


def chained(previous: str, entry: Entry) -> str:
    """
    Return the hash of an entry that follows the one whose hash is *previous*; raises as ``canonical`` does.
    """
    head = _JSON.encode((entry.chain, entry.position, entry.at_ms, entry.kind, entry.intent))
    return hashlib.sha256(b"%s\n%s\n%s\n%s" % (VERSION, previous.encode(), head, entry.content.encode())).hexdigest()


@dataclass(slots=True, kw_only=True)
class Difference:
    """
    One thing that is not as it was recorded, and where: the chain, its position and the intent as far as they are known.
    """

    chain: str
    position: int | None = None
    intent: int | None = None
    what: str


@dataclass(slots=True)
class Link:
    """
    How far a chain was followed: from *first* to *position*, whose hash is *hash*.
    """

    first: int
    position: int
    hash: str

    @property
    def entries(self) -> int:
        """
        How many entries that are.
        """
        return self.position - self.first + 1


@dataclass(slots=True)
class Kept:
    """
    The heads that were kept elsewhere, by chain and position.
    """

    heads: dict[str, dict[int, set[str]]] = field(default_factory=dict)

    @staticmethod
    def of(heads: Iterable[Head]) -> "Kept":
        """
        Return them; the same one twice is one.
        """
        found = Kept()
        for one in heads:
            found.heads.setdefault(one.chain, {}).setdefault(one.position, set()).add(one.hash)
        return found

    def __len__(self) -> int:
        return sum(len(hashes) for positions in self.heads.values() for hashes in positions.values())


@dataclass(slots=True)
class Links:
    """
    Follows chains entry by entry, each in the order of its positions, and yields what does not follow.

    What is *kept* elsewhere is compared on the way. The hash on record is where it goes on from after a difference, so that
    each one is told once. An *excerpt* may begin anywhere, with the hash before it.
    """

    kept: Kept = field(default_factory=Kept)
    excerpt: bool = False
    chains: dict[str, Link] = field(default_factory=dict)
    compared: int = 0

    def take(self, entry: Entry, recorded: str, *, previous: str | None = None) -> Iterator[Difference]:
        """
        Take the next entry of its chain and its hash on record, of an excerpt also that of the entry before it.
        """
        link = self.chains.get(entry.chain)
        if link is None:
            first = entry.position if self.excerpt else 1
            link = Link(first, first - 1, GENESIS if first == 1 or previous is None else previous)
            self.chains[entry.chain] = link
        expected, before = link.position + 1, link.hash
        if entry.position < expected:
            yield self._of(entry, f"position {entry.position} stands where {expected} was expected")
            return
        if entry.position > expected:
            yield self._of(entry, _missing(expected, entry.position - 1))
            # Without the hash before it, nobody can tell whether this one is what it was.
            before = "" if previous is None else previous
        elif previous is not None and previous != before:
            yield self._of(entry, "it does not follow the entry before it")
        if before and not _is(before, entry, recorded):
            yield self._of(entry, "the entry or its hash was changed")
        for hash_ in self.kept.heads.get(entry.chain, {}).get(entry.position, ()):
            self.compared += 1
            if not recorded.startswith(hash_):
                yield self._of(entry, f"the chain was rewritten up to here; the hash that was kept is {hash_}")
        link.position, link.hash = entry.position, recorded

    def end(self) -> Iterator[Difference]:
        """
        Yield which heads that were kept lie beyond the end of their chain; of an excerpt, whether it holds none of them.
        """
        if self.excerpt and len(self.kept) and not self.compared:
            yield Difference(chain="", what="none of the heads that were kept is of an entry in here, so they prove nothing")
        for chain, positions in sorted(self.kept.heads.items()):
            link, last = self.chains.get(chain), max(positions)
            if link is None:
                yield Difference(chain=chain, position=last, what="there is no such chain: removed whole, or never in here")
            elif last > link.position:
                yield Difference(
                    chain=chain,
                    position=last,
                    what=f"the chain ends at {link.position}, before a head that was kept: cut off",
                )

    @staticmethod
    def _of(entry: Entry, what: str) -> Difference:
        return Difference(chain=entry.chain, position=entry.position, intent=entry.intent, what=what)


def _is(previous: str, entry: Entry, recorded: str) -> bool:
    try:
        return chained(previous, entry) == recorded
    except ValueError:
        # Half a character is in no entry that was ever written.
        return False


def _missing(first: int, last: int) -> str:
    return (
        f"the entry {first} before it is missing"
        if first == last
        else f"the entries {first} to {last} before it are missing"
    )
