"""
Every limit through the whole cycle over the simulator: that it really limits, across restarts and races, and when it has
room again.
"""

import asyncio
from fractions import Fraction

import pytest
from daemon_stand import NOW_MS, ONE_DAY, on_stand, running

from guard.core.breaker import BreakerRules
from guard.core.fields import Terms
from guard.core.limits import Limits
from guard.core.price import plain_book
from guard.core.protocol import State
from guard.core.records import Quota
from guard.simulator import FLAVORS, Fault
from tests.changing import replace

NO_LIMITS = Limits(max_terminations=None, max_percent_of_running=None)
# A rate of 7 for each node of the economic P100 with two units, and nothing known of others.
PRICED = plain_book("CNY", {"modelarts.vm.gpu.p100.eco": Fraction("3.50")})
SECOND = """
  - name: second
    mode: enforce
    match: {name: second, duration: {gt: 1h}}
"""


def several(count=6, **facts):
    """
    Return that many jobs that break the policy, the oldest first.
    """
    return [running(f"job-{index}", hours=50 - index, **facts) for index in range(count)]


def held(findings):
    """
    Return why jobs are held back: job, reason and the name of the limit.
    """
    return sorted((one.key.job_id, one.reason) for _, one in findings)


@pytest.mark.parametrize(
    ("limits", "other"),
    [
        pytest.param(replace(NO_LIMITS, max_per_policy=2), {"name": "second", "hours": 2}, id="policy"),
        pytest.param(replace(NO_LIMITS, max_per_user=2), {"user": "another"}, id="user"),
    ],
)
def test_one_limit_leaves_room_to_others(limits, other):
    """
    Two of six are ended, the oldest deadlines first, and beside them what the limit is not about; a restart changes nothing.
    """

    async def act(stand):
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-0", "job-1", "other"]
        assert held(await stand.raw.findings()) == [(f"job-{n}", "limit") for n in range(2, 6)]
        (name,) = {one.text.rpartition(", ")[2].split()[0] for _, one in await stand.raw.findings()}
        assert stand.value("limit_used_ratio", limit=name) == 1
        await stand.http.aclose()
        stand.begin()
        await stand.walk()
        assert len(stand.accepted()) == 3
        stand.clock.seconds += 3_600
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-0", "job-1", "job-2", "job-3", "other"]

    on_stand(act, *several(), running("other", **other), limits=limits, text=ONE_DAY + SECOND)


def test_users_who_cannot_be_read_are_one():
    """
    Jobs without a user share the room of one user.
    """

    async def act(stand):
        await stand.walk()
        assert len(stand.accepted()) == 1

    on_stand(act, *several(3, user=""), limits=replace(NO_LIMITS, max_per_user=1))


def test_a_target_limit():
    """
    One target has its own room, by its project: another name for it gets none.
    """

    async def act(stand):
        await stand.walk()
        assert len(stand.accepted()) == 2
        await stand.http.aclose()
        stand.names = ("renamed",)
        stand.begin()
        await stand.walk()
        assert len(stand.accepted()) == 2
        assert stand.value("limit_used_ratio", limit="max_per_target") == 1

    on_stand(act, *several(), limits=replace(NO_LIMITS, max_per_target=2))


def test_a_share_of_the_cards():
    """
    Of the cards that run a share may be freed, but those of three jobs always; a stale inventory frees none.
    """

    async def act(stand):
        await stand.walk()
        cards = sum(one.draft.cards for one in await stand.raw.intents())
        assert (len(stand.accepted()), cards) == (4, 4 * ECO_CARDS)
        assert stand.value("limit_used_ratio", limit="max_percent_of_cards") == pytest.approx(1)
        stand.clock.seconds += 3 * 3_600
        await stand.cycle.decide_all()
        assert {one.reason for _, one in await stand.raw.findings()} == {"limit", "stale_inventory"}
        assert len(stand.accepted()) == 4

    on_stand(act, *several(8), limits=replace(NO_LIMITS, max_percent_of_cards=Fraction(50)))


ECO_CARDS = FLAVORS["modelarts.vm.p100.large.eco"].cards


def test_a_large_job_does_not_fit_beside_others():
    """
    A job with most of the cards waits, once three have ended, while small ones still go.
    """

    async def act(stand):
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-0", "job-1", "job-2", "small"]
        assert held(await stand.raw.findings()) == [("large", "limit")]

    large = running("large", hours=40, node_count=30)
    limits = replace(NO_LIMITS, max_percent_of_cards=Fraction(25))
    on_stand(act, *several(3), large, running("small", hours=30), limits=limits)


def test_money_per_hour():
    """
    The jobs that end cost no more per hour together than the limit says, and one whose cost is not known waits.
    """

    async def act(stand):
        stand.view.take_policies(stand.set, now_ms=NOW_MS, terms=Terms(prices=PRICED))
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-0", "job-1"]
        assert stand.value("limit_used_ratio", limit="max_cost_rate") == pytest.approx(float(2 * RATE / (2 * RATE + 1)))
        stand.view.take_policies(stand.set, now_ms=NOW_MS, terms=Terms())
        stand.clock.seconds += 3_601
        await stand.walk()
        assert len(stand.accepted()) == 2
        text = "the cost rate of the job is not known, so it does not fit into max_cost_rate"
        assert [one[0].text for one in stand.cycle.held.values()] == [text] * 4

    on_stand(act, *several(), limits=replace(NO_LIMITS, max_cost_rate=2 * RATE + 1))


RATE = Fraction("3.50") * FLAVORS["modelarts.vm.p100.large.eco"].unit_num


def test_cycles_that_race_for_the_last_place():
    """
    However many cycles run at once, and whoever else opens intents, the last place is given once.
    """

    async def act(stand):
        race = [stand.cycle.walk(stand.target) for _ in range(4)] + [stand.cycle.decide_all() for _ in range(4)]
        await asyncio.gather(*race)
        await stand.settle()
        assert len(stand.accepted()) == 1

    on_stand(act, *several(), limits=replace(NO_LIMITS, max_per_policy=1))


def test_a_place_that_another_took_between_plan_and_record():
    """
    The place counts in the intent's own transaction: an act that came in between leaves none.
    """

    async def act(stand):
        async def another():
            draft = replace(drafts[0], key=replace(drafts[0].key, job_id="elsewhere"))
            await stand.raw.open_intent(draft, at_ms=NOW_MS, quota=None)

        drafts = []
        opening = stand.raw.open_intent

        async def seen(draft, *, at_ms, quota):
            assert quota == Quota(total=None, since_ms=quota.since_ms, bounds=quota.bounds)
            if not drafts:
                drafts.append(draft)
                await another()
            return await opening(draft, at_ms=at_ms, quota=quota)

        stand.ledger.inner = Instead(stand.raw, open_intent=seen)
        await stand.walk()
        assert (stand.sent(), held(await stand.raw.findings())) == (0, [("job-0", "limit")])

    on_stand(act, *several(1), limits=replace(NO_LIMITS, max_per_policy=1))


def refuse(stand):
    """
    Have the service refuse every terminate call.
    """
    faults = (Fault(operation="terminate", kind="status", status=403, code="ModelArts.0203"),)
    stand.world.knobs = replace(stand.world.knobs, faults=faults)


class Instead:
    """
    A ledger with one method of the test's own, and the ledger otherwise.
    """

    def __init__(self, inner, **own):
        self._inner = inner
        self._own = own

    def __getattr__(self, name):
        return self._own.get(name) or getattr(self._inner, name)


@pytest.mark.parametrize("limit", ["max_terminations", "max_per_policy", "max_per_user", "max_per_target"])
def test_an_intent_of_long_ago_that_is_sent_again_counts(limit):
    """
    What an earlier process left refused hours ago is sent again after the start, and takes its place in the window then.
    """

    async def act(stand):
        refuse(stand)
        await stand.walk()
        draft = (await stand.intent()).draft
        opened = await stand.raw.open_intent(draft, at_ms=NOW_MS, quota=None)
        for state in (State.SENDING, State.DENIED):
            await stand.raw.advance(opened.number, state, at_ms=NOW_MS)
        await stand.http.aclose()
        stand.world.knobs = replace(stand.world.knobs, faults=())
        stand.clock.seconds += 3 * 3_600
        stand.begin()
        stand.world.add(running("next", hours=30))
        await stand.cycle.resume()
        await stand.walk()
        assert stand.accepted() == ["job-0"]
        stand.clock.seconds += 60
        await stand.walk()
        assert stand.accepted() == ["job-0"]

    on_stand(act, *several(1), limits=replace(NO_LIMITS, **{limit: 1}))


@pytest.mark.parametrize("limit", ["max_per_policy", "max_per_user", "max_per_target"])
def test_resume_with_a_limit_that_was_set_since(limit):
    """
    Whoever sets a limit and starts anew stops what an earlier process intended beyond it, the latest deadlines first.
    """

    async def act(stand):
        refuse(stand)
        await stand.walk()
        for number in (1, 2, 3):
            await stand.raw.open_intent((await stand.intent(number)).draft, at_ms=NOW_MS, quota=None)
        await stand.http.aclose()
        stand.world.knobs = replace(stand.world.knobs, faults=())
        stand.limits = replace(NO_LIMITS, **{limit: 2})
        stand.clock.seconds += 3 * 3_600
        stand.begin()
        await stand.cycle.resume()
        await stand.settle()
        assert sorted(stand.accepted()) == ["job-0", "job-1"]
        (held_back,) = [one for one in await stand.raw.intents() if one.outcome == "held_back"]
        assert held_back.note.startswith("limit: 2 terminations")

    on_stand(act, *several(3))


FIRST = BreakerRules(match_jump=None)


def test_a_new_policy_waits_for_a_person():
    """
    It acts on three jobs, across restarts and a change to observe and back, and goes on once a person said so.
    """

    async def act(stand):
        await stand.walk()
        assert sorted(stand.accepted()) == ["job-0", "job-1", "job-2"]
        assert {one.reason for _, one in await stand.raw.findings()} == {"first_enforce"}
        assert stand.value("held_back_jobs", policy="one-day", reason="first_enforce") == 3
        assert stand.value("limit_used_ratio", limit="first_enforce") == 1
        stand.take(ONE_DAY.replace("enforce", "observe"))
        await stand.walk()
        await stand.http.aclose()
        stand.set = stand.set.__class__()
        stand.begin()
        stand.take(ONE_DAY)
        stand.clock.seconds += 10 * 86_400
        await stand.walk()
        assert len(stand.accepted()) == 3
        stand.take(ONE_DAY.replace("24h", "25h"))
        await stand.walk()
        assert len(stand.accepted()) == 6

    on_stand(act, *several(6), breaker=FIRST)
