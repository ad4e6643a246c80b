"""
How a list that changes while it is read is read to its end: windows that overlap, and a proof at every border.

The documents contradict each other on whether a list's ``offset`` counts pages or items, and jobs end and start between two
requests. So the walk rests on neither:

* The list is sorted by the moment of creation, which never changes; let the order be "older". A window is a contiguous part
  of the list at the moment at which the service made it, whichever moment that is. The walk covers everything up to the
  newest job of its windows: true of the first window, which begins at the list's beginning.
* The next window extends that cover if it holds one job x that is covered already. Take a job j that stays live through the
  walk and is not newer than the new window's last one: if it is not newer than the old cover's end, it is covered; else it
  is newer than x, so it lies between x and the window's end and is in the window, which is contiguous.
* A window that is shorter than it was asked for ends the list. So a walk whose every border was proved has missed no job
  that was live throughout, whatever ended, began or was restarted meanwhile and whatever ``offset`` means.

Nothing in this compares the moments of two windows, it only needs j in the list at each of them. So windows may be read at
once and be made by the service in any order, as long as all of them are made between the walk's begin and its end: several
are in flight once the meaning of ``offset`` is known, and each is held against the cover in the order of their places.

The meaning of ``offset`` only decides which request comes next, thus how many are needed. Consecutive windows overlap by
little, by more where jobs leave the list, and slowly by less again. Where ``offset`` counts pages, a window may begin only
at a multiple of its length, so the length is chosen to fit; since a window that reaches further can replace one that does
not, taking the furthest each time needs the fewest. A border that is not proved drops what is in flight and is read again,
each time from twice as far back; after ``MAX_MISSES`` without getting further the whole walk is repeated. The last pass
keeps what it finds, but the walk says that it is incomplete.

A walk keeps no inventory: every window goes to the taker, proved or not, and only the cover's newest ids are remembered.
Like every paging by offset, this trusts the service to sort jobs of the same millisecond in one way.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from guard.errors import TargetError
from guard.modelarts.ahead import Ahead, Fetch, Window
from guard.modelarts.cover import Cover

LEAST_OVERLAP = 2
MOST_OVERLAP = 20
PROBE_OVERLAP = 10
CALM_WINDOWS = 8
MAX_MISSES = 5
MAX_STALLED = 4

Meaning = Literal["page", "item"]
T = TypeVar("T")
Take = Callable[[Sequence[T]], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """
    What a walk came to: *jobs* and items without an id (*junk*) of its proved part, the *requests* that it sent, why it is
    incomplete, and what it learnt: the *length* of the list in places, and the meaning of ``offset``.
    """

    jobs: int
    junk: int
    requests: int
    doubt: str
    length: int
    meaning: Meaning | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The longest window that the service gives, how many one walk may ask for, how many may be in flight, and how often the
    whole is *repeated* when a border cannot be proved. The bound of windows is for a list without end: 40,000 are over a
    million jobs.
    """

    window: int = 50
    max_windows: int = 40_000
    ahead: int = 4
    repeats: int = 3


async def walk(
    fetch: Fetch[T], take: Take[T], limits: Limits, *, meaning: Meaning | None = None, length: int | None = None
) -> Walked:
    """
    Read a whole list with ``fetch(offset, limit)``; *meaning* is what an earlier walk found out about ``offset``, and
    *length* how long the list was, beyond which nothing is asked for ahead.

    *take* gets the wanted items of each window, one window after another; when it returns True of one that brought
    something the walk ends there.
    A failure of the first window is raised; a later one leaves what was read, with the doubt. No request outlives the walk.
    """
    reader = _Reader(fetch, take, limits)
    reader.meaning, reader.length = meaning, length
    try:
        await reader.read()
    except TargetError as error:
        if not reader.windows:
            raise
        reader.doubt = str(error)
    finally:
        await reader.line.drop()
    return Walked(
        jobs=reader.cover.wanted,
        junk=reader.cover.junk,
        requests=reader.line.asked,
        doubt=reader.doubt,
        length=reader.end,
        meaning=reader.meaning,
    )


def window_at(start: int, meaning: Meaning | None, longest: int) -> Window:
    """
    Return the window that begins at *start* or shortly before and reaches furthest.

    While the meaning is unknown the window fits both: counted in pages it begins at *start*, counted in items at item 1.
    """
    if start == 0:
        return Window(0, longest, 0)
    if meaning == "item":
        return Window(start, longest, start)
    if meaning is None and start <= longest:
        return Window(1, start, start)
    # With a length of at least half the longest, the multiples lie dense enough that one ends well beyond the start.
    reach, limit = max(((start // length + 1) * length, length) for length in range(longest // 2, longest + 1))
    return Window(start // limit, limit, reach - limit)


class _Reader(Generic[T]):
    def __init__(self, fetch: Fetch[T], take: Take[T], limits: Limits) -> None:
        self._take = take
        self._limits = limits
        self.line = Ahead(fetch)
        self.cover = Cover()
        self.meaning: Meaning | None = None
        self.length: int | None = None
        self.end = 0
        self.doubt = ""
        self.windows = 0
        self._overlap = LEAST_OVERLAP
        self._calm = 0
        self._start = 0
        self._first: Sequence[str | None] = ()

    async def read(self) -> None:
        for repeat in range(self._limits.repeats + 1):
            if await self._pass(proving=repeat < self._limits.repeats):
                return
            await self.line.drop()
            # The meaning that was believed may have led astray (the service may change), so it is found out anew.
            self.meaning = None

    async def _pass(self, *, proving: bool) -> bool:
        """
        Read from the beginning to the end; False if a border could not be proved and the pass is to be repeated.
        """
        self.cover = Cover()
        self._start = self._calm = 0
        self.end = reach = stalled = misses = 0
        while True:
            self._ask()
            if not self.line:
                self.doubt = f"the list did not end within {self._limits.max_windows} requests"
                return True
            window, items = await self.line.next()
            self.windows += 1
            done = await self._take([value for key, value in items if key is not None and value is not None])
            keys = [key for key, _ in items]
            shared = self.cover.shared(keys)
            if window.first > 0 and not shared:
                misses += 1
                if proving and misses > MAX_MISSES:
                    return False
                self._widen(2 * self._overlap + 1)
                if proving:
                    await self.line.drop()
                    self._start = max(0, self.end - self._limits.window * 2 ** (misses - 1))
                    continue
                self.doubt = "jobs left the list faster than it could be read"
            ends = len(items) < window.limit
            brought = self.cover.extend(items, ends=ends)
            # A window of which all was read before, as the first probe may be, does not tell that there is enough.
            if (done and brought) or ends:
                self.end = window.first + len(items)
                return True
            further = window.end > reach
            stalled = 0 if brought else stalled + further
            misses = 0 if brought and further else misses
            reach = max(reach, window.end)
            if stalled > MAX_STALLED:
                self.doubt = "" if proving else "the service gives the same jobs whatever the offset"
                return not proving
            if brought and self.meaning is not None:
                self._calmer(lost=max(0, self.end - window.first - shared) if window.first > 0 else 0)
            if window.first == 0:
                self._first = keys
            elif self.meaning is None:
                self._learn(keys, window.first)
                if self.meaning == "item":
                    self._start = max(0, self.end - self._overlap)
                    continue
            self.end = window.end
            if not self.line:
                self._start = max(0, self.end - (self._overlap if self.meaning else max(PROBE_OVERLAP, self._overlap)))

    def _ask(self) -> None:
        """
        Keep as many requests in flight as what was proved in a row allows, so that a short list costs few in vain.
        """
        allowed = 1 if self.meaning is None else min(self._limits.ahead, 1 + self._calm)
        while len(self.line) < allowed and self.line.asked < self._limits.max_windows:
            if self.line and self.length is not None and self._start >= self.length:
                return
            window = window_at(self._start, self.meaning, self._limits.window)
            self.line.ask(window)
            self._start = window.end - self._overlap

    def _widen(self, overlap: int) -> None:
        self._overlap = min(max(self._overlap, overlap), MOST_OVERLAP, self._limits.window // 2)
        self._calm = 0

    def _calmer(self, *, lost: int) -> None:
        """
        Note a proved border at which *lost* jobs fewer were shared than the places overlapped.
        """
        if lost >= self._overlap:
            ahead = self._calm
            self._widen(lost + 1)
            self._calm = ahead
        self._calm += 1
        if self._calm % CALM_WINDOWS == 0:
            self._overlap = max(LEAST_OVERLAP, self._overlap - 1)

    def _learn(self, keys: Sequence[str | None], first: int) -> None:
        """
        Tell what ``offset`` means from the window that was asked for with offset 1 and length *first*.

        Counted in items it repeats the first window from its second item on; counted in pages it begins near its end.
        """
        early = {each for each in self._first[:first] if each is not None}
        repeated = sum(each in early for each in keys)
        onward = sum(each is not None and each not in early for each in keys)
        self.meaning = "item" if repeated > onward else "page"
