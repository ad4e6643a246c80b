"""
Who may act on a ledger: one process, told by a heartbeat.
"""

import asyncio
import functools
import os
import subprocess
import sys

import pytest
import sqlalchemy as sa
from ledger_cases import HOSTILE, ToldClock, use
from test_ledger_durability import child

from guard.errors import LedgerHeld, LedgerUnusable
from guard.ledger import SqlLease as AnyLease
from guard.ledger import open_ledger
from guard.ledger.leasetables import replicas
from guard.ledger.process import Process, is_dead, this_process
from tests.changing import replace

# These are about one process that acts on everything; of several, each on its own targets, ``test_replicas`` tells.
SqlLease = functools.partial(AnyLease, shared=False)
# A process of another machine: nobody here can tell whether it lives.
ELSEWHERE = Process(host="elsewhere", boot_id="b", pid_namespace="n", pid=7, start="1")


def ended_process():
    """
    Return a process of this machine that has ended and was waited for.
    """
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        pid = process.pid
    return replace(this_process(), pid=pid, start="")


def test_a_second_process_is_refused(url):
    """
    The one that comes second is told who holds the ledger, where, since when, and what to do.
    """

    async def work(ledger):
        clock = ToldClock()
        first = SqlLease(ledger, "guard run", clock, process=ELSEWHERE)
        second = SqlLease(ledger, "guard scan", clock)
        assert (first.held(), second.held()) == (False, False)
        await first.acquire()
        clock.pass_by(4)
        said = r"held by 'guard run' \(host 'elsewhere', pid 7\) since 2023-11-14T22:13:20\+00:00, .* 4 s old; stop it"
        with pytest.raises(LedgerHeld, match=said):
            await second.acquire()
        assert (first.held(), second.held()) == (True, False)
        assert not await second.renew()
        assert await first.renew()

    use(url, work)


def test_one_of_many_wins(lasting_url):
    """
    Of many that ask at the same moment over two connections, one gets the lease.
    """

    async def work(ledger):
        other = await open_ledger(lasting_url)
        leases = [SqlLease(one, f"holder {n}", ToldClock()) for n in range(5) for one in (ledger, other)]
        answers = await asyncio.gather(*(one.acquire() for one in leases), return_exceptions=True)
        assert answers.count(None) == 1
        assert sum(isinstance(answer, LedgerHeld) for answer in answers) == 9
        assert [one.held() for one in leases] == [answer is None for answer in answers]
        await other.aclose()

    use(lasting_url, work)


@pytest.mark.parametrize(
    ("age_s", "taken"),
    [pytest.param(30.0, False, id="on-the-limit"), pytest.param(30.001, True, id="just-over")],
)
def test_a_silent_holder_loses_the_lease(url, age_s, taken):
    """
    A lease is free strictly after 30 s without a heartbeat, counted from the newest one.
    """

    async def work(ledger):
        clock = ToldClock()
        first = SqlLease(ledger, "first", clock, process=ELSEWHERE)
        second = SqlLease(ledger, "second", clock)
        await first.acquire()
        clock.pass_by(10)
        assert await first.renew()
        clock.pass_by(age_s)
        if not taken:
            with pytest.raises(LedgerHeld):
                await second.acquire()
            assert await first.renew()
            return
        await second.acquire()
        assert second.held()
        assert not first.held()
        assert not await first.renew()
        with pytest.raises(LedgerHeld, match="held by 'second'"):
            await first.acquire()
        await first.release()
        assert await second.renew()

    use(url, work)


@pytest.mark.parametrize(
    ("wall_s", "steady_s", "held"),
    [
        pytest.param(20.0, 20.0, True, id="on-the-limit"),
        pytest.param(20.5, 20.5, False, id="just-over"),
        pytest.param(0.0, 20.5, False, id="wall-clock-stands"),
        pytest.param(-3_600.0, 20.5, False, id="wall-clock-set-back"),
        pytest.param(-3_600.0, 1.0, True, id="set-back-and-fresh"),
        pytest.param(3_600.0, 1.0, False, id="machine-slept"),
    ],
)
def test_a_holder_trusts_its_lease_for_20_s(url, wall_s, steady_s, held):
    """
    A holder stops acting when either clock says that its heartbeat is older than 20 s, and acts again after the next one.
    """

    async def work(ledger):
        clock = ToldClock()
        mine = SqlLease(ledger, "me", clock)
        await mine.acquire()
        clock.at_s += wall_s
        clock.monotonic_s += steady_s
        assert mine.held() is held
        assert await mine.renew()
        assert mine.held()

    use(url, work)


def test_a_slow_heartbeat_counts_from_its_start(url):
    """
    The time that a renewal itself took is part of the age of the heartbeat.
    """

    class SlowLedger:
        shared = False

        def __init__(self, ledger, clock):
            self.name, self.ledger, self.clock = ledger.name, ledger, clock

        async def write(self, what, work, **options):
            done = await self.ledger.write(what, work, **options)
            self.clock.pass_by(21)
            return done

    async def work(ledger):
        clock = ToldClock()
        mine = SqlLease(SlowLedger(ledger, clock), "me", clock)
        await mine.acquire()
        assert not mine.held()
        assert await mine.renew()
        assert not mine.held()

    use(url, work)


def test_a_released_lease_is_free(url):
    """
    After the release another process takes the lease at once, and the one before it holds nothing.
    """

    async def work(ledger):
        clock = ToldClock()
        first, second = SqlLease(ledger, "first", clock, process=ELSEWHERE), SqlLease(ledger, "second", clock)
        await first.acquire()
        await first.acquire()
        assert first.held()
        await first.release()
        assert not first.held()
        assert not await first.renew()
        await second.acquire()
        assert second.held()

    use(url, work)


def test_a_heartbeat_from_the_future_is_respected(url):
    """
    When the clocks disagree nothing is taken, and the message says so.
    """

    async def work(ledger):
        clock = ToldClock()
        await SqlLease(ledger, "first", clock, process=ELSEWHERE).acquire()
        clock.at_s -= 3_600
        with pytest.raises(LedgerHeld, match="in the future: compare the clocks"):
            await SqlLease(ledger, "second", clock).acquire()

    use(url, work)


def test_without_a_ledger_no_lease_is_renewed(lasting_url):
    """
    A ledger that fails is an error of the renewal, and the lease runs out by itself.
    """

    async def work(ledger):
        clock = ToldClock()
        mine = SqlLease(ledger, "me", clock)
        await mine.acquire()
        await ledger.write("lose its table", lambda at: at.execute(sa.text("DROP TABLE replicas")))
        clock.pass_by(15)
        with pytest.raises(LedgerUnusable, match=r"cannot renew the lease: .*(no such table|does not exist)"):
            await mine.renew()
        assert mine.held()
        clock.pass_by(6)
        assert not mine.held()

    use(lasting_url, work)


@pytest.mark.parametrize("name", [HOSTILE["controls"], HOSTILE["very-long"]], ids=["controls", "very-long"])
def test_any_holder_is_named(url, name):
    """
    A holder's name of any kind is kept, and shown in bounded length.
    """

    async def work(ledger):
        clock = ToldClock()
        await SqlLease(ledger, name, clock, process=ELSEWHERE).acquire()
        with pytest.raises(LedgerHeld) as caught:
            await SqlLease(ledger, "second", clock).acquire()
        assert repr(name[:100]) in str(caught.value)
        assert len(str(caught.value)) < 800

    use(url, work)


@pytest.mark.parametrize("how", ["die", "killed"])
def test_a_dead_holder_of_this_machine_is_followed_at_once(lasting_url, how):
    """
    The lease of a process that died is taken without waiting; while it lived it was respected.
    """

    async def acquire(ledger):
        # By this clock the heartbeat of the child is in the future, so only its death can free the lease.
        await SqlLease(ledger, "me", ToldClock()).acquire()

    with child("hold", lasting_url, how) as process:
        assert process.stdout.readline() == "held\n"
        if how == "killed":
            with pytest.raises(LedgerHeld, match=rf"held by 'the child' .*pid {process.pid}\)"):
                use(lasting_url, acquire)
            process.kill()
        else:
            process.wait()
            use(lasting_url, acquire)
            return
    use(lasting_url, acquire)


def test_this_process_lives():
    """
    A living process is never taken for dead, also if it is asked about itself.
    """
    assert not is_dead(this_process(), seen_from=this_process())
    assert this_process() == this_process()
    assert this_process().pid == os.getpid()


def test_an_ended_process_is_dead():
    """
    A pid that nobody has any more belongs to a dead process.
    """
    assert is_dead(ended_process(), seen_from=this_process())


def test_a_process_that_nobody_waited_for_is_dead():
    """
    A process that was killed and still stands in the table of processes does nothing any more.
    """
    process = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    zombie = replace(this_process(), pid=process.pid, start="")
    assert is_dead(zombie, seen_from=this_process())
    process.communicate()


@pytest.mark.parametrize(
    ("changes", "dead"),
    [
        pytest.param({"start": "1"}, True, id="pid-given-again"),
        pytest.param({"start": ""}, False, id="start-unknown"),
        pytest.param({"start": "1", "host": "elsewhere"}, False, id="another-host"),
        pytest.param({"start": "1", "boot_id": "another"}, False, id="another-boot"),
        pytest.param({"start": "1", "pid_namespace": "pid:[1]"}, False, id="another-container"),
        pytest.param({"start": "1", "pid": 0}, False, id="no-pid"),
        pytest.param({"start": "1", "pid": -1}, False, id="every-process"),
    ],
)
def test_what_a_pid_proves(changes, dead):
    """
    A pid proves death only on the same host, boot and namespace, and only with another start.
    """
    assert is_dead(replace(this_process(), **changes), seen_from=this_process()) is dead


def test_a_machine_that_tells_nothing_proves_nothing():
    """
    Without a boot id or a namespace no pid is trusted.
    """
    for name in ("host", "boot_id", "pid_namespace"):
        unknown = replace(ended_process(), **{name: ""})
        assert not is_dead(unknown, seen_from=replace(this_process(), **{name: ""}))


def test_the_row_says_who_holds(url):
    """
    Everything that is needed to judge a holder later is on record.
    """

    async def work(ledger):
        await SqlLease(ledger, "me", ToldClock()).acquire()
        row = await ledger.read("tell", lambda at: at.execute(sa.select(replicas)).mappings().one())
        here = this_process()
        assert (row["host"], row["pid"], row["process_start"]) == (here.host, here.pid, here.start)
        assert (row["boot_id"], row["pid_namespace"]) == (here.boot_id, here.pid_namespace)
        assert row["since_ms"] == row["beat_ms"] == 1_700_000_000_000

    use(url, work)
