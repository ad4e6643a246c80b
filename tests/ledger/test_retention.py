"""
Old findings go, and what they add up to stays.
"""

from decimal import Decimal

import pytest
import sqlalchemy as sa
from ledger_cases import DRAFT, FINDING, HOSTILE, KEY, SIGHTING, draft_of, keyed, named, use

from guard.core.protocol import Outcome
from guard.core.records import Closing
from guard.ledger.tables import findings
from guard.ports.savings import Potential
from tests.changing import replace


async def saved(ledger, amounts):
    """
    Note of findings what they would have saved, by job, as the end of a run does.
    """

    def note(connection):
        for job_id, amount in amounts.items():
            changed = {"currency": "CNY", "potential": Decimal(amount)}
            connection.execute(sa.update(findings).where(findings.c.job_id == job_id).values(changed))

    await ledger.write("note savings", note)


def test_old_findings_go_in_portions_and_what_they_add_up_to_stays(url):
    """
    The oldest go first; counts and exact sums of money are the same before and after, however often some are dropped.
    """

    async def work(ledger):
        for index in range(6):
            await ledger.record([replace(FINDING, key=named(f"job-{index}"))], at_ms=index)
        await ledger.record([replace(FINDING, key=named("job-9"), reason="paused")], at_ms=9)
        await saved(ledger, {"job-0": "0.1", "job-1": "0.0000000002", "job-5": "1000"})
        counts, sums = await ledger.finding_counts(), await ledger.savings.counted()
        assert sums[0] == [
            Potential(target="north", policy=FINDING.policy, currency="CNY", amount=Decimal("1000.1000000002"))
        ]
        for limit, dropped, left in ((2, 2, 5), (2, 2, 3), (2, 1, 2), (2, 0, 2)):
            assert await ledger.history.forget_findings(before_ms=5, limit=limit) == dropped
            assert [at_ms for at_ms, _ in await ledger.findings()] == [9, 5, 4, 3, 2][:left]
            assert await ledger.finding_counts() == counts
            assert await ledger.savings.counted() == sums
        assert await ledger.history.forget_findings(before_ms=10, limit=100) == 2
        assert await ledger.findings() == []
        assert await ledger.finding_counts() == counts
        assert await ledger.savings.counted() == sums

    use(url, work)


def test_findings_of_remembered_jobs_stay(url):
    """
    A finding of a job that is still known is kept, whatever its age, so that it is not found and counted again.
    """

    async def work(ledger):
        await ledger.remember([SIGHTING])
        await ledger.record([FINDING, replace(FINDING, key=named("gone")), replace(FINDING, key=named("new"))], at_ms=1)
        assert await ledger.history.forget_findings(before_ms=2, limit=10) == 2
        assert [one.key for _, one in await ledger.findings()] == [KEY]
        await ledger.forget("north", before_ms=2**60)
        assert await ledger.history.forget_findings(before_ms=2, limit=10) == 1

    use(url, work)


def test_what_the_guard_did_stays(url):
    """
    No retention drops an intent or a step of it.
    """

    async def work(ledger):
        intent = await ledger.open_intent(DRAFT, at_ms=1, quota=None)
        end = await ledger.close(intent.number, Closing(outcome=Outcome.GONE, note=""), at_ms=2)
        await ledger.open_intent(draft_of("open"), at_ms=1, quota=None)
        await ledger.forget("north", before_ms=2**60)
        assert await ledger.history.forget(before_ms=2**60, limit=100) == 0
        assert await ledger.history.forget_findings(before_ms=2**60, limit=100) == 0
        assert end in await ledger.intents()
        assert len(await ledger.steps(intent.number)) == 2

    use(url, work)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_findings_of_any_name_go(url, text):
    """
    Whatever a policy is called, its findings are counted when they are gone.
    """

    async def work(ledger):
        name = keyed(text, url)
        await ledger.record([replace(FINDING, policy=name, target=name, text=text)], at_ms=1)
        await saved(ledger, {KEY.job_id: "1.5"})
        assert await ledger.history.forget_findings(before_ms=2, limit=1) == 1
        assert await ledger.finding_counts() == {(name, "observe"): 1}
        one = Potential(target=name, policy=name, currency="CNY", amount=Decimal("1.5"))
        assert await ledger.savings.counted() == ([one], [])

    use(url, work)
