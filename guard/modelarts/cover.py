"""
How far a list is proved to be read, kept in a bounded memory: the ids of the newest windows, and two counts.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

KEPT = 1000


class Cover:
    """
    The proved part of a list: everything from its beginning up to the newest job of its windows.

    *wanted* counts the jobs that were asked for, *junk* the items without an id. Of the ids only the newest ``KEPT`` are
    remembered, more than a walk ever goes back, so that an id that is met again is one of them; where an older one were
    met, its border would count as not proved, which costs a reading and never a job.
    """

    def __init__(self) -> None:
        self._recent: dict[str, None] = {}
        self.wanted = 0
        self.junk = 0

    def __len__(self) -> int:
        return len(self._recent)

    def shared(self, keys: Iterable[str | None]) -> int:
        """
        Return how many of *keys* lie in the cover.
        """
        return sum(key in self._recent for key in keys)

    def extend(self, items: Sequence[tuple[str | None, object]], *, ends: bool) -> bool:
        """
        Take in a window (ids, and None for an item that is not wanted) whose border is proved, and tell if it brought an id.

        Windows overlap, so an item without an id counts only between the last shared id and the window's last id: before
        it was counted with an earlier window, and behind it will be with the next one, or now if the window *ends* the list.
        """
        recent = self._recent
        keys = [key for key, _ in items]
        beyond = next((place + 1 for place in range(len(keys) - 1, -1, -1) if keys[place] in recent), 0)
        upto = len(keys) if ends else next((place for place in range(len(keys), 0, -1) if keys[place - 1] is not None), 0)
        self.junk += keys[beyond:upto].count(None)
        brought = False
        for key, value in items:
            if key is not None and key not in recent:
                recent[key] = None
                brought = True
                self.wanted += value is not None
        if len(recent) > KEPT:
            for key in list(islice(recent, len(recent) - KEPT)):
                del recent[key]
        return brought
