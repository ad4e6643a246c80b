"""
The windows of the limits in the intent's own transaction, the first jobs of a policy, and the breaker on record.
"""

import asyncio
import sqlite3
from decimal import Decimal
from fractions import Fraction

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, HOSTILE, draft_of, named, use

from guard.core.breaker import Breaker, Cause, Confirmation, Scope
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Quota, Walk
from guard.core.windows import Bounds
from guard.errors import LedgerUnusable
from guard.ledger import open_ledger
from guard.ledger.schema import migrate
from tests.changing import replace

CONFIRMED = Closing(outcome=Outcome.CONFIRMED, note="", cost=Decimal(1))
HELD = Closing(outcome=Outcome.HELD_BACK, note="paused")
BREAKER = Breaker(scope=Scope.POLICY, name="day", cause=Cause.MATCHES, text="it jumped", by="the guard", opened_ms=100)
WORD = Confirmation(policy=DRAFT.policy, digest=DRAFT.digest, by="alice", reason="looked", at_ms=5)
ELSEWHERE = replace(named("x"), project_id="elsewhere")


def bounded(since_ms=0, **bounds):
    """
    Return a quota of nothing but these bounds.
    """
    return Quota(total=None, since_ms=since_ms, bounds=Bounds(**bounds))


LIMITS = {
    "policy": (bounded(per_policy=2), {"policy": "another"}),
    "user": (bounded(per_user=2), {"user": "bob"}),
    "user-who-cannot-be-read": (bounded(per_user=2), {"user": "bob"}),
    "target": (bounded(per_target=2), {"key": ELSEWHERE}),
    "cost-rate": (bounded(cost_rate=Fraction(30), currency="CNY"), {"cost_per_hour": "0"}),
    "first-enforce": (Quota(total=None, since_ms=0, first_enforce=2), {"digest": "d2"}),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_really_limits(url, name):
    """
    Of many intents that race for the last places just as many get one, and what the limit is not about gets one more.
    """
    quota, changes = LIMITS[name]
    user = None if name == "user-who-cannot-be-read" else "alice"

    async def work(ledger):
        wanted = [draft_of(f"job-{index}", user=user) for index in range(6)]
        made = await asyncio.gather(*(ledger.open_intent(one, at_ms=10, quota=quota) for one in wanted))
        assert [one is not None for one in made] == [True, True, False, False, False, False]
        other = replace(draft_of("other", user=user), **changes)
        assert await ledger.open_intent(other, at_ms=10, quota=quota) is not None

    use(url, work)


def test_two_processes_race_for_the_last_place(file_url):
    """
    Over two connections the last place of a policy, and the last first job, is given once.
    """

    async def work(first):
        second = await open_ledger(file_url)
        for quota in (bounded(per_policy=5), Quota(total=None, since_ms=0, first_enforce=9)):
            calls = [
                ledger.open_intent(draft_of(f"{quota.first_enforce}-{who}-{index}"), at_ms=10, quota=quota)
                for index in range(8)
                for who, ledger in (("a", first), ("b", second))
            ]
            await asyncio.gather(*calls)
        assert await first.used(since_ms=0) == 9
        await second.aclose()

    use(file_url, work)


@pytest.mark.parametrize(("cards", "opened"), [(4, 5), (5, 4), (6, 3), (None, 3)])
def test_the_share_of_cards(url, cards, opened):
    """
    Three are always allowed; then the cards of all must fit, and unknown ones count as those of the largest job.
    """
    quota = bounded(cards=20, unknown_cards=7)

    async def work(ledger):
        made = [await ledger.open_intent(draft_of(f"j{n}", cards=cards), at_ms=10, quota=quota) for n in range(5)]
        assert sum(one is not None for one in made) == opened

    use(url, work)


def test_what_leaves_the_window(url):
    """
    A place is free again once the newest call lies before the window, and at once if nothing was sent.
    """

    async def work(ledger):
        sent = await ledger.open_intent(draft_of("sent"), at_ms=10, quota=None)
        await ledger.advance(sent.number, State.SENDING, at_ms=20)
        await ledger.close(sent.number, CONFIRMED, at_ms=30)
        held = await ledger.open_intent(draft_of("held"), at_ms=10, quota=None)
        assert (await ledger.breaker.window(since_ms=20)).policies[DRAFT.policy] == 2
        await ledger.close(held.number, HELD, at_ms=30)
        assert await ledger.open_intent(draft_of("next"), at_ms=40, quota=bounded(20, per_policy=1)) is None
        assert await ledger.open_intent(draft_of("next"), at_ms=41, quota=bounded(21, per_policy=1)) is not None

    use(url, work)


def test_the_sums_of_the_window(url):
    """
    Money is exact, what is unknown is counted, and hostile names come back.
    """

    async def work(ledger):
        for number, changes in enumerate(
            ({"user": HOSTILE["lone-surrogate"]}, {"user": HOSTILE["controls"], "cost_per_hour": ""}, {"cards": None})
        ):
            await ledger.open_intent(draft_of(f"j{number}", **changes), at_ms=1, quota=None)
        found = await ledger.breaker.window(since_ms=0)
        assert dict(found.users) == {HOSTILE["lone-surrogate"]: 1, HOSTILE["controls"]: 1, None: 1}
        assert (found.total, found.cards, found.uncarded, found.unrated) == (3, 48, 1, 1)
        assert found.rates == {"CNY": 2 * Fraction("12.340000000000000000000000001")}

    use(url, work)


def test_the_first_jobs_of_a_policy(url):
    """
    Jobs count, not attempts; what was never sent does not; another digest is another policy; a person's word ends it.
    """
    quota, rule = Quota(total=None, since_ms=0, first_enforce=1), (DRAFT.policy, DRAFT.digest)

    async def work(ledger):
        held = await ledger.open_intent(draft_of("held"), at_ms=1, quota=quota)
        assert await ledger.open_intent(draft_of("one"), at_ms=1, quota=quota) is None
        await ledger.close(held.number, HELD, at_ms=2)
        for at_ms in (3, 4):
            one = await ledger.open_intent(draft_of("one"), at_ms=at_ms, quota=quota)
            await ledger.advance(one.number, State.SENDING, at_ms=at_ms)
            await ledger.close(one.number, CONFIRMED, at_ms=at_ms)
        assert await ledger.open_intent(draft_of("two"), at_ms=10**15, quota=quota) is None
        assert await ledger.breaker.acted([rule, ("new", "d")]) == {rule: {named("one")}, ("new", "d"): set()}
        before = await ledger.before(set(), since_ms=0, rules={rule})
        assert before.acted == {rule: {named("one")}}
        assert await ledger.breaker.confirm(WORD)
        assert not await ledger.breaker.confirm(replace(WORD, by="bob"))
        assert list(await ledger.breaker.confirmed()) == [WORD]
        assert await ledger.breaker.acted([rule]) == {}
        assert await ledger.open_intent(draft_of("two"), at_ms=11, quota=quota) is not None
        assert await ledger.open_intent(draft_of("three", digest="d2"), at_ms=11, quota=quota) is not None
        assert await ledger.open_intent(draft_of("four", digest="d2"), at_ms=11, quota=quota) is None

    use(url, work)


def test_what_a_target_was_walked_for(url):
    """
    A plan is told of each target what belonged to it when it was walked; a new ledger knows of none.
    """

    async def work(ledger):
        assert (await ledger.before(set(), since_ms=0)).walked == {}
        walk = Walk(target="lab", scope="s", started_ms=1, finished_ms=2, running=3, cards=8, largest=4)
        await ledger.note_walk(walk)
        assert (await ledger.before(set(), since_ms=0)).walked == {"lab": "s"}
        assert await ledger.walked("lab") == walk

    use(url, work)


def test_open_and_closed_on_record(url):
    """
    It is opened once for each cause and whom it is for, closed with who and why, and all of that stays on record.
    """

    async def work(ledger):
        book = ledger.breaker
        target = replace(BREAKER, scope=Scope.TARGET, name="lab", cause=Cause.UNREADABLE)
        assert list(await book.unclosed()) == []
        assert [await book.open(one) for one in (BREAKER, BREAKER, target)] == [True, False, True]
        assert list(await book.unclosed()) == [BREAKER, target]
        await book.set_levels({("matches", "day"): "[1, 2]", ("unreadable", "lab"): "w"}, at_ms=1)
        await book.set_levels({("unreadable", "lab"): "x"}, at_ms=2)
        assert list(await book.reset(by="al", reason="ok", at_ms=200, only=(Scope.POLICY, "other"))) == []
        assert list(await book.reset(by="al", reason="ok", at_ms=200, only=(Scope.POLICY, "day"))) == [BREAKER]
        assert list(await book.unclosed()) == [target]
        assert await book.levels() == {("unreadable", "lab"): ("x", 2)}
        assert list(await book.reset(by="al", reason="all", at_ms=300)) == [target]
        assert (await book.levels(), list(await book.unclosed())) == ({}, [])
        closed = replace(BREAKER, closed_ms=200, closed_by="al", closed_why="ok")
        assert list(await book.newest(limit=9)) == [
            replace(target, closed_ms=300, closed_by="al", closed_why="all"),
            closed,
        ]
        assert list(await book.newest(limit=1)) != [closed]
        await book.set_levels({}, at_ms=2)

    use(url, work)


def test_one_whose_time_is_over_is_opened_again(url):
    """
    What closed by its time is on record as closed then, once it opens again.
    """
    timed = replace(BREAKER, until_ms=500)

    async def work(ledger):
        book = ledger.breaker
        assert await book.open(timed)
        assert not await book.open(replace(BREAKER, opened_ms=499))
        assert await book.open(replace(BREAKER, opened_ms=500))
        newest, before = await book.newest(limit=2)
        assert newest == replace(BREAKER, opened_ms=500)
        assert before == replace(timed, closed_ms=500, closed_why="its time was over")

    use(url, work)


def test_a_breaker_that_another_process_moves_is_seen_at_once(file_url):
    """
    Each look sees what was committed before it, and survives the process that opened it.
    """

    async def work(ledger):
        other = await open_ledger(file_url)
        for at_ms in range(3):
            assert list(await ledger.breaker.unclosed()) == []
            await other.breaker.open(BREAKER)
            assert list(await ledger.breaker.unclosed()) == [BREAKER]
            await other.breaker.reset(by="", reason="r", at_ms=at_ms)
        await other.breaker.open(BREAKER)
        await other.aclose()

    use(file_url, work)
    assert list(use(file_url, lambda ledger: ledger.breaker.unclosed())) == [BREAKER]


def test_a_ledger_that_lost_the_breaker_is_unusable(file_url):
    """
    What cannot be told is an error of the ledger, which closes the gate.
    """

    async def work(ledger):
        with sqlite3.connect(file_url.removeprefix("sqlite:///")) as database:
            database.execute("DROP TABLE breakers")
        database.close()
        with pytest.raises(LedgerUnusable, match="whether the breaker is open"):
            await ledger.breaker.unclosed()

    use(file_url, work)


def test_what_an_earlier_version_did_counts(file_url):
    """
    After the upgrade a policy that ended three jobs is no new one, one that ended two is, and calls count in the window.
    """
    engine = sa.create_engine(file_url)
    with engine.begin() as connection:
        migrate(connection, to="0005")
        known = {column["name"]: column for column in sa.inspect(connection).get_columns("intents")}
        for number, digest in enumerate(("old", "old", "old", "young", "young")):
            row = {"job_id": f"j{number}", "policy": "p", "digest": digest, "outcome": "confirmed", "state": "closed"}
            row |= {"facts": "{}", "traces": "[]", "sending_ms": 5, "closed_ms": 9, "cost_per_hour": ""}
            for name, column in known.items():
                if not column["nullable"] and name != "number":
                    row.setdefault(name, 1 if isinstance(column["type"], sa.Integer) else "x")
            connection.execute(sa.table("intents", *map(sa.column, row)).insert(), row)
    engine.dispose()

    async def look(ledger):
        assert [(one.digest, one.by, one.at_ms) for one in await ledger.breaker.confirmed()] == [("old", "upgrade", 9)]
        assert {rule: len(jobs) for rule, jobs in (await ledger.breaker.acted([("p", "old"), ("p", "young")])).items()} == {
            ("p", "young"): 2
        }
        assert (await ledger.used(since_ms=5), await ledger.used(since_ms=6)) == (5, 0)

    use(file_url, look)
