"""
What the port ``Ledger`` promises, over every implementation.
"""

from decimal import Decimal

import pytest
from ledger_cases import DRAFT, FINDING, HOSTILE, KEY, SIGHTING, draft_of, keyed, named, use

from guard.core.facts import JobKey
from guard.core.plan import Attempt
from guard.core.protocol import Outcome, State
from guard.core.records import Closing, Intent, Pause, Quota, Tally
from guard.errors import LedgerUnusable
from tests.changing import replace

HELD = Closing(outcome=Outcome.HELD_BACK, note="paused")
REFUSED = Closing(outcome=Outcome.REFUSED, note="no right")


async def opened(ledger, draft=DRAFT, at_ms=100):
    intent = await ledger.open_intent(draft, at_ms=at_ms, quota=None)
    assert intent is not None
    return intent


async def closed(ledger, draft, closing, at_ms=100):
    intent = await opened(ledger, draft, at_ms)
    return await ledger.close(intent.number, closing, at_ms=at_ms + 1)


def test_a_new_ledger_is_empty(url):
    """
    A ledger that was just made has nothing to tell.
    """

    async def work(ledger):
        assert await ledger.sightings([KEY]) == {}
        assert await ledger.sightings([]) == {}
        assert list(await ledger.findings()) == []
        assert list(await ledger.open_intents()) == []
        assert list(await ledger.intents()) == []
        assert list(await ledger.steps(1)) == []
        assert await ledger.attempts({named("nobody")}) == {}
        assert await ledger.used(since_ms=0) == 0
        assert list(await ledger.tallies()) == []
        assert await ledger.finding_counts() == {}
        assert await ledger.pause() is None

    use(url, work)


def test_an_intent_goes_through_its_states(url):
    """
    Every step is kept with its moment and note, in order, and the first moment of sending stays.
    """

    async def work(ledger):
        intent = await opened(ledger)
        assert intent == Intent(number=intent.number, draft=DRAFT, state=State.INTENDED, created_ms=100)
        number = intent.number
        sending = await ledger.advance(number, State.SENDING, at_ms=110)
        assert (sending.state, sending.sending_ms, sending.note) == (State.SENDING, 110, "")
        denied = await ledger.advance(number, State.DENIED, at_ms=115, note="throttled")
        assert (denied.state, denied.sending_ms, denied.note) == (State.DENIED, 110, "throttled")
        again = await ledger.advance(number, State.SENDING, at_ms=120)
        assert (again.state, again.sending_ms, again.note) == (State.SENDING, 110, "throttled")
        await ledger.advance(number, State.SENDING, at_ms=125)
        accepted = await ledger.advance(number, State.ACCEPTED, at_ms=2_130)
        assert (accepted.accepted_ms, accepted.lateness_ms) == (2_130, 130)
        assert list(await ledger.open_intents()) == [accepted]
        closing = Closing(outcome=Outcome.CONFIRMED, note="read back", cost=Decimal("1.10"), savings_upper=Decimal("2E+3"))
        end = await ledger.close(number, closing, at_ms=2_140)
        assert (end.state, end.outcome, end.closed_ms, end.note) == (State.CLOSED, Outcome.CONFIRMED, 2_140, "read back")
        assert list(await ledger.open_intents()) == []
        assert list(await ledger.intents()) == [end]
        assert list(await ledger.steps(number)) == [
            (100, "intended", ""),
            (110, "sending", ""),
            (115, "denied", "throttled"),
            (120, "sending", ""),
            (125, "sending", ""),
            (2_130, "accepted", ""),
            (2_140, "confirmed", "read back"),
        ]

    use(url, work)


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        pytest.param([], State.ACCEPTED, id="accepted-unsent"),
        pytest.param([], State.DENIED, id="denied-unsent"),
        pytest.param([], State.INTENDED, id="intended-twice"),
        pytest.param([], State.CLOSED, id="closed-without-outcome"),
        pytest.param([State.SENDING], State.INTENDED, id="back-to-intended"),
        pytest.param([State.SENDING, State.DENIED], State.ACCEPTED, id="accepted-after-denied"),
        pytest.param([State.SENDING, State.ACCEPTED], State.SENDING, id="sending-after-accepted"),
        pytest.param([State.SENDING, State.ACCEPTED], State.DENIED, id="denied-after-accepted"),
    ],
)
def test_states_go_forward_only(url, path, refused):
    """
    A step that may not follow is refused and leaves no trace.
    """

    async def work(ledger):
        number = (await opened(ledger)).number
        for state in path:
            await ledger.advance(number, state, at_ms=110)
        before, steps = await ledger.open_intents(), await ledger.steps(number)
        with pytest.raises(LedgerUnusable, match="may not follow"):
            await ledger.advance(number, refused, at_ms=120)
        assert (await ledger.open_intents(), await ledger.steps(number)) == (before, steps)

    use(url, work)


def test_a_closed_intent_stays_as_it_is(url):
    """
    An intent has one outcome, and no step after it.
    """

    async def work(ledger):
        end = await closed(ledger, DRAFT, REFUSED)
        with pytest.raises(LedgerUnusable, match=r"is closed \(refused\)"):
            await ledger.close(end.number, HELD, at_ms=300)
        with pytest.raises(LedgerUnusable, match=r"is closed \(refused\)"):
            await ledger.advance(end.number, State.SENDING, at_ms=300)
        assert list(await ledger.intents()) == [end]

    use(url, work)


def test_an_unknown_intent_is_an_error(url):
    """
    A number that was never given is named in the error.
    """

    async def work(ledger):
        with pytest.raises(LedgerUnusable, match="there is no intent 7"):
            await ledger.advance(7, State.SENDING, at_ms=1)
        with pytest.raises(LedgerUnusable, match="there is no intent 7"):
            await ledger.close(7, HELD, at_ms=1)

    use(url, work)


def test_a_job_has_one_open_intent(url):
    """
    A second open intent is refused for the same job only, and a closed one never blocks a later one.
    """

    async def work(ledger):
        first = await opened(ledger)
        assert await ledger.open_intent(DRAFT, at_ms=101, quota=None) is None
        for key in (replace(KEY, region="x"), replace(KEY, project_id="x"), replace(KEY, job_id="x")):
            await opened(ledger, replace(DRAFT, key=key))
        await ledger.close(first.number, HELD, at_ms=102)
        second = await opened(ledger, at_ms=103)
        assert second.number > first.number
        assert [one.draft.key.job_id for one in await ledger.open_intents()] == ["job-1", "job-1", "x", "job-1"]

    use(url, work)


def test_intents_are_listed_newest_first(url):
    """
    The list can be bounded, and narrowed to one job id.
    """

    async def work(ledger):
        for index in range(4):
            await closed(ledger, draft_of(f"job-{index % 2}"), HELD, at_ms=index)
        assert [one.created_ms for one in await ledger.intents()] == [3, 2, 1, 0]
        assert [one.created_ms for one in await ledger.intents(limit=2)] == [3, 2]
        assert [one.created_ms for one in await ledger.intents(job_id="job-0")] == [2, 0]
        assert list(await ledger.intents(job_id="job-9")) == []

    use(url, work)


def test_what_counts_against_the_limits(url):
    """
    Counted are intents whose newest call is on record at or after the moment, and open ones, whenever that was.
    """

    async def work(ledger):
        for job, sent_ms in (("before", (499,)), ("on-the-edge", (500,)), ("after", (501,)), ("again", (10, 500))):
            number = (await opened(ledger, draft_of(job))).number
            for at_ms in sent_ms:
                await ledger.advance(number, State.SENDING, at_ms=at_ms)
            await ledger.close(number, REFUSED, at_ms=950)
        await opened(ledger, draft_of("open-unsent"))
        await ledger.advance((await opened(ledger, draft_of("open-sent-before"))).number, State.SENDING, at_ms=1)
        await closed(ledger, draft_of("closed-unsent"), HELD)
        assert await ledger.used(since_ms=500) == (await ledger.breaker.window(since_ms=500)).total == 5
        assert await ledger.used(since_ms=499) == (await ledger.breaker.window(since_ms=499)).total == 6
        assert await ledger.open_intent(DRAFT, at_ms=1_000, quota=Quota(total=5, since_ms=500)) is None
        assert await ledger.open_intent(DRAFT, at_ms=1_000, quota=Quota(total=6, since_ms=500)) is not None

    use(url, work)


def test_a_full_quota_leaves_no_trace(url):
    """
    An intent without room is not recorded, and the job is free for a later one.
    """

    async def work(ledger):
        assert await ledger.open_intent(DRAFT, at_ms=1, quota=Quota(total=0, since_ms=0)) is None
        assert list(await ledger.intents()) == []
        await opened(ledger)

    use(url, work)


def test_attempts_tell_the_newest_of_each_job(url):
    """
    A job's newest closed intent counts the attempts of its run; what only the gate stopped is no attempt.
    """

    async def work(ledger):
        await closed(ledger, draft_of("twice", run=1), REFUSED, at_ms=10)
        await closed(ledger, draft_of("twice", run=2), REFUSED, at_ms=20)
        await closed(ledger, draft_of("twice", run=2), HELD, at_ms=30)
        await closed(ledger, draft_of("twice", run=2, fingerprint="f2"), REFUSED, at_ms=40)
        await closed(ledger, draft_of("held"), HELD, at_ms=50)
        await closed(ledger, draft_of("spared"), Closing(outcome=Outcome.EXEMPT, note="kept"), at_ms=60)
        await closed(ledger, draft_of("open-again"), REFUSED, at_ms=70)
        await opened(ledger, draft_of("open-again"), at_ms=80)
        jobs = ("twice", "held", "spared", "open-again", "nobody")
        assert await ledger.attempts({named(job) for job in jobs}) == {
            named("twice"): Attempt(run=2, fingerprint="f2", closed_ms=41, count=2),
            named("held"): Attempt(run=1, fingerprint="f1", closed_ms=51, count=1, retries_at_once=True),
            named("spared"): Attempt(run=1, fingerprint="f1", closed_ms=61, count=1, retries_at_once=True),
        }

    use(url, work)


def test_what_came_before_a_plan(url):
    """
    One answer holds who is busy and what was tried, of the jobs asked for, and what counts against the limits, of all.
    """

    async def work(ledger):
        await closed(ledger, draft_of("tried"), REFUSED, at_ms=10)
        await opened(ledger, draft_of("busy"), at_ms=20)
        await opened(ledger, draft_of("busy-unasked"), at_ms=30)
        await opened(ledger, replace(draft_of("x"), key=replace(named("tried"), region="elsewhere")), at_ms=40)
        before = await ledger.before({named("tried"), named("busy"), named("nobody")}, since_ms=0)
        assert (set(before.busy), set(before.attempts), before.window.total) == ({named("busy")}, {named("tried")}, 3)

    use(url, work)


def test_attempts_of_those_asked_for(url):
    """
    Only the jobs that are asked for are answered for, however many they are and whoever shares their id.
    """

    async def work(ledger):
        await closed(ledger, draft_of("wanted"), REFUSED, at_ms=10)
        await closed(ledger, draft_of("unwanted"), REFUSED, at_ms=20)
        await closed(ledger, replace(draft_of("x"), key=replace(named("wanted"), region="elsewhere")), REFUSED, at_ms=30)
        keys = {named("wanted"), *(named(f"job-{number}") for number in range(1_200))}
        assert list(await ledger.attempts(keys)) == [named("wanted")]
        assert await ledger.attempts(set()) == {}

    use(url, work)


def test_tallies_are_exact(url):
    """
    Totals are grouped by target, policy, outcome and currency, and money adds up to the last digit.
    """

    async def work(ledger):
        for job, saved in (("a", "0.1"), ("b", "0.2"), ("c", "1E+27"), ("d", "0.0000000000000000000000000003")):
            closing = Closing(outcome=Outcome.CONFIRMED, note="", savings_upper=Decimal(saved))
            await closed(ledger, draft_of(job), closing)
        await closed(ledger, draft_of("e", cards=None), REFUSED)
        await closed(ledger, draft_of("f", target="south", currency=""), REFUSED)
        await opened(ledger)
        name = {"policy": DRAFT.policy, "currency": "CNY"}
        total = Decimal("1000000000000000000000000000.3000000000000000000000000003")
        assert list(await ledger.tallies()) == [
            Tally(target="north", **name, outcome=Outcome.CONFIRMED, count=4, cards=96, savings_upper=total),
            Tally(target="north", **name, outcome=Outcome.REFUSED, count=1, cards=0, savings_upper=Decimal(0)),
            Tally(
                target="south",
                policy=DRAFT.policy,
                currency="",
                outcome=Outcome.REFUSED,
                count=1,
                cards=24,
                savings_upper=Decimal(0),
            ),
        ]

    use(url, work)


@pytest.mark.parametrize(
    "amount", ["0", "-0.00", "0.1", "123456789012345678901234567890.123456789012345678901234567890", "1E-30"]
)
def test_money_comes_back_exactly(url, amount):
    """
    Amounts keep every digit, their exponent and their sign.
    """

    async def work(ledger):
        closing = Closing(outcome=Outcome.CONFIRMED, note="", cost=Decimal(amount), savings_upper=Decimal(amount))
        end = await closed(ledger, replace(DRAFT, cost_per_hour="1/3"), closing)
        (again,) = await ledger.intents()
        assert again == end
        assert (str(again.cost), str(again.savings_upper), again.draft.cost_per_hour) == (amount, amount, "1/3")

    use(url, work)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_any_text_comes_back_as_it_went_in(url, text):
    """
    Whatever a job is called, a policy says or a service answers, it is kept and found again.
    """
    name = keyed(text, url)
    key = JobKey(region=name, project_id=name, job_id=name)

    async def work(ledger):
        draft = replace(DRAFT, key=key, policy=name, reason=text, facts={text: text}, workspace=text)
        number = (await opened(ledger, draft)).number
        await ledger.advance(number, State.SENDING, at_ms=1, note=text)
        end = await ledger.close(number, Closing(outcome=Outcome.REFUSED, note=text), at_ms=2)
        assert (end.draft, end.note) == (draft, text)
        assert list(await ledger.intents(job_id=name)) == [end]
        assert [note for _, _, note in await ledger.steps(number)] == ["", text, text]
        assert list(await ledger.attempts({key})) == [key]
        sighting = replace(SIGHTING, key=key, target=name, phase=text)
        await ledger.remember([sighting])
        assert await ledger.sightings([key]) == {key: sighting}
        finding = replace(FINDING, key=key, policy=name, reason=name, text=text, target=text)
        assert list(await ledger.record([finding], at_ms=1)) == [finding]
        assert list(await ledger.record([finding], at_ms=2)) == []
        assert await ledger.finding_counts() == {(name, name): 1}
        pause = Pause(reason=text, since_ms=1, by=text)
        await ledger.set_pause(pause)
        assert await ledger.pause() == pause

    use(url, work)


def test_findings_are_recorded_once(url):
    """
    A finding is new once per job, run, policy and reason, within one call too, whatever its text says later.
    """
    others = [replace(FINDING, **{name: value}) for name, value in (("run", 2), ("policy", "b"), ("reason", "c"))]

    async def work(ledger):
        assert list(await ledger.record([], at_ms=1)) == []
        assert list(await ledger.record([FINDING, others[0], FINDING], at_ms=1)) == [FINDING, others[0]]
        later = replace(FINDING, text="still", deadline_ms=None)
        assert list(await ledger.record([later, *others], at_ms=2)) == others[1:]
        assert list(await ledger.findings()) == [(2, others[2]), (2, others[1]), (1, others[0]), (1, FINDING)]
        assert list(await ledger.findings(limit=1)) == [(2, others[2])]
        assert await ledger.finding_counts() == {
            (FINDING.policy, "observe"): 2,
            ("b", "observe"): 1,
            (FINDING.policy, "c"): 1,
        }

    use(url, work)


def test_sightings_are_replaced_and_forgotten(url):
    """
    The memory of a job is the newest one given; forgetting spares the jobs seen at that very moment and other targets.
    """

    async def work(ledger):
        await ledger.remember([])
        south = replace(SIGHTING, key=named("s"), target="south")
        old = replace(SIGHTING, key=named("old"), last_seen_ms=19)
        await ledger.remember([SIGHTING, south, old])
        newer = replace(SIGHTING, run=3, reading_ms=None, ran=False, waiting_since_ms=5)
        await ledger.remember([SIGHTING, newer])
        every = [KEY, old.key, south.key]
        assert await ledger.sightings([KEY, old.key, named("nobody")]) == {KEY: newer, old.key: old}
        await ledger.forget("north", before_ms=20)
        assert await ledger.sightings(every) == {KEY: newer, south.key: south}
        assert await ledger.sightings([replace(KEY, region="elsewhere")]) == {}
        moved = replace(newer, target="south")
        await ledger.remember([moved])
        assert await ledger.sightings(every) == {KEY: moved, south.key: south}

    use(url, work)


def test_the_memory_of_many_jobs(url):
    """
    Ten thousand jobs are remembered, replaced and recorded as findings in one call each.
    """
    seen = [replace(SIGHTING, key=named(f"job-{index}")) for index in range(10_000)]
    found = [replace(FINDING, key=one.key) for one in seen]

    async def work(ledger):
        await ledger.remember(seen)
        await ledger.remember([replace(one, run=5) for one in seen])
        memory = await ledger.sightings([one.key for one in seen])
        assert len(memory) == 10_000
        assert {one.run for one in memory.values()} == {5}
        assert list(await ledger.record(found, at_ms=1)) == found
        assert list(await ledger.record(found, at_ms=2)) == []

    use(url, work)


def test_the_pause_is_one(url):
    """
    A pause replaces the one before it, and is lifted.
    """

    async def work(ledger):
        await ledger.set_pause(Pause(reason="release", since_ms=1, by="ann"))
        later = Pause(reason="audit", since_ms=2, until_ms=3)
        await ledger.set_pause(later)
        assert await ledger.pause() == later
        await ledger.set_pause(None)
        await ledger.set_pause(None)
        assert await ledger.pause() is None

    use(url, work)


def test_a_number_too_large_is_refused_and_nothing_is_lost(url):
    """
    A moment that no column holds is an error of that one call, and the ledger goes on.
    """

    async def work(ledger):
        with pytest.raises(LedgerUnusable, match="cannot take the memory of jobs"):
            await ledger.remember([SIGHTING, replace(SIGHTING, key=named("huge"), last_seen_ms=2**70)])
        assert await ledger.sightings([KEY, named("huge")]) == {}
        await ledger.remember([SIGHTING])
        assert await ledger.sightings([KEY]) == {KEY: SIGHTING}

    use(url, work)
