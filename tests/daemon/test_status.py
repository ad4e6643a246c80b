"""
How the running guard tells of itself: gathered from memory and the ledger, in words, as JSON, and when parts of it fail.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from daemon_stand import ONE_DAY, on_stand, running
from test_service import Daemon

from guard.core.breaker import BreakerRules
from guard.core.limits import Limits
from guard.core.records import Pause
from guard.daemon.access import Access, AccessFiles
from guard.daemon.metrics import Metrics
from guard.daemon.status import Telling, encoded
from guard.daemon.statustext import LONGEST, MOST_ROWS, WIDTH, as_text, words
from guard.daemon.web import web_app
from guard.errors import LedgerUnusable
from guard.ledger.schema import newest
from guard.ledger.standing import LedgerRecord, Wanted, standing
from guard.ports.status import (
    BreakerStatus,
    HolderStatus,
    IntentStatus,
    LedgerStatus,
    LimitStatus,
    OpenIntents,
    PauseStatus,
    Status,
    TargetStatus,
    Versions,
)

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\u202e\u0000[red]" + "x" * 5_000
VERSIONS = Versions(guard="1", schema="0005", python="3.11")
WELL = LedgerStatus(name="sqlite:///guard.db", usable=True, schema="0005")


def told(act, *jobs, record=None, **options):
    """
    Run *act* with a stand, its daemon (not started) and what tells of it.
    """

    async def run(stand):
        telling = Telling(service=Daemon(stand, ONE_DAY).service, record=record or LedgerRecord(stand.raw))
        return await act(stand, telling)

    return on_stand(run, *jobs, **options)


def test_what_a_daemon_tells():
    """
    Targets with their queue and clock, limits with what is used, and policies, as they are in memory and on record.
    """

    async def act(stand, telling):
        await stand.cycle.walk(stand.target)
        await stand.settle()
        telling.service.health["lab"].walked(complete=True, at_ms=stand.target.source.now_ms())
        return await telling()

    status = told(act, running("over"), running("soon", hours=23.0), limits=Limits())
    assert (status.source, status.armed, status.closed, status.ledger.usable) == ("daemon", True, (), True)
    (target,) = status.targets
    assert (target.target, target.health, target.jobs, target.queued) == ("lab", "ok", 2, 1)
    assert target.next_deadline is not None
    assert target.next_deadline > status.at + timedelta(minutes=50)
    assert abs(target.clock_offset_seconds) < 2
    assert [(one.limit, one.used, one.allowed) for one in status.limits] == [
        ("max_percent_of_running", 1, 3),
        ("max_terminations", 1, 20),
    ]
    assert status.policies.holds == "0 in observe, 1 in enforce, 0 exemptions"
    # The daemon's own turns have not begun.
    assert status.objections == ("target lab was not read yet",)


def test_who_waits_is_told_with_what_to_do():
    """
    Jobs that the limits or a policy that nobody confirmed hold back are told in one sentence each.
    """

    async def act(stand, telling):
        await stand.walk()
        return await telling()

    def jobs():
        return [running(f"over-{number}") for number in range(4)]

    (note,) = told(act, *jobs(), limits=Limits(max_terminations=1, max_percent_of_running=None)).notes
    assert note.startswith("3 jobs are held back of policy one-day: limit: 1 termination")
    (note,) = told(act, *jobs(), limits=None, breaker=BreakerRules()).notes
    assert note.startswith("1 job is held back of policy one-day: first_enforce: ")
    assert note.endswith("guard breaker confirm --policy one-day")


def test_open_intents_are_told_with_age_and_state():
    """
    An intent without an outcome is told by number, target, job, policy and state, from the ledger.
    """

    async def act(stand, telling):
        seen = {}

        async def look():
            seen["status"] = await telling()

        stand.hooks.after("sending", look)
        await stand.walk()
        return seen["status"]

    status = told(act, running("over"))
    assert status.ledger.intents.open == 1
    (intent,) = status.ledger.intents.oldest
    assert (intent.intent, intent.target, intent.job, intent.policy, intent.state) == (
        1,
        "lab",
        "over",
        "one-day",
        "sending",
    )


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        pytest.param("pause", "paused: paused by eve: stocktaking", id="paused"),
        pytest.param("lease", "lease: this process does not hold the ledger", id="no-lease"),
        pytest.param("disarmed", "disarmed: the guard is disarmed (setting armed: false)", id="disarmed"),
    ],
)
def test_what_closes_the_gate_is_told(trouble, words):
    """
    Whatever keeps every termination back is told, and by whom it was paused.
    """

    async def act(stand, telling):
        if trouble == "pause":
            await stand.raw.set_pause(Pause(reason="stocktaking", since_ms=1, by="eve"))
        stand.lease.holding = trouble != "lease"
        status = await telling()
        assert status.closed == (words,)
        assert (status.ledger.pause.by if trouble == "pause" else status.ledger.pause) == (
            "eve" if trouble == "pause" else None
        )
        return status

    status = told(act, armed=trouble != "disarmed")
    assert "nothing is terminated" in as_text(status) or "paused by eve since" in as_text(status)


def test_a_ledger_that_fails_or_hangs_is_told_within_seconds():
    """
    The status comes whatever the ledger does; what cannot be read is said, and a hanging reading is not begun twice.
    """
    hanging = asyncio.Event()

    class Hanging:
        name, schema, asked = "sqlite:///slow.db", "0005", 0

        async def __call__(self, since_ms):
            self.asked += 1
            await hanging.wait()

    record = Hanging()

    async def act(stand, telling):
        telling.wait_s = 0.1
        telling.steady = iter(range(0, 1000, 5)).__next__
        first, second = await telling(), await telling()
        assert record.asked == 1
        for one in (first, second):
            assert not one.ledger.usable
            assert one.closed == ("ledger: ledger sqlite:///slow.db has not answered for 0.1 s",)
        telling._reading.cancel()

    told(act, record=record)

    async def closed(stand, telling):
        await stand.raw.aclose()
        return await telling()

    status = told(closed)
    assert "cannot tell how things stand: it has been closed" in status.ledger.error
    assert "the ledger cannot be used" in as_text(status)


def test_a_crowd_shares_one_status():
    """
    Whoever asks within a second is told the same, and the ledger is read once for all of them.
    """

    async def act(stand, telling):
        crowd = await asyncio.gather(*(telling() for _ in range(50)))
        assert len({id(one) for one in crowd}) == 1
        assert (await telling()) is crowd[0]
        now = telling.steady()
        telling.steady = lambda: now + 1.5
        assert (await telling()) is not crowd[0]

    told(act)


def hostile():
    """
    A status in which every text is hostile and everything is too many.
    """
    target = TargetStatus(target=HOSTILE, health="failing", error=HOSTILE, jobs=10**9, closed=HOSTILE, next_deadline=NOW)
    intent = IntentStatus(intent=1, target=HOSTILE, job=HOSTILE, policy=HOSTILE, state=HOSTILE, since=NOW)
    holder = HolderStatus(scope=HOSTILE, holder=HOSTILE, host=HOSTILE, pid=1, since=NOW, beat=NOW)
    ledger = LedgerStatus(
        name=HOSTILE,
        usable=False,
        error=HOSTILE,
        pause=PauseStatus(reason=HOSTILE, by=HOSTILE, since=NOW),
        holders=(holder,) * 300,
        intents=OpenIntents(open=10_000, oldest=(intent,) * 20),
    )
    return Status(
        at=NOW,
        source="daemon",
        versions=VERSIONS,
        ledger=ledger,
        targets=(target,) * 300,
        note=HOSTILE,
        armed=True,
        closed=(HOSTILE,),
        objections=(HOSTILE,),
        notes=(HOSTILE,),
        limits=(LimitStatus(limit=HOSTILE, used=None, allowed=1, window_seconds=3600.0),),
        breakers=(BreakerStatus(scope=HOSTILE, open=True, reason=HOSTILE),),
    )


def test_hostile_texts_harm_no_terminal():
    """
    No text of anybody can move, colour or erase anything, and 300 targets with endless texts still fit a screen or two.
    """
    text = as_text(hostile())
    assert all(char.isprintable() or char == "\n" for char in text)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert f"and {300 - MOST_ROWS} more targets, {300 - MOST_ROWS} of which are not well" in text
    told = words(hostile())
    assert all(len(line) <= LONGEST for line in (told.headline, *told.warnings))
    assert text.count("\n") < 800


def test_half_characters_are_no_error():
    """
    A job whose name is half a character is told with a question mark in its place.
    """
    intent = IntentStatus(intent=1, target="lab", job="job-\ud800", policy="p", state="sending", since=NOW)
    ledger = LedgerStatus(name="l", usable=True, intents=OpenIntents(open=1, oldest=(intent,)))
    status = Status(at=NOW, source="daemon", versions=VERSIONS, ledger=ledger, targets=())
    read = msgspec.json.decode(encoded(status), type=Status)
    assert read.ledger.intents.oldest[0].job == "job-?"
    assert asyncio.run(answer(status, "/statusz")).status_code == 200


async def answer(status, path, *, accept="*/*", tokens=None, token=None):
    """
    One call of an endpoint of a guard that is like that.
    """

    async def tell():
        return status

    access = Access(AccessFiles(tokens=tokens))
    app = web_app(Metrics(version="test"), alive=list, ready=list, access=access, status=tell)
    headers = {"accept": accept, **({"authorization": f"Bearer {token}"} if token else {})}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard.test") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        pytest.param("/statusz", "*/*", "text/plain; charset=utf-8", id="curl"),
        pytest.param("/statusz", "text/html,application/xhtml+xml,*/*;q=0.8", "text/plain; charset=utf-8", id="browser"),
        pytest.param("/statusz", "application/json", "application/json", id="program"),
        pytest.param("/statusz?format=json", "text/html", "application/json", id="asked-for"),
        pytest.param("/statusz?format=text", "application/json", "text/plain; charset=utf-8", id="asked-for-text"),
        pytest.param("/statusz?format=xml", "*/*", None, id="unknown"),
        pytest.param("/statusz?format=json&format=text", "*/*", None, id="both"),
    ],
)
def test_the_status_comes_as_json_or_text(path, accept, kind):
    """
    Programs get JSON, people text; a form that does not exist is refused.
    """
    status = Status(at=NOW, source="daemon", versions=VERSIONS, ledger=WELL, targets=(), armed=True, uptime_seconds=1.0)
    got = asyncio.run(answer(status, path, accept=accept))
    if kind is None:
        assert (got.status_code, got.text) == (400, "format: expected json or text\n")
        return
    assert (got.status_code, got.headers["content-type"]) == (200, kind)
    if kind == "application/json":
        assert msgspec.json.decode(got.content, type=Status) == status
    else:
        assert got.text.startswith("guard 1: armed, ready, up 1s\n")


def test_the_status_is_behind_the_token(tmp_path):
    """
    With a token file the status is told to its holders only, like the metrics.
    """
    (tmp_path / "tokens").write_text("a-token-of-many-letters")
    status = Status(at=NOW, source="daemon", versions=VERSIONS, ledger=WELL, targets=())
    for token, code in ((None, 401), ("a-token-of-many-letters", 200), ("another-token-of-letters", 401)):
        got = asyncio.run(answer(status, "/statusz", tokens=tmp_path / "tokens", token=token))
        assert got.status_code == code
        assert ("sqlite" in got.text) is (code == 200)


def test_the_ledger_tells_how_things_stand(tmp_path):
    """
    The ledger alone knows its holder, the pause, what is open, and of each target its jobs and last complete walk.
    """

    async def act(stand):
        await stand.raw.set_pause(Pause(reason="stocktaking", since_ms=1, until_ms=2_000, by="eve"))
        stand.hooks.before("sending", lambda: (_ for _ in ()).throw(LedgerUnusable("stop here")))
        await stand.walk()
        wanted = Wanted(now_ms=1_000, since_ms=0, targets=True)
        return await standing(stand.raw, wanted), await standing(stand.raw, Wanted(now_ms=3_000))

    held, later = on_stand(act, running("over"), running("young", hours=1.0))
    assert (held.usable, held.pause.reason, held.pause.by) == (True, "stocktaking", "eve")
    assert later.pause is None
    assert [(one.target, one.jobs) for one in held.targets] == [("lab", 2)]
    assert held.targets[0].last_complete_walk is not None
    assert later.targets == ()
    assert json.loads(msgspec.json.encode(held))["schema"] == newest()
