"""
The breaker over the simulator: what opens it before anything is sent, that it stays open, and what closes it.
"""

import asyncio
import json
from fractions import Fraction

import pytest
from daemon_stand import NOW_MS, ONE_DAY, on_stand, running

from guard.core.breaker import Breaker, BreakerRules, Cause, Confirmation, Scope
from guard.core.fields import Terms
from guard.core.price import plain_book
from guard.core.records import Walk
from guard.daemon.standby import Standby
from guard.errors import LedgerUnusable
from tests.changing import replace

RULES = BreakerRules(first_enforce=None)
BY_HAND = Breaker(scope=Scope.ALL, name="", cause=Cause.PRICES, text="a test", by="t", opened_ms=NOW_MS)
# Not yet over a day, but soon.
SOON = 23.9
DEAR = ONE_DAY.replace("duration: {gt: 24h}", "cost: {gt: 1000}")


def fleet(count, *, hours=1.0, name="calm"):
    """
    Return that many jobs that have been running for so long.
    """
    return [running(f"{name}-{index:03}", hours=hours) for index in range(count)]


async def opened(stand):
    """
    What the breaker is open for: scope, name and cause.
    """
    return [(one.scope, one.name, one.cause) for one in await stand.raw.breaker.unclosed() if one.holds(stand.world.now_ms)]


def at_once(stand):
    """
    Let half an hour pass.
    """
    stand.clock.seconds += 1_800


async def seen(stand):
    """
    Act on what is read, with no end of a walk at which the breaker would learn.
    """
    await stand.cycle.act(await stand.cycle.take(stand.target, await stand.read()))
    await stand.settle()


async def reset(stand, **only):
    """
    Close what is open, as a person does.
    """
    return await stand.raw.breaker.reset(by="alice", reason="looked", at_ms=stand.world.now_ms, **only)


def test_matches_that_jump():
    """
    When a quarter of the fleet matches at once nothing of it is sent; it stays so across a restart, and a person ends it.
    """

    async def act(stand):
        await stand.walk()
        at_once(stand)
        await stand.walk()
        assert stand.sent() == 0
        assert await opened(stand) == [(Scope.POLICY, "one-day", Cause.MATCHES)]
        assert stand.value("breaker_open", scope="policy") == 1
        assert {one.reason for _, one in await stand.raw.findings()} == {"breaker"}
        assert stand.value("held_back_jobs", policy="one-day", reason="breaker") == 10
        (note,) = stand.cycle.breakers.notes()
        assert "policy one-day matches 10 of 40 jobs, and it was 0 of 40 jobs" in note
        await stand.http.aclose()
        stand.begin()
        await stand.walk()
        await stand.walk()
        assert (stand.sent(), len(await opened(stand))) == (0, 1)
        await reset(stand)
        await stand.walk()
        assert (len(stand.accepted()), await opened(stand)) == (10, [])
        assert stand.value("breaker_open", scope="policy") == 0

    on_stand(act, *fleet(30), *fleet(10, hours=SOON, name="soon"), breaker=RULES)


@pytest.mark.parametrize(
    ("calm", "soon", "rules"),
    [
        pytest.param(31, 9, RULES, id="fewer-than-ten"),
        pytest.param(41, 10, RULES, id="less-than-a-fifth"),
        pytest.param(30, 10, replace(RULES, match_jump=None), id="switched-off"),
        pytest.param(30, 10, None, id="no-breaker"),
    ],
)
def test_matches_that_do_not_jump(calm, soon, rules):
    """
    Below the number nothing opens, and all are ended.
    """

    async def act(stand):
        await stand.walk()
        at_once(stand)
        await stand.walk()
        assert (len(stand.accepted()), await opened(stand)) == (soon, [])

    on_stand(act, *fleet(calm), *fleet(soon, hours=SOON, name="soon"), breaker=rules)


def test_what_was_always_so_opens_nothing():
    """
    A first start finds a fleet that breaks the policy: that is its level, whatever it is.
    """

    async def act(stand):
        await stand.walk()
        await stand.walk()
        assert (len(stand.accepted()), await opened(stand)) == (30, [])

    on_stand(act, *fleet(30, hours=30), breaker=RULES)


def test_a_jump_that_a_deadline_brings():
    """
    The jump is seen before the act that a deadline asks for, with no walk between.
    """

    async def act(stand):
        await stand.walk()
        at_once(stand)
        await stand.cycle.decide_due(stand.target)
        await stand.settle()
        assert (stand.sent(), len(await opened(stand))) == (0, 1)

    on_stand(act, *fleet(20), *fleet(20, hours=SOON, name="soon"), breaker=RULES)


def test_it_does_not_flap():
    """
    Reset with the anomaly still there it does not open again, and the next jump opens it again.
    """

    async def act(stand):
        await stand.walk()
        at_once(stand)
        await stand.walk()
        await stand.raw.breaker.open(replace(BY_HAND, scope=Scope.TARGET, name="lab", cause=Cause.UNREADABLE))
        await reset(stand, only=(Scope.POLICY, "one-day"))
        for _ in range(3):
            await stand.walk()
        assert await opened(stand) == [(Scope.TARGET, "lab", Cause.UNREADABLE)]
        await reset(stand)
        for number, one in enumerate(fleet(20, hours=30, name="more")):
            stand.world.add(replace(one, user=f"u{number}"))
        await stand.walk()
        assert stand.sent() == 0
        assert await opened(stand) == [(Scope.POLICY, "one-day", Cause.MATCHES)]

    on_stand(act, *fleet(30), *fleet(10, hours=SOON, name="soon"), breaker=RULES)


def test_it_closes_by_its_time():
    """
    After the configured time it is closed, also for a process that starts then, and does not open by what it opened for.
    """

    async def act(stand):
        await stand.walk()
        at_once(stand)
        await stand.walk()
        stand.clock.seconds += 3_599
        await stand.walk()
        assert stand.sent() == 0
        stand.clock.seconds += 2
        await stand.http.aclose()
        stand.begin()
        await stand.walk()
        assert (len(stand.accepted()), await opened(stand)) == (10, [])

    rules = replace(RULES, reset_after_ms=3_600_000)
    on_stand(act, *fleet(30), *fleet(10, hours=SOON, name="soon"), breaker=rules)


def test_the_next_jump_after_its_time_opens_it_again():
    """
    What closed by its time has a new level, which the next jump is held against, also after a restart.
    """

    async def act(stand):
        await stand.walk()
        at_once(stand)
        await stand.walk()
        stand.clock.seconds += 3_600
        await stand.walk()
        assert len(stand.accepted()) == 10
        await stand.walk()
        await stand.http.aclose()
        stand.begin()
        for one in fleet(20, hours=30, name="more"):
            stand.world.add(one)
        await stand.walk()
        assert (len(stand.accepted()), len(await opened(stand))) == (10, 1)

    rules = replace(RULES, reset_after_ms=3_600_000)
    on_stand(act, *fleet(30), *fleet(10, hours=SOON, name="soon"), breaker=rules)


def test_a_policy_that_comes_back_has_its_level():
    """
    Taking a policy out and putting it back hides no jump.
    """

    async def act(stand):
        await stand.walk()
        stand.take("policies: []")
        await stand.walk()
        at_once(stand)
        stand.take(ONE_DAY)
        await stand.walk()
        assert (stand.sent(), len(await opened(stand))) == (0, 1)

    on_stand(act, *fleet(30), *fleet(10, hours=SOON, name="soon"), breaker=RULES)


def test_a_level_belongs_to_the_targets_it_was_taken_of():
    """
    A replica that acts on a part of the targets goes by what it measured of these, and not by another replica's levels.
    """

    async def act(stand):
        (digest,) = {one.digest for one in stand.cycle.view.policies.policies}
        stand.cycle.breakers.targets = {"lab", "elsewhere"}
        of_all = json.dumps([0, 400, digest])
        await stand.walk()
        await stand.raw.breaker.set_levels(
            {("matches", "one-day"): of_all, ("unreadable", "elsewhere"): '[0, 9, ""]'}, at_ms=2
        )
        at_once(stand)
        await stand.walk()
        assert (stand.sent(), await opened(stand)) == (0, [(Scope.POLICY, "one-day", Cause.MATCHES)])
        assert {text for text, _ in (await stand.raw.breaker.levels()).values()} >= {of_all, '[0, 9, ""]'}
        await reset(stand)
        await stand.raw.breaker.set_levels({("matches", "one-day"): of_all}, at_ms=3)
        await stand.http.aclose()
        stand.begin()
        stand.cycle.breakers.targets = {"lab", "elsewhere"}
        await stand.walk()
        assert (len(stand.accepted()), await opened(stand)) == (10, [])
        assert (await stand.raw.breaker.levels())["matches", "one-day"][0] != of_all

    on_stand(act, *fleet(30), *fleet(10, hours=SOON, name="soon"), breaker=RULES)


@pytest.mark.parametrize("row", [("matches", "x", "[1]"), ("prices", "", "[]"), ("other", "", "[]"), ("matches", "x", "{")])
def test_a_level_that_makes_no_sense_is_an_error_of_the_ledger(row):
    """
    A level that somebody spoilt is not guessed at, and nothing is sent meanwhile.
    """

    async def act(stand):
        scope = stand.target.source.scope()
        await stand.raw.note_walk(Walk(target="lab", scope=scope, started_ms=1, finished_ms=2, running=1))
        await stand.raw.breaker.set_levels({row[:2]: row[2]}, at_ms=1)
        with pytest.raises(LedgerUnusable, match="makes no sense"):
            await stand.walk()
        assert stand.sent() == 0

    on_stand(act, running(), breaker=RULES)


def test_unreadable_jobs_that_jump():
    """
    When jobs of a target cannot be read any more, nothing there is ended, for its other jobs may be misread too.
    """

    async def act(stand):
        await stand.walk()
        for index in range(10):
            stand.world.job(f"calm-{index:03}").quirk = "null-status"
        at_once(stand)
        await stand.walk()
        assert stand.sent() == 0
        assert await opened(stand) == [(Scope.TARGET, "lab", Cause.UNREADABLE)]
        assert stand.value("breaker_open", scope="target") == 1

    on_stand(act, *fleet(40), running("soon", hours=SOON), breaker=RULES)


def priced(stand, price, currency="CNY"):
    """
    Put a price of the economic P100 in force.
    """
    book = plain_book(currency, {"modelarts.vm.gpu.p100.eco": Fraction(price)})
    stand.view.take_policies(stand.set, now_ms=stand.world.now_ms, terms=Terms(prices=book))


@pytest.mark.parametrize(
    ("price", "currency", "text", "opens"),
    [
        pytest.param("3", "CNY", DEAR, False, id="on-the-factor"),
        pytest.param("300", "CNY", DEAR, True, id="cents-for-yuan"),
        pytest.param("1", "USD", DEAR, True, id="another-currency"),
        pytest.param("300", "CNY", ONE_DAY, False, id="no-act-hangs-on-money"),
    ],
)
@pytest.mark.parametrize("anew", [False, True], ids=["reloaded", "restarted"])
def test_prices_that_change(price, currency, text, opens, anew):
    """
    A price that changes by more than the factor opens it for all, if an act hangs on money; a restart hides nothing.
    """

    async def act(stand):
        priced(stand, "1")
        await stand.walk()
        stand.world.add(running("late", hours=90_000))
        if anew:
            await stand.http.aclose()
            stand.begin()
        priced(stand, price, currency)
        await stand.walk()
        assert await opened(stand) == ([(Scope.ALL, "", Cause.PRICES)] if opens else [])
        assert ("late" in stand.accepted()) is not opens

    on_stand(act, *fleet(3), text=text, breaker=RULES)


def test_prices_are_measured_until_that_is_on_record():
    """
    A breaker that could not be put on record opens before the next act, whose prices are no others.
    """

    async def act(stand):
        priced(stand, "1")
        await stand.walk()
        stand.world.add(running("late", hours=90_000))
        priced(stand, "300")
        book, full = stand.raw.breaker, LedgerUnusable("the disk is full")
        write, book.open = book.open, lambda one: (_ for _ in ()).throw(full)
        with pytest.raises(LedgerUnusable, match="full"):
            await stand.walk()
        book.open = write
        await seen(stand)
        assert (await opened(stand), stand.sent()) == ([(Scope.ALL, "", Cause.PRICES)], 0)

    on_stand(act, *fleet(3), text=DEAR, breaker=RULES)


def test_prices_are_measured_once_an_act_hangs_on_them():
    """
    Prices that changed while no act hung on money are held against their level before the first one that does.
    """

    async def act(stand):
        priced(stand, "1")
        await stand.walk()
        stand.take(ONE_DAY)
        priced(stand, "300")
        stand.world.add(running("old", hours=90_000))
        await seen(stand)
        assert stand.accepted() == ["old"]
        stand.take(DEAR)
        stand.world.add(running("late", hours=90_000))
        await seen(stand)
        assert (await opened(stand), stand.accepted()) == ([(Scope.ALL, "", Cause.PRICES)], ["old"])

    on_stand(act, *fleet(3), text=DEAR, breaker=RULES)


@pytest.mark.parametrize(
    ("scope", "name", "holds"),
    [
        pytest.param(Scope.ALL, "", True, id="all"),
        pytest.param(Scope.TARGET, "lab", True, id="this-target"),
        pytest.param(Scope.TARGET, "other", False, id="another-target"),
        pytest.param(Scope.POLICY, "one-day", True, id="this-policy"),
        pytest.param(Scope.POLICY, "other", False, id="another-policy"),
    ],
)
@pytest.mark.parametrize("when", ["intended", "show", "sending"])
def test_it_is_asked_before_every_call(scope, name, holds, when):
    """
    Opened after the plan, at any step up to the call, it holds the act back, with or without a breaker in the settings.
    """

    async def act(stand):
        stand.hooks.after(when, lambda: stand.raw.breaker.open(replace(BY_HAND, scope=scope, name=name)))
        await stand.walk()
        assert stand.sent() == (0 if holds else 1)
        if holds:
            intent = await stand.intent()
            assert (intent.outcome, "breaker: the breaker is open" in intent.note) == ("held_back", True)

    on_stand(act, running())


def test_a_breaker_that_cannot_be_read_closes_the_gate():
    """
    An unusable ledger is a doubt, and every doubt closes the gate.
    """

    class Failing:
        async def unclosed(self):
            raise LedgerUnusable("a test")

    class Ledger:
        breaker = Failing()

        def nothing_stops(self):
            return False

        async def pause(self):
            return None

    async def act(stand):
        await stand.read()
        gate = replace(stand.enforcer.gate, ledger=Ledger())
        assert (await gate.closed(stand.target)).reason == "ledger"

    on_stand(act)


def test_who_does_not_hold_the_ledger_moves_nothing():
    """
    A scan beside a running daemon neither opens the breaker nor changes its levels.
    """

    async def act(stand):
        await stand.walk()
        before = await stand.raw.breaker.levels()
        at_once(stand)
        stand.lease.holding = False
        await stand.walk()
        assert (await opened(stand), await stand.raw.breaker.levels()) == ([], before)

    on_stand(act, *fleet(10), *fleet(10, hours=SOON, name="soon"), breaker=RULES)


def test_a_new_ledger_holds_back_until_a_walk_is_on_record():
    """
    A ledger that is new, or was lost, lets nothing be ended before a complete inventory is recorded in it.
    """

    async def act(stand):
        job = next(one for one in await stand.read())
        await stand.cycle.act(await stand.cycle.take(stand.target, [job]))
        assert stand.sent() == 0
        assert [one.reason for _, one in await stand.raw.findings()] == ["new_ledger"]
        await stand.walk()
        assert stand.accepted() == ["job-1"]

    on_stand(act, running(), breaker=RULES)


def test_what_was_known_of_another_project_is_a_new_ledger_too():
    """
    A walk of what the target's name stood for before is none of this one.
    """

    async def act(stand):
        await stand.walk()
        walk = await stand.raw.walked("lab")
        await stand.raw.note_walk(replace(walk, scope="another project"))
        at_once(stand)
        await stand.cycle.decide_due(stand.target)
        assert [one.reason for _, one in await stand.raw.findings()] == ["new_ledger"]

    on_stand(act, running(hours=SOON), breaker=RULES)


def test_the_daemon_goes_on_at_once():
    """
    A reset and a confirmation are noticed by the next look, and lead to a new decision; until then a note says what waits.
    """

    async def act(stand):
        standby = Standby(cycle=stand.cycle)
        await stand.raw.breaker.open(replace(BY_HAND, opened_ms=stand.world.now_ms))
        await stand.walk()
        assert [await standby.look(), await standby.look()] == [False, False]
        assert standby.notes() == ["the breaker is open for all: a test; see guard breaker; nothing of that is terminated"]
        await reset(stand)
        assert [await standby.look(), await standby.look()] == [True, False]
        await stand.cycle.decide_all()
        await stand.settle()
        assert stand.accepted() == ["job-1"]
        assert [await standby.look(), standby.notes()] == [
            False,
            ["policy one-day waits for guard breaker confirm --policy one-day"],
        ]
        (policy,) = stand.set.policies
        await stand.raw.breaker.confirm(
            Confirmation(policy=policy.name, digest=policy.digest, by="al", reason="", at_ms=NOW_MS)
        )
        assert [await standby.look(), await standby.look()] == [True, False]
        await asyncio.sleep(0)
        await stand.cycle.decide_all()
        await stand.settle()
        assert (sorted(stand.accepted()), standby.notes()) == (["job-1", "job-2"], [])

    jobs = running(hours=30), running("job-2", hours=25)
    on_stand(act, *jobs, breaker=replace(RULES, first_enforce=1))
