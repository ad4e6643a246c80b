"""
The forecasts in the ledger: what a run was stands with its match, each forecast is stored once, and neither is lost.
"""

from decimal import Decimal

import pytest
from ledger_cases import FINDING, HOSTILE, named, use
from test_history import ended, put

from guard.core.ended import Told
from guard.core.estimate import Inputs, estimated
from guard.core.likeness import End, Ladder, Likeness, PastRun
from guard.errors import LedgerUnusable
from tests.changing import replace

HOUR_MS = 3_600_000
LIKE = Likeness(user="ann", stem="train", billing_codes="eco", cards=8)
BASIS = Inputs(
    like=LIKE,
    elapsed_ms=HOUR_MS,
    auto_stop_ms=None,
    per_hour="10/3",
    currency="CNY",
    horizon_ms=2 * HOUR_MS,
    min_ends=2,
    assumed_ms=0,
)
LADDER = Ladder([PastRun(like=LIKE, entry_ms=0, exit_ms=2 * HOUR_MS, exit_at_ms=0, end=End.OWN)] * 3)
MATCH = replace(FINDING, key=named("job-1"), run=1, policy="watch", reason="observe", deadline_ms=50, basis=BASIS)


async def kept(ledger):
    """
    All that is stored of observed matches.
    """
    return [one async for page in ledger.forecasts.kept() for one in page]


async def asked(ledger):
    """
    The matches that are to be forecast.
    """
    return [(one.number, one.at_ms) for one in await ledger.forecasts.asked(limit=10)]


def test_a_forecast_is_stored_once(url):
    """
    What is asked comes back as it was at the match; the forecast stands with its figure in a column, and nothing changes it.
    """

    async def work(ledger):
        await ledger.record([MATCH], at_ms=100)
        ((one),) = await ledger.forecasts.asked(limit=10)
        assert (one.basis, one.at_ms) == (BASIS, 100)
        made = estimated(one.basis, LADDER)
        assert await ledger.forecasts.put({one.number: made}) == 1
        assert await asked(ledger) == []
        assert await ledger.forecasts.put({one.number: estimated(BASIS, Ladder([]))}) == 0
        (found,) = await kept(ledger)
        assert (found.expected, found.estimate, found.basis) == (Decimal("3.3333333333"), made, BASIS)
        assert (found.policy, found.at_ms, found.potential, found.measured) == ("watch", 100, None, None)
        # Recorded again, with other facts, it stays as it was.
        assert await ledger.record([replace(MATCH, basis=replace(BASIS, elapsed_ms=9))], at_ms=200) == []
        assert await kept(ledger) == [found]

    use(url, work)


@pytest.mark.parametrize(
    ("changes", "from_ms"),
    [
        pytest.param({}, 100, id="seen-after-the-deadline"),
        pytest.param({"deadline_ms": 150}, 150, id="seen-before-it"),
        pytest.param({"deadline_ms": None}, 100, id="without-a-deadline"),
        pytest.param({"basis": None}, None, id="without-a-price"),
        pytest.param({"reason": "observe_spared"}, None, id="spared-anyway"),
        pytest.param({"reason": "paused"}, None, id="held-back"),
    ],
)
def test_what_is_forecast(url, changes, from_ms):
    """
    Matches that were only observed and have a price, from the deadline on, but not from before they were seen.
    """

    async def work(ledger):
        await ledger.record([replace(MATCH, **changes)], at_ms=100)
        assert await asked(ledger) == ([] if from_ms is None else [(1, from_ms)])

    use(url, work)


@pytest.mark.parametrize(
    ("deadline_ms", "ended_ms", "wanted"),
    [(50, 99, 0), (50, 100, 1), (149, 149, 1), (150, 149, 0), (None, 100, 1), (None, 99, 0)],
)
def test_what_had_ended_before_its_match_is_not_forecast(url, deadline_ms, ended_ms, wanted):
    """
    It was never to be ended, and its own end is known among those of others.
    """

    async def work(ledger):
        await ledger.record([replace(MATCH, deadline_ms=deadline_ms)], at_ms=100)
        await put(ledger, replace(ended("job-1", ended_ms=ended_ms), run=1))
        assert len(await asked(ledger)) == wanted

    use(url, work)


@pytest.mark.parametrize("told", list(Told))
def test_potential_follows_from_what_stands_beside_it(url, told):
    """
    The measured potential is recomputed from the end on record, of a run that was read as of one that was lost.
    """

    async def work(ledger):
        await ledger.record([MATCH], at_ms=100)
        await put(ledger, replace(ended("job-1"), run=1, told=told))
        (found,) = await kept(ledger)
        assert found.potential == found.measured
        assert (found.potential is None) is (told is not Told.READ)

    use(url, work)


def test_a_long_record_comes_page_by_page(url):
    """
    Every match comes once, in order, in pages.
    """

    async def work(ledger):
        await ledger.record([replace(MATCH, key=named(f"job-{number}")) for number in range(250)], at_ms=100)
        while some := await ledger.forecasts.asked(limit=90):
            await ledger.forecasts.put({one.number: estimated(one.basis, LADDER) for one in some})
        pages = [len(page) async for page in ledger.forecasts.kept()]
        assert pages == [100, 100, 50]
        assert [one.number for one in await kept(ledger)] == list(range(1, 251))

    use(url, work)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_job_is_called(url, name):
    """
    Names come back as they went in, in what was asked and in the forecast.
    """

    async def work(ledger):
        like = Likeness(user=name, stem=name, billing_codes=name, cards=1)
        await ledger.record([replace(MATCH, basis=replace(BASIS, like=like))], at_ms=100)
        (one,) = await ledger.forecasts.asked(limit=1)
        await ledger.forecasts.put({one.number: estimated(one.basis, LADDER)})
        (found,) = await kept(ledger)
        assert one.basis.like == found.estimate.inputs.like == like

    use(url, work)


@pytest.mark.parametrize(
    "change",
    ["basis = '{'", "basis = 'null'", "basis = replace(basis, '10/3', 'much')", "basis = replace(basis, '10/3', '1/0')"],
)
def test_a_row_that_makes_no_sense_keeps_no_other_waiting(file_url, change):
    """
    The others are forecast first; then the bad one is named, as long as it is there.
    """

    async def work(ledger):
        await ledger.record([MATCH, replace(MATCH, key=named("job-2"))], at_ms=100)
        await ledger.write("tamper", lambda at: at.exec_driver_sql(f"UPDATE findings SET {change} WHERE id = 1"))  # noqa: S608
        (one,) = await ledger.forecasts.asked(limit=1)
        assert one.number == 2
        await ledger.forecasts.put({2: estimated(one.basis, LADDER)})
        with pytest.raises(LedgerUnusable, match="cannot give what is to be forecast: match 1: "):
            await ledger.forecasts.asked(limit=1)

    use(file_url, work)


def test_a_record_that_was_tampered_with_is_said(file_url):
    """
    What is no forecast makes the ledger unusable for who asks, in one sentence, and not for the rest.
    """

    async def work(ledger):
        await ledger.record([MATCH], at_ms=100)
        await ledger.write("tamper", lambda at: at.exec_driver_sql("UPDATE findings SET forecast = '{\"a\": 1}'"))
        with pytest.raises(LedgerUnusable, match="cannot give the forecasts: match 1: what was kept as Estimate is none"):
            await kept(ledger)
        assert len(await ledger.findings()) == 1

    use(file_url, work)
