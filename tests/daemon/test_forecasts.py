"""
Forecasts: what an estimate at the match says of runs that a policy only observes, from what was known then and nothing else.
"""

from decimal import Decimal
from fractions import Fraction

import pytest
from daemon_stand import ECO, EXEMPT, HOUR_MS, NONE, NOW_MS, OBSERVED, ONE_DAY, on_stand, policies, running
from test_estimating import BOOK, LONG, estimating, history, past, rows
from test_metrics import counters

from guard.accounts import looked_back
from guard.core.decide import decide
from guard.core.estimate import Method
from guard.core.facts import Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.likeness import Likeness, Rung
from guard.core.price import plain_book
from guard.core.sighting import observe
from guard.core.spans import DAY_MS, MINUTE_MS
from guard.daemon.drafts import stake_of
from guard.daemon.metrics import Metrics
from guard.saved import Check

JOB = {"name": "train-7", "node_count": 4}


def observing(act, *jobs, ends=LONG, text=OBSERVED, book=BOOK, **options):
    """
    Run *act* on a stand with a history and prices, whose jobs a policy observed in one walk.
    """

    async def run(stand):
        stand.view.terms = Terms(prices=book)
        await history(stand, *ends)
        await stand.walk()
        return await act(stand)

    return on_stand(run, *(jobs or [running(**JOB)]), text=text, **options)


async def go_on(stand, *, hours):
    """
    Let time pass, walk, and read the ends of those that left.
    """
    stand.clock.seconds += hours * 3600
    await stand.walk()
    await stand.read_ends()


async def kept(stand):
    """
    What is stored of observed matches.
    """
    return [one async for page in stand.raw.forecasts.kept() for one in page]


async def back(stand, *, days=9):
    """
    What the only policy would have done, looked back at after so many days.
    """
    (seen,) = await stand.raw.read("look", lambda at: looked_back(at, Terms(prices=BOOK), now_ms=NOW_MS + days * DAY_MS))
    return seen


def test_a_forecast_is_what_a_termination_would_have_been_said_to_save():
    """
    The same like runs say the same of a run that is ended and of one that is only observed; each forecast is made once.
    """

    async def stop(stand):
        await estimating(stand).turn()
        (row,) = await rows(stand)
        return row.estimate

    async def forecast(stand):
        await estimating(stand).forecast()
        (one,) = await kept(stand)
        assert await stand.raw.forecasts.asked(limit=9) == []
        await estimating(stand).forecast()
        assert await kept(stand) == [one]
        return one

    said, one = observing(stop, text=ONE_DAY), observing(forecast)
    assert one.estimate.figures.expected == one.expected > 0
    assert one.estimate.figures.rung is Rung.SAME_WORK
    (there,), (here,) = said.inputs.evidence, one.estimate.inputs.evidence
    assert (here.at_risk, here.ends_after) == (there.at_risk, there.ends_after)
    assert one.estimate.inputs.like == said.inputs.like
    # The run that was ended ran on for a few seconds.
    assert float(one.expected) == pytest.approx(float(said.figures.expected), rel=0.02)
    assert float(one.estimate.figures.lower) == pytest.approx(float(said.figures.lower), rel=0.02)


def test_what_came_after_the_match_is_in_no_forecast():
    """
    A forecast that is made days late, by another process, after its own run and others ended or were stopped, is the same.
    """
    jobs = [
        running("job-1", **JOB, hours=25, end_time_ms=NOW_MS + HOUR_MS, ends_as="Completed"),
        running("job-2", **JOB, hours=30, end_time_ms=NOW_MS + 20 * HOUR_MS, ends_as="Failed"),
        running("job-3", **JOB, hours=40),
        running("job-4", **JOB, hours=20, end_time_ms=NOW_MS + 90 * HOUR_MS, ends_as="Completed"),
        running("job-5", **JOB, hours=3, end_time_ms=NOW_MS + 2 * HOUR_MS, ends_as="Completed"),
        running("job-6", name="other", node_count=2, hours=26, end_time_ms=NOW_MS + 30_000, ends_as="Completed"),
    ]

    async def at_once(stand):
        await estimating(stand).forecast()
        return await kept(stand)

    async def late(stand):
        # Runs that began after the match say nothing about it, however many they are.
        await history(stand, *(past(f"soon-{one}", hours=one, ended_ms=NOW_MS + 40 * HOUR_MS) for one in range(1, 40)))
        await go_on(stand, hours=2)
        stand.take(ONE_DAY)
        for hours in (1, 24, 48):
            stand.world.add(running(f"new-{hours}", **JOB, hours=-hours, end_time_ms=NOW_MS + (hours + 40) * HOUR_MS))
            await go_on(stand, hours=hours)
        assert stand.accepted()
        stand.begin()
        stand.view.terms = Terms(prices=BOOK)
        await go_on(stand, hours=1)
        await estimating(stand).forecast()
        return await kept(stand)

    soon, later = observing(at_once, *jobs), observing(late, *jobs)
    forecasts = {one.number: one.estimate for one in soon}
    assert len(forecasts) == 4
    assert {one.number: one.estimate for one in later if one.number in forecasts} == forecasts
    assert {one.estimate.inputs.evidence[0].guard_ended for one in soon} == {0}
    assert {one.estimate.figures.rung for one in soon} == {Rung.SAME_WORK, Rung.ALL, None}


def test_runs_of_the_minute_of_the_match_do_not_count_as_ended():
    """
    History counts up to the beginning of the minute, in which the last of the thirty ends was not there yet.
    """

    async def act(stand):
        await estimating(stand).forecast()
        (one,) = await kept(stand)
        return one.estimate.inputs.evidence[0].ends_after

    ends = LONG[:29]
    before, within = past("last", hours=40, ended_ms=NOW_MS - 1), past("last", hours=40, ended_ms=NOW_MS)
    assert NOW_MS % MINUTE_MS == 0
    assert observing(act, ends=[*ends, before]) == 29 - sum(one.running_ms <= 25 * HOUR_MS for one in ends) + 1
    assert observing(act, ends=[*ends, within]) == 29 - sum(one.running_ms <= 25 * HOUR_MS for one in ends)


def test_a_policy_shows_how_good_the_estimator_is():
    """
    Once the deadline is a horizon ago, measured and expected of the same runs stand beside each other, up to the horizon.
    """
    jobs = [
        running("job-1", **JOB, end_time_ms=NOW_MS + 3 * HOUR_MS, ends_as="Completed"),
        running("job-2", **JOB, end_time_ms=NOW_MS + 60 * HOUR_MS, ends_as="Completed"),
    ]

    async def act(stand):
        await estimating(stand).forecast()
        one, two = await kept(stand)
        assert one.expected == two.expected
        await go_on(stand, hours=23)
        assert (await back(stand, days=0)).compared == 0
        await go_on(stand, hours=2)
        seen = await back(stand, days=1)
        # Three hours of the one, and a day of the other one, which still runs.
        assert (seen.compared, seen.measured, seen.expected) == (2, 14 * (3 + 24), 2 * one.expected)
        await go_on(stand, hours=40)
        seen = await back(stand)
        assert (seen.compared, seen.measured, seen.expected, seen.potential) == (2, 14 * 27, 2 * one.expected, 14 * 63)
        assert (seen.assumed, seen.unfollowed) == (0, 0)

    observing(act, *jobs)


def test_a_job_of_several_resources():
    """
    The rate is that of all of them, and like are jobs of the same codes and of as many cards, as for a termination.
    """
    book = plain_book("CNY", {"gpu": Fraction(10), "cpu": Fraction(1, 3)})
    parts = (
        Resource(billing_code="gpu", unit_num=2, node_count=3, cards_per_node=8),
        Resource(billing_code="cpu", unit_num=1, node_count=1, cards_per_node=0),
    )
    key, start_ms = JobKey(region="r", project_id="p", job_id="j"), NOW_MS - 30 * HOUR_MS
    facts = {"phase": "Running", "create_time_ms": start_ms, "start_time_ms": start_ms, "auto_stop_ms": 40 * HOUR_MS}
    job = Job(key=key, target="lab", read_at_ms=NOW_MS, resources=parts, user="ann", name="train-3", **facts)
    terms, at_ms = Terms(prices=book), NOW_MS + HOUR_MS
    decision = decide(policies(OBSERVED), job, observe(None, job), terms, now_ms=NOW_MS)
    made = stake_of(decision, terms, Method(), at_ms=at_ms)
    assert (Fraction(made.per_hour), made.elapsed_ms, made.auto_stop_ms) == (60 + Fraction(1, 3), 31 * HOUR_MS, 40 * HOUR_MS)
    assert made.like == Likeness(user="ann", stem="train", billing_codes="gpu + cpu", cards=24)
    assert stake_of(decision, Terms(prices=plain_book("CNY", {"gpu": Fraction(10)})), Method(), at_ms=at_ms) is None


def test_money_of_another_currency_is_not_compared():
    """
    After a start with a price book in another currency, what was forecast in the old one is held against nothing.
    """

    async def act(stand):
        await estimating(stand).forecast()
        stand.begin()
        stand.view.terms = Terms(prices=plain_book("USD", {ECO.code: Fraction(1, 2)}))
        await go_on(stand, hours=0)
        await go_on(stand, hours=30)
        seen = await back(stand)
        assert (seen.currency, seen.runs, seen.compared, seen.assumed) == ("USD", 1, 0, 0)

    observing(act, running(**JOB, end_time_ms=NOW_MS + HOUR_MS, ends_as="Completed"))


def test_what_would_have_been_assumed_is_compared_with_nothing():
    """
    Without enough like runs the forecast is an assumption, which is counted, and never in expected.
    """

    async def act(stand):
        await estimating(stand).forecast()
        (one,) = await kept(stand)
        assert (one.expected, one.estimate.figures.rung) == (None, None)
        await go_on(stand, hours=30)
        seen = await back(stand)
        assert (seen.runs, seen.compared, seen.expected, seen.assumed) == (1, 0, 0, 1)

    observing(act, running(**JOB, end_time_ms=NOW_MS + HOUR_MS, ends_as="Completed"), ends=LONG[:10])


@pytest.mark.parametrize(
    ("book", "measured"),
    [
        pytest.param(None, None, id="without-a-price-book"),
        pytest.param(plain_book("CNY", {"another": 1}), None, id="without-a-price"),
        pytest.param(plain_book("CNY", {ECO.code: 0}), 0, id="for-nothing"),
    ],
)
def test_a_run_without_a_price(book, measured):
    """
    Nothing is forecast of a cost that nobody knows; a price of nothing is one.
    """

    async def act(stand):
        await estimating(stand).forecast()
        await go_on(stand, hours=30)
        assert [one.expected for one in await kept(stand)] == [None if measured is None else 0]
        seen = await back(stand)
        assert (seen.runs, seen.compared, seen.measured) == (1, int(measured is not None), 0)

    observing(act, running(**JOB, end_time_ms=NOW_MS + HOUR_MS, ends_as="Completed"), book=book)


def test_a_policy_that_is_enforced_meanwhile():
    """
    What it ends then is no potential and in no comparison; the termination is estimated from when it was stopped.
    """

    async def act(stand):
        await estimating(stand).forecast()
        stand.take(ONE_DAY)
        await go_on(stand, hours=2)
        assert stand.accepted() == ["job-1"]
        await go_on(stand, hours=1)
        await estimating(stand).turn()
        seen = await back(stand)
        assert (seen.runs, seen.cut_short, seen.potential, seen.compared, seen.unfollowed) == (1, 1, 0, 0, 1)
        (row,) = await rows(stand)
        assert row.estimate.inputs.elapsed_ms >= 27 * HOUR_MS
        assert await stand.raw.savings.counted() == ([], [])

    observing(act)


def test_a_policy_that_says_something_else_meanwhile():
    """
    A run has one match with a policy of one name: the first, whose deadline and forecast stand.
    """

    async def act(stand):
        await estimating(stand).forecast()
        stand.take(OBSERVED.replace("24h", "26h"))
        await go_on(stand, hours=30)
        await estimating(stand).forecast()
        (one,) = await kept(stand)
        assert one.at_ms == NOW_MS
        seen = await back(stand)
        assert (seen.runs, seen.compared, seen.measured) == (1, 1, 14 * 4)

    observing(act, running(**JOB, end_time_ms=NOW_MS + 4 * HOUR_MS, ends_as="Completed"))


def test_a_job_that_starts_anew():
    """
    Each run of a job has a match and a forecast of its own.
    """

    async def act(stand):
        await estimating(stand).forecast()
        await go_on(stand, hours=3)
        job = stand.world.job("job-1")
        job.start_time_ms, job.end_time_ms = NOW_MS + 2 * HOUR_MS, NOW_MS + 50 * HOUR_MS
        await go_on(stand, hours=1)
        await go_on(stand, hours=23)
        await estimating(stand).forecast()
        one, two = sorted([each.estimate.inputs.elapsed_ms for each in await kept(stand) if each.estimate])
        assert (one, two) == (25 * HOUR_MS, 25 * HOUR_MS)
        assert len(await stand.raw.findings()) == 2

    observing(act, running(**JOB))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(OBSERVED + EXEMPT, id="exempt"),
        pytest.param(OBSERVED.replace("mode: observe", "mode: observe\n    action: notify"), id="notify"),
    ],
)
def test_what_would_not_have_been_ended_either_saves_nothing(text):
    """
    A match of an exempt job, or of a policy that only notifies, is observed apart, and neither potential nor harm.
    """

    async def act(stand):
        await estimating(stand).forecast()
        await go_on(stand, hours=3)
        assert [one.reason for _, one in await stand.raw.findings()] == ["observe_spared"]
        assert (await stand.raw.savings.counted(), await kept(stand)) == (([], []), [])
        assert stand.value("potential_terminations_total", policy="one-day", reason="observe_spared") == 1
        assert stand.cycle.held == {}

    observing(act, running(**JOB, end_time_ms=NOW_MS + HOUR_MS, ends_as="Completed"), text=text)


def test_two_policies_on_one_run_each_count_it():
    """
    Each says what it would have saved alone, so their sums are not to be added.
    """
    text = OBSERVED + "\n  - {name: longer, match: {duration: {gt: 20h}}}\n"

    async def act(stand):
        await estimating(stand).forecast()
        await go_on(stand, hours=30)
        both = await stand.raw.read("look", lambda at: looked_back(at, Terms(prices=BOOK), now_ms=NOW_MS + 9 * DAY_MS))
        assert [(one.policy, one.runs, one.compared, one.potential) for one in both] == [
            ("longer", 1, 1, 28),
            ("one-day", 1, 1, 28),
        ]

    observing(act, running(**JOB, end_time_ms=NOW_MS + 2 * HOUR_MS, ends_as="Completed"), text=text)


def test_nothing_is_forecast_by_who_does_not_hold_the_ledger():
    """
    A process without the lease writes nothing, and who has it makes up for that.
    """

    async def act(stand):
        stand.lease.holding = False
        await estimating(stand).forecast()
        assert len(await stand.raw.forecasts.asked(limit=9)) == 1
        stand.lease.holding = True
        await estimating(stand).once()
        assert await stand.raw.forecasts.asked(limit=9) == []

    observing(act)


def test_forecasts_change_no_counter():
    """
    The measured potential is what the metrics count, whatever was expected, and the same after a restart.
    """

    async def act(stand):
        await go_on(stand, hours=3)
        before = counters(stand.metrics)
        await estimating(stand).forecast()
        assert counters(stand.metrics) == before
        seeded = Metrics(version="test")
        seeded.seed(await stand.raw.tallies(), await stand.raw.finding_counts(), *await stand.raw.savings.counted())
        assert counters(seeded) == before

    observing(act, running(**JOB, end_time_ms=NOW_MS + HOUR_MS, ends_as="Completed"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param("expected = '1'", "expected is 1, and its inputs give", id="a-figure"),
        pytest.param("expected = NULL", "expected is None, and its inputs give", id="a-figure-taken-away"),
        pytest.param("potential = '1'", "potential is 1, and the end of its run gives 14", id="the-potential"),
        pytest.param("potential = NULL", "potential is None, and the end of its run gives 14", id="no-potential"),
        pytest.param("cost = '1'", "and the end of its run gives", id="the-cost"),
        pytest.param("basis = replace(basis, 'alice', 'bob')", "is about another run", id="the-run"),
        pytest.param("basis = NULL", "is about another run", id="no-run"),
        pytest.param("forecast = NULL", "without a forecast", id="no-forecast"),
        pytest.param(
            "forecast = replace(forecast, '[3600000,117,6]', '[3600000,117,7]')", "another one than", id="an-input"
        ),
        pytest.param("forecast = replace(forecast, '\"14\"', '\"1/0\"')", "no figures at all", id="no-rate"),
    ],
)
def test_a_changed_forecast_is_found_out(change, said):
    """
    Whoever changes a figure, an input or what it is about is named by the recomputation, and counted as not equal.
    """

    async def act(stand):
        await estimating(stand).forecast()
        await go_on(stand, hours=3)
        check = Check()
        for one in await kept(stand):
            check.match(one)
        assert (check.matches, check.forecasts, check.recomputed, check.equal, check.wrong) == (1, 1, 2, 2, [])
        await stand.raw.write("tamper", lambda at: at.exec_driver_sql(f"UPDATE findings SET {change}"))  # noqa: S608
        check = Check()
        for one in await kept(stand):
            check.match(one)
        assert any(said in line for line in check.wrong)

    observing(act, running(**JOB, end_time_ms=NOW_MS + HOUR_MS, ends_as="Completed"), ends=[*LONG, *LONG_TOO])


LONG_TOO = [past(f"too-{number}", hours=26 + number % 20) for number in range(60)]


def test_a_forecast_stands_against_the_world_of_an_empty_policy_set():
    """
    Matches of a policy that is gone are still forecast and compared.
    """

    async def act(stand):
        stand.take(NONE)
        await go_on(stand, hours=30)
        await estimating(stand).forecast()
        seen = await back(stand)
        assert (seen.policy, seen.compared, seen.measured) == ("one-day", 1, Decimal(28))

    observing(act, running(**JOB, end_time_ms=NOW_MS + 2 * HOUR_MS, ends_as="Completed"))
