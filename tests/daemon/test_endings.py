"""
The ends of jobs: each is read once after it left the list, and recorded once, whatever happens in between.
"""

import asyncio
from fractions import Fraction

import pytest
from daemon_stand import HOUR_MS, NONE, NOW_MS, on_stand, running
from test_service import on_daemon

from guard.core.ended import Told
from guard.core.facts import Job, JobKey, Resource
from guard.core.fields import Terms
from guard.core.plan import Finding
from guard.core.price import plain_book
from guard.core.sighting import observe
from guard.core.spans import DAY_MS
from guard.daemon.endings import AGAIN_MS, Endings, Keep
from guard.errors import LedgerUnusable
from tests.changing import replace

MINUTE_MS = 60_000
BOOK = plain_book("CNY", {"modelarts.vm.gpu.p100.eco": Fraction(3)})
KEY = JobKey(region="cn-north-4", project_id="0123456789abcdef0123456789abcdef", job_id="job-1")


def ends_in(minutes, job_id="job-1", **facts):
    """
    A job that has been running for two hours and ends by itself in so many minutes.
    """
    return running(job_id, hours=2, end_time_ms=NOW_MS + minutes * MINUTE_MS, name="train-7", **facts)


async def pass_by(stand, minutes):
    """
    Let time pass, walk, and read the ends that are to be read.
    """
    stand.clock.seconds += minutes * 60
    await stand.walk()
    await stand.read_ends()


async def past(stand):
    """
    What is on record, the oldest first.
    """
    return list(reversed(await stand.raw.history.newest()))


def priced(act, *jobs, **options):
    """
    Run *act* on a stand that has prices and has walked once.
    """

    async def run(stand):
        stand.view.terms = Terms(prices=BOOK)
        await stand.walk()
        await act(stand)

    on_stand(run, *jobs, **options)


@pytest.mark.parametrize("phase", ["Completed", "Failed", "Abnormal"])
def test_a_job_that_ended_by_itself(phase):
    """
    It is read once after it left, and recorded with its final running time and cost and when it ended.
    """

    async def act(stand):
        await pass_by(stand, 20)
        await pass_by(stand, 20)
        (run,) = await past(stand)
        assert (run.key, run.run, run.phase, run.told, run.policy) == (KEY, 1, phase, Told.READ, None)
        assert (run.ended_ms, run.running_ms) == (NOW_MS + 12 * MINUTE_MS, 2 * HOUR_MS + 12 * MINUTE_MS)
        assert (run.user, run.name, run.target, run.billing_codes) == (
            "alice",
            "train-7",
            "lab",
            "modelarts.vm.gpu.p100.eco",
        )
        assert (f"{run.cost:f}", run.currency) == ("6.6", "CNY")
        assert len(stand.calls.of("show")) == 1
        assert stand.cycle.remembering.ends == {"lab": {}}

    priced(act, ends_in(12, ends_as=phase), text=NONE)


def test_a_job_that_the_guard_ended():
    """
    The run names the policy that ended it, once that is confirmed, and has cost what the intent says.
    """

    async def act(stand):
        assert stand.accepted() == ["job-1"]
        await pass_by(stand, 20)
        (run,) = await past(stand)
        intent = await stand.intent()
        assert (run.phase, run.policy, run.told) == ("Terminated", "one-day", Told.READ)
        assert intent.accepted_ms < run.ended_ms <= intent.closed_ms
        assert intent.cost == run.cost > 0

    priced(act, running())


def test_what_was_stopped_runs_no_more():
    """
    A job that was read as over by the kill protocol is not counted as running until the next walk, and its end is recorded;
    one that was read again since is another run, and goes on.
    """

    async def act(stand):
        endings = Endings(cycle=stand.cycle, clock=stand.clock)
        assert sorted(stand.accepted()) == ["job-1", "job-2"]
        stand.clock.seconds += 60
        stand.world.restart("job-2")
        await stand.cycle.take(stand.target, [await stand.target.source.read("job-2")])
        assert stand.view.tally("lab").running == 2
        shown = len([each for each in stand.calls.of("show") if each.job_id == "job-1"])
        endings.part_with_stopped()
        assert [key.job_id for key in stand.view.watched] == ["job-2"]
        assert (stand.view.tally("lab").running, stand.cycle.drives.settled) == (1, [])
        await stand.cycle.look(stand.target, waiting=False)
        await endings.read_due(stand.target)
        ends = sorted((run.key.job_id, run.run, run.told, run.policy) for run in await past(stand))
        assert ends == [("job-1", 1, Told.READ, "one-day"), ("job-2", 1, Told.RESTARTED, "one-day")]
        # The reading that confirmed the end tells all of it.
        assert len([each for each in stand.calls.of("show") if each.job_id == "job-1"]) == shown
        await stand.walk()
        assert (len(stand.cycle.deadlines["lab"]), len(stand.accepted())) == (1, 2)

    priced(act, running(), running("job-2"))


def test_a_walk_that_misses_what_was_stopped_asks_nobody_again():
    """
    Of a job that a walk found gone before the kill protocol's reading was taken over, that reading tells the end, too.
    """

    async def act(stand):
        endings = Endings(cycle=stand.cycle, clock=stand.clock)
        stand.clock.seconds += 60
        await stand.walk()
        assert not stand.view.watched
        assert [key.job_id for key in stand.cycle.remembering.ends["lab"]] == ["job-1"]
        shown = len(stand.calls.of("show"))
        endings.part_with_stopped()
        await endings.read_due(stand.target)
        assert [(run.key.job_id, run.told, run.policy) for run in await past(stand)] == [("job-1", Told.READ, "one-day")]
        assert len(stand.calls.of("show")) == shown

    priced(act, running())


def test_an_end_waits_for_the_intent():
    """
    While an intent of the job is open its end is not recorded, so that whose doing it was is known.
    """

    async def act(stand):
        stand.clock.seconds += 20 * 60
        await stand.walk()
        (intent,) = await stand.raw.intents()
        assert intent.outcome is not None
        await stand.raw.write("reopen", lambda at: at.exec_driver_sql("UPDATE intents SET outcome = NULL, closed_ms = NULL"))
        await stand.read_ends()
        assert await past(stand) == []
        await stand.raw.write("close", lambda at: at.exec_driver_sql("UPDATE intents SET outcome = 'confirmed'"))
        stand.clock.seconds += AGAIN_MS / 1000
        await stand.read_ends()
        assert [run.policy for run in await past(stand)] == ["one-day"]

    priced(act, running())


def test_a_job_that_is_gone():
    """
    Of a job that the service knows no more the last that was known is recorded, counted to when it was last seen.
    """

    async def act(stand):
        stand.clock.seconds += 60
        await stand.walk()
        del stand.world._jobs["job-1"]
        stand.world._by_age["0"].clear()
        await pass_by(stand, 20)
        (run,) = await past(stand)
        assert (run.told, run.phase) == (Told.GONE, "Running")
        assert (run.ended_ms, run.running_ms) == (NOW_MS + MINUTE_MS, 2 * HOUR_MS + MINUTE_MS)
        assert f"{run.cost:f}" == "6.05"

    priced(act, ends_in(600), text=NONE)


def test_each_run_of_a_job_has_a_row():
    """
    A job that was started anew between two walks leaves the run before as it was last seen, and later its own end.
    """

    async def act(stand):
        stand.clock.seconds += 20 * 60
        stand.world.restart("job-1")
        await stand.walk()
        assert [(run.run, run.told) for run in await past(stand)] == [(1, Told.RESTARTED)]
        await pass_by(stand, 200)
        first, second = await past(stand)
        assert (first.ended_ms, first.running_ms) == (NOW_MS, 2 * HOUR_MS)
        assert (second.run, second.told, second.phase) == (2, Told.READ, "Completed")
        assert second.running_ms == 2 * HOUR_MS + 12 * MINUTE_MS
        assert second.ended_ms == NOW_MS + 20 * MINUTE_MS + second.running_ms

    priced(act, ends_in(12), text=NONE)


def test_a_run_between_two_walks():
    """
    A run that began and ended between two walks is recorded beside the one before.
    """

    async def act(stand):
        stand.clock.seconds += 600
        stand.world.restart("job-1").end_time_ms = NOW_MS + 15 * MINUTE_MS
        await pass_by(stand, 10)
        first, second = await past(stand)
        assert [(one.run, one.told) for one in (first, second)] == [(1, Told.RESTARTED), (2, Told.READ)]
        assert (second.ended_ms, second.running_ms) == (NOW_MS + 15 * MINUTE_MS, 5 * MINUTE_MS)

    priced(act, ends_in(600), text=NONE)


def test_a_clock_that_is_corrected_is_no_second_run():
    """
    Readings that run ahead and are corrected at the end count once: what fell is not paid for twice.
    """

    async def act(stand):
        await pass_by(stand, 1)
        stand.world.knobs = replace(stand.world.knobs, duration="ticks")
        await pass_by(stand, 1)
        await pass_by(stand, 20)
        (run,) = await past(stand)
        assert run.running_ms == 2 * HOUR_MS + 12 * MINUTE_MS

    priced(act, ends_in(12), text=NONE, knobs={"duration": "ahead"})


@pytest.mark.parametrize("when", ["before the walk", "after the walk", "after the read"])
def test_a_crash_loses_and_doubles_nothing(when):
    """
    Whenever the process dies, the next one records the end, once.
    """

    async def act(stand):
        stand.clock.seconds += 20 * 60
        if when != "before the walk":
            await stand.walk()
        if when == "after the read":
            await stand.read_ends()
        await stand.http.aclose()
        stand.begin()
        stand.view.terms = Terms(prices=BOOK)
        await stand.cycle.recall.fill(stand.target, stand.cycle.deadlines["lab"])
        await Endings(cycle=stand.cycle, clock=stand.clock).fill(stand.target)
        await pass_by(stand, 1)
        await pass_by(stand, 1)
        assert [(run.run, run.phase, f"{run.cost:f}") for run in await past(stand)] == [(1, "Completed", "6.6")]

    priced(act, ends_in(12), text=NONE)


def test_a_ledger_that_fails_is_tried_again():
    """
    An end that cannot be written stays to be read, and is recorded by a later turn.
    """

    async def act(stand):
        stand.clock.seconds += 20 * 60
        await stand.walk()
        await stand.raw.write(
            "forbid",
            lambda at: at.exec_driver_sql(
                "CREATE TRIGGER t BEFORE INSERT ON history BEGIN SELECT RAISE(ABORT, 'no room'); END"
            ),
        )
        with pytest.raises(LedgerUnusable, match="cannot record the ends of jobs: no room"):
            await stand.read_ends()
        await stand.raw.write("allow", lambda at: at.exec_driver_sql("DROP TRIGGER t"))
        await stand.read_ends()
        assert len(await past(stand)) == 1

    priced(act, ends_in(12), text=NONE)


def test_what_cannot_be_read_is_read_later():
    """
    A service that fails for one job delays that end alone, and not for ever.
    """

    async def act(stand):
        stand.clock.seconds += 20 * 60
        await stand.walk()
        shown = len(stand.calls.of("show"))
        stand.hooks.statuses["show"] = 403
        await stand.read_ends()
        assert await past(stand) == []
        del stand.hooks.statuses["show"]
        await stand.read_ends()
        assert len(stand.calls.of("show")) == shown + 2
        stand.clock.seconds += AGAIN_MS / 1000
        await stand.read_ends()
        assert len(await past(stand)) == 2

    priced(act, ends_in(12), ends_in(13, "job-2"), text=NONE)


def test_a_job_that_is_back_is_not_over():
    """
    A job that left the list and runs on has no end, and is not watched because of the reading of its end.
    """

    async def act(stand):
        stand.world.restart("job-1")
        stand.clock.seconds += 60
        one = stand.view.drop(KEY)
        stand.cycle.remembering.left[KEY] = one
        await stand.cycle.remembering.write()
        await stand.read_ends()
        assert await past(stand) == []
        assert KEY not in stand.view.watched
        await pass_by(stand, 1)
        assert KEY in stand.view.watched
        stand.clock.seconds += AGAIN_MS / 1000
        await stand.read_ends()
        assert stand.cycle.remembering.ends == {"lab": {}}
        assert [run.told for run in await past(stand)] == [Told.RESTARTED]

    priced(act, ends_in(600), text=NONE)


def test_a_process_without_the_lease_records_nothing():
    """
    While another process holds the ledger, ends are neither read nor written.
    """

    async def act(stand):
        stand.clock.seconds += 20 * 60
        await stand.walk()
        stand.lease.holding = False
        await stand.read_ends()
        assert (await past(stand), len(stand.calls.of("show"))) == ([], 0)

    priced(act, ends_in(12), text=NONE)


def test_jobs_of_another_scope_are_recorded_as_last_known():
    """
    Jobs on record that do not belong to the target any more have an end that says so.
    """

    async def act(stand):
        key = replace(KEY, project_id="elsewhere", job_id="job-9")
        part = Resource(billing_code="modelarts.vm.gpu.p100.eco", unit_num=1, node_count=1)
        job = Job(key=key, target="lab", read_at_ms=NOW_MS, phase="Running", duration_ms=HOUR_MS, resources=(part,))
        await stand.raw.remember([observe(None, job)], facts={key: job})
        stand.cycle.recall.strangers["lab"] = [key]
        await stand.walk()
        (run,) = await past(stand)
        assert (run.key, run.told, run.ended_ms, run.running_ms) == (key, Told.UNWATCHED, NOW_MS, HOUR_MS)
        assert key not in {job.key for job, _ in await stand.raw.known("lab")}

    priced(act, ends_in(600), text=NONE)


def test_a_scan_reads_what_left_since_the_last_one():
    """
    A process that walks once finds on record what left, and records how it ended; what it just read it leaves alone.
    """

    async def act(stand):
        await stand.http.aclose()
        stand.clock.seconds += 20 * 60
        stand.begin()
        inventory = await stand.walk()
        await Endings(cycle=stand.cycle, clock=stand.clock).sweep(stand.target, inventory)
        assert [run.key.job_id for run in await past(stand)] == ["job-1"]
        assert [job.key.job_id for job, _ in await stand.raw.known("lab")] == ["job-2"]

    priced(act, ends_in(12), ends_in(600, "job-2"), text=NONE)


def test_old_runs_and_memories_go():
    """
    What is older than it is to be kept is dropped, the history by its own age.
    """

    async def act(stand):
        await pass_by(stand, 20)
        keep = Keep(ended_ms=DAY_MS, history_ms=2 * DAY_MS, findings_ms=3 * DAY_MS)
        endings = Endings(cycle=stand.cycle, clock=stand.clock, keep=keep)
        found = Finding(key=KEY, target="lab", run=1, policy="p", reason="paused", text="", deadline_ms=None)
        await stand.raw.record([found], at_ms=stand.target.source.now_ms())
        stand.clock.seconds += 86_401
        await endings.forget(stand.target)
        assert (len(await past(stand)), await stand.raw.sightings([KEY])) == (1, {})
        stand.clock.seconds += 86_400
        await endings.forget(stand.target)
        assert (await past(stand), len(await stand.raw.findings())) == ([], 1)
        stand.clock.seconds += 86_400
        await endings.forget(stand.target)
        assert (await stand.raw.findings(), await stand.raw.finding_counts()) == ([], {("p", "paused"): 1})

    priced(act, ends_in(12), text=NONE)


def test_facts_of_another_version_are_no_obstacle():
    """
    A job whose facts cannot be read any more has an end all the same.
    """

    async def act(stand):
        stand.clock.seconds += 20 * 60
        await stand.walk()
        await stand.raw.write("spoil", lambda at: at.exec_driver_sql("UPDATE sightings SET facts = '[0]'"))
        await stand.read_ends()
        (run,) = await past(stand)
        assert (run.phase, run.running_ms, run.ended_ms) == (
            "Completed",
            2 * HOUR_MS + 12 * MINUTE_MS,
            NOW_MS + 12 * MINUTE_MS,
        )

    priced(act, ends_in(12), text=NONE)


def test_the_daemon_reads_ends():
    """
    A running daemon finds by its walk that a job which an earlier one knew is gone, and records its end.
    """

    async def act(stand, daemon):
        await stand.cycle.walk(stand.target)
        stand.world.job("job-1").end_time_ms = stand.world.now_ms
        async with daemon.running():
            while not await past(stand):  # noqa: ASYNC110 - a row in the ledger has no event
                await asyncio.sleep(0.01)
        assert [(run.key.job_id, run.phase, run.told) for run in await past(stand)] == [("job-1", "Completed", Told.READ)]
        assert daemon.service.failing == {}

    on_daemon(act, running(hours=2), running("job-2", hours=2), text=NONE)
