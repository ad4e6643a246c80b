"""
One schedule, run: the world outside the daemons, which makes happen what the plan says, and notes what did.
"""

import asyncio
import contextvars
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from sim_daemon import Daemon, digest_of_text, start
from sim_ledger import Store
from sim_loop import ORIGIN, OWNER, Killed, SimClock, SimLoop
from sim_oracle import Oracle, when
from sim_plan import ACTIVE_S, Item, Plan
from sim_policies import ECO, FULL, RuleSet, book_text
from sim_service import Jobs

from guard.core.policy import Policy
from guard.core.records import Pause

CALM_S = 110.0
MOST_DAEMONS = 2
# What a plan may ask of whoever comes by; everything else happens to the world.
ASKED = frozenset(
    [
        "status",
        "reset_before",
        "reset_after",
        "slow_out",
        "slow_back",
        "stale",
        "half",
        "twice",
        "other_job",
        "wrong_date",
        "fail",
        "slow",
        "wait",
    ]
)


@dataclass(slots=True)
class Result:
    """
    What came of a schedule: the first thing that did *not hold* ("" if all did), its story, and counts of what happened.
    """

    wrong: str = ""
    story: list[str] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    turns: int = 0


class World:
    """
    The state of a schedule.
    """

    def __init__(self, plan: Plan, store: Store, loop: SimLoop, folder: Path, *, telling: bool) -> None:
        self.plan = plan
        self.store = store
        self.loop = loop
        self.clock = SimClock(loop)
        self.result = Result()
        self.oracle = Oracle(self)
        self.outside = contextvars.copy_context()
        self.jobs = Jobs(plan.jobs, self.true_ms, self.later)
        self.daemons: dict[int, Daemon] = {}
        self.over = asyncio.Event()
        self.telling = telling
        self.calm = False
        self.calm_since_ms = 0
        self.armed = True
        self.most = plan.most
        self.down_s = 0.5
        self.pause_file = folder / "paused"
        self.pause_file.unlink(missing_ok=True)
        self.paused_since_ms: int | None = None
        self.ledger_state = ""
        self.ledger_down_since_ms: int | None = None
        self.clock_set_ms: int | None = None
        self.folder: RuleSet = plan.sets[0]
        self.prices = {ECO: plan.prices[0], FULL: plan.prices[1]}
        self.edits = 0
        self.halves = 0  # answers that lacked a clock of their jobs
        self.read_at_start: set[str] = set()  # jobs that were told of within an answer's way from their start
        self.turns = 0
        self._places: dict[str, int] = {}
        self._waiting: dict[str, dict[int, list[Item]]] = {}
        self._running: list[tuple[int, bool]] = []
        self.by_digest = {digest_of_text(one.text()): one for one in plan.sets}
        for item in plan.items:
            if item.place:
                self._waiting.setdefault(item.place, {}).setdefault(item.nth, []).append(item)

    @property
    def most_running(self) -> int:
        """
        How many jobs there are at all, of which a share may be terminated.
        """
        return len(self.jobs.by_name)

    def true_ms(self) -> int:
        """
        True time, by which the service goes.
        """
        return int((ORIGIN + self.loop.time()) * 1000)

    def later(self, seconds: float, act: Callable[..., Any], *args: Any) -> Any:
        """
        Do something outside every daemon, after a while.
        """
        return self.loop.call_later(seconds, act, *args, context=self.outside)

    def tell(self, what: str) -> None:
        """
        Add a line to the story.
        """
        if self.telling:
            self.result.story.append(f"{when(self.true_ms())}  {what}")

    def count(self, kind: str, what: str) -> None:
        """
        Count something for the statistics.
        """
        self.result.counts[kind, what] += 1

    def fail(self, why: str) -> None:
        """
        Note that something does not hold; the schedule is over.
        """
        if not self.result.wrong:
            self.result.wrong = why
            self.tell(f"WRONG: {why}")
        self.over.set()

    def come_by(self, place: str) -> Sequence[Item]:
        """
        Let happen what was to happen at this place now; return what was asked of whoever comes by.
        """
        if self.calm:
            return ()
        nth = self._places[place] = self._places.get(place, 0) + 1
        waiting = self._waiting.get(place)
        items = waiting.get(nth) if waiting else None
        if not items:
            return ()
        owner = OWNER.get()
        for item in items:
            if item.act in ASKED:
                self.tell(f"{item.act} {item.args or ''} at the {nth}. {place}")
                self.count("faults", item.act)
            else:
                self.happen(item)
        if isinstance(owner, Daemon):
            owner.check()
        return [item for item in items if item.act in ASKED]

    def come_by_turn(self, daemon: Daemon) -> None:
        """
        Count a callback of a daemon, before which it may be killed.
        """
        self.turns += 1
        items = self._waiting.get("turn", {}).get(self.turns)
        if items and not self.calm:
            for item in items:
                self.happen(item)

    def happen(self, item: Item) -> None:
        """
        Let something happen now.
        """
        if self.calm:
            return
        self.count("happened", item.act)
        self.tell(f"{item.act} {' '.join(str(one) for one in item.args)}")
        act, args = item.act, item.args
        owner = OWNER.get()
        if act in ("crash", "stop", "stall"):
            daemon = owner if isinstance(owner, Daemon) else self.acting() or next(iter(self.alive()), None)
            if daemon is not None:
                getattr(self, f"_{act}")(daemon, args[0])
        elif hasattr(self, f"_{act}"):
            # Not in the middle of somebody's transaction.
            self.loop.call_soon(getattr(self, f"_{act}"), *args, context=self.outside)
        else:
            self.jobs.edit(act, *args)

    def alive(self) -> list[Daemon]:
        """
        The daemons that live.
        """
        return [one for one in self.daemons.values() if not one.dead]

    def acting(self) -> Daemon | None:
        """
        The daemon that holds the ledger, if it lives.
        """
        holder = self.store.holder()
        return next((one for one in self.alive() if one.lease is not None and one.lease.instance == holder), None)

    def in_force(self, daemon: Daemon) -> RuleSet:
        """
        The policies that are in force in a daemon, as they stand in the folder.
        """
        digest = daemon.service.folder.taken if daemon.service is not None else ""
        return self.by_digest[digest]

    def prices_in_force(self, daemon: Daemon) -> dict[str, int]:
        """
        The prices that are in force in a daemon.
        """
        book = daemon.service.cycle.view.terms.prices if daemon.service is not None else None
        return {one.code: int(one.price) for one in book.entries} if book is not None else {}

    def lose_answer(self) -> None:
        """
        Note that a daemon takes something for failed that is on record, so that its counters lag until it starts anew.
        """
        owner = OWNER.get()
        if isinstance(owner, Daemon):
            owner.misled = True

    def ended(self, daemon: Daemon, after_s: float) -> None:
        """
        Start another process in the place of one that ended.
        """
        self.tell(f"d{daemon.number} is gone")
        self.later(after_s, self._start)

    def ledger_is(self, *states: str) -> bool:
        """
        Whether the ledger is broken in one of these ways now.
        """
        return self.ledger_state in states

    def read_policies(self) -> list[tuple[str, bytes]]:
        """
        The policy folder.
        """
        return [("p.yaml", self.folder.text().encode())]

    def read_prices(self) -> list[tuple[str, bytes]]:
        """
        The price book.
        """
        return [("prices.yaml", book_text(self.prices).encode())]

    def mark(self) -> int:
        """
        Another number whenever a file was touched.
        """
        return self.edits

    def _crash(self, daemon: Daemon, down_s: float) -> None:
        daemon.kill()
        self.ended(daemon, down_s)

    def _stop(self, daemon: Daemon, down_s: float) -> None:
        self.down_s = down_s
        daemon.stopping.set()

    def _stall(self, daemon: Daemon, seconds: float) -> None:
        daemon.stopped_until = self.loop.time() + seconds

    def _start(self) -> None:
        if len(self.alive()) < MOST_DAEMONS and not self.over.is_set():
            number = len(self.daemons) + 1
            self.tell(f"d{number} starts, {'armed' if self.armed else 'disarmed'}")
            start(self, number)

    def _pause(self, seconds: float) -> None:
        now_ms = int(self.clock.now() * 1000)
        until_ms = now_ms + int(seconds * 1000) if seconds else None
        if not self.pause_file.exists() and not self._is_paused(now_ms):
            self.paused_since_ms = None
        self.store.set_pause(Pause(reason="simulated", since_ms=now_ms, until_ms=until_ms))
        self._note_pause()

    def _resume(self) -> None:
        self.store.set_pause(None)
        self._note_pause()

    def _pause_file(self) -> None:
        self.pause_file.touch()
        self._note_pause()

    def _unpause_file(self) -> None:
        self.pause_file.unlink(missing_ok=True)
        self._note_pause()

    def _is_paused(self, now_ms: int) -> bool:
        return any(row[0] is None or row[0] > now_ms for row in self.store.rows("SELECT until_ms FROM pause"))

    def _note_pause(self) -> None:
        if self.pause_file.exists() or self.store.rows("SELECT 1 FROM pause"):
            self.paused_since_ms = self.true_ms() if self.paused_since_ms is None else self.paused_since_ms
        else:
            self.paused_since_ms = None

    def _policies(self, index: int) -> None:
        self.folder = self.plan.sets[index]
        self._note_folder()

    def _note_folder(self) -> None:
        self.edits += 1

    def _prices(self, price: int) -> None:
        self.prices = {**self.prices, ECO: price}
        self.edits += 1

    def _clock(self, seconds: float) -> None:
        self.clock.set_off_s += seconds
        self.clock_set_ms = self.true_ms()

    def _trip(self, scope: str, name: str) -> None:
        self.store.trip(scope, name, int(self.clock.now() * 1000))

    def _reset(self) -> None:
        self.store.reset(int(self.clock.now() * 1000))

    def _confirm(self, policy: str) -> None:
        digest = next((one.digest for daemon in self.alive() for one in _policies(daemon) if one.name == policy), None)
        if digest is not None:
            self.store.confirm(policy, digest, int(self.clock.now() * 1000))

    def _ledger(self, state: str, seconds: float) -> None:
        self.ledger_state = state
        self.ledger_down_since_ms = self.true_ms()
        self.later(seconds, self._mend_ledger)

    def _mend_ledger(self) -> None:
        self.ledger_state, self.ledger_down_since_ms = "", None

    def _arm(self, armed: bool) -> None:
        self.armed = armed

    def _limit(self, most: int) -> None:
        self.most = most if self.plan.most is not None else None

    async def run(self) -> None:
        """
        Run the schedule to its end.
        """
        self.store.begin(self)
        for item in self.plan.items:
            if item.at_s is not None:
                self.later(item.at_s, self.happen, item)
        self.later(ACTIVE_S, self._become_calm)
        self.later(ACTIVE_S + CALM_S, self.over.set)
        self._start()
        await self.over.wait()
        if not self.result.wrong:
            self.oracle.settled()
        for daemon in self.alive():
            daemon.kill()
        for daemon in self.daemons.values():
            await daemon.buried()

    def _become_calm(self) -> None:
        self.tell("from here on nothing goes wrong any more")
        self.calm, self.calm_since_ms = True, self.true_ms()
        if self.clock.set_off_s:
            self._clock(-self.clock.set_off_s)
        self._resume()
        self._unpause_file()
        self._mend_ledger()
        self.armed = True
        if self.folder.broken:
            self._policies(0)
        if not self.alive():
            self._start()


def _policies(daemon: Daemon) -> Sequence[Policy]:
    return daemon.service.cycle.view.policies.policies if daemon.service is not None else ()


_STORES: list[Store] = []
_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def run_plan(plan: Plan, *, telling: bool = False) -> Result:
    """
    Run a schedule.
    """
    if not _STORES:
        _STORES.append(Store())
        _FOLDERS.append(tempfile.TemporaryDirectory(prefix="simulated-"))
    random.seed(plan.seed)
    loop = SimLoop()
    world = World(plan, _STORES[0], loop, Path(_FOLDERS[0].name), telling=telling)
    if telling:
        structlog.configure(processors=[lambda _, __, event: _log(world, event)], cache_logger_on_first_use=False)
    else:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False)
    try:
        loop.run_until_complete(world.run())
        loop.run_until_complete(loop.shutdown_asyncgens())
    except Killed:
        world.fail("the world was killed")
    finally:
        _STORES[0].world = None
        loop.close()
    if loop.strange and not world.result.wrong:
        world.result.wrong = f"strange: {loop.strange[0]}"
    world.result.turns = world.turns
    return world.result


def _log(world: World, event: Any) -> Any:
    name = event.pop("event", "")
    owner = OWNER.get()
    number = f"d{owner.number}" if isinstance(owner, Daemon) else ""
    if name not in ("scan.finished", "look.finished", "fleet.recalled", "policies.taken", "prices.taken"):
        world.tell(f"    {number} {name} {' '.join(f'{key}={value}' for key, value in event.items())}"[:300])
    raise structlog.DropEvent
