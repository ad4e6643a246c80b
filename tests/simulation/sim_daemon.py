"""
One daemon: the guard's own parts, wired as ``guard.app`` wires them, and started, ticked and ended as ``Service.run`` does.

Only what needs a real machine is missing: APScheduler, signals and the listener. It may be killed at any moment; what it
holds in memory is lost then, and everything that it still tries raises ``Killed``.
"""

import asyncio
import contextvars
from datetime import UTC
from fractions import Fraction
from typing import Any

from sim_ledger import SimLease, SimLedger
from sim_loop import OWNER, Killed
from sim_service import TARGET, SimSource

from guard.core.breaker import BreakerRules
from guard.core.fields import Terms
from guard.core.limits import Limits
from guard.core.load import digest_of, load
from guard.core.policy import PolicySet
from guard.core.price import PriceBook
from guard.core.pricebook import load_book
from guard.daemon.cycle import Cycle
from guard.daemon.deadlines import Deadlines
from guard.daemon.draining import drained
from guard.daemon.endings import Endings
from guard.daemon.enforce import Enforcer
from guard.daemon.followed import Files, Followed
from guard.daemon.gate import Gate
from guard.daemon.metrics import Metrics
from guard.daemon.planning import Rules
from guard.daemon.schedule import Intervals, Schedule
from guard.daemon.service import DRAIN_S, SHOWN_S, Service
from guard.daemon.settling import Confirmation
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.daemon.watch import PolicyWatch
from guard.errors import BadInput, LedgerUnusable, PolicyErrors

WALK_S, LOOK_S, BEAT_S, CONFIRM_S = 30.0, 17.0, 6.0, 60.0
_LOADED: dict[bytes, PolicySet | PolicyErrors] = {}
_BOOKS: dict[bytes, PriceBook] = {}


def digest_of_text(text: str) -> str:
    """
    The digest of a policy folder by which ``Followed`` tells what was taken.
    """
    return digest_of([("p.yaml", text.encode())])


def _load(files: Files) -> PolicySet:
    content = files[0][1]
    if content not in _LOADED:
        try:
            _LOADED[content] = load(files, zone=UTC)
        except PolicyErrors as error:
            _LOADED[content] = error
    found = _LOADED[content]
    if isinstance(found, PolicyErrors):
        raise found
    return found


def _load_book(files: Files) -> PriceBook:
    ((name, content),) = files
    return _BOOKS.setdefault(content, load_book(name, content, zone=UTC))


class _Schedule(Schedule):
    """
    Begins the turns as APScheduler would, on the loop's own time.
    """

    def __init__(self, world: Any, clock: Any) -> None:
        self._world = world
        self.clock = clock
        self._bells: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self.turns: list[asyncio.Task[None]] = []

    def every(self, what: str, target: Target, turn: Any, *, seconds: float, at_once: bool) -> None:
        async def go_on() -> None:
            if not at_once:
                await asyncio.sleep(seconds)
            while True:
                await turn(target)
                await asyncio.sleep(seconds)

        self.turns.append(asyncio.create_task(go_on()))

    def start(self) -> None:
        return None

    def forget(self, target: Target) -> None:
        """
        Begin no turns of a target any more.
        """
        self.stop()
        bell = self._bells.pop(target.name, None)
        if bell is not None:
            bell[1].cancel()

    def stop(self) -> None:
        for task in self.turns:
            task.cancel()

    def arm(self, target: Target, queue: Deadlines) -> None:
        next_ms = queue.next_ms()
        before = self._bells.pop(target.name, None)
        if next_ms is None:
            if before is not None:
                before[1].cancel()
            return
        left_s = (next_ms - target.source.now_ms()) / 1000
        if left_s <= 0:
            queue.changed.set()
            return
        at_s = self.clock.monotonic() + min(left_s, 86_400.0)
        if before is not None:
            if abs(before[0] - at_s) <= 0.002:
                self._bells[target.name] = before
                return
            before[1].cancel()
        self._bells[target.name] = (at_s, self._world.loop.call_at(at_s, queue.changed.set))


class Daemon:
    """
    One process of the guard. *taken* is the policy set in force in it, as it stood in the folder, with the prices.
    """

    def __init__(self, world: Any, number: int) -> None:
        self.world = world
        self.number = number
        self.armed: bool = world.armed
        self.most: int | None = world.most
        self.dead = False
        self.misled = False
        self.stopped_until = 0.0
        self.service: Service | None = None
        self.lease: SimLease | None = None
        self.metrics = Metrics(version="simulated")
        self.stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self._futures: list[asyncio.Future[Any]] = []

    def own(self, task: asyncio.Task[Any]) -> None:
        self._tasks.append(task)
        if len(self._tasks) > 200:
            self._tasks = [one for one in self._tasks if not one.done()]

    def turn(self) -> None:
        self.world.come_by_turn(self)

    def check(self) -> None:
        """
        Raises ``Killed`` if this process is no more.
        """
        if self.dead:
            raise Killed

    def expect(self, answer: asyncio.Future[Any]) -> None:
        """
        Note an answer that will never come once this process is killed.
        """
        self._futures.append(answer)
        if len(self._futures) > 200:
            self._futures = [one for one in self._futures if not one.done()]

    def future(self) -> asyncio.Future[Any]:
        """
        Return such an answer.
        """
        answer: asyncio.Future[Any] = self.world.loop.create_future()
        self.expect(answer)
        return answer

    def kill(self) -> None:
        """
        End this process at once, in the middle of whatever it does.
        """
        self.dead = True
        if self.world.plan.sees_death:
            self.world.later(0.0, self.world.store.bury, self.number)
        for answer in self._futures:
            if not answer.done():
                answer.set_exception(Killed())
                answer.exception()
        current = asyncio.current_task(self.world.loop)
        for task in self._tasks:
            if task is not current:
                task.cancel()

    async def buried(self) -> None:
        """
        Wait until nothing of a killed process is left.
        """
        for _ in range(50):
            left = [one for one in self._tasks if not one.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        self.world.loop.strange.append(f"tasks of a killed daemon go on: {left}")

    async def main(self) -> None:
        """
        Run until stopped or killed; a start that fails ends the process, as it does with ``guard run``.
        """
        try:
            await self._main()
        except (LedgerUnusable, BadInput) as error:
            self.world.tell(f"d{self.number} ends: {error}")
        except (Killed, asyncio.CancelledError):
            if not self.dead:
                raise
        finally:
            if not self.dead:
                self.kill()
                self.world.ended(self, 5.0)

    async def _main(self) -> None:
        world = self.world
        ledger = SimLedger(world, self)
        self.lease = lease = SimLease(ledger, world, self)
        while True:
            try:
                await lease.acquire()
                break
            except LedgerUnusable:
                await asyncio.sleep(5.0)
        folder = Followed(what="policies", read=world.read_policies, load=_load, mark=world.mark)
        prices = Followed(what="prices", read=world.read_prices, load=_load_book, mark=world.mark)
        policies, terms = folder.first(), Terms(prices=prices.first())
        cycle = self._cycle(ledger, lease, View(policies=policies, terms=terms))
        service = self._service(cycle, folder, prices, lease)
        self.service = service
        await self._run(service, policies)
        await lease.release()
        self.kill()
        world.ended(self, world.down_s)

    def _cycle(self, ledger: SimLedger, lease: SimLease, view: View) -> Cycle:
        world = self.world
        source = SimSource(world, self)
        targets = {TARGET: Target(name=TARGET, source=source, terminator=source if self.armed else None)}
        gate = Gate(ledger=ledger, lease=lease, clock=world.clock, pause_file=world.pause_file)
        enforcer = Enforcer(
            ledger=ledger,
            gate=gate,
            view=view,
            metrics=self.metrics,
            clock=world.clock,
            confirmation=Confirmation(limit_s=CONFIRM_S),
        )
        limits = None
        if self.most is not None:
            percent = None if world.plan.percent is None else Fraction(world.plan.percent)
            limits = Limits(
                window_ms=world.plan.window_s * 1000,
                max_terminations=self.most,
                max_percent_of_running=percent,
                max_per_policy=world.plan.per_policy,
                max_per_user=world.plan.per_user,
            )
        rules = Rules(
            limits=limits,
            walk_every_ms=int(WALK_S * 1000),
            armed_since_ms=int(world.clock.now() * 1000),
            breaker=BreakerRules(first_enforce=world.plan.first_enforce) if world.plan.breaker else None,
        )
        return Cycle(targets=targets, view=view, enforcer=enforcer, rules=rules, deadlines={TARGET: Deadlines()})

    def _service(self, cycle: Cycle, folder: Any, prices: Any, lease: SimLease) -> Service:
        world = self.world
        service = Service(
            cycle=cycle,
            folder=folder,
            prices=prices,
            lease=lease,
            clock=world.clock,
            intervals=Intervals(walk_s=WALK_S, scan_s=LOOK_S),
            endings=Endings(cycle=cycle, clock=world.clock),
        )
        service.watch = PolicyWatch(
            folder=folder, prices=prices, cycle=cycle, clock=world.clock, steady=world.clock.monotonic
        )
        service.schedule = service.tenures.schedule = _Schedule(world, world.clock)
        return service

    async def _run(self, service: Service, policies: PolicySet) -> None:
        cycle = service.cycle
        self.metrics.start(())
        cycle.active.clear()
        service.watch.take(policies)
        self.metrics.found(await cycle.enforcer.ledger.finding_counts())
        await service.tenures.follow()
        tickers = [asyncio.create_task(one) for one in (self._tick(service), service.heart.follow_forever())]
        stopped = asyncio.create_task(self.stopping.wait())
        await stopped
        service.stop.set()
        service.schedule.stop()
        await service.tenures.rest()
        await drained(list(cycle.drives.under_way.values()), ending=service.ending, within_s=DRAIN_S)
        for task in tickers:
            task.cancel()
        await asyncio.gather(*tickers, return_exceptions=True)

    async def _tick(self, service: Service) -> None:
        world = self.world
        beaten = shown = world.loop.time() - BEAT_S / 2
        while True:
            now = world.loop.time()
            await service._attempt("replicas", service.heart.look_at_others())
            if service.heart.is_hurried() or now - beaten >= BEAT_S:
                await service._attempt("heartbeat", service.heart.beat())
                beaten = beaten if "heartbeat" in service.failing else now
            if now - shown >= SHOWN_S:
                shown = now
                await service._attempt("totals", service._show_totals())
            await service._attempt("pause and lease", service._look_around())
            await service._attempt("policies", service._look_at_policies(at_once=False))
            await asyncio.sleep(world.plan.tick_s if not world.calm else 9.0)


def start(world: Any, number: int) -> Daemon:
    """
    Start another daemon.
    """
    daemon = world.daemons[number] = Daemon(world, number)

    def begin() -> None:
        OWNER.set(daemon)
        world.loop.create_task(daemon.main())

    contextvars.copy_context().run(begin)
    return daemon
