"""
When a call to one target may go out: a token bucket that gives way to throttling, and kills before all else.

Nothing in here knows what a call is. Every attempt takes a turn of its own; the rules:

* A turn needs a token. Tokens come at the present rate, at most ``BURST_S`` seconds of it are kept. The last one is left to
  a terminate call, so that whoever was let through to its re-read need not wait long for the call that follows.
* At most *in_flight* turns are held at a time, and of these each lane and those behind it at most their ``SHARES``, so that
  a service that hangs while it lists keeps no kill from being sent. A turn that was given back unused costs no token.
* A 429 halves the rate, down to ``FLOOR_PER_S``, and takes the tokens that were kept. Turns that were given before the rate
  was halved do not halve it again: one threshold that was reached is one event. A Retry-After stops everything for that
  time, at most ``LONGEST_PAUSE_S``. The rate then rises by a constant amount per second up to the configured one.
* Lanes are served in the order of ``Lane``; within a lane the smallest rank, then first come. Only after
  ``CONFIRMS_IN_A_ROW`` confirmations, which may go on for many minutes, does a waiting discovery come before the next one.
  Kills make way for nobody: the limits bound how many there are.
* While a turn of a kill is held, discovery gets one only every ``MAKE_WAY_S``: what it reads takes this process's time as
  well, and at hundreds of kills a minute a walk would leave them none. So a walk goes on in the gaps and never stands still.

As shares only shrink from lane to lane, what stops the most urgent of those that wait stops all others too, so only that
one is looked at. One task sleeps while a turn is due to come with time, and none does while nobody waits.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from guard.core.lanes import Lane, Turn
from guard.modelarts.waitingline import Line
from guard.ports import Clock

PER_SECOND = 20.0
IN_FLIGHT = 16
SHARES = {Lane.TERMINATE: 1.0, Lane.CHECK: 7 / 8, Lane.CONFIRM: 3 / 4, Lane.DISCOVERY: 1 / 2}
CONFIRMS_IN_A_ROW = 4
MAKE_WAY_S = 0.25
BURST_S = 2.0
FLOOR_PER_S = 1.0
LOWERED_TO = 0.5
RECOVERY_S = 60.0
LONGEST_PAUSE_S = 60.0
# A clock may be too coarse to tell the last fraction of a token from a whole one; no sleep is shorter than this.
SHORTEST_SLEEP_S = 0.001

Waited = Callable[[Lane, float], object]


def untold(lane: Lane, seconds: float) -> None:
    """
    Tell nobody.
    """


class Pace:
    """
    The turns of one target, at most *per_second* on average; *waited* is told of each how long it took to come.
    """

    def __init__(
        self, clock: Clock, *, per_second: float = PER_SECOND, in_flight: int = IN_FLIGHT, waited: Waited = untold
    ) -> None:
        self._clock = clock
        self._full = per_second
        self._floor = min(FLOOR_PER_S, per_second)
        self._waited = waited
        self._rate = per_second
        self._tokens = _kept(per_second)
        # Up to this moment tokens and rate are reckoned; it lies in the future while everything is stopped.
        self._reckoned_at = clock.monotonic()
        self._lines: dict[Lane, Line] = {lane: Line() for lane in Lane}
        self._waiting = 0
        # By lane: how many turns it and the lanes behind it may hold, and hold.
        self._room = [max(1, int(in_flight * SHARES[lane])) for lane in Lane]
        self._held = [0] * len(Lane)
        self._unused: set[int] = set()
        self._given = 0
        self._lowered_after = 0
        self._confirmed_in_a_row = 0
        self._discovered_at = -MAKE_WAY_S
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0.0

    @property
    def rate(self) -> float:
        """
        The calls per second that are let through now.
        """
        self._reckon()
        return self._rate

    @property
    def waiting(self) -> int:
        """
        How many wait for a turn.
        """
        return self._waiting

    def stopped_s(self) -> float:
        """
        Return for how many seconds more nothing is let through, because the service asked for it; 0 if it did not.
        """
        return self._reckon()

    def turn(self, lane: Lane, *, rank: int = 0) -> AbstractAsyncContextManager[Turn]:
        """
        Wait for a turn and hold it while the body runs; a wait that is cancelled leaves the queue as if it had never been.
        """
        return _Hold(self, lane, rank)

    async def take(self, lane: Lane, rank: int) -> Turn:
        """
        Wait for a turn, which is to be given ``back``.
        """
        if self._waiting == 0 and self._may_go(lane) and self._missing(lane) <= 0:
            turn = Turn(number=self._take(lane))
        else:
            turn = await self._in_line(lane, rank)
        self._waited(lane, turn.waited_s)
        return turn

    def back(self, lane: Lane, number: int) -> None:
        """
        Give a turn back.
        """
        for each in range(lane + 1):
            self._held[each] -= 1
        if number in self._unused:
            self._unused.remove(number)
            self._reckon()
            self._tokens = min(_kept(self._rate), self._tokens + 1.0)
        if self._waiting:
            self._serve()

    def used(self, turn: Turn) -> None:
        """
        Take in that the request of *turn* goes out, so that its token is gone for good.
        """
        self._unused.discard(turn.number)

    def throttled(self, turn: Turn, *, retry_after: float | None) -> None:
        """
        Take in that the call of *turn* was answered with 429, and the seconds that its Retry-After asks for.
        """
        self._reckon()
        if turn.number > self._lowered_after:
            self._lowered_after = self._given
            self._rate = max(self._floor, self._rate * LOWERED_TO)
            self._tokens = 0.0
        until = self._clock.monotonic() + min(retry_after or 0.0, LONGEST_PAUSE_S)
        self._reckoned_at = max(self._reckoned_at, until)

    async def _in_line(self, lane: Lane, rank: int) -> Turn:
        asked_at = self._clock.monotonic()
        line = self._lines[lane]
        came: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        line.join(rank, came)
        self._waiting += 1
        self._serve()
        try:
            number = await came
        except asyncio.CancelledError:
            if came.cancelled():
                self._waiting -= 1
                line.left()
                self._serve()
            else:
                # The turn came in the same moment; nothing was sent with it, so it goes to the next.
                self.back(lane, came.result())
            raise
        return Turn(number=number, waited_s=self._clock.monotonic() - asked_at)

    def _take(self, lane: Lane) -> int:
        self._tokens -= 1.0
        for each in range(lane + 1):
            self._held[each] += 1
        self._given += 1
        if lane is Lane.DISCOVERY:
            self._discovered_at = self._clock.monotonic()
        self._unused.add(self._given)
        return self._given

    def _serve(self) -> None:
        """
        Give every turn that can be given now, and see to it that somebody wakes up for the next that comes with time.
        """
        due_s = self._give()
        alarm = None if self._alarm is None or self._alarm.done() else self._alarm
        at = self._clock.monotonic() + (due_s or 0.0)
        if alarm is not None and (self._waiting == 0 or (due_s is not None and at < self._alarm_at - SHORTEST_SLEEP_S)):
            alarm.cancel()
            alarm = None
        if alarm is None and due_s is not None:
            self._alarm_at = at
            alarm = asyncio.create_task(self._wake(due_s), name="pace")
        self._alarm = alarm

    async def _wake(self, due_s: float | None) -> None:
        while due_s is not None:
            self._alarm_at = self._clock.monotonic() + due_s
            await self._clock.sleep(due_s)
            due_s = self._give()
        self._alarm = None

    def _give(self) -> float | None:
        """
        Give the turns that can be given; return the seconds until the next, or None if time alone brings none.
        """
        while (lane := self._lane_to_serve()) is not None:
            missing_s = self._missing(lane)
            if missing_s > 0:
                return max(SHORTEST_SLEEP_S, missing_s)
            came = self._lines[lane].next()
            self._waiting -= 1
            if lane is Lane.DISCOVERY or self._lines[Lane.DISCOVERY].empty():
                self._confirmed_in_a_row = 0
            elif lane is Lane.CONFIRM:
                self._confirmed_in_a_row += 1
            came.set_result(self._take(lane))
        return None

    def _lane_to_serve(self) -> Lane | None:
        lane = next((each for each in Lane if not self._lines[each].empty()), None)
        in_a_row = lane is Lane.CONFIRM and self._confirmed_in_a_row >= CONFIRMS_IN_A_ROW
        if in_a_row and self._may_go(Lane.DISCOVERY) and not self._makes_way_s():
            lane = lane if self._lines[Lane.DISCOVERY].empty() else Lane.DISCOVERY
        return lane if lane is not None and self._may_go(lane) else None

    def _may_go(self, lane: Lane) -> bool:
        held, room = self._held, self._room
        # Index by index, because this is on the way of every call.
        return held[0] < room[0] and (
            lane < 1 or (held[1] < room[1] and (lane < 2 or (held[2] < room[2] and (lane < 3 or held[3] < room[3]))))
        )

    def _missing(self, lane: Lane) -> float:
        """
        Return the seconds until there are tokens enough for a turn of *lane*; 0 if there are.
        """
        stopped_s = self._reckon()
        missing = (1.0 if lane is Lane.TERMINATE else 2.0) - self._tokens
        missing_s = stopped_s + missing / self._rate if missing > 0 else stopped_s
        return max(missing_s, self._makes_way_s()) if lane is Lane.DISCOVERY else missing_s

    def _makes_way_s(self) -> float:
        """
        Return for how many seconds more discovery waits because kills are on their way; 0 if none is.
        """
        kills = self._held[Lane.TERMINATE] - self._held[Lane.CONFIRM]
        return max(0.0, self._discovered_at + MAKE_WAY_S - self._clock.monotonic()) if kills else 0.0

    def _reckon(self) -> float:
        """
        Bring tokens and rate up to this moment, and return for how many seconds more everything is stopped.

        The rate rises meanwhile, so what came in is the area below it.
        """
        now = self._clock.monotonic()
        passed_s = now - self._reckoned_at
        if passed_s <= 0:
            return -passed_s
        self._reckoned_at = now
        came = self._full * passed_s
        if self._rate < self._full:
            per_s = self._full / RECOVERY_S
            rising_s = min(passed_s, (self._full - self._rate) / per_s)
            came = self._rate * rising_s + per_s * rising_s**2 / 2 + self._full * (passed_s - rising_s)
            self._rate = self._full if rising_s < passed_s else min(self._full, self._rate + per_s * rising_s)
        self._tokens = min(_kept(self._rate), self._tokens + came)
        return 0.0


def _kept(rate: float) -> float:
    """
    Return how many tokens are kept at that rate: never fewer than a kill needs, one for its re-read and one for its call.
    """
    return max(2.0, rate * BURST_S)


class _Hold(AbstractAsyncContextManager[Turn]):
    """
    One turn, from the wait to its end; a class, because a generator would cost every call more than all the reckoning.
    """

    __slots__ = ("_lane", "_number", "_pace", "_rank")

    def __init__(self, pace: Pace, lane: Lane, rank: int) -> None:
        self._pace = pace
        self._lane = lane
        self._rank = rank
        self._number = 0

    async def __aenter__(self) -> Turn:
        turn = await self._pace.take(self._lane, self._rank)
        self._number = turn.number
        return turn

    async def __aexit__(self, *raised: object) -> None:
        self._pace.back(self._lane, self._number)
