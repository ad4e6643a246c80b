"""
How the reading of one target goes: whether it was read at all, what the last failure said, when to walk it again.
"""

from dataclasses import dataclass

# Of so many looks for new jobs, one looks at those that wait too.
LOOKS_PER_WAIT = 3
MOST_LOOKS = 32
# A look that hangs would keep all later ones from beginning.
LONGEST_LOOK_S = 120.0


@dataclass(slots=True, kw_only=True)
class Health:
    """
    *read* once a walk came to its end, *walked_ms* and *looked_ms* say when that and a look last did, *error* is why the
    newest attempt failed ("" if it did not), *looks* counts the looks since the last walk.

    A walk that failed or was incomplete is tried again at the next look, then after twice as many looks each time.
    """

    read: bool = False
    walked_ms: int = 0
    looked_ms: int = 0
    error: str = ""
    walking: bool = False
    looks: int = 0
    _again_after: int = 1
    _wanted: bool = True

    def begin_walk(self) -> None:
        """
        Note that a walk begins; it is wanted until one was complete, whatever becomes of this one.
        """
        self.walking = self._wanted = True

    def walked(self, *, complete: bool, at_ms: int) -> None:
        """
        Note that a walk came to its end.
        """
        self.read, self.error, self.looks, self.walked_ms = True, "", 0, at_ms
        self._wanted = not complete
        if complete:
            self._again_after = 1

    def failed(self, why: str) -> None:
        """
        Note that a walk or a look failed.
        """
        self.error = why

    def is_due(self) -> bool:
        """
        Count a look, and tell whether a walk is to be made in its place.
        """
        self.looks += 1
        if self.walking or not self._wanted or self.looks < self._again_after:
            return False
        self.looks, self._again_after = 0, min(2 * self._again_after, MOST_LOOKS)
        return True

    def told(self, *, watched: int, queued: int, now_ms: int) -> str:
        """
        Return in half a sentence how the target is.
        """
        walked = f"walked {_ago(self.walked_ms, now_ms)}" if self.read else "not walked yet"
        looked = f", looked at {_ago(self.looked_ms, now_ms)}" if self.looked_ms else ""
        failed = f"; could not be read: {self.error}" if self.error else ""
        return f"{walked}{looked}, {watched} jobs watched, {queued} deadlines queued{failed}"


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{max(0, now_ms - at_ms) / 1000:.0f} s ago"
