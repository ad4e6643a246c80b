"""
The savings in the daemon: estimated after the fact, from what nobody touched, each once, and never in anybody's way.
"""

import asyncio
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
from daemon_stand import ECO, HOUR_MS, NONE, NOW_MS, OBSERVED, ONE_DAY, on_stand, running
from test_metrics import counters
from test_service import on_daemon

from guard.accounts import looked_back
from guard.core.ended import Ended, Told
from guard.core.estimate import Method
from guard.core.facts import Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.likeness import Rung
from guard.core.price import plain_book
from guard.core.protocol import Outcome, State
from guard.core.records import Closing
from guard.core.sighting import observe
from guard.core.spans import DAY_MS
from guard.daemon.endings import Endings
from guard.daemon.estimating import BETWEEN, Estimating
from guard.daemon.metrics import Metrics
from guard.daemon.settling import Confirmation
from guard.errors import LedgerUnusable
from guard.saved import SavedRow, wrong
from tests.changing import replace

BOOK = plain_book("CNY", {ECO.code: Fraction(7, 2)})
PART = Resource(billing_code=ECO.code, unit_num=ECO.unit_num, node_count=4, cards_per_node=1)


def past(number, *, hours, ended_ms=NOW_MS - DAY_MS, **facts):
    """
    The end of a run of another job, seen from its beginning.
    """
    key = JobKey(region="cn-north-4", project_id="p", job_id=f"past-{number}")
    job = Job(key=key, target="lab", read_at_ms=ended_ms, phase="Completed", resources=(PART,), user="alice", name="train-1")
    return Ended(
        job=replace(job, **facts),
        run=1,
        told=Told.READ,
        ended_ms=ended_ms,
        running_ms=round(hours * HOUR_MS),
        cost=None,
        currency="CNY",
    )


async def history(stand, *ends):
    """
    Put runs on record.
    """
    await stand.raw.history.put(ends, seen=[observe(None, one.job) for one in ends])


def estimating(stand, **options):
    """
    What estimates on a stand.
    """
    return Estimating(endings=Endings(cycle=stand.cycle, clock=stand.clock), **options)


async def rows(stand):
    """
    Every confirmed termination with its estimate.
    """
    pages = stand.raw.savings.estimates()
    return [SavedRow(intent=one, estimate=kept, basis=basis) async for page in pages for one, kept, basis in page]


WHERE = {"target": "lab", "policy": "one-day", "currency": "CNY"}


def stopping(act, *jobs, ends=(), **options):
    """
    Run *act* on a stand with a history and prices, whose jobs were stopped.
    """

    async def run(stand):
        stand.view.terms = Terms(prices=BOOK)
        await history(stand, *ends)
        await stand.walk()
        await act(stand)

    on_stand(run, *(jobs or [running(name="train-7", node_count=4)]), **options)


LONG = [past(number, hours=25 + number % 20) for number in range(60)]


def test_a_termination_is_estimated_by_like_runs():
    """
    Like runs that nobody touched say how long it would have gone on; the figures follow from what is kept, and are counted.
    """

    async def act(stand):
        (before,) = await rows(stand)
        assert (before.method, before.intent.savings_lower) == ("not estimated yet", None)
        await estimating(stand).turn()
        (row,) = await rows(stand)
        figures, intent = row.estimate.figures, row.intent
        assert (figures.rung, row.method) == (Rung.SAME_RESOURCES, "Kaplan-Meier")
        assert 0 < intent.savings_lower < intent.savings_expected < intent.savings_upper == 14 * 24
        assert intent.savings_assumed is None
        assert wrong([row]) == []
        where = {"target": "lab", "policy": "one-day", "currency": "CNY"}
        for name in ("expected", "lower", "upper"):
            assert stand.value(f"savings_{name}_total", **where) == float(getattr(intent, f"savings_{name}"))

    stopping(act, ends=[replace(one, job=replace(one.job, name="other")) for one in LONG])


def test_without_like_runs_it_is_assumed():
    """
    Too few natural ends leave the assumption, which is counted apart.
    """

    async def act(stand):
        await estimating(stand).turn()
        (row,) = await rows(stand)
        assert (row.method, row.intent.savings_expected, row.intent.savings_lower) == ("assumed", None, 0)
        assert row.intent.savings_assumed == 14 * 2
        where = {"target": "lab", "policy": "one-day", "currency": "CNY"}
        assert stand.value("savings_assumed_total", **where) == 28
        assert stand.value("savings_expected_total", **where) == 0

    async def assume(stand):
        method = Method(assumed_ms=2 * HOUR_MS)
        stand.cycle.enforcer = replace(stand.enforcer, confirmation=Confirmation(method=method))
        await act(stand)

    stopping(assume, ends=LONG[:29])


def test_what_the_guard_stopped_is_no_natural_end():
    """
    A history of enforcement alone measures nothing: every figure is assumed.
    """

    async def act(stand):
        assert len(stand.accepted()) == 40
        stand.clock.seconds += 3600
        await stand.walk()
        await stand.read_ends()
        await estimating(stand).turn()
        found = await rows(stand)
        assert len(found) == 40
        assert {one.method for one in found} == {"assumed"}

    stopping(act, *(running(f"job-{number}", hours=25 + number % 10, node_count=4) for number in range(40)))


def test_a_stop_outlives_the_history():
    """
    Runs that began after the guard first stopped one like them are not followed, though no history knows that stop.
    """

    async def act(stand):
        draft, long_ago_ms = (await stand.intent()).draft, NOW_MS - 300 * DAY_MS
        draft = replace(draft, key=replace(draft.key, job_id="long-ago"), cost_per_hour="")
        old = await stand.raw.open_intent(draft, at_ms=long_ago_ms, quota=None)
        await stand.raw.advance(old.number, State.SENDING, at_ms=long_ago_ms)
        await stand.raw.close(old.number, Closing(outcome=Outcome.CONFIRMED, note=""), at_ms=long_ago_ms)
        await estimating(stand).turn()
        row = (await rows(stand))[0]
        assert row.method == "assumed"
        assert {one.guard_ended for one in row.estimate.inputs.evidence} == {2}

    stopping(act, ends=LONG)


def test_only_the_newest_part_of_a_long_history_is_read():
    """
    Of a history that is too long the newest runs count, from when these begin and not before.
    """

    async def act(stand):
        await estimating(stand, most_runs=40).turn()
        (row,) = await rows(stand)
        sizes = {one.rung: one.size for one in row.estimate.inputs.evidence}
        assert max(sizes.values()) <= 41
        # They all ended within an hour, so none of them was watched at its 25th hour.
        assert row.method == "assumed"

    ends = [past(number, hours=30, ended_ms=NOW_MS - DAY_MS + number * 60_000) for number in range(60)]
    stopping(act, ends=ends)


def test_a_restart_and_a_removed_policy_change_no_counter():
    """
    The counters are what the ledger holds: after a restart, and when the policy is gone.
    """

    async def act(stand):
        await estimating(stand).turn()
        live = counters(stand.metrics)
        assert {name for name, _ in live} >= {f"costguard_savings_{one}_total" for one in ("upper", "expected", "lower")}
        stand.take(NONE)
        stand.metrics.took_policies(stand.set, ["lab"], at=stand.clock.now())
        assert counters(stand.metrics) == live
        seeded = Metrics(version="test")
        seeded.seed(await stand.raw.tallies(), await stand.raw.finding_counts())
        seeded.took_policies(stand.set, ["lab"], at=stand.clock.now())
        assert counters(seeded) == live
        await estimating(stand).turn()
        assert counters(stand.metrics) == live

    stopping(act, ends=LONG)


def test_nothing_is_estimated_by_who_does_not_hold_the_ledger():
    """
    A process without the lease writes nothing.
    """

    async def act(stand):
        stand.lease.holding = False
        await estimating(stand).turn()
        assert len(await stand.raw.savings.pending(limit=10)) == 1

    stopping(act, ends=LONG)


def test_what_fails_is_tried_again():
    """
    A ledger that fails once costs a turn and no figure, and the daemon goes on.
    """

    async def act(stand, daemon):
        stand.view.terms = Terms(prices=BOOK)
        await history(stand, *LONG)
        real, put, failures, stored = stand.raw.savings.stops, stand.raw.savings.put, [], asyncio.Event()

        async def fail():
            failures.append(1)
            if len(failures) == 1:
                raise LedgerUnusable("the disk is gone")
            return await real()

        async def note(made):
            found = await put(made)
            stored.set()
            return found

        stand.raw.savings.stops, stand.raw.savings.put = fail, note
        async with daemon.running():
            await stored.wait()
        assert len(failures) == 2
        assert stand.value("scheduler_events_total", event="error") == 1

    on_daemon(act, running(name="train-7", node_count=4))


def test_a_deadline_waits_for_few_live_jobs_at_most():
    """
    While live jobs are looked through, whatever else is due has its turn after every fifty.
    """

    async def act(stand):
        await stand.walk()
        turns, found = 0, []

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        async for job, _ in estimating(stand)._live():
            found.append((job.key.job_id, turns))
        task.cancel()
        assert len(found) == 120
        assert max(Counter(turn for _, turn in found).values()) <= BETWEEN

    on_stand(act, *(running(f"job-{number}", hours=1) for number in range(120)), text=NONE)


def test_savings_that_fail_are_told_and_leave_the_guard_ready():
    """
    A guard whose savings cannot be reckoned still stops what it has to: it is ready, and says what fails.
    """

    async def act(stand, daemon):
        async def fail(**_):
            raise LedgerUnusable("a row that nobody can read")

        stand.raw.savings.pending = stand.raw.savings.terminated = fail
        async with daemon.running():
            wanted = {"savings", "claw-back"}
            while daemon.service.ready() or not (wanted <= set(daemon.service.failing) and stand.accepted()):  # noqa: ASYNC110
                await asyncio.sleep(0)
            notes = daemon.service.notes()
            for what in wanted:
                assert f"{what} fails: LedgerUnusable: a row that nobody can read" in notes

    on_daemon(act, running(name="train-7", node_count=4))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param("savings_lower = '1'", "lower is 1, and its inputs give", id="a-figure"),
        pytest.param("savings_expected = NULL", "expected is None, and its inputs give", id="a-figure-taken-away"),
        pytest.param("cost_per_hour = '15'", "it counts at 14 CNY an hour, the intent at 15", id="the-rate"),
        pytest.param("work = replace(work, 'alice', 'bob')", "it is about another job", id="the-job"),
        pytest.param(
            "savings_estimate = replace(savings_estimate, '\"horizon_ms\":86400000', '\"horizon_ms\":86400001')",
            "its record of the figures is another one",
            id="an-input",
        ),
        pytest.param("cost_per_hour = 'much'", "its inputs give no figures at all", id="no-rate"),
        pytest.param(
            'savings_estimate = replace(savings_estimate, \'"per_hour":"14"\', \'"per_hour":"1/0"\')',
            "its inputs give no figures at all",
            id="an-input-that-is-none",
        ),
        pytest.param("basis = NULL", "is another one than was recorded with the outcome", id="the-basis-taken-away"),
        pytest.param(
            "basis = replace(basis, '86400000', '86400001')",
            "is another one than was recorded with the outcome",
            id="the-basis",
        ),
        pytest.param("savings_estimate = NULL", "expected is", id="the-estimate-itself"),
    ],
)
def test_a_changed_ledger_is_found_out(change, said):
    """
    Whoever changes a figure, an input or what it is about is named by the recomputation.
    """

    async def act(stand):
        await estimating(stand).turn()
        await stand.raw.write("tamper", lambda at: at.exec_driver_sql(f"UPDATE intents SET {change}"))  # noqa: S608
        assert any(said in line for line in wrong(await rows(stand)))

    stopping(act, ends=LONG)


def test_what_a_policy_only_observed_is_measured():
    """
    Once the run is over by itself, its cost from the match on is on record, counted once, and the same after a restart.
    """

    async def act(stand):
        stand.view.terms = Terms(prices=BOOK)
        await stand.walk()
        where = {"target": "lab", "policy": "one-day", "currency": "CNY"}
        (at_ms, finding), *_ = await stand.raw.findings()
        assert finding.deadline_ms < at_ms == NOW_MS
        stand.clock.seconds += 3 * 3600
        await stand.walk()
        await stand.read_ends()
        # Two hours at 14 an hour; the hour between the deadline and when it was first seen is none of it.
        assert stand.value("potential_savings_total", **where) == 28
        ((one,), _) = await stand.raw.savings.counted()
        assert (one.target, one.policy, one.currency, one.amount) == ("lab", "one-day", "CNY", 28)
        await stand.walk()
        await stand.read_ends()
        assert stand.value("potential_savings_total", **where) == 28
        (seen,) = await stand.raw.read("look", lambda at: looked_back(at, stand.view.terms, now_ms=NOW_MS + DAY_MS))
        assert (seen.runs, seen.running, seen.potential) == (1, 0, 28)
        assert [(one.completed, one.spent) for one in seen.harm] == [(0, 0), (1, 25 * 14), (1, 25 * 14)]
        seeded = Metrics(version="test")
        seeded.seed(await stand.raw.tallies(), await stand.raw.finding_counts(), *await stand.raw.savings.counted())
        assert counters(seeded) == counters(stand.metrics)

    job = running(name="train-7", node_count=4, end_time_ms=NOW_MS + 2 * HOUR_MS, ends_as="Completed")
    on_stand(act, job, text=OBSERVED)


def test_what_still_runs_or_was_ended_by_another_is_no_potential():
    """
    A run that goes on counts as far as it was seen, apart, and one that the guard ended by another policy is cut short.
    """

    async def act(stand):
        stand.view.terms = Terms(prices=BOOK)
        await stand.walk()
        stand.clock.seconds += 2 * 3600
        await stand.walk()
        await stand.read_ends()
        assert await stand.raw.savings.counted() == ([], [])
        (seen,) = await stand.raw.read("look", lambda at: looked_back(at, stand.view.terms, now_ms=NOW_MS + DAY_MS))
        assert (seen.policy, seen.runs, seen.running, seen.cut_short, seen.potential) == ("watch", 2, 1, 1, 0)
        assert seen.so_far > 0

    watch = "\n  - {name: watch, match: {duration: {gt: 1h}}}\n"
    on_stand(act, running(node_count=4), running("job-2", hours=2, node_count=4), text=ONE_DAY + watch)


def test_what_is_submitted_again_is_taken_back():
    """
    The cost of the same work is taken back as it grows, never more than was expected, once, and over a restart.
    """

    async def act(stand):
        await estimating(stand).turn()
        saved, where = (await stand.intent()).savings_expected, {"target": "lab", "policy": "one-day", "currency": "CNY"}
        stand.take(NONE)
        begun = NOW_MS + HOUR_MS
        for number, name, user in ((8, "train-8", "alice"), (9, "other", "alice"), (10, "train-9", "bob")):
            plan = {"create_time_ms": begun, "start_time_ms": begun, "end_time_ms": begun + 40 * HOUR_MS}
            stand.world.add(running(f"job-{number}", node_count=4, name=name, user=user, **plan))
        taken = []
        for hours in (3, 2, 0, 100):
            stand.clock.seconds += hours * 3600
            await stand.walk()
            await stand.read_ends()
            await estimating(stand).claw_back()
            taken.append(stand.value("savings_clawed_back_total", **where))
        assert taken == [pytest.approx(one, rel=1e-2) for one in (28, 56, 56, float(saved))]
        _, (kept,) = await stand.raw.savings.counted()
        assert kept.amount == saved
        seeded = Metrics(version="test")
        seeded.seed(await stand.raw.tallies(), await stand.raw.finding_counts(), *await stand.raw.savings.counted())
        assert seeded.registry.get_sample_value("costguard_savings_clawed_back_total", where) == float(saved)
        assert taken[-1] == pytest.approx(float(saved))

    stopping(act, ends=LONG)


def again(stand, number=8, *, hours=40, **facts):
    """
    Submit the same work once more, an hour after the stand began.
    """
    begun = NOW_MS + HOUR_MS
    plan = {"create_time_ms": begun, "start_time_ms": begun, "end_time_ms": begun + hours * HOUR_MS}
    stand.world.add(running(f"job-{number}", **{"node_count": 4, "name": f"train-{number}", **plan, **facts}))


async def take_back(stand, *, hours):
    """
    Let time pass, see what there is, and take back.
    """
    stand.clock.seconds += hours * 3600
    await stand.walk()
    await stand.read_ends()
    await estimating(stand).claw_back()


def test_a_claw_back_goes_on_after_a_restart():
    """
    Another process takes back what is new and nothing twice, also if it begins in the middle, and its counters go on.
    """

    async def act(stand):
        await estimating(stand).turn()
        stand.take(NONE)
        again(stand)
        await take_back(stand, hours=3)
        _, (before,) = await stand.raw.savings.counted()
        assert before.amount == pytest.approx(28, rel=1e-2)
        stand.begin()
        stand.view.terms = Terms(prices=BOOK)
        stand.metrics.seed(await stand.raw.tallies(), await stand.raw.finding_counts(), *await stand.raw.savings.counted())
        await take_back(stand, hours=0)
        assert stand.value("savings_clawed_back_total", **WHERE) == float(before.amount)
        await take_back(stand, hours=1)
        _, (after,) = await stand.raw.savings.counted()
        assert float(after.amount - before.amount) == pytest.approx(14, rel=1e-2)
        assert stand.value("savings_clawed_back_total", **WHERE) == pytest.approx(float(after.amount))

    stopping(act, ends=LONG)


def test_a_claw_back_of_a_policy_that_is_gone():
    """
    What a removed policy saved is taken back all the same, and its counter stays.
    """

    async def act(stand):
        await estimating(stand).turn()
        stand.take(NONE)
        stand.metrics.took_policies(stand.set, ["lab"], at=stand.clock.now())
        again(stand)
        await take_back(stand, hours=2)
        assert stand.value("savings_clawed_back_total", **WHERE) == pytest.approx(14, rel=1e-2)

    stopping(act, ends=LONG)


def test_a_claw_back_taken_twice_counts_once():
    """
    Two turns at the same moment, one after the other or both at once, take what one takes.
    """

    async def act(stand):
        await estimating(stand).turn()
        stand.take(NONE)
        again(stand)
        await take_back(stand, hours=2)
        once = stand.value("savings_clawed_back_total", **WHERE)
        await asyncio.gather(*(estimating(stand).claw_back() for _ in range(3)))
        assert stand.value("savings_clawed_back_total", **WHERE) == once > 0
        _, (kept,) = await stand.raw.savings.counted()
        assert float(kept.amount) == once

    stopping(act, ends=LONG)


def test_work_that_is_submitted_to_another_target():
    """
    It takes back of the saving of the policy and target that stopped it, wherever it runs now.
    """

    async def act(stand):
        await estimating(stand).turn()
        stand.take(NONE)
        key = JobKey(region="elsewhere", project_id="another", job_id="job-8")
        begun = NOW_MS + HOUR_MS
        other = Job(
            key=key,
            target="far",
            read_at_ms=NOW_MS + 3 * HOUR_MS,
            phase="Completed",
            resources=(PART,),
            user="alice",
            name="train-8",
            create_time_ms=begun,
        )
        end = Ended(
            job=other,
            run=1,
            told=Told.READ,
            ended_ms=NOW_MS + 3 * HOUR_MS,
            running_ms=2 * HOUR_MS,
            cost=Decimal(28),
            currency="CNY",
        )
        await history(stand, end)
        await take_back(stand, hours=4)
        assert stand.value("savings_clawed_back_total", **WHERE) == 28
        assert stand.value("savings_clawed_back_total", **{**WHERE, "target": "far"}) is None
        await history(stand, end)
        await take_back(stand, hours=1)
        assert stand.value("savings_clawed_back_total", **WHERE) == 28

    stopping(act, ends=LONG)


def test_a_claw_back_of_an_assumed_saving_is_counted_apart():
    """
    What is taken of an assumption is in its own counter, in the ledger and after a restart, and never in that of expected.
    """

    async def act(stand):
        method = Method(assumed_ms=2 * HOUR_MS)
        stand.cycle.enforcer = replace(stand.enforcer, confirmation=Confirmation(method=method))
        await estimating(stand).turn()
        stand.take(NONE)
        again(stand)
        await take_back(stand, hours=2)
        await take_back(stand, hours=9)
        assert stand.value("savings_assumed_total", **WHERE) == 28
        assert stand.value("savings_assumed_clawed_back_total", **WHERE) == pytest.approx(28)
        assert not stand.value("savings_clawed_back_total", **WHERE)
        _, (kept,) = await stand.raw.savings.counted()
        assert (kept.amount, kept.assumed) == (28, True)
        seeded = Metrics(version="test")
        seeded.seed(await stand.raw.tallies(), await stand.raw.finding_counts(), *await stand.raw.savings.counted())
        assert seeded.registry.get_sample_value("costguard_savings_assumed_clawed_back_total", WHERE) == 28
        assert seeded.registry.get_sample_value("costguard_savings_clawed_back_total", WHERE) is None

    stopping(act)


@pytest.mark.parametrize(
    ("facts", "holds"),
    [
        pytest.param({"user": "bob"}, True, id="another-user"),
        pytest.param({"user": ""}, True, id="an-unreadable-user"),
        pytest.param({"name": "eval-8"}, True, id="other-work"),
        pytest.param({}, False, id="without-the-ledger"),
    ],
)
def test_what_takes_nothing_back(facts, holds):
    """
    Other work takes nothing back, and who does not hold the ledger writes nothing.
    """

    async def act(stand):
        await estimating(stand).turn()
        stand.take(NONE)
        again(stand, **facts)
        stand.clock.seconds += 3 * 3600
        await stand.walk()
        stand.lease.holding = holds
        await estimating(stand).claw_back()
        assert await stand.raw.savings.counted() == ([], [])
        assert not stand.value("savings_clawed_back_total", **WHERE)

    stopping(act, ends=LONG)
