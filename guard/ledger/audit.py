"""
What is written to the audit: for each write that counts, one entry at the end of a hash chain, in the same transaction.

Each target has a chain, named after it as its intents are; a target that is renamed begins a new one, and the old one stays.
What concerns the whole ledger (pauses, the breaker, and that a chain was begun) has the chain ``_ledger``. What an entry's
content may hold, whatever its kind, is what the verification compares with the ledger's rows as they stand:

* ``set``: columns of the intent, as this write left them;
* ``steps``: rows of ``steps`` that this write added, as [at_ms, state, note];
* ``clawbacks``: rows of ``clawbacks`` that it added or changed;
* ``pause``: the pause that it put on record, or null for none;
* ``breakers``, ``confirmations``: rows of these tables that it added or changed;
* ``chain``: the chain that begins.

Anything else is only chained, so a new kind of event needs nothing but a call of ``append``. The written form and the hash
are those of ``guard.core.hashchain``.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from guard.core import hashchain
from guard.core.hashchain import GENESIS, LEDGER, Entry, Head, canonical, chained
from guard.ledger.prepared import Prepared
from guard.ledger.tables import audit, escaped

_ENDS = (audit.c.position, audit.c.hash)
_TIP = Prepared(
    sa.select(*_ENDS)
    .where(audit.c.chain == sa.bindparam("of"))
    .order_by(audit.c.position.desc())
    .limit(sa.literal_column("1")),
    columns=_ENDS,
)
_AT = Prepared(
    sa.select(audit.c.hash).where(audit.c.chain == sa.bindparam("of"), audit.c.position == sa.bindparam("at")),
    columns=(audit.c.hash,),
)
_NEXT = sa.select(sa.func.min(audit.c.chain)).where(audit.c.chain > sa.bindparam("after"))
_PUT = Prepared(sa.insert(audit))
_TIPS = "audit_tips"
_HASH = re.compile("[0-9a-f]{64}")

T = TypeVar("T")
Tips = dict[str, tuple[int, str]]


class Reading(Protocol):
    """
    What runs a work on one view of a ledger, as ``SqlLedger`` does.
    """

    async def read(self, what: str, work: Callable[[sa.Connection], T]) -> T:
        """
        Run *work*; *what* continues "the ledger cannot".
        """
        ...


def append(
    connection: sa.Connection,
    chain: str,
    kind: str,
    content: Mapping[str, Any],
    *,
    at_ms: int | None,
    intent: int | None = None,
) -> None:
    """
    Append an entry to the chain of a target, or to ``LEDGER``.

    *content* holds text as the database does (``kept``, ``escaped``). Two writers at once never share a position: the key of
    the table forbids it, and the later one fails.
    """
    chain, tips = escaped(chain), _tips(connection)
    if chain not in tips:
        tips[chain] = _tip(connection, chain)
        if tips[chain][0] == 0 and chain != LEDGER:
            append(connection, LEDGER, "chain_begun", {"chain": chain}, at_ms=at_ms)
    position, previous = tips[chain]
    entry = Entry(chain, position + 1, at_ms, kind, intent, canonical(content))
    hash_ = chained(previous, entry)
    row = {
        "chain": chain,
        "position": entry.position,
        "at_ms": at_ms,
        "kind": kind,
        "intent": intent,
        "content": entry.content,
        "hash": hash_,
    }
    _PUT.rows(connection, row)
    tips[chain] = (entry.position, hash_)


def kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return columns as a content holds them: text as the database does, long text by its digest, money as text.
    """
    return {name: hashchain.kept(escaped(value) if isinstance(value, str) else value) for name, value in values.items()}


def whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return columns of which nothing else will hold the long texts later.
    """
    return {name: escaped(value) if isinstance(value, str) else value for name, value in values.items()}


def step(at_ms: int, state: str, note: str) -> list[Any]:
    """
    Return a row of ``steps`` as a content holds it.
    """
    return [at_ms, state, hashchain.shortened(escaped(note))]


def heads(connection: sa.Connection) -> list[Head]:
    """
    Return where each chain ends, in the order of their names.
    """
    return list(heads_of(connection, chains(connection)))


def witness_of(ledger: Reading) -> Callable[[Sequence[Head]], Awaitable[tuple[list[Head], list[Head]]]]:
    """
    Return what looks where the chains of a ledger end, and which heads of before are not on record any more.
    """
    return lambda told: ledger.read("give the heads of the audit", lambda at: witnessed(at, told))


def witnessed(connection: sa.Connection, told: Iterable[Head]) -> tuple[list[Head], list[Head]]:
    """
    Return where each chain ends, and those heads of before that are not on record any more as they were *told*.
    """
    gone = []
    for head in told:
        there = _AT.one(connection, {"of": head.chain, "at": head.position})
        if there is None or there["hash"] != head.hash:
            gone.append(head)
    return heads(connection), gone


def heads_of(connection: sa.Connection, names: Iterable[str]) -> Iterable[Head]:
    """
    Yield where each of these chains ends, of those that there are; names are as the database holds them.
    """
    for name in names:
        row = _TIP.one(connection, {"of": name})
        if row is not None:
            yield Head(name, row["position"] if isinstance(row["position"], int) else 0, str(row["hash"]))


def chains(connection: sa.Connection) -> Iterable[str]:
    """
    Yield the names of the chains; each is found by the index, however long they are.
    """
    name = connection.execute(_NEXT, {"after": ""}).scalar()
    while name is not None:
        # SQLite keeps whatever somebody puts there.
        if isinstance(name, str):
            yield name
        name = connection.execute(_NEXT, {"after": name}).scalar()


def _tip(connection: sa.Connection, chain: str) -> tuple[int, str]:
    """
    Return the last position of a chain and its hash; raises ``ValueError`` if they are none, since nothing can follow them.
    """
    row = _TIP.one(connection, {"of": chain})
    if row is None:
        return 0, GENESIS
    position, hash_ = row["position"], row["hash"]
    if not (isinstance(position, int) and isinstance(hash_, str) and _HASH.fullmatch(hash_)):
        raise ValueError(
            f"the audit of {chain[:100]!r} ends at {position!r} with the hash {hash_!r}, which the guard never wrote"
        )
    return position, hash_


def _tips(connection: sa.Connection) -> Tips:
    """
    Return where the chains end that this transaction has appended to; another transaction reads them anew.
    """
    transaction = connection.get_transaction()
    known = connection.info.get(_TIPS)
    if connection.in_nested_transaction():
        # What is in a savepoint may be taken back.
        known = (None, Tips())
        connection.info.pop(_TIPS, None)
    elif known is None or known[0] is not transaction:
        known = connection.info[_TIPS] = (transaction, Tips())
    tips: Tips = known[1]
    return tips
