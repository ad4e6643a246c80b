"""
How a list that changes while it is read is read to its end: windows that overlap, and a proof at every border.

The documents contradict each other on whether a list's ``offset`` counts pages or items, and jobs end and start between two
requests. So the walk rests on neither:

* The list is sorted by the moment of creation, which never changes; let the order be "older". A window is a contiguous part
  of the list at its moment. The walk covers everything up to the newest job of its last window: true of the first window,
  which begins at the list's beginning.
* The next window extends that cover if it holds one job x that is covered already. Take a job j that stays live through the
  walk and is not newer than the new window's last one: if it is not newer than the old cover's end, it is covered; else it
  is newer than x, so it lies between x and the window's end and is in the window, which is contiguous.
* A window that is shorter than it was asked for ends the list. So a walk whose every border was proved has missed no job
  that was live throughout, whatever ended, began or was restarted meanwhile and whatever ``offset`` means.

The meaning of ``offset`` only decides which request comes next, thus how many are needed. Consecutive windows overlap by
``OVERLAP`` jobs, by more after a border was lost. Where ``offset`` counts pages, a window may begin only at a multiple of
its length, so the length is chosen to fit. A border that is not proved is read again from further back, then the whole walk
is repeated, at most ``MAX_REPEATS`` times; the last pass keeps what it finds, but the walk says that it is incomplete.

Like every paging by offset, this trusts the service to sort jobs of the same millisecond in one way.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from guard.errors import TargetError

OVERLAP = 10
WIDER_OVERLAP = 20
MAX_REPEATS = 3
MAX_MISSES = 5
MAX_STALLED = 4

Meaning = Literal["page", "item"]
T = TypeVar("T")
Fetch = Callable[[int, int], Awaitable[Sequence[tuple[str | None, T]]]]


@dataclass(slots=True, kw_only=True)
class Walked(Generic[T]):
    """
    What a walk found, by id, newest reading last; *junk* counts items without an id, *doubt* says why it is incomplete.
    """

    found: dict[str, T] = field(default_factory=dict)
    junk: int = 0
    doubt: str = ""
    meaning: Meaning | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The longest window that the service gives, and how many windows one walk may read.
    """

    window: int = 50
    max_windows: int = 500


async def walk(fetch: Fetch[T], limits: Limits, *, meaning: Meaning | None = None) -> Walked[T]:
    """
    Read a whole list with ``fetch(offset, limit)``; *meaning* is what an earlier walk found out about ``offset``.

    A failure of the first window is raised; a later one leaves what was read, with the doubt.
    """
    reader = _Reader(fetch, limits, meaning)
    try:
        await reader.read()
    except TargetError as error:
        if not reader.windows:
            raise
        reader.doubt = str(error)
    return Walked(found=reader.found, junk=len(reader.junk), doubt=reader.doubt, meaning=reader.meaning)


def window_at(start: int, meaning: Meaning | None, longest: int) -> tuple[int, int, int]:
    """
    Return (offset, limit, first item) of the window that begins at *start* or shortly before and reaches furthest.

    While the meaning is unknown the window fits both: counted in pages it begins at *start*, counted in items at item 1.
    """
    if start == 0:
        return 0, longest, 0
    if meaning == "item":
        return start, longest, start
    if meaning is None and start <= longest:
        return 1, start, start
    # With a length of at least half the longest, the multiples lie dense enough that one ends well beyond the start.
    limit = max(range(longest // 2, longest + 1), key=lambda length: (start // length + 1) * length)
    return start // limit, limit, start // limit * limit


class _Reader(Generic[T]):
    def __init__(self, fetch: Fetch[T], limits: Limits, meaning: Meaning | None) -> None:
        self._fetch = fetch
        self._limits = limits
        self.meaning = meaning
        self.found: dict[str, T] = {}
        self.junk: set[tuple[str, int]] = set()
        self.doubt = ""
        self.windows = 0
        self._covered: set[str] = set()
        self._overlap = OVERLAP
        self._first: list[str | None] = []

    async def read(self) -> None:
        for repeat in range(MAX_REPEATS + 1):
            if await self._pass(proving=repeat < MAX_REPEATS):
                return
            # The meaning that was believed may have led astray (the service may change), so it is found out anew.
            self.meaning = None

    async def _pass(self, *, proving: bool) -> bool:
        """
        Read from the beginning to the end; False if a border could not be proved and the pass is to be repeated.
        """
        start = end = stalled = misses = 0
        while self.windows < self._limits.max_windows:
            offset, limit, first = window_at(start, self.meaning, self._limits.window)
            ids = await self._window(offset, limit, at_beginning=first == 0)
            known = {each for each in ids if each is not None}
            if first == 0:
                self._covered, self._first = set(), ids
            elif not known & self._covered:
                misses += 1
                if proving and misses > MAX_MISSES:
                    return False
                if proving:
                    self._overlap = WIDER_OVERLAP
                    start = max(0, end - self._limits.window - OVERLAP)
                    continue
                self.doubt = "jobs left the list faster than it could be read"
            stalled = 0 if known - self._covered else stalled + 1
            self._covered |= known
            if len(ids) < limit:
                return True
            if stalled > MAX_STALLED:
                self.doubt = "" if proving else "the service gives the same jobs whatever the offset"
                return not proving
            probing = self.meaning is None and first > 0
            if probing:
                self._learn(ids, first)
            if not (probing and self.meaning == "item"):
                end = first + len(ids)
            start = max(0, end - self._overlap)
        self.doubt = f"the list did not end within {self._limits.max_windows} requests"
        return True

    async def _window(self, offset: int, limit: int, *, at_beginning: bool) -> list[str | None]:
        items = await self._fetch(offset, limit)
        self.windows += 1
        # Windows overlap, so an item without an id is told by the job before it and its distance from that.
        before, distance = ("" if at_beginning else None), 0
        for key, value in items:
            if key is not None:
                self.found[key] = value
                before, distance = key, 0
            else:
                distance += 1
                if before is not None:
                    self.junk.add((before, distance))
        return [key for key, _ in items]

    def _learn(self, ids: Sequence[str | None], first: int) -> None:
        """
        Tell what ``offset`` means from the window that was asked for with offset 1 and length *first*.

        Counted in items it repeats the first window from its second item on; counted in pages it begins near its end.
        """
        early = {each for each in self._first[:first] if each is not None}
        repeated = sum(each in early for each in ids)
        onward = sum(each is not None and each not in early for each in ids)
        self.meaning = "item" if repeated > onward else "page"
