"""
The verification of the audit: every chain followed entry by entry, and every row that it covers compared with it.

One view of the ledger, beside whoever writes to it; read as a stream, however long the chains are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from guard.core.hashchain import LEDGER, LONGEST, Difference, Entry, Head, Kept, Links, digest
from guard.ledger.leasetables import metadata
from guard.ledger.replay import TABLES, Overall, Replay
from guard.ledger.tables import AnyText, Money, audit, clawbacks, intents, pause, steps

ROWS_AT_ONCE = 2_000
# More are counted, not kept: a ledger of which everything was changed is told of as well as one with a thousand changes.
MOST_SHOWN = 1_000

Progress = Callable[[int, int], None]
Key = tuple[int, Any]


@dataclass(slots=True)
class Verified:
    """
    What a verification found: where each chain ends, the differences, and how many there are beyond those.
    """

    heads: list[Head] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    more: int = 0
    kept: int = 0
    compared: int = 0
    entries: int = 0

    def take(self, found: Iterator[Difference]) -> None:
        """
        Take differences, as far as they can be shown.
        """
        for one in found:
            if len(self.differences) < MOST_SHOWN:
                self.differences.append(one)
            else:
                self.more += 1

    def took(self, links: Links) -> None:
        """
        Take how far the chains were followed.
        """
        self.take(links.end())
        self.heads = [Head(chain, link.position, link.hash) for chain, link in sorted(links.chains.items())]
        self.kept, self.compared = len(links.kept), links.compared
        self.entries = sum(link.entries for link in links.chains.values())


def verify(connection: sa.Connection, kept: Kept, progress: Progress = lambda done, of: None) -> Verified:
    """
    Verify all chains, against the heads that were *kept* elsewhere, and the rows that they cover.
    """
    found, links, overall = Verified(), Links(kept), Overall()
    entries, made = (
        connection.execute(sa.select(sa.func.count()).select_from(one)).scalar_one() for one in (audit, intents)
    )
    done, of = 0, entries + made
    for number, (entry, recorded) in enumerate(entries_of(connection), 1):
        found.take(links.take(entry, recorded))
        if entry.chain == LEDGER:
            found.take(overall.take(entry))
        if number % ROWS_AT_ONCE == 0:
            progress(number, of)
    done = entries
    for number, (key, groups) in enumerate(_merged([_rows(connection, *one) for one in _ABOUT]), 1):
        about, rows, stepped, taken = groups
        replay = Replay(key[1])
        for row in about:
            found.take(replay.take(entry_of(row)))
        found.take(replay.compare(rows[0] if rows else None, stepped, taken))
        if number % ROWS_AT_ONCE == 0:
            progress(done + number, of)
    found.took(links)
    begun = [chain for chain in links.chains if chain != LEDGER]
    tables = {name: _all(connection, metadata.tables[name]) for name in TABLES}
    found.take(overall.compare(begun, _all(connection, pause), tables))
    progress(of, of)
    return found


def entries_of(connection: sa.Connection, where: sa.ColumnElement[bool] | None = None) -> Iterator[tuple[Entry, str]]:
    """
    Yield the entries of all chains with their hashes on record, chain by chain in the order of their positions.
    """
    wanted = sa.select(audit).order_by(audit.c.chain, audit.c.position)
    if where is not None:
        wanted = wanted.where(where)
    for row in connection.execute(wanted.execution_options(yield_per=ROWS_AT_ONCE)).mappings():
        yield entry_of(row), str(row["hash"])


def long_texts(connection: sa.Connection, number: int) -> dict[str, str]:
    """
    Return the long texts that the ledger has of an intent, as it has them, by what stands for them in an entry.
    """
    one = connection.execute(sa.select(*map(_raw, intents.c)).where(intents.c.number == number)).mappings().one_or_none()
    notes = connection.execute(sa.select(_raw(steps.c.note)).where(steps.c.intent == number)).scalars()
    texts = [*(() if one is None else one.values()), *notes]
    return {digest(text): text for text in texts if isinstance(text, str) and len(text) > LONGEST}


def entry_of(row: Any) -> Entry:
    """
    Return the entry of a row; SQLite keeps whatever somebody puts there, and no entry was ever written at position 0.
    """
    position = row["position"] if isinstance(row["position"], int) else 0
    return Entry(str(row["chain"]), position, row["at_ms"], str(row["kind"]), row["intent"], str(row["content"]))


def _all(connection: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.select(*map(_raw, table.c))).mappings()]


def _raw(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """
    Return a column as the database has it.
    """
    kind = column.type
    plain = sa.Text() if isinstance(kind, AnyText | Money) else sa.Integer() if isinstance(kind, sa.Boolean) else kind
    return sa.type_coerce(column, plain).label(column.name)


# What is about an intent, and by which column: its entries, its row, its steps and its claw-backs.
_ABOUT: Sequence[tuple[sa.Select[Any], str]] = (
    (
        sa.select(audit).where(audit.c.intent.is_not(None)).order_by(audit.c.intent, audit.c.chain, audit.c.position),
        "intent",
    ),
    (sa.select(*map(_raw, intents.c)).order_by(intents.c.number), "number"),
    (sa.select(*map(_raw, steps.c)).order_by(steps.c.intent, steps.c.id), "intent"),
    (sa.select(*map(_raw, clawbacks.c)).order_by(clawbacks.c.intent, clawbacks.c.id), "intent"),
)


def _rows(connection: sa.Connection, wanted: sa.Select[Any], by: str) -> Iterator[tuple[Key, dict[str, Any]]]:
    for row in connection.execute(wanted.execution_options(yield_per=ROWS_AT_ONCE)).mappings():
        number = row[by]
        # SQLite keeps whatever somebody puts into a column of numbers, and sorts text behind them.
        yield (0, number) if isinstance(number, int | float) else (1, str(number)), dict(row)


def _merged(streams: Sequence[Iterator[tuple[Key, Any]]]) -> Iterator[tuple[Key, list[list[Any]]]]:
    """
    Yield for each key the rows of each stream that have it; the streams are sorted by their keys.
    """
    nexts = [next(stream, None) for stream in streams]
    while there := [one[0] for one in nexts if one is not None]:
        key, groups = min(there), list[list[Any]]()
        for at, stream in enumerate(streams):
            group = []
            while (one := nexts[at]) is not None and one[0] == key:
                group.append(one[1])
                nexts[at] = next(stream, None)
            groups.append(group)
        yield key, groups
