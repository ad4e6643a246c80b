"""
The daemon as a whole on an event loop, with time sped up and real signals.
"""

import asyncio
import contextlib
import os
import signal
from datetime import UTC

import pytest
from daemon_stand import NONE, NOW, OBSERVED, ONE_DAY, on_stand, running

from guard.core.facts import JobKey
from guard.core.protocol import State
from guard.daemon.clocks import ScaledClock
from guard.daemon.endings import Endings
from guard.daemon.policies import policy_folder
from guard.daemon.schedule import Intervals
from guard.daemon.service import Service
from guard.errors import BadInput, LedgerUnusable
from guard.simulator import DEFAULT_PROJECT

PATIENCE_S = 20
NEVER = Intervals(walk_s=60_000, scan_s=60_000)


class Daemon:
    """
    A service over a stand, whose policy files are *text*.
    """

    def __init__(self, stand, text):
        self.text = text
        self.trouble = None
        self.polled = asyncio.Event()
        folder = policy_folder(read=self._read, zone=UTC)
        self.policies = folder.first()
        endings = Endings(cycle=stand.cycle, clock=stand.clock)
        parts = {"cycle": stand.cycle, "lease": stand.lease, "clock": stand.clock, "endings": endings}
        self.service = Service(folder=folder, intervals=NEVER, **parts)

    def _read(self):
        self.polled.set()
        if self.trouble is not None:
            raise self.trouble
        return [("p.yaml", self.text.encode())]

    @contextlib.asynccontextmanager
    async def running(self):
        """
        Run until the context ends, and then to the end of the service.
        """
        with self.service.signals():
            task = asyncio.create_task(self.service.run(self.policies))
            try:
                yield task
            finally:
                self.service.stop.set()
                async with asyncio.timeout(PATIENCE_S):
                    await task

    async def look(self):
        """
        Ask for a reload by signal and wait until the files were read and what came of it is done.
        """
        for _ in range(2):
            self.polled.clear()
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(PATIENCE_S):
                await self.polled.wait()


def event_after(stand, name, *, nth=1):
    """
    An event that is set after the n-th event of a name.
    """
    happened = asyncio.Event()
    stand.hooks.after(name, happened.set, nth=nth)
    return happened


def on_daemon(act, *jobs, text=ONE_DAY, speed=200.0, **options):
    """
    Run *act* with a daemon that is not started.
    """

    async def run(stand):
        async with asyncio.timeout(PATIENCE_S):
            await act(stand, Daemon(stand, text))

    on_stand(run, *jobs, text=text, clock=ScaledClock(speed=speed, origin=NOW), **options)


def test_reload_and_drain():
    """
    SIGHUP takes new policies at once and acts on them, and SIGTERM lets the intent on its way finish.
    """

    async def act(stand, daemon):
        walked, accepted = event_after(stand, "remember"), event_after(stand, "accepted")
        async with daemon.running() as task:
            await walked.wait()
            assert stand.sent() == 0
            daemon.text = ONE_DAY
            os.kill(os.getpid(), signal.SIGHUP)
            await accepted.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await task
        assert (await stand.intent()).outcome == "confirmed"
        assert await stand.raw.open_intents() == []
        assert stand.value("leader", target="lab") == 1
        assert stand.value("armed") == 1

    on_daemon(act, running(), text=OBSERVED)


def test_a_second_signal_ends_at_once():
    """
    A second SIGTERM waits for nothing; the intent stays open, as far as it came, for the next start.
    """

    async def act(stand, daemon):
        accepted = event_after(stand, "accepted")
        async with daemon.running() as task:
            await accepted.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            await task
        left = await stand.raw.open_intents()
        assert [one.state for one in left] == [State.ACCEPTED]
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running(), knobs={"terminate_seconds": 500_000}, speed=10.0)


def test_nothing_begins_while_it_ends():
    """
    A reload that is asked for while the service drains starts no further termination.
    """

    async def act(stand, daemon):
        accepted = event_after(stand, "accepted")
        async with daemon.running() as task:
            await accepted.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            daemon.text = ONE_DAY.replace("24h", "1h")
            await daemon.look()
            await task
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running(), running("job-2", hours=5), knobs={"terminate_seconds": 100})


def test_a_deadline_between_walks():
    """
    A deadline that falls between two walks is met by the deadline loop.
    """

    async def act(stand, daemon):
        closed = event_after(stand, "closed")
        async with daemon.running():
            await closed.wait()
        intent = await stand.intent()
        assert intent.outcome == "confirmed"
        assert len(stand.calls.of("list")) <= 2
        assert intent.draft.due_ms == intent.draft.deadline_ms

    # Four seconds of real time until the deadline, so that the first walk is over on a busy machine too.
    on_daemon(act, running(hours=24 - 240 / 3600), speed=60.0)


def test_a_deadline_after_one_that_never_comes():
    """
    While the only deadline lies beyond the last year that there is, the loop waits on, and meets one that comes up later.
    """

    async def act(stand, daemon):
        never = JobKey(region="cn-north-4", project_id=DEFAULT_PROJECT, job_id="never")
        stand.cycle.deadlines["lab"].put(never, 10**18)
        accepted = event_after(stand, "accepted")
        async with daemon.running():
            await accepted.wait()
            assert daemon.service.failing == {}
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running(hours=24 - 60 / 3600))


def test_a_recall_that_failed_is_tried_again():
    """
    A ledger that fails while the fleet is recalled does not speak against readiness for ever.
    """

    async def act(stand, daemon):
        failed, accepted = asyncio.Event(), event_after(stand, "accepted")

        def fail():
            failed.set()
            raise LedgerUnusable("a test")

        stand.hooks.before("known", fail)
        async with daemon.running():
            await failed.wait()
            await accepted.wait()
            async with asyncio.timeout(PATIENCE_S):
                while daemon.service.ready():  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)

    on_daemon(act, running())


def test_a_ledger_that_fails_during_the_start_does_not_end_it(monkeypatch):
    """
    The first turns of a daemon are tried again like all later ones: it goes on by itself when the ledger is back.
    """

    async def act(stand, daemon):
        accepted, counted, calls = event_after(stand, "accepted"), stand.raw.finding_counts, []

        async def fails_once():
            calls.append(1)
            if len(calls) == 1:
                raise LedgerUnusable("a test")
            return await counted()

        monkeypatch.setattr(stand.raw, "finding_counts", fails_once)
        async with daemon.running():
            await accepted.wait()
        assert stand.value("scheduler_events_total", event="error") == 1
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running())


def test_the_deadline_loop_survives_a_bug():
    """
    An unexpected exception in the deadline loop speaks against readiness, is counted, and does not end the loop.
    """

    async def act(stand, daemon):
        failed, closed = asyncio.Event(), event_after(stand, "closed")

        def fail():
            failed.set()
            raise RuntimeError("a bug")

        stand.hooks.before("intended", fail)
        async with daemon.running():
            await failed.wait()
            await closed.wait()
        assert stand.value("scheduler_events_total", event="error") == 1
        assert daemon.service.failing == {}
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running(hours=24 - 300 / 3600))


@pytest.mark.parametrize("trouble", [RuntimeError("a bug"), BadInput("no folder")], ids=["a-bug", "bad-input"])
def test_the_ticker_survives(trouble):
    """
    Whatever fails while the files are read, the last good set stays, the heart beats on, and a mended set is taken.
    """

    async def act(stand, daemon):
        walked, accepted = event_after(stand, "remember"), event_after(stand, "accepted")
        async with daemon.running():
            await walked.wait()
            daemon.trouble = trouble
            await daemon.look()
            failing = "policies fails: RuntimeError: a bug" in daemon.service.ready()
            assert failing is isinstance(trouble, RuntimeError)
            assert daemon.service.alive() == []
            assert [one.name for one in stand.view.policies.policies] == []
            daemon.trouble, daemon.text = None, ONE_DAY
            os.kill(os.getpid(), signal.SIGHUP)
            await accepted.wait()
            assert daemon.service.failing == {}

    on_daemon(act, running(), text=NONE)


def test_a_lease_that_comes_back():
    """
    Nothing is sent while the lease is lost; what was held back is done at once when it comes back.
    """

    async def act(stand, daemon):
        accepted, recorded = event_after(stand, "accepted"), event_after(stand, "record")
        stand.lease.holding = False
        async with daemon.running():
            await recorded.wait()
            await daemon.look()
            assert stand.sent() == 0
            assert "the ledger is not held by this process" in daemon.service.ready()
            stand.lease.holding = True
            os.kill(os.getpid(), signal.SIGHUP)
            await accepted.wait()
        assert stand.accepted() == ["job-1"]

    on_daemon(act, running())
