"""
The audit on PostgreSQL: the same bytes as on SQLite, the same findings, and one chain whoever writes.
"""

import asyncio
import io

import pytest
import sqlalchemy as sa
from audit_cases import acted, heads_of, looked, told, verified
from ledger_cases import HOSTILE, draft_of, use

from guard.audited import Printing
from guard.core.protocol import State
from guard.core.records import Pause
from guard.errors import LedgerUnusable
from guard.ledger import open_ledger
from guard.ledger.engine import make_engine, parse
from guard.ledger.schema import migrate


async def hostile(ledger):
    """
    Write every kind of text in every place.
    """
    for number, name in enumerate(HOSTILE.values(), 1):
        draft = draft_of(f"{number}{name[:100]}", reason=name, facts={name: name}, workspace=name, target=f"t{number % 2}")
        await ledger.open_intent(draft, at_ms=number, quota=None)
        await ledger.advance(number, State.SENDING, at_ms=number, note=name)
        await ledger.set_pause(Pause(reason=name, since_ms=number, by=name))


@pytest.mark.parametrize("history", [acted, hostile])
def test_both_databases_give_the_same_bytes(postgres, file_url, history):
    """
    The same writes have the same hashes on SQLite and PostgreSQL, and verify on both.
    """
    there = postgres.new_url()
    for url in (there, file_url):
        use(url, history)
    heads = heads_of(file_url)
    assert heads_of(there) == heads
    assert verified(there, *heads.values()).differences == verified(file_url, *heads.values()).differences == []


def test_what_is_changed_is_found(postgres):
    """
    Rows and entries that were changed, removed or swapped are named as on SQLite.
    """
    url = postgres.new_url()
    use(url, acted)
    head = heads_of(url)["north"]
    engine = make_engine(parse(url))
    with engine.begin() as connection:
        for statement in (
            "UPDATE intents SET cost = '0' WHERE number = 1",
            "UPDATE clawbacks SET assumed = false",
            "DELETE FROM steps WHERE state = 'denied'",
            "DELETE FROM pause",
            "DELETE FROM audit WHERE chain = 'north' AND position = 13",
        ):
            connection.execute(sa.text(statement))
    engine.dispose()
    found = told(url, head)
    assert [(chain, position, intent) for chain, position, intent, _ in found] == [
        ("north", 5, 1),
        ("north", 11, 1),
        ("north", 7, 2),
        ("north", 12, 3),
        ("north", 12, 3),
        ("north", 12, 3),
        ("north", 12, 3),
        ("north", 13, None),
        ("_ledger", 5, None),
    ]


def test_several_writers_make_one_chain(postgres):
    """
    Writers with connections of their own go on where the others ended.
    """
    url = postgres.new_url()

    async def work(ledger):
        others = [await open_ledger(url) for _ in range(2)]
        every = [ledger, *others]
        made = await asyncio.gather(
            *(every[at % 3].open_intent(draft_of(f"job-{at}"), at_ms=at, quota=None) for at in range(60))
        )
        await asyncio.gather(*(every[one.number % 3].advance(one.number, State.SENDING, at_ms=99) for one in made))
        for one in others:
            await one.aclose()

    use(url, work)
    found = verified(url)
    assert (found.differences, found.entries) == ([], 121)


def test_an_earlier_ledger_gets_its_chains(postgres):
    """
    What is on record before the migration is attested as it is found, and goes on.
    """
    url = postgres.new_url()
    engine = make_engine(parse(url))
    with engine.begin() as connection:
        migrate(connection, to="0005")
        row = dict.fromkeys(
            ("region", "project_id", "workspace", "policy", "digest", "reason", "fingerprint", "note"), "长" * 99
        )
        row |= {
            "number": 1,
            "target": "north",
            "job_id": "j",
            "facts": "{}",
            "traces": "[]",
            "cost_per_hour": "",
            "currency": "",
        }
        row |= {
            "state": "sending",
            **dict.fromkeys(("run", "deadline_ms", "due_ms", "attempt", "created_ms", "sending_ms"), 1),
        }
        connection.execute(sa.table("intents", *map(sa.column, row)).insert(), row)
        step = {"intent": 1, "at_ms": 1, "state": "sending", "note": "x"}
        connection.execute(sa.table("steps", *map(sa.column, step)).insert(), step)
    engine.dispose()

    async def work(ledger):
        await ledger.advance(1, State.ACCEPTED, at_ms=2)

    use(url, work)
    found = verified(url)
    assert (found.differences, found.entries) == ([], 3)


def test_an_export_is_not_printed_twice(file_url):
    """
    A reading that is repeated, because the server was restarted under it, does not repeat what was printed.
    """
    use(file_url, acted)
    out = io.StringIO()
    printing = Printing(out=out, from_ms=None, to_ms=None)
    looked(file_url, printing)
    assert len(out.getvalue().splitlines()) == 20
    with pytest.raises(LedgerUnusable, match="the connection broke in the middle; begin anew"):
        looked(file_url, printing)
    assert len(out.getvalue().splitlines()) == 20
