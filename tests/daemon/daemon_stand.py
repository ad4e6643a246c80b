"""
What the daemon's tests share: a clock set by hand, and a guard over the simulator and a ledger in memory, with places to
step in between two calls or two commits.
"""

import asyncio
import contextlib
from datetime import UTC, datetime

from daemon_hooks import HookedLedger, HookedTransport, Hooks

from guard.core.fields import Terms
from guard.core.load import load
from guard.core.policy import PolicySet
from guard.daemon.cycle import Cycle
from guard.daemon.deadlines import Deadlines
from guard.daemon.endings import Endings
from guard.daemon.enforce import Enforcer
from guard.daemon.gate import Gate
from guard.daemon.metrics import Metrics
from guard.daemon.planning import Rules
from guard.daemon.settling import Confirmation
from guard.daemon.targets import Target
from guard.daemon.view import View
from guard.ledger.opening import open_ledger
from guard.modelarts import Credentials, Exchange, ModelArtsClient, ModelArtsTerminator, Pace, Patience, Service, http_client
from guard.modelarts import Target as Watched
from guard.modelarts.credentials import AccessKey
from guard.modelarts.signing import KeyPair
from guard.ports import Term
from guard.simulator import DEFAULT_PROJECT, FLAVORS, CallLog, Knobs, LoopbackTransport, SimJob, World, create_app

NOW = 1_764_000_000.0
NOW_MS = int(NOW * 1000)
HOUR_MS = 3_600_000
ECO = FLAVORS["modelarts.vm.p100.large.eco"]
# Steps of the loop without a call or a commit, after which an answer that was taken in last has been read.
IDLE = 5
KEY = AccessKey(keys=KeyPair(access="AKEXAMPLE", secret="SKexampleSecret"))

ONE_DAY = """
policies:
  - name: one-day
    mode: enforce
    match: {billing_code: modelarts.vm.gpu.p100.eco, duration: {gt: 24h}}
"""
OBSERVED = ONE_DAY.replace("enforce", "observe")
NONE = "policies: []"
EXEMPT = """
exemptions:
  - {name: spared, match: {id: {glob: "job-*"}}, reason: a test, owner: alice, until: 2099-01-01}
"""


class ManualClock:
    """
    A clock that only moves when it is told to, and by its own sleeps, which take no time and are listed.

    A sleep begins when no call is under way, else an answer would seem to have been on its way for as long as others slept.

    *behind* sets this machine's clock back against true time, by which the service goes.
    """

    def __init__(self) -> None:
        self.seconds = NOW
        self.behind = 0.0
        self.slept: list[float] = []
        self.hooks: Hooks | None = None

    def now(self) -> float:
        return self.seconds - self.behind

    def monotonic(self) -> float:
        return self.seconds - NOW

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        idle = 0
        while idle < IDLE:
            idle = 0 if self.hooks is not None and self.hooks.under_way else idle + 1
            await asyncio.sleep(0)
        self.seconds += seconds

    def instant(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC)


class SharedClock(ManualClock):
    """
    A clock on which many sleep at once: it moves to the first that is to wake, once no call and no commit is under way.
    """

    def __init__(self) -> None:
        super().__init__()
        self._wakes: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        wake, idle = self.seconds + seconds, 0
        self._wakes.append(wake)
        try:
            while self.seconds < wake:
                await asyncio.sleep(0.0005)
                idle = 0 if self.hooks is None or self.hooks.under_way else idle + 1
                if idle > 1 and wake <= min(self._wakes):
                    self.seconds = max(self.seconds, wake)
        finally:
            self._wakes.remove(wake)
        await asyncio.sleep(0)


class OpenLease:
    """
    A lease that is held as long as the test says so.
    """

    def __init__(self, *targets: str) -> None:
        self.holding = True
        self.had = {name: Term(token=1) for name in targets or ("lab",)}

    async def acquire(self) -> None:
        return None

    async def renew(self) -> bool:
        return self.holding

    async def watch(self) -> bool:
        return False

    def terms(self):
        return dict(self.had)

    def held(self, target: str = "", *, for_s: float = 0.0) -> bool:
        return self.holding and (not target or target in self.had)

    def acts_on(self, key) -> bool:
        return True

    async def release(self, target: str = "") -> None:
        if not target:
            self.holding = False
        self.had.pop(target, None)


def policies(text: str) -> PolicySet:
    """
    The policies of a text.
    """
    return load([("p.yaml", text.encode())], zone=UTC)


def running(job_id="job-1", *, hours=25.0, **facts):
    """
    A job on economic P100 that has been running for so many hours, and was created an hour earlier.
    """
    start_ms = NOW_MS - int(hours * HOUR_MS)
    plan = {"create_time_ms": start_ms - HOUR_MS, "start_time_ms": start_ms, "flavor": ECO}
    return SimJob(id=job_id, **{**plan, **facts})


class Stand:
    """
    A guard over one simulated project; what a crash would lose can be made anew over the same ledger and world.
    """

    def __init__(
        self,
        ledger,
        *jobs,
        armed=True,
        knobs=None,
        limits=None,
        text=ONE_DAY,
        pause_file=None,
        targets=("lab",),
        clock=None,
        breaker=None,
    ):
        self.clock = clock or ManualClock()
        self.world = World(Knobs(**(knobs or {})), self.clock.now if clock else lambda: self.clock.seconds)
        for job in jobs:
            self.world.add(job)
        self.calls = CallLog()
        self.app = create_app(self.world, self.calls)
        self.raw = ledger
        self.limits = limits
        self.breaker = breaker
        self.pause_file = pause_file
        self.names = targets
        self.armed = armed
        self.set = policies(text)
        self.begin()

    def begin(self) -> None:
        """
        Make everything anew that a process holds in memory.
        """
        self.hooks = Hooks()
        if isinstance(self.clock, ManualClock):
            self.clock.hooks = self.hooks
        self.ledger = HookedLedger(self.raw, self.hooks)
        self.lease = OpenLease(*self.names)
        self.metrics = Metrics(version="test")
        self.http = http_client(transport=HookedTransport(LoopbackTransport(self.app), self.hooks))
        self.paces = {}
        self.targets = {name: self._target(name) for name in self.names}
        self.target = self.targets[self.names[0]]
        self.view = View(terms=Terms())
        self.view.take_policies(self.set, now_ms=int(self.clock.now() * 1000))
        gate = Gate(ledger=self.ledger, lease=self.lease, clock=self.clock, pause_file=self.pause_file)
        self.enforcer = Enforcer(
            ledger=self.ledger,
            gate=gate,
            view=self.view,
            metrics=self.metrics,
            clock=self.clock,
            confirmation=Confirmation(),
        )
        self.metrics.start(self.names)
        self.metrics.took_policies(self.set, self.names, at=self.clock.now())
        self.cycle = Cycle(
            targets=self.targets,
            view=self.view,
            enforcer=self.enforcer,
            rules=Rules(limits=self.limits, walk_every_ms=60_000, breaker=self.breaker),
            deadlines={name: Deadlines() for name in self.names},
        )

    def _target(self, name):
        async def fetch():
            return KEY

        credentials = Credentials(fetch, self.clock.now, identity="fixed")
        pace = self.paces[name] = Pace(self.clock, waited=self.metrics.paces.waited)
        self.metrics.paces.watch(name, lambda: pace.rate)
        service = Service(
            Exchange(self.http, self.clock, self.metrics.called),
            credentials,
            endpoint="https://modelarts.test",
            project_id=DEFAULT_PROJECT,
            patience=Patience(draw=lambda: 1.0),
            pace=pace,
        )
        watched = Watched(name=name, region="cn-north-4", project_id=DEFAULT_PROJECT, workspaces=("0",))
        terminator = ModelArtsTerminator(service) if self.armed else None
        return Target(name=name, source=ModelArtsClient(watched, service), terminator=terminator)

    def take(self, text: str) -> None:
        """
        Put other policies in force.
        """
        self.set = policies(text)
        self.view.take_policies(self.set, now_ms=self.target.source.now_ms())

    async def read(self):
        """
        The jobs of one walk that nobody takes in.
        """
        jobs = []

        async def take(some):
            jobs.extend(some)

        await self.target.source.walk(take)
        return jobs

    async def walk(self):
        """
        One cycle, what the daemon's next tick shows of it, and every intent that it began, to the end.
        """
        inventory = await self.cycle.walk(self.target)
        self.cycle.show()
        await self.settle()
        return inventory

    async def read_ends(self) -> None:
        """
        Read how those ended that left, as far as that is to be done now.
        """
        await Endings(cycle=self.cycle, clock=self.clock).read_due(self.target)

    async def settle(self) -> None:
        """
        Wait until nothing is on its way; what a drive raised is left to the cycle.
        """
        while self.cycle.drives.under_way:
            await asyncio.wait(list(self.cycle.drives.under_way.values()))
            await asyncio.sleep(0)

    async def steps(self, number=1):
        """
        The states of an intent, in order.
        """
        return [state for _, state, _ in await self.raw.steps(number)]

    async def intent(self, number=1):
        """
        One intent.
        """
        return await self.raw.intent(number)

    def sent(self) -> int:
        """
        How many terminate calls the service got.
        """
        return len(self.calls.of("terminate"))

    def accepted(self) -> list[str]:
        """
        The job of each termination that was carried out.
        """
        return self.calls.accepted_terminations()

    def value(self, name, **labels):
        """
        A sample of the metrics, None if there is none.
        """
        return self.metrics.registry.get_sample_value(f"costguard_{name}", labels)


def on_stand(act, *jobs, **options):
    """
    Run *act* with a stand over a new ledger in memory.
    """

    async def run():
        ledger = await open_ledger("sqlite://")
        try:
            stand = Stand(ledger, *jobs, **options)
            try:
                return await act(stand)
            finally:
                for task in list(stand.cycle.drives.under_way.values()):
                    task.cancel()
                    with contextlib.suppress(BaseException):
                        await task
                await stand.http.aclose()
        finally:
            await ledger.aclose()

    return asyncio.run(run())
