"""
The savings in the ledger: each estimate is stored once beside its inputs, and every stop stays known.
"""

from decimal import Decimal

import pytest
from ledger_cases import HOSTILE, KEY, draft_of, named, use
from test_history import ended, lives, put

from guard.core.clawback import Clawback
from guard.core.estimate import Method, estimate
from guard.core.likeness import End, Ladder, Likeness, PastRun
from guard.core.protocol import Outcome, State
from guard.core.records import Closing
from guard.core.work import Basis, Work
from guard.errors import LedgerUnusable
from guard.ledger.clawbacks import taken_of_each
from guard.ports import Pending
from tests.changing import replace

HOUR_MS = 3_600_000
WORK = Work(like=Likeness(user="ann", stem="train", billing_codes="eco", cards=8), elapsed_ms=HOUR_MS)
BASIS = Basis(elapsed_ms=HOUR_MS + 5, auto_stop_ms=None, horizon_ms=2 * HOUR_MS)
CONFIRMED = Closing(outcome=Outcome.CONFIRMED, note="", savings_upper=Decimal("24.68"), basis=BASIS)


async def stopped(ledger, job_id="job-1", *, closing=CONFIRMED, work=WORK, send=True, **changes):
    """
    Record an intent from its beginning to its end; return its number.
    """
    intent = await ledger.open_intent(draft_of(job_id, work=work, **changes), at_ms=1, quota=None)
    if send:
        await ledger.advance(intent.number, State.SENDING, at_ms=2)
        await ledger.advance(intent.number, State.ACCEPTED, at_ms=3)
    await ledger.close(intent.number, closing, at_ms=4)
    return intent.number


def assumed(pending: Pending):
    """
    The estimate without any history, by an assumed hour.
    """
    return estimate(pending.stopped, Ladder([]), Method(horizon_ms=pending.horizon_ms, assumed_ms=HOUR_MS))


async def kept(ledger):
    """
    All confirmed terminations with their estimates.
    """
    return [one async for page in ledger.savings.estimates() for one in page]


def test_an_estimate_is_stored_once(url):
    """
    What is pending is estimated once, comes back as it went in with its figures in columns, and nothing changes it later.
    """

    async def work(ledger):
        number = await stopped(ledger)
        (pending,) = await ledger.savings.pending(limit=10)
        assert (pending.number, pending.horizon_ms) == (number, 2 * HOUR_MS)
        assert (pending.stopped.like, pending.stopped.elapsed_ms) == (WORK.like, HOUR_MS + 5)
        made = assumed(pending)
        (intent,) = await ledger.savings.put({number: made})
        assert intent.savings_assumed == made.figures.assumed == Decimal("12.34")
        assert (intent.savings_expected, intent.savings_lower) == (None, 0)
        assert await ledger.savings.pending(limit=10) == []
        assert await ledger.savings.put({number: assumed(replace(pending, horizon_ms=1))}) == []
        assert await kept(ledger) == [(intent, made, BASIS)]
        (tally,) = await ledger.tallies()
        assert (tally.savings_upper, tally.savings_assumed, tally.savings_expected) == (
            Decimal("24.68"),
            Decimal("12.34"),
            0,
        )

    use(url, work)


@pytest.mark.parametrize(
    ("closing", "changes"),
    [
        pytest.param(Closing(outcome=Outcome.UNCONFIRMED, note=""), {}, id="unconfirmed"),
        pytest.param(Closing(outcome=Outcome.CONFIRMED, note=""), {"cost_per_hour": ""}, id="without-a-price"),
        pytest.param(CONFIRMED, {"work": None}, id="of-an-earlier-version"),
    ],
)
def test_what_is_never_estimated(url, closing, changes):
    """
    Nothing is claimed that was not confirmed, and nothing counted that has no price.
    """

    async def work(ledger):
        await stopped(ledger, closing=closing, **changes)
        assert await ledger.savings.pending(limit=10) == []

    use(url, work)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_job_is_called(url, name):
    """
    Names come back as they went in, in the work, the estimate and the stop.
    """

    async def work(ledger):
        like = Likeness(user=name, stem=name, billing_codes=name, cards=1)
        number = await stopped(ledger, work=replace(WORK, like=like))
        (pending,) = await ledger.savings.pending(limit=1)
        await ledger.savings.put({number: assumed(pending)})
        ((intent, made, _),) = await kept(ledger)
        (stop,) = await ledger.savings.stops()
        assert intent.draft.work.like == made.inputs.like == stop.past.like == like

    use(url, work)


def terminated(job_id):
    """
    The end of a job that was terminated, by whomever.
    """
    end = ended(job_id)
    return replace(end, run=1, job=replace(end.job, phase="Terminated"))


@pytest.mark.parametrize(
    ("outcome", "send", "counts"),
    [
        pytest.param(Outcome.CONFIRMED, True, True, id="confirmed"),
        pytest.param(Outcome.UNCONFIRMED, True, True, id="unconfirmed"),
        pytest.param(Outcome.GONE, True, True, id="gone-after-the-call"),
        pytest.param(Outcome.GONE, False, False, id="gone-before-it"),
        pytest.param(Outcome.FINISHED_BY_ITSELF, True, False, id="finished-by-itself"),
        pytest.param(Outcome.REFUSED, True, False, id="refused"),
        pytest.param(Outcome.HELD_BACK, False, False, id="held-back"),
    ],
)
def test_what_the_guard_may_have_ended(url, outcome, send, counts):
    """
    Whatever a call of the guard may have ended is a stop and no natural end, though only confirmed ones are claimed.
    """

    async def work(ledger):
        await stopped(ledger, closing=Closing(outcome=outcome, note=""), send=send)
        stops = await ledger.savings.stops()
        assert [(one.key, one.run, one.past.end, one.past.exit_at_ms) for one in stops] == (
            [(KEY, 1, End.GUARD, 3)] if counts else []
        )
        await put(ledger, terminated("job-1"), terminated("other"))
        ends = [run.end for run in await lives(ledger)]
        assert sorted(one.value for one in ends) == (["guard", "own"] if counts else ["own", "own"])

    use(url, work)


def test_what_ended_by_itself_is_a_natural_end_whatever_was_sent(url):
    """
    A job that completed after a call that nobody confirmed ended by itself.
    """

    async def work(ledger):
        await stopped(ledger, closing=Closing(outcome=Outcome.UNCONFIRMED, note=""))
        end = ended("job-1")
        await put(ledger, replace(end, run=1, job=replace(end.job, phase="Completed")))
        assert [run.end for run in await lives(ledger)] == [End.OWN]

    use(url, work)


def test_the_newest_part_of_the_history(url):
    """
    From the moment that is given the history holds no more runs than asked for, and all of it if it is short.
    """

    async def work(ledger):
        assert await ledger.savings.since(newest=3) == 0
        await put(ledger, *(ended(f"job-{number}", ended_ms=1_000 + number) for number in range(5)))
        assert await ledger.savings.since(newest=5) == 0
        assert await ledger.savings.since(newest=3) == 1_002
        assert len(await lives(ledger, from_ms=1_002)) == 3

    use(url, work)


def test_a_record_that_was_tampered_with_is_said(file_url):
    """
    What is no estimate makes the ledger unusable for who asks, in one sentence, and not for the rest.
    """

    async def work(ledger):
        await stopped(ledger)
        await ledger.write("tamper", lambda at: at.exec_driver_sql("UPDATE intents SET savings_estimate = '{\"a\": 1}'"))
        with pytest.raises(LedgerUnusable, match="cannot give the savings: intent 1: what was kept as Estimate is none"):
            await kept(ledger)
        assert len(await ledger.intents()) == 1

    use(file_url, work)


@pytest.mark.parametrize("change", ["basis = '{'", "basis = 'null'", "cost_per_hour = '1/0'", "cost_per_hour = 'much'"])
def test_a_row_that_makes_no_sense_keeps_no_other_waiting(file_url, change):
    """
    The others are estimated first; then the bad one is named, as long as it is there.
    """

    async def work(ledger):
        bad, good = await stopped(ledger), await stopped(ledger, "job-2")
        await ledger.write("tamper", lambda at: at.exec_driver_sql(f"UPDATE intents SET {change} WHERE number = {bad}"))  # noqa: S608
        (pending,) = await ledger.savings.pending(limit=1)
        assert pending.number == good
        await ledger.savings.put({good: assumed(pending)})
        with pytest.raises(LedgerUnusable, match=f"cannot give what is to be estimated: intent {bad}: "):
            await ledger.savings.pending(limit=1)

    use(file_url, work)


def test_what_is_taken_back_only_grows_and_never_beyond_the_saving(url):
    """
    A smaller amount changes nothing, a larger one counts by what it is more, and all of them end at the saving.
    """

    async def work(ledger):
        number = await stopped(ledger)
        (pending,) = await ledger.savings.pending(limit=1)
        run = PastRun(like=WORK.like, entry_ms=0, exit_ms=9 * HOUR_MS, exit_at_ms=0, end=End.OWN)
        made = estimate(pending.stopped, Ladder([run] * 40), Method(horizon_ms=pending.horizon_ms))
        await ledger.savings.put({number: made})
        (ended_,) = await ledger.savings.terminated(since_ms=0)
        assert (ended_.saving, ended_.assumed) == (made.figures.expected, False)
        assert made.figures.expected == Decimal("24.68")

        async def take(job, amount):
            one = Clawback(number=number, key=named(job), run=1, amount=Decimal(amount), currency="CNY", assumed=False)
            return [fell.amount for fell in await ledger.savings.claw_back([one], at_ms=9)]

        told = [await take(job, amount) for job, amount in (("a", 10), ("a", 4), ("b", 10), ("a", 12), ("a", 90), ("b", 90))]
        assert told == [[10], [], [10], [2], [Decimal("2.68")], []]
        _, (sums,) = await ledger.savings.counted()
        assert sums.amount == made.figures.expected

    use(url, work)


def test_what_is_taken_of_measured_and_of_assumed_savings_stands_apart(url):
    """
    Each sum has a place of its own, so that neither is taken for the other, in all and for each termination.
    """

    async def work(ledger):
        measured, other = await stopped(ledger), await stopped(ledger, "job-2")
        run = PastRun(like=WORK.like, entry_ms=0, exit_ms=9 * HOUR_MS, exit_at_ms=0, end=End.OWN)
        for one in await ledger.savings.pending(limit=2):
            ladder = Ladder([run] * 40 if one.number == measured else [])
            method = Method(horizon_ms=one.horizon_ms, assumed_ms=HOUR_MS)
            await ledger.savings.put({one.number: estimate(one.stopped, ladder, method)})
        assert [(one.number, one.assumed) for one in await ledger.savings.terminated(since_ms=0)] == [
            (measured, False),
            (other, True),
        ]
        told = [
            Clawback(number=number, key=named(job), run=1, amount=Decimal(amount), currency="CNY", assumed=assumed)
            for number, job, amount, assumed in ((measured, "a", 3, False), (other, "a", 5, True), (other, "b", 90, True))
        ]
        fell = await ledger.savings.claw_back(told, at_ms=9)
        assert [(one.amount, one.assumed) for one in fell] == [(3, False), (5, True), (Decimal("7.34"), True)]
        _, sums = await ledger.savings.counted()
        assert [(one.amount, one.assumed) for one in sums] == [(3, False), (Decimal("12.34"), True)]
        taken = await ledger.read("look", lambda at: taken_of_each(at, measured, other))
        assert [(taken[one].measured, taken[one].assumed) for one in (measured, other)] == [(3, 0), (0, Decimal("12.34"))]
        assert await ledger.read("look", lambda at: taken_of_each(at, other + 1, other + 9)) == {}

    use(url, work)


def test_runs_that_may_be_the_same_work_again(url):
    """
    Runs of the same user that ended since are found with their stem and creation, and nobody else's.
    """

    async def work(ledger):
        number = await stopped(ledger)
        (pending,) = await ledger.savings.pending(limit=1)
        await ledger.savings.put({number: assumed(pending)})
        terminations = await ledger.savings.terminated(since_ms=0)
        assert await ledger.savings.submitted([]) == []
        end = ended("again")
        await put(
            ledger,
            replace(end, job=replace(end.job, user="ann")),
            replace(ended("x"), job=replace(ended("x").job, user="bob")),
        )
        (found,) = await ledger.savings.submitted(terminations)
        assert (found.key, found.user, found.cost) == (named("again"), "ann", end.cost)
        assert await ledger.savings.terminated(since_ms=10) == []

    use(url, work)
