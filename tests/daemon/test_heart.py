"""
The heart beats, whatever its beats bring about.
"""

import asyncio
from types import SimpleNamespace

from daemon_stand import ONE_DAY, on_stand, running
from test_service import Daemon, on_daemon
from test_tenures import series_of, until

from guard.core.limits import Limits
from guard.daemon.heart import Heart
from guard.daemon.standby import AGAIN_S, Standby
from guard.errors import LedgerUnusable
from guard.ports import Term


class Leases:
    """
    A lease that notes its beats and fails as it is told.
    """

    def __init__(self):
        self.beats, self.joined, self.kept, self.changed, self.failing = [], 0, True, False, None

    async def renew(self):
        self.beats.append(asyncio.get_running_loop().time())
        if self.failing is not None:
            raise self.failing
        return self.kept

    async def acquire(self):
        self.joined += 1
        self.kept = True

    async def watch(self):
        changed, self.changed = self.changed, False
        return changed


def on_heart(act, *, every_s, follow):
    """
    Run *act* with a heart that beats, its lease and what its turns raised.
    """

    async def run():
        failing, lease = {}, Leases()

        async def attempt(what, turn):
            try:
                await turn
            except LedgerUnusable as error:
                failing[what] = str(error)
            else:
                failing.pop(what, None)

        heart = Heart(
            cycle=SimpleNamespace(targets={}, active=set()),
            lease=lease,
            tenures=SimpleNamespace(follow=follow),
            attempt=attempt,
            failing=failing,
            every_s=every_s,
        )
        tasks = [asyncio.create_task(one) for one in heart.loops()]
        try:
            await act(heart, lease, failing)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


async def never():
    """
    Take as long as a ledger that does not answer.
    """
    await asyncio.Event().wait()


def test_it_beats_while_targets_are_taken_over():
    """
    To begin hundreds of tenures takes as long as it takes, and no renewal waits for that; that it hangs is told.
    """

    async def act(heart, lease, failing):
        await until(lambda: len(lease.beats) >= 3)
        assert heart.silent_s() < 60
        heart._turned["tenures"] -= 100
        assert heart.silent_s() > 60

    on_heart(act, every_s=0.0, follow=never)


def test_it_beats_at_once_if_something_changed():
    """
    A heart that stopped, or a replica that joined, brings the next beat forward.
    """
    followed = []

    async def follow():
        followed.append(True)

    async def act(heart, lease, failing):
        await asyncio.sleep(0.05)
        assert lease.beats == []
        lease.changed = True
        await until(lambda: len(lease.beats) == 1)
        await until(lambda: followed == [True])

    on_heart(act, every_s=600.0, follow=follow)


def test_who_was_taken_for_dead_joins_anew():
    """
    A renewal that finds this process buried takes it in again, and its tenures follow also after a beat that failed.
    """
    followed = []

    async def follow():
        followed.append(True)

    async def act(heart, lease, failing):
        lease.kept = False
        await heart.beat()
        assert lease.joined == 1
        await until(lambda: followed == [True])
        lease.failing = LedgerUnusable("a test")
        await heart.attempt("heartbeat", heart.beat())
        assert failing == {"heartbeat": "a test"}
        await until(lambda: followed == [True, True])

    on_heart(act, every_s=600.0, follow=follow)


class LateLease:
    """
    A lease that is held, and too old for a call.
    """

    def __init__(self, lease):
        self.lease, self.late = lease, True

    def held(self, target="", *, for_s=0.0):
        return self.lease.held(target, for_s=for_s) and not (self.late and for_s)

    def __getattr__(self, name):
        return getattr(self.lease, name)


def test_what_a_late_renewal_held_back_is_done_when_it_came():
    """
    Without waiting for the next look at the target, and not again and again while renewals stay late.
    """

    async def act(stand):
        gate = stand.enforcer.gate
        lease = LateLease(gate.lease)
        object.__setattr__(gate, "lease", lease)
        standby = Standby(cycle=stand.cycle)
        await stand.walk()
        assert [one.reason for found in stand.cycle.held.values() for one in found] == ["lease"]
        await standby.take_up()
        await stand.settle()
        assert stand.accepted() == []
        lease.late = False
        await standby.take_up()
        # One that is held back again waits.
        gate.unheld.add("lab")
        await standby.take_up()
        assert gate.unheld == {"lab"}
        await stand.settle()
        assert stand.accepted() == ["job-1"]
        stand.clock.seconds += AGAIN_S
        await standby.take_up()
        assert gate.unheld == set()
        # Of a target that is another replica's now there is nothing to take up.
        gate.unheld.add("elsewhere")
        await standby.take_up()
        assert gate.unheld == set()

    on_stand(act, running())


def test_a_lease_that_went_before_its_tenure_began():
    """
    Nothing of it is shown, and when it comes back its counters hold what is on record, once.
    """

    async def act(stand):
        await stand.walk()
        assert stand.value("terminations_total", target="lab", policy="one-day", outcome="confirmed") == 1
        stand.begin()
        stand.metrics.end("lab")
        tenures = Daemon(stand, ONE_DAY).service.tenures
        there = dict(stand.lease.had)
        counted = stand.raw.savings.counted

        async def gone():
            stand.lease.had.clear()
            return await counted()

        stand.raw.savings.counted = gone
        await tenures.follow()
        assert tenures.now == {}
        assert series_of(stand, "lab") <= {"costguard_leader"}
        stand.raw.savings.counted = counted
        stand.lease.had.update({name: Term(token=term.token + 2) for name, term in there.items()})
        await tenures.follow()
        assert list(tenures.now) == ["lab"]
        assert stand.value("terminations_total", target="lab", policy="one-day", outcome="confirmed") == 1
        for one in tenures.now.values():
            await one.end(within_s=0.0, why="the test ends")

    on_stand(act, running())


def test_an_intent_of_a_target_that_has_not_begun_is_counted_once():
    """
    A lease that a beat brings while another target is taken over waits for its own turn, with what is on record of it.
    """

    async def act(stand, daemon):
        stand.cycle.drives.stopped = True
        await stand.cycle.walk(stand.target)
        stand.limits = Limits(max_terminations=0)
        stand.begin()
        daemon = Daemon(stand, ONE_DAY)
        daemon.service.heart.every_s = 0.1
        stand.lease.had = {"other": Term(token=1)}
        resume = stand.cycle.resumes.acted

        async def beaten(keys):
            stand.lease.had.setdefault("lab", Term(token=1))
            return await resume(keys)

        stand.cycle.resumes.acted = beaten
        async with daemon.running():
            await until(lambda: "lab" in daemon.service.tenures.now and not stand.cycle.drives.under_way)
            await until(lambda: stand.value("terminations_total", target="lab", policy="one-day", outcome="held_back"))
            (intent,) = await stand.raw.intents()
            assert intent.outcome.value == "held_back"
            assert stand.value("terminations_total", target="lab", policy="one-day", outcome="held_back") == 1

    on_daemon(act, running(), targets=("lab", "other"))


def test_nothing_is_taken_up_while_the_service_ends():
    """
    What a late renewal held back is for the next start once this one was told to stop.
    """

    async def act(stand, daemon):
        taken = []

        async def take_up():
            taken.append(True)

        async with daemon.running():
            await until(lambda: daemon.service.ready() == [])
            daemon.service.stop.set()
            daemon.service.standby = Taking(take_up, daemon.service.standby)
            await daemon.service._look_around()
        assert taken == []

    on_daemon(act, running("young", hours=1))


class Taking:
    """
    A standby that takes up in another way.
    """

    def __init__(self, take_up, standby):
        self.take_up, self._standby = take_up, standby

    def __getattr__(self, name):
        return getattr(self._standby, name)
