"""
Answers that are old, doubled or another's: what the service shows of a job is not what the job is, and no kill rests on it.
"""

import pytest
from daemon_stand import HOUR_MS, OBSERVED, ONE_DAY, on_stand, running

from guard.simulator import Fault
from tests.changing import replace

LAG_S = 30.0
STALE = Fault(operation="show", kind="stale", seconds=LAG_S)
KEEP = ONE_DAY + (
    "exemptions:\n  - {name: kept, match: {annotation.keep: 'yes'}, reason: a test, owner: alice, until: 2099-01-01}\n"
)


def faulty(stand, *faults):
    """
    Put faults in place of those that were there.
    """
    stand.world.knobs = replace(stand.world.knobs, faults=faults)


async def planned(stand):
    """
    Let the guard plan again what it holds of the target, as a look does, to the end of what that begins.
    """
    await stand.cycle.look(stand.target, waiting=False)
    await stand.settle()
    await stand.cycle.look(stand.target, waiting=False)
    await stand.settle()


def test_a_restarted_job_survives_a_copy_that_lags():
    """
    A job that broke the policy is started anew; the list shows it, but every reading of the job shows the old run for half a
    minute more. The new run is not ended for the old one, by any number of tries.
    """

    async def act(stand):
        stand.world.restart("job-1")
        stand.clock.seconds += 5
        await stand.cycle.walk(stand.target)
        faulty(stand, STALE)
        for _ in range(4):
            # Whatever makes the guard read the job itself: an own reading that the view takes in, then its deadlines.
            job = await stand.target.source.read("job-1")
            await stand.cycle.act(await stand.cycle.take(stand.target, [job]))
            await stand.settle()
            await planned(stand)
            stand.clock.seconds += 2
        assert stand.accepted() == []
        assert stand.view.watched[job.key].seen.run == 1
        faulty(stand)
        await stand.walk()
        assert stand.accepted() == []

    on_stand(act, running("job-1", hours=25.0))


def test_an_intent_is_not_carried_out_on_a_lagging_answer():
    """
    The job is started anew while its termination is on the way; the walk that ends meanwhile knows, the reading lags. It is
    read until the copy has caught up, and then spared.
    """

    async def act(stand):
        async def started_anew():
            stand.clock.seconds += 3
            stand.world.restart("job-1")
            stand.clock.seconds += 3
            jobs = await stand.read()
            stand.view.take(jobs, now_ms=stand.target.source.now_ms())
            faulty(stand, STALE)

        stand.hooks.after("intended", started_anew)
        await stand.walk()
        assert stand.accepted() == []
        intent = await stand.intent()
        assert (intent.outcome.value, intent.sent) == ("no_longer_matches", False)
        assert "started anew" in intent.note
        assert stand.clock.slept

    on_stand(act, running("job-1", hours=25.0))


def test_a_copy_that_never_catches_up_ends_the_try():
    """
    If every answer stays older than what is known, nothing is sent, and the outcome names the contradiction.
    """

    async def act(stand):
        async def started_anew():
            stand.world.restart("job-1")
            stand.clock.seconds += 3
            stand.view.take(await stand.read(), now_ms=stand.target.source.now_ms())
            faulty(stand, replace(STALE, seconds=3_600.0))

        stand.hooks.after("intended", started_anew)
        await stand.walk()
        intent = await stand.intent()
        assert (intent.outcome.value, stand.sent()) == ("failed", 0)
        assert "the answer is older than what is known: its start lies 25h" in intent.note

    on_stand(act, running("job-1", hours=25.0))


def test_a_requeued_job_survives_a_copy_that_lags():
    """
    A job that waits for its new run is not ended because a lagging copy still shows the old run.
    """

    async def act(stand):
        stand.world.change("job-1", start_time_ms=stand.world.now_ms + HOUR_MS)
        stand.clock.seconds += 5
        await stand.cycle.walk(stand.target)
        faulty(stand, STALE)
        for _ in range(3):
            job = await stand.target.source.read("job-1")
            await stand.cycle.act(await stand.cycle.take(stand.target, [job]))
            await stand.settle()
            await planned(stand)
        assert stand.accepted() == []

    on_stand(act, running("job-1", hours=25.0))


@pytest.mark.parametrize("duration", ["ticks", "still", "zero"])
@pytest.mark.parametrize("when", ["asked", "before"])
def test_an_exemption_that_came_meanwhile_counts(when, duration):
    """
    An annotation that exempts the job comes by a list, before the job is read or while it is: one that lacks it is made
    again, whether or not the service's durations tell that it is old.
    """

    async def act(stand):
        stand.world.knobs = replace(stand.world.knobs, duration=duration)

        async def exempted():
            stand.clock.seconds += 1
            stand.world.change("job-1", annotations={"keep": "yes"})
            stand.clock.seconds += 1
            stand.view.take(await stand.read(), now_ms=stand.target.source.now_ms())

        if when == "asked":
            stand.hooks.before("show", exempted)
        else:
            stand.hooks.after("intended", exempted)
        faulty(stand, replace(STALE, seconds=4.0))
        await stand.walk()
        assert stand.accepted() == []
        intent = await stand.intent()
        assert (intent.outcome.value, intent.sent) == ("exempt", False)

    on_stand(act, running("job-1", hours=25.0), text=KEEP)


def test_a_lagging_copy_makes_no_restart_of_a_job_that_runs_on():
    """
    A reading that says less running time than is known is no new run: memory and kill stay those of the one run.
    """

    async def act(stand):
        await stand.walk()
        faulty(stand, STALE)
        stand.clock.seconds += 5
        job = await stand.target.source.read("job-1")
        await stand.cycle.take(stand.target, [job])
        assert stand.view.watched[job.key].seen.run == 1
        faulty(stand)
        stand.clock.seconds += 2 * 3_600
        await stand.walk()
        assert stand.accepted() == ["job-1"]

    on_stand(act, running("job-1", hours=23.0))


def test_a_stored_answer_is_no_reading():
    """
    An answer that is dated before it was asked for comes from a cache: it is asked for again, and nothing is sent on it.
    """

    async def act(stand):
        # The service's clock is known by then.
        await stand.cycle.walk(stand.target)
        await stand.settle()
        assert stand.accepted() == []
        stand.world.add(running("job-2", hours=25.0))
        faulty(stand, replace(STALE, kind="cached"))
        stand.clock.seconds += 31
        await stand.walk()
        assert stand.accepted() == []
        intent = await stand.intent()
        assert (intent.outcome.value, intent.sent) == ("failed", False)
        assert "it was stored" in intent.note
        stand.clock.seconds += 3_600
        faulty(stand, replace(STALE, kind="cached", times=1))
        await stand.walk()
        assert stand.accepted() == ["job-2"]

    on_stand(act, running("young", hours=1.0))


@pytest.mark.parametrize(("took_s", "ended"), [(4, True), (6, False), (19, False)])
def test_an_answer_that_took_long_is_no_reading(took_s, ended):
    """
    Whoever was started anew while the answer of the re-read was on its way is not ended for what it was before.
    """

    async def act(stand):
        await stand.cycle.walk(stand.target)
        await stand.settle()
        stand.world.add(running("job-2", hours=25.0))

        def on_its_way():
            if not ended:
                stand.world.restart("job-2")
            stand.clock.seconds += took_s

        stand.hooks.after("show", on_its_way)
        await stand.walk()
        assert stand.accepted() == (["job-2"] if ended else [])
        assert len([one for one in stand.calls.of("show") if one.job_id == "job-2"]) >= 2
        assert (await stand.intent()).outcome.value == ("confirmed" if ended else "no_longer_matches")

    on_stand(act, running("young", hours=1.0))


def test_a_lagging_copy_makes_no_restart_of_a_job_that_is_being_ended():
    """
    Readings of a job that was just ended, from a copy that lags, are waited out until it is read back as ended.
    """

    async def act(stand):
        await stand.cycle.walk(stand.target)
        stand.clock.seconds += 60
        stand.hooks.after("terminate", lambda: faulty(stand, STALE))
        stand.take(ONE_DAY)
        await stand.cycle.decide_all()
        await stand.settle()
        assert stand.accepted() == ["job-1"]
        assert [one.outcome.value for one in await stand.raw.intents()] == ["confirmed"]

    on_stand(act, running("job-1", hours=25.0), text=OBSERVED)


@pytest.mark.parametrize("kind", ["duplicated", "swapped"])
def test_the_answer_of_another_job_is_refused(kind):
    """
    Two terminations are on their way and each gets the other's answers: both are refused, and neither is acted on by them.
    """

    async def act(stand):
        faulty(stand, Fault(operation="show", kind=kind, seconds=0.2))
        await stand.walk()
        outcomes = {(await stand.intent(number)).outcome.value for number in (1, 2)}
        if kind == "swapped":
            assert outcomes == {"failed"}
            assert stand.accepted() == []
            assert "the answer is about job" in (await stand.intent(1)).note
        # Of duplicated ones the first is the job's own.
        assert len(stand.accepted()) <= 1
        faulty(stand)
        stand.clock.seconds += 3_600
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-1", "job-2"]

    on_stand(act, running("job-1", hours=25.0), running("job-2", hours=26.0))


def test_swapped_answers_to_terminations_end_the_right_jobs():
    """
    Answers to two terminate calls that come crossed change nothing: each job is read back by its own id.
    """

    async def act(stand):
        faulty(stand, Fault(operation="terminate", kind="swapped", seconds=0.2))
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-1", "job-2"]
        for number in (1, 2):
            assert (await stand.intent(number)).outcome.value == "confirmed"

    on_stand(act, running("job-1", hours=25.0), running("job-2", hours=26.0))


def test_a_reading_that_speaks_against_it_for_ever_does_not_keep_a_job():
    """
    A list that goes on to show an exemption which the job itself no longer has is believed for half a minute, not longer.
    """

    async def act(stand):
        async def exempted():
            stand.world.change("job-1", annotations={"keep": "yes"})
            stand.view.take(await stand.read(), now_ms=stand.target.source.now_ms())
            stand.world.change("job-1", annotations={})

        stand.hooks.after("intended", exempted)
        await stand.walk()
        assert stand.accepted() == ["job-1"]
        assert stand.clock.slept[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]

    on_stand(act, running("job-1", hours=25.0), text=KEEP)
