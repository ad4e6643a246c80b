"""
The audit: a hash chain for each target, begun over what is on record.

Revision 0011. Whatever an earlier version wrote is attested as it was found, from this migration on and no earlier: each
intent has one entry (``found``) with all its columns, its steps and what was taken back of its savings.
"""

import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from guard.core.hashchain import GENESIS, LEDGER, Entry, canonical, chained, kept

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

AT_ONCE = 500


def upgrade() -> None:
    """
    Make the table and the entries of what is there.
    """
    op.create_table(
        "audit",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("intent", sa.Integer()),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "position"),
    )
    op.create_index("audit_by_intent", "audit", ["intent"])
    connection = op.get_bind()
    writer = _Writer(connection)
    for row, steps, clawbacks in _intents(connection):
        number = row.pop("number")
        content = {"set": {name: kept(value) for name, value in row.items()}, "steps": steps, "clawbacks": clawbacks}
        writer.append(row["target"], "found", content, intent=number)
    pause = sa.table("pause", *map(sa.column, ("reason", "since_ms", "until_ms", "by")))
    for one in connection.execute(sa.select(pause)).mappings():
        writer.append(LEDGER, "found", {"pause": dict(one)})
    for name in ("breakers", "confirmations"):
        table = sa.table(name, *(sa.column(one["name"]) for one in sa.inspect(connection).get_columns(name)))
        for one in connection.execute(sa.select(table)).mappings():
            writer.append(LEDGER, "found", {name: [dict(one)]})
    writer.flush()


class _Writer:
    """
    Appends to the chains, many entries at a time.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._at_ms = int(time.time() * 1000)
        self._tips: dict[str, tuple[int, str]] = {}
        self._rows: list[dict[str, Any]] = []

    def append(self, chain: str, kind: str, content: dict[str, Any], *, intent: int | None = None) -> None:
        if chain not in self._tips:
            self._tips[chain] = (0, GENESIS)
            if chain != LEDGER:
                self.append(LEDGER, "chain_begun", {"chain": chain})
        position, previous = self._tips[chain]
        entry = Entry(chain, position + 1, self._at_ms, kind, intent, canonical(content))
        self._tips[chain] = (position + 1, chained(previous, entry))
        names = ("chain", "position", "at_ms", "kind", "intent", "content")
        self._rows.append({name: getattr(entry, name) for name in names} | {"hash": self._tips[chain][1]})
        if len(self._rows) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        names = ("chain", "position", "at_ms", "kind", "intent", "content", "hash")
        if self._rows:
            self._connection.execute(sa.table("audit", *map(sa.column, names)).insert(), self._rows)
        self._rows.clear()


def _intents(connection: sa.Connection) -> Iterator[tuple[dict[str, Any], list[Any], list[Any]]]:
    """
    Yield the rows of intents with their steps and claw-backs, as an audit holds them; a few hundred are read at a time.
    """
    inspected = sa.inspect(connection)
    known = {name: [one["name"] for one in inspected.get_columns(name)] for name in ("intents", "steps", "clawbacks")}
    intents, steps, clawbacks = (sa.table(name, *map(sa.column, columns)) for name, columns in known.items())
    wanted, after = sa.select(intents).order_by(intents.c.number).limit(AT_ONCE), None
    while True:
        where = sa.true() if after is None else intents.c.number > after
        rows = [dict(row) for row in connection.execute(wanted.where(where)).mappings()]
        if not rows:
            return
        numbers = (rows[0]["number"], rows[-1]["number"])
        taken: dict[int, tuple[list[Any], list[Any]]] = {row["number"]: ([], []) for row in rows}
        for one in connection.execute(sa.select(steps).where(steps.c.intent.between(*numbers)).order_by(steps.c.id)):
            if one.intent in taken:
                taken[one.intent][0].append([one.at_ms, one.state, kept(one.note)])
        here = sa.select(clawbacks).where(clawbacks.c.intent.between(*numbers)).order_by(clawbacks.c.id)
        for back in connection.execute(here).mappings():
            if back["intent"] in taken:
                values = {name: kept(value) for name, value in back.items() if name not in ("id", "intent")}
                taken[back["intent"]][1].append(values | {"assumed": bool(back["assumed"])})
        for row in rows:
            yield row, *taken[row["number"]]
        after = numbers[1]
