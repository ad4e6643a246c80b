"""
The parts of the daemon on their own: the policy folder, the deadline queue, the gate and the endpoints.
"""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
from daemon_stand import NONE, NOW_MS, OBSERVED, ONE_DAY, OpenLease, on_stand, running

from guard.core.facts import JobKey
from guard.core.records import Pause
from guard.daemon.clocks import ScaledClock
from guard.daemon.deadlines import Deadlines
from guard.daemon.metrics import Metrics
from guard.daemon.policies import policy_folder
from guard.daemon.web import web_app
from guard.errors import BadInput, LedgerUnusable, PolicyErrors
from tests.changing import replace

BAD = "policies: [{name: broken}]"


class Folder:
    """
    A folder of one file, and the policy folder over it.
    """

    def __init__(self, text=ONE_DAY):
        self.text = text
        self.folder = policy_folder(read=self.read, zone=UTC)

    def read(self):
        if self.text is None:
            raise BadInput("there is no such folder")
        return [("p.yaml", self.text.encode())]

    def poll(self, now_s, text=..., **options):
        if text is not ...:
            self.text = text
        taken = self.folder.poll(steady=lambda: now_s, **options)
        return None if taken is None else [one.mode.value for one in taken.policies]


def test_a_change_is_taken_once_it_stood_still():
    """
    New content is taken 2 s after its last change, and once.
    """
    one = Folder()
    assert [policy.name for policy in one.folder.first().policies] == ["one-day"]
    assert one.poll(10.0) is None
    assert one.poll(11.0, OBSERVED) is None
    assert one.poll(12.0, NONE) is None
    assert one.poll(13.9) is None
    assert one.poll(14.0) == []
    assert one.poll(20.0) is None
    assert one.poll(21.0, ONE_DAY) is None
    assert one.poll(23.0) == ["enforce"]


def test_a_bad_set_is_kept_out():
    """
    The last good set stays in force while the newest content is bad, and the error is shown until it is mended.
    """
    one = Folder()
    one.folder.first()
    one.poll(0.0, BAD)
    assert one.poll(2.0) is None
    assert "p.yaml" in one.folder.error
    assert one.poll(60.0) is None
    assert one.poll(61.0, ONE_DAY) is None
    assert one.folder.error == ""


@pytest.mark.parametrize("bad", [BAD, "", "policies: [", None], ids=["invalid", "empty", "no-yaml", "no-folder"])
def test_a_bad_set_mended_into_another(bad):
    """
    A good set that follows a bad one is taken like any other, also if it is not the one in force.
    """
    one = Folder()
    one.folder.first()
    one.poll(0.0, bad)
    one.poll(2.0)
    assert one.folder.error != ""
    assert one.poll(10.0, OBSERVED) is None
    assert one.folder.error != ""
    assert one.poll(12.0) == ["observe"]
    assert one.folder.error == ""


def test_at_once():
    """
    A reload that was asked for takes a change without waiting, and a bad one is still refused.
    """
    one = Folder()
    one.folder.first()
    assert one.poll(0.0, OBSERVED, at_once=True) == ["observe"]
    one.poll(1.0, ONE_DAY)
    assert one.poll(1.1, at_once=True) == ["enforce"]
    assert one.poll(2.0, BAD, at_once=True) is None
    assert one.folder.error != ""
    assert one.poll(3.0, OBSERVED, at_once=True) == ["observe"]


def test_a_bad_folder_at_start():
    """
    A start with bad policies is an error that names the file.
    """
    with pytest.raises(PolicyErrors, match=r"p\.yaml"):
        Folder(BAD).folder.first()


def key(job_id):
    """
    An identity.
    """
    return JobKey(region="r", project_id="p", job_id=job_id)


def test_deadlines_in_order():
    """
    Due jobs come oldest first, at their millisecond and not before, each once.
    """
    queue = Deadlines()
    for job_id, at_ms in (("c", 30), ("a", 10), ("b", 20)):
        queue.put(key(job_id), at_ms)
    assert queue.next_ms() == 10
    assert queue.take_due(9) == []
    assert [one.job_id for one in queue.take_due(20)] == ["a", "b"]
    assert (queue.next_ms(), len(queue)) == (30, 1)


def test_deadlines_are_replaced():
    """
    A new moment replaces the earlier one, and None takes the job off the queue.
    """
    queue = Deadlines()
    queue.put(key("a"), 10)
    queue.put(key("a"), 50)
    queue.put(key("b"), 20)
    queue.put(key("b"), None)
    assert queue.take_due(40) == []
    assert [one.job_id for one in queue.take_due(50)] == ["a"]


def test_deadlines_that_move_do_not_pile_up():
    """
    The queue stays as large as its jobs, however often their moments move.
    """
    queue = Deadlines()
    for turn in range(100):
        for number in range(200):
            queue.put(key(str(number)), 10_000 + turn)
    assert len(queue) == 200
    assert len(queue._heap) <= 2 * 200 + 64
    assert len(queue.take_due(10_099)) == 200


def test_deadlines_wake():
    """
    Whoever waits for the next moment is woken by a new one, and not by one that is known.
    """
    queue = Deadlines()
    queue.put(key("a"), 10)
    assert queue.changed.is_set()
    queue.changed.clear()
    queue.put(key("a"), 10)
    assert not queue.changed.is_set()


@pytest.mark.parametrize(
    ("offset_s", "closed"),
    [
        pytest.param(0, None, id="together"),
        pytest.param(119, None, id="a-little-ahead"),
        pytest.param(-119, None, id="a-little-behind"),
        pytest.param(122, "clock", id="ahead"),
        pytest.param(-122, "clock", id="behind"),
    ],
)
def test_gate_and_the_clock(offset_s, closed):
    """
    The gate is closed before the service's clock is known, and when it differs by more than 2 minutes.
    """

    async def act(stand):
        gate = stand.enforcer.gate
        assert (await gate.closed(stand.target)).reason == "clock"
        await stand.read()
        hold = await gate.closed(stand.target)
        assert (hold and hold.reason) == closed

    on_stand(act, knobs={"clock_offset_seconds": offset_s})


def test_late_answers_close_the_gate_until_most_are_prompt():
    """
    While late answers leave the service's clock open nothing is sent, what is due is held back by name, and the gauge of the
    offset goes on telling what was known last.
    """

    async def act(stand):
        late = [True]
        stand.hooks.after("list", lambda: setattr(stand.clock, "seconds", stand.clock.seconds + (20 if late else 0)), nth=0)
        for _ in range(3):
            await stand.walk()
            await stand.target.source.read("job-1")
            assert (await stand.enforcer.gate.closed(stand.target)).reason == "clock"
        stand.metrics.offset.labels("lab").set(7.0)
        stand.metrics.reached(stand.target.source)
        assert stand.value("clock_offset_seconds", target="lab") == 7.0
        await stand.walk()
        await stand.walk()
        late.clear()
        stand.world.add(running("job-2"))
        await stand.walk()
        assert stand.accepted() == []
        assert [one.reason for held in stand.cycle.held.values() for one in held] == ["clock"]
        while await stand.enforcer.gate.closed(stand.target):
            stand.clock.seconds += 12
            await stand.read()
        await stand.walk()
        assert stand.accepted() == ["job-2"]

    on_stand(act, running(hours=1.0))


def test_gate_and_the_pause_file(tmp_path):
    """
    A pause file closes the gate while it is there, and also when it cannot be looked at.
    """

    async def act(stand):
        gate = stand.enforcer.gate
        assert await gate.paused() is None
        (tmp_path / "pause").touch()
        assert "exists" in (await gate.paused()).text
        (tmp_path / "pause").unlink()
        (tmp_path / "pause").symlink_to(tmp_path / "pause")
        assert "cannot be looked at" in (await gate.paused()).text
        (tmp_path / "pause").unlink()
        (tmp_path / "pause").symlink_to(tmp_path / "nowhere")
        assert "cannot be looked at" in (await gate.paused()).text
        blocked = replace(gate, pause_file=tmp_path / "file" / "pause")
        assert f"there must be a folder {tmp_path / 'file'}" in (await blocked.paused()).text
        (tmp_path / "file").touch()
        assert "cannot be looked at" in (await blocked.paused()).text

    on_stand(act, pause_file=tmp_path / "pause")


@pytest.mark.parametrize(
    ("until_ms", "closed"),
    [(None, True), (NOW_MS + 1, True), (NOW_MS, False), (NOW_MS - 1, False)],
    ids=["for-ever", "one-millisecond-left", "just-over", "over"],
)
def test_gate_and_the_pause_on_record(until_ms, closed):
    """
    A pause on record holds until its end.
    """

    async def act(stand):
        await stand.raw.set_pause(Pause(reason="a freeze", since_ms=0, until_ms=until_ms, by="alice"))
        hold = await stand.enforcer.gate.paused()
        assert (hold is not None) is closed
        assert hold is None or "alice" in hold.text

    on_stand(act)


def test_gate_and_the_rest():
    """
    A disarmed process, a lost lease, also while the pause is read, and an unusable ledger close the gate.
    """

    class Failing:
        def __init__(self, lease, breaker):
            self.lease = lease
            self.breaker = breaker

        def nothing_stops(self):
            return False

        async def pause(self):
            if self.lease is None:
                raise LedgerUnusable("a test")
            self.lease.holding = False

    async def act(stand):
        await stand.read()
        gate = stand.enforcer.gate
        assert await gate.closed(stand.target) is None
        assert (await gate.closed(replace(stand.target, terminator=None))).reason == "disarmed"
        book = stand.raw.breaker
        assert (await replace(gate, ledger=Failing(None, book)).closed(stand.target)).reason == "ledger"
        lease = OpenLease()
        assert (await replace(gate, ledger=Failing(lease, book), lease=lease).closed(stand.target)).reason == "lease"

    on_stand(act)


def test_a_scaled_clock():
    """
    Sped-up time runs on from its origin, and tells schedulers the real instant.
    """
    clock = ScaledClock(speed=60.0)
    assert abs(clock.now() - clock.origin - clock.monotonic()) < 1
    left = (clock.instant(clock.now() + 600) - datetime.now(UTC)).total_seconds()
    assert 9.5 < left <= 10.1


@pytest.mark.parametrize(
    ("path", "objections", "status", "text"),
    [
        pytest.param("/livez", [], 200, "ok\n", id="alive"),
        pytest.param("/livez", ["it hangs"], 503, "it hangs\n", id="hanging"),
        pytest.param("/readyz", [], 200, "ok\n", id="ready"),
        pytest.param("/readyz", ["one", "two"], 503, "one\ntwo\n", id="not-ready"),
        pytest.param("/other", [], 404, "Not Found", id="unknown"),
    ],
)
def test_endpoints(path, objections, status, text):
    """
    Each check answers 200, or 503 with what speaks against it.
    """
    answer = get(path, objections)
    assert (answer.status_code, answer.text) == (status, text)


def test_metrics_endpoint():
    """
    The metrics are served as text for Prometheus.
    """
    answer = get("/metrics", [])
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'costguard_build_info{version="test"} 1.0' in answer.text


def get(path, objections):
    """
    One call of the endpoints.
    """

    async def run():
        app = web_app(Metrics(version="test"), alive=lambda: objections, ready=lambda: objections)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard.test") as client:
            return await client.get(path)

    return asyncio.run(run())


def test_running_jobs_are_not_needed():
    """
    A target without jobs is walked like any other.
    """

    async def act(stand):
        assert (await stand.walk()).complete
        assert stand.value("jobs", target="lab", phase="Running") == 0
        stand.world.add(running())
        await stand.walk()
        assert stand.value("jobs", target="lab", phase="Running") == 1

    on_stand(act)
