"""
The quick look whether there is a pause: always as new as the question, and never wrong on the side of sending.
"""

import asyncio
import contextlib
import sqlite3

import pytest

from guard.core.breaker import Breaker, Cause, Scope
from guard.core.protocol import Outcome
from guard.core.records import Closing, Pause
from guard.errors import LedgerUnusable
from guard.ledger.foregoing import attempts
from guard.ledger.opening import open_ledger
from tests.ledger.ledger_cases import DRAFT, named

BREAKER = Breaker(scope=Scope.ALL, name="", cause=Cause.PRICES, text="a jump", by="alice", opened_ms=1)
PAUSE = Pause(reason="a test", since_ms=1, until_ms=None, by="alice")


def on_two(url, act):
    """
    Run *act* with a ledger, and with the same one as another process has it open.
    """

    async def run():
        ledger = await open_ledger(url)
        other = await open_ledger(url)
        try:
            await act(ledger, other)
        finally:
            await ledger.aclose()
            await other.aclose()

    asyncio.run(run())


def test_a_pause_of_another_process_is_seen_at_once(lasting_url):
    """
    Each look sees what was committed before it, by whomever: a pause, and that it was lifted.
    """

    async def act(ledger, other):
        for _ in range(3):
            assert await ledger.pause() is None
            await other.set_pause(PAUSE)
            assert await ledger.pause() == PAUSE
            await other.set_pause(None)
        assert await ledger.pause() is None

    on_two(lasting_url, act)


def test_a_look_that_would_have_to_wait_is_not_taken_for_no_pause(tmp_path):
    """
    While somebody keeps everybody from reading, the pause is read in the way that waits, and then tells the truth.
    """

    async def act(ledger, other):
        await other.set_pause(PAUSE)
        await other.aclose()
        assert await ledger.pause() == PAUSE
        with contextlib.closing(sqlite3.connect(f"{tmp_path}/guard.db", isolation_level=None)) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            assert await ledger.pause() == PAUSE

    on_two(f"sqlite:///{tmp_path}/guard.db", act)


def test_a_ledger_that_lost_its_table_is_unusable(tmp_path):
    """
    What cannot be told is an error of the ledger, which closes the gate.
    """

    async def act(ledger, other):
        with contextlib.closing(sqlite3.connect(f"{tmp_path}/guard.db", isolation_level=None)) as breaker:
            breaker.execute("DROP TABLE pause")
        with pytest.raises(LedgerUnusable, match="whether it is paused"):
            await ledger.pause()

    on_two(f"sqlite:///{tmp_path}/guard.db", act)


def test_a_closed_ledger_tells_nothing(lasting_url):
    """
    Nobody is told that there is no pause by a ledger that was closed.
    """

    async def act(ledger, other):
        await ledger.aclose()
        with pytest.raises(LedgerUnusable):
            await ledger.pause()

    on_two(lasting_url, act)


def test_one_look_for_a_pause_and_a_breaker(tmp_path):
    """
    That nothing stops is said only while neither a pause nor an open breaker of anybody is on record, in the very file.
    """

    async def act(ledger, other):
        assert ledger.nothing_stops()
        await other.set_pause(PAUSE)
        assert not ledger.nothing_stops()
        await other.set_pause(None)
        assert ledger.nothing_stops()
        await other.breaker.open(BREAKER)
        assert not ledger.nothing_stops()
        await other.breaker.reset(by="bob", reason="looked", at_ms=2)
        assert ledger.nothing_stops()
        with contextlib.closing(sqlite3.connect(f"{tmp_path}/guard.db", isolation_level=None)) as breaker:
            breaker.execute("DROP TABLE pause")
        assert not ledger.nothing_stops()
        (tmp_path / "guard.db").rename(tmp_path / "elsewhere.db")
        assert not ledger.nothing_stops()

    on_two(f"sqlite:///{tmp_path}/guard.db", act)


def test_without_a_file_nobody_knows_at_once():
    """
    A ledger that has no file to look into, or was closed, never says that nothing stops.
    """

    async def act():
        ledger = await open_ledger("sqlite://")
        assert not ledger.nothing_stops()
        await ledger.aclose()
        assert not ledger.nothing_stops()

    asyncio.run(act())


def test_what_came_before_is_read_at_once(tmp_path):
    """
    For a few jobs what came before is read without a thread, as new as the question; what cannot be is read with one,
    which then says what is wrong.
    """

    async def act(ledger, other):
        opened = await other.open_intent(DRAFT, at_ms=1, quota=None)
        assert (await ledger.before({DRAFT.key}, since_ms=None)).busy == {DRAFT.key}
        await other.close(opened.number, Closing(outcome=Outcome.GONE, note="a test"), at_ms=2)
        before = await ledger.before({DRAFT.key}, since_ms=None)
        assert (before.busy, before.attempts[DRAFT.key].closed_ms) == (set(), 2)
        with contextlib.closing(sqlite3.connect(f"{tmp_path}/guard.db", isolation_level=None)) as breaker:
            breaker.execute("DROP TABLE intents")
        assert ledger.at_once.read(lambda at: attempts(at, {DRAFT.key})) is None
        with pytest.raises(LedgerUnusable, match="what came before"):
            await ledger.before({DRAFT.key}, since_ms=None)
        ledger.at_once.read = lambda work: pytest.fail("asked for many, or after the end")
        with pytest.raises(LedgerUnusable):
            await ledger.before({named(f"job-{n}") for n in range(9)}, since_ms=None)

    on_two(f"sqlite:///{tmp_path}/guard.db", act)
