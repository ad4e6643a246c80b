"""
One plan for all who ask while another one is made.
"""

import asyncio
import contextlib
from dataclasses import replace as changed

import pytest
from daemon_stand import ONE_DAY, on_stand, running
from msgspec.structs import replace
from test_cycle import key_of

from guard.core.facts import JobKey
from guard.daemon.joint import Joint
from guard.errors import LeaseLost, LedgerUnusable
from guard.simulator import Fault

DAY_MS = 86_400_000
TELL = """
  - name: tell
    mode: enforce
    action: notify
    match: {billing_code: modelarts.vm.gpu.p100.eco, duration: {gt: 1h}}
"""


class Acts:
    """
    Notes what each act was about, and waits in it until it may end.
    """

    def __init__(self):
        self.about, self.may_end, self.failing = [], asyncio.Event(), None
        lock = asyncio.Lock()
        self.joint = Joint(acted=self.act, turn=lambda: lock)

    async def act(self, keys):
        self.about.append(keys)
        await self.may_end.wait()
        if self.failing is not None:
            raise self.failing
        return len(self.about)

    async def begun(self, *asked):
        """
        Return a task for each asked of these, all of which have asked.
        """
        tasks = [asyncio.create_task(self.joint(keys)) for keys in asked]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks


def on_acts(act):
    """
    Run *act* with acts of which none is on its way.
    """

    async def run():
        await act(Acts())

    asyncio.run(run())


def test_those_who_ask_meanwhile_share_the_next():
    """
    What twenty ask for while one act is on its way is done by one more, each job once.
    """

    async def act(acts):
        first = await acts.begun(["a"])
        rest = await acts.begun(*[[f"job-{n}", "b"] for n in range(20)])
        acts.may_end.set()
        assert await asyncio.gather(*first, *rest) == [1] + [2] * 20
        assert acts.about == [["a"], ["job-0", "b", *(f"job-{n}" for n in range(1, 20))]]
        assert await acts.joint(["c"]) == 3

    on_acts(act)


def test_one_that_is_cancelled_takes_nothing_from_the_others():
    """
    The act goes on, with what the cancelled one asked for, and whoever has to know when it is over can wait for that.
    """

    async def act(acts):
        left, right = await acts.begun(["a"], ["b"])
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        quiet = asyncio.create_task(acts.joint.quiet())
        await asyncio.sleep(0)
        assert (acts.about, quiet.done()) == ([["a", "b"]], False)
        acts.may_end.set()
        await quiet
        assert await right == 1

    on_acts(act)


def test_a_failure_is_told_to_all_and_ends_with_them():
    """
    Everybody who shared the act gets what it raised; the next one begins anew.
    """

    async def act(acts):
        acts.failing = LedgerUnusable("a test")
        tasks = await acts.begun(["a"], ["b"])
        acts.may_end.set()
        for task in tasks:
            with pytest.raises(LedgerUnusable, match="a test"):
                await task
        acts.failing = None
        assert await acts.joint(["c"]) == 2
        assert acts.about == [["a", "b"], ["c"]]
        await acts.joint.quiet()

    on_acts(act)


def test_each_is_told_of_its_own_jobs():
    """
    Two acts at once are planned together, and each returns what is about its own jobs.
    """

    async def act(stand):
        await stand.cycle.walk(stand.target)
        old, other = await asyncio.gather(
            stand.cycle.act([key_of(stand, "old"), key_of(stand, "young")]), stand.cycle.act([key_of(stand, "other")])
        )
        assert [one.key.job_id for one in old.held] == ["old"]
        assert [one.key.job_id for one in other.held] == ["other"]

    on_stand(act, running("old"), running("young", hours=1), running("other", hours=30), armed=False)


def test_a_target_that_is_lost_keeps_no_other_from_its_intents():
    """
    Of two hundred that are ordered together all but those of the lost target are on record, and driven.
    """

    async def act(stand):
        lost = key_of(stand, "job-000")
        record = stand.ledger.open_intent

        async def open_intent(draft, **options):
            if draft.key == lost:
                raise LeaseLost("another replica has it")
            return await record(draft, **options)

        stand.ledger.open_intent = open_intent
        with contextlib.suppress(LeaseLost):
            await stand.cycle.walk(stand.target)
            pytest.fail("nothing was raised")
        assert len(await stand.raw.open_intents()) == 199

    on_stand(act, *(running(f"job-{n:03}", hours=250 - n) for n in range(200)))


class Elsewhere:
    """
    A source whose service has a clock of its own, a day ahead.
    """

    def __init__(self, source):
        self.source = source

    def now_ms(self):
        return self.source.now_ms() + DAY_MS

    def offset_s(self):
        return 86_400.0

    def __getattr__(self, name):
        return getattr(self.source, name)


async def nobody(jobs):
    """
    Take in nothing.
    """


def from_elsewhere(job, **changes):
    """
    The same job of another project.
    """
    key = JobKey(region="elsewhere", project_id="another", job_id="foreign")
    return replace(job, key=key, target="other", **changes)


def test_a_clock_that_is_ahead_hastens_no_other_target():
    """
    A job that a target's refusal makes wait waits by that target's time, whoever shares the plan.
    """

    async def act(stand):
        stand.world.knobs = changed(stand.world.knobs, faults=(Fault(operation="terminate", kind="status", status=403),))
        await stand.walk()
        key, calls = key_of(stand), stand.sent()
        ahead = stand.targets["other"] = changed(stand.targets["other"], source=Elsewhere(stand.targets["other"].source))
        job = stand.view.watched[key].job
        foreign = from_elsewhere(job, read_at_ms=job.read_at_ms + DAY_MS)
        stand.view.take([foreign], now_ms=ahead.source.now_ms())
        stand.clock.seconds += 60
        stand.view.decide_again([key], now_ms=stand.target.source.now_ms())
        own, other = await asyncio.gather(stand.cycle.act([key]), stand.cycle.act([foreign.key]))
        assert [one.reason for one in own.held] == ["retry_later"]
        assert [one.reason for one in other.held] == ["clock"]
        await stand.settle()
        assert stand.sent() == calls
        recorded = {finding.key: at_ms for at_ms, finding in await stand.raw.findings()}
        assert recorded[foreign.key] - recorded[key] > DAY_MS / 2

    on_stand(act, running(), targets=("lab", "other"))


def test_one_targets_failure_is_not_anothers():
    """
    Who shared a plan with a target whose lease was lost gets what was planned for it, and its findings are on record.
    """

    async def act(stand):
        (job,) = await stand.read()
        await stand.targets["other"].source.walk(nobody)
        now_ms = stand.target.source.now_ms()
        foreign = from_elsewhere(job)
        stand.view.take([job, foreign], now_ms=now_ms)
        record = stand.ledger.open_intent

        async def open_intent(draft, **options):
            if draft.key == foreign.key:
                raise LeaseLost("another replica has it")
            return await record(draft, **options)

        stand.ledger.open_intent = open_intent
        ends = await asyncio.gather(stand.cycle.act([foreign.key]), stand.cycle.act([job.key]), return_exceptions=True)
        assert isinstance(ends[0], LeaseLost)
        assert [one.key for one in ends[1].orders] == [job.key]
        assert {finding.key for _, finding in await stand.raw.findings()} == {job.key, foreign.key}

    on_stand(act, running(), targets=("lab", "other"), text=ONE_DAY + TELL)


def test_findings_of_a_lost_target_keep_no_others_from_the_record():
    """
    Each target's findings are recorded for themselves, and only whoever asked about the lost one is told.
    """

    async def act(stand):
        (job,) = await stand.read()
        foreign = from_elsewhere(job)
        stand.view.take([job, foreign], now_ms=stand.target.source.now_ms())
        record = stand.ledger.record

        async def recorded(findings, **options):
            if any(one.key == foreign.key for one in findings):
                raise LeaseLost("another replica has it")
            return await record(findings, **options)

        stand.ledger.record = recorded
        ends = await asyncio.gather(stand.cycle.act([foreign.key]), stand.cycle.act([job.key]), return_exceptions=True)
        assert isinstance(ends[0], LeaseLost)
        assert [one.reason for one in ends[1].notices] == ["notify"]
        assert [finding.key for _, finding in await stand.raw.findings()] == [job.key]

    on_stand(act, running(hours=2), targets=("lab", "other"), text=ONE_DAY + TELL)


def test_a_pause_file_that_comes_while_the_ledger_is_asked(tmp_path):
    """
    The gate looks at it after the answers of a slow ledger, too.
    """
    path = tmp_path / "pause"

    async def act(stand):
        class Slow:
            async def unclosed(self):
                await asyncio.sleep(0.05)
                path.touch()
                return []

        stand.ledger.breaker = Slow()
        stand.ledger.nothing_stops = lambda: False
        hold = await stand.enforcer.gate.closed(stand.target)
        assert hold is not None
        assert hold.reason == "paused"

    on_stand(act, running(), pause_file=path)
