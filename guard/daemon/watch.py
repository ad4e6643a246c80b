"""
The watch over the policy folder and the price book: it looks in a thread, and puts what is new and good in force on the
event loop.

The thread touches nothing but the files; whoever decides, decides by one whole set and one whole book.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic

import structlog

from guard.core.policy import PolicySet, asks_for_money
from guard.core.price import PriceBook
from guard.daemon.cycle import Cycle
from guard.daemon.followed import Content, Followed
from guard.daemon.policies import PolicyFolder
from guard.ports import Clock

SILENT_S = 60.0

PriceFile = Followed[PriceBook]
log = structlog.get_logger("guard")


@dataclass(slots=True, kw_only=True)
class Watch(Generic[Content]):
    """
    What stands between files and what is in force: *take* puts it there, *told* learns whether all is well. *place* and
    *kept* are what a person calls the files and what was made of them. One look at a time; *steady* never steps.
    """

    files: Followed[Content]
    take: Callable[[Content], None]
    told: Callable[[bool], object]
    place: str
    kept: str
    steady: Callable[[], float]
    _fresh: Content | None = None
    _asked_s: float | None = field(default=None, repr=False)
    _failed: bool = field(default=False, repr=False)

    async def look(self, *, at_once: bool) -> bool:
        """
        Look at the files once; return whether something else is in force now.
        """
        self._asked_s, failed = self.steady(), True
        try:
            # A large folder takes a while to load, and a disk that hangs for ever; nothing else waits for it.
            found = await asyncio.to_thread(self.files.poll, steady=self.steady, at_once=at_once)
            if found is not None:
                self._fresh = found
            taken = self._fresh is not None
            if self._fresh is not None:
                self.take(self._fresh)
            # Only now: new files are told of once, and what could not be put in force is tried again.
            self._fresh, failed = None, False
        finally:
            self._asked_s, self._failed = None, failed
            self.show()
        return taken

    def show(self) -> None:
        """
        Tell whether what is in force is what the files say.
        """
        self.told(not (self.files.error or self._silent_s() or self._failed))

    def notes(self) -> list[str]:
        """
        Return what a person should know: files that were refused or do not answer, a change that is on its way.
        """
        # The thread may mend the error at any moment, so it is asked for once.
        what, error, silent_s = self.files.what, self.files.error, self._silent_s()
        kept = f"the {self.kept} {self.files.taken[:12]} stays in force"
        found = [f"{what} refused, {kept}: {error}"] if error else []
        if silent_s:
            found.append(f"{self.place} has not answered for {silent_s:.0f} s, {kept}")
        elif self.files.changing and not error:
            found.append(f"{what} changed, {kept} until the files stand still")
        return found

    def _silent_s(self) -> float:
        silent_s = 0.0 if self._asked_s is None else self.steady() - self._asked_s
        return silent_s if silent_s >= SILENT_S else 0.0


@dataclass(slots=True, kw_only=True)
class PolicyWatch:
    """
    The watch over the policy *folder* and, if there is one, the price book (*prices*).

    *policies_at* and *prices_at* are when each was last put in force, in seconds since 1970; 0 if never.
    """

    folder: PolicyFolder
    cycle: Cycle
    clock: Clock
    prices: PriceFile | None = None
    steady: Callable[[], float] = time.monotonic
    policies_at: float = 0.0
    prices_at: float = 0.0
    _policies: Watch[PolicySet] = field(init=False)
    _book: Watch[PriceBook] | None = field(init=False, default=None)
    _shown_ms: int = 0
    _owed: bool = False

    def __post_init__(self) -> None:
        metrics, book = self.cycle.enforcer.metrics, self.cycle.view.terms.prices
        metrics.fleet.spend.reload_ok.set(1)
        if book is not None:
            self._took(book)
        self._policies = Watch(
            files=self.folder,
            take=self.take,
            told=metrics.reload_ok.set,
            place="the policy folder",
            kept="set",
            steady=self.steady,
        )
        if self.prices is not None:
            well = metrics.fleet.spend.reload_ok.set
            self._book = Watch(
                files=self.prices, take=self.take_prices, told=well, place="the price book", kept="book", steady=self.steady
            )

    async def look(self, *, at_once: bool) -> bool:
        """
        Look at everything once; return whether something else is in force now, by which every job is to be decided on again.
        """
        looks = [self._policies.look(at_once=at_once), *([self._book.look(at_once=at_once)] if self._book else [])]
        told = await asyncio.gather(*looks, return_exceptions=True)
        # What was put in force is owed to the jobs, also if the other look failed.
        self._owed = self._owed or True in told
        for one in told:
            if isinstance(one, BaseException):
                raise one
        owed, self._owed = self._owed, False
        return owed

    def take(self, policies: PolicySet) -> None:
        """
        Put a set of policies in force.
        """
        now, metrics = self.clock.now(), self.cycle.enforcer.metrics
        self.policies_at = now
        self.cycle.view.take_policies(policies, now_ms=int(now * 1000))
        metrics.took_policies(policies, self.cycle.active, at=now)
        if (book := self.cycle.view.terms.prices) is not None:
            metrics.savings.start(self.cycle.active, policies, book.currency)
        log.info(
            "policies.taken",
            digest=self.folder.taken[:12],
            enforce=[one.name for one in policies.policies if one.mode.value == "enforce"],
            observe=[one.name for one in policies.policies if one.mode.value == "observe"],
            exemptions=len(policies.exemptions),
        )

    def take_prices(self, book: PriceBook) -> None:
        """
        Put a price book in force; policies about money are in force by these prices from now on.
        """
        view, now = self.cycle.view, self.clock.now()
        view.take_policies(view.policies, now_ms=int(now * 1000), terms=replace(view.terms, prices=book))
        for one in view.policies.policies:
            if asks_for_money(one.clause):
                view.since_ms[one.name] = int(now * 1000)
        self._took(book)

    def show(self) -> None:
        """
        Bring the gauges of the reload up to date, and those of the spend when a price has changed by time alone.
        """
        self._policies.show()
        if self._book is not None:
            self._book.show()
        book, now_ms = self.cycle.view.terms.prices, int(self.clock.now() * 1000)
        if book is not None and book.changes_between(self._shown_ms, now_ms):
            self.cycle.changed = True
        self._shown_ms = now_ms

    def notes(self) -> list[str]:
        """
        Return what a person should know of the files.
        """
        return [*self._policies.notes(), *(self._book.notes() if self._book else [])]

    def _took(self, book: PriceBook) -> None:
        self.prices_at = self.clock.now()
        self.cycle.enforcer.metrics.fleet.spend.took(at=self.prices_at)
        digest = "" if self.prices is None else self.prices.taken[:12]
        log.info("prices.taken", digest=digest, currency=book.currency, entries=len(book.entries))
