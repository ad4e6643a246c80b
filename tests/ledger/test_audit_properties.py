"""
Random histories, and random changes by hand: a history as it was written verifies, one that was changed does not.
"""

import asyncio
import sqlite3
from contextlib import closing as at_end
from decimal import Decimal

import pytest
from audit_cases import heads_of, rehashed, verified
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_cases import draft_of, named

from guard.core.clawback import Clawback
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Pause
from guard.errors import LedgerUnusable
from guard.ledger import open_ledger

TEXT = st.text(max_size=80)
CLOSING = st.builds(
    Closing, outcome=st.sampled_from(Outcome), note=TEXT, cost=st.none() | st.decimals(0, 9, places=2).map(Decimal)
)
WRITES = st.one_of(
    st.tuples(st.just("open"), st.integers(0, 5), st.sampled_from(["north", "south", "west"]), TEXT),
    st.tuples(st.just("advance"), st.integers(1, 6), st.sampled_from([State.SENDING, State.DENIED, State.ACCEPTED]), TEXT),
    st.tuples(st.just("close"), st.integers(1, 6), CLOSING, TEXT),
    st.tuples(st.just("take"), st.integers(1, 6), st.integers(1, 40), TEXT),
    st.tuples(st.just("pause"), st.none() | st.integers(0, 9), st.none(), TEXT),
)


async def written(url, writes):
    """
    Do these writes as far as the ledger takes them, several in one transaction.
    """
    ledger = await open_ledger(url)

    async def one(at_ms, kind, which, what, text):
        if kind == "open":
            draft = draft_of(f"job-{which}{text}", target=what, reason=text)
            await ledger.open_intent(draft, at_ms=at_ms, quota=None)
        elif kind == "advance":
            await ledger.advance(which, what, at_ms=at_ms, note=text)
        elif kind == "close":
            await ledger.close(which, what, at_ms=at_ms)
        elif kind == "take":
            taken = Clawback(number=which, key=named(text), run=1, amount=Decimal(what), currency="CNY", assumed=False)
            await ledger.savings.claw_back([taken], at_ms=at_ms)
        else:
            await ledger.set_pause(
                None if which is None else Pause(reason=text, since_ms=at_ms, until_ms=which), at_ms=at_ms
            )

    try:
        done = await asyncio.gather(*(one(at_ms, *write) for at_ms, write in enumerate(writes)), return_exceptions=True)
        assert all(one is None or isinstance(one, LedgerUnusable) for one in done)
    finally:
        await ledger.aclose()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """
    A folder for all the ledgers of a test.
    """
    return tmp_path_factory.mktemp("audit")


def rows_of(database):
    """
    Return every cell that the audit covers or holds, as (table, row, column).
    """
    cells = []
    for table in ("intents", "steps", "clawbacks", "audit", "pause"):
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        # Ids of steps and claw-backs are only their order.
        names = [name for name in names if name != "id"]
        cells += [(table, row, name) for (row,) in database.execute(f"SELECT rowid FROM {table}") for name in names]  # noqa: S608
    return cells


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WRITES, min_size=1, max_size=25), st.data())
def test_whatever_was_written_and_changed(folder, writes, data):
    """
    A history verifies as it was written, and against its own heads; a change of one cell, or the removal of one row, of
    anything that is covered does not.
    """
    path = folder / "guard.db"
    path.unlink(missing_ok=True)
    url = f"sqlite:///{path}"
    asyncio.run(written(url, writes))
    heads = list(heads_of(url).values())
    found = verified(url, *heads)
    assert (found.differences, found.compared) == ([], len(heads))
    with at_end(sqlite3.connect(path)) as database:
        cells = rows_of(database)
        if not cells:
            return
        table, row, name = data.draw(st.sampled_from(cells))
        ((before,),) = database.execute(f"SELECT {name} FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
        after = data.draw(st.sampled_from([7_777, "other", None]))
        removed = data.draw(st.booleans())
        try:
            if removed:
                database.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
            else:
                database.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (after, row))  # noqa: S608
        except sqlite3.Error:
            return
        ((now,),) = database.execute(f"SELECT {name} FROM {table} WHERE rowid = ?", (row,)).fetchall() or [(object(),)]  # noqa: S608
        database.commit()
    if now == before:
        return
    found = verified(url)
    if not found.differences:
        # Only the end of a chain, with nothing that its entry says of any row, can go unseen without a head.
        assert (table, removed) == ("audit", True)
    assert verified(url, *heads).differences
    if table == "audit" and not removed and name in ("at_ms", "kind", "intent", "content"):
        for head in heads:
            rehashed(url, head.chain)
        assert verified(url, *heads).differences
