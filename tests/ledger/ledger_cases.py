"""
Literal values that the tests of the ledger share, and clocks that are told the time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from guard.core.facts import JobKey
from guard.core.judge import Trace
from guard.core.plan import Finding
from guard.core.records import Draft
from guard.core.sighting import Sighting
from guard.core.verdict import Verdict
from guard.ledger import SqlLedger, open_ledger
from tests.changing import replace

T = TypeVar("T")

KEY = JobKey(region="cn-north-4", project_id="0a1b", job_id="job-1")

LEAF = Trace(text="duration > 24h", verdict=Verdict.MATCH, actual="25h", turns_at_ms=1_000)
DRAFT = Draft(
    traces=(Trace(text="all", verdict=Verdict.MATCH, parts=(LEAF,)),),
    key=KEY,
    target="north",
    workspace="0",
    run=1,
    policy="p100-eco-one-day",
    digest="d1",
    facts={"duration": "24h0m1s", "node_count": "3"},
    reason="duration 24h0m1s is above 24h",
    deadline_ms=1_000,
    due_ms=2_000,
    attempt=1,
    fingerprint="f1",
    cost_per_hour="12.340000000000000000000000001",
    currency="CNY",
    cards=24,
)

FINDING = Finding(
    key=KEY, target="north", run=1, policy="p100-eco-one-day", reason="observe", text="would stop it", deadline_ms=1_000
)

SIGHTING = Sighting(
    key=KEY,
    target="north",
    run=2,
    first_seen_ms=10,
    last_seen_ms=20,
    phase="Running",
    ran=True,
    reading_ms=7,
    reading_at_ms=15,
    start_time_ms=9,
    waiting_since_ms=None,
)

HOSTILE = {
    "chinese": "训练作业 — 昇腾",
    "emoji": "🚀👩‍💻",
    "quotes": "'; DROP TABLE intents; --\"`",
    "format": "%s %(x)s {0} :name ?",
    "controls": "\x00\x01\x1a\x1a0000\r\n\t\x7f",
    "lone-surrogate": "a\ud800b\udfff",
    "right-to-left": "\u202eevil\u202c",
    "json": '{"a": [1, "\\u0000"]}',
    "empty": "",
    "very-long": "长" * 200_000,
}


def keyed(text: str, url: str) -> str:
    """
    Return *text* as it may stand in an index: PostgreSQL's take less than 2,700 bytes, and ids from the wire are shorter.
    """
    return text[:256] if url.startswith("postgresql") else text


def named(job_id: str) -> JobKey:
    """
    Return the key of another job of the same project.
    """
    return replace(KEY, job_id=job_id)


def draft_of(job_id: str, **changes: Any) -> Draft:
    """
    Return a draft for another job.
    """
    return replace(DRAFT, key=named(job_id), **changes)


def use(url: str, work: Callable[[SqlLedger], Coroutine[Any, Any, T]]) -> T:
    """
    Open a ledger, run *work* on it and close it, all in a loop of its own.
    """

    async def inside() -> T:
        ledger = await open_ledger(url)
        try:
            return await work(ledger)
        finally:
            await ledger.aclose()

    return asyncio.run(inside())


@dataclass(slots=True, kw_only=True)
class ToldClock:
    """
    A clock that stands where it is put.
    """

    at_s: float = 1_700_000_000.0
    monotonic_s: float = 50.0

    def now(self) -> float:
        """
        Return the wall's time.
        """
        return self.at_s

    def monotonic(self) -> float:
        """
        Return the steady time.
        """
        return self.monotonic_s

    async def sleep(self, seconds: float) -> None:
        """
        Let the time pass at once.
        """
        self.pass_by(seconds)

    def instant(self, at: float) -> datetime:
        """
        Return the moment itself.
        """
        return datetime.fromtimestamp(at, UTC)

    def pass_by(self, seconds: float) -> None:
        """
        Move both times on.
        """
        self.at_s += seconds
        self.monotonic_s += seconds
