"""
How often one drive of an intent may try, and what it has used up of that.
"""

from dataclasses import dataclass

MAX_CONFLICTS = 3
MAX_UNANSWERED = 3
MAX_RETRIES = 4
# Throttled calls were not carried out, and the pace of the target slows down at each: patience costs only time.
MAX_THROTTLED = 10
MAX_EARLY = 3
MAX_LATE = 5
LONGEST_RETRY_S = 30.0
LONGEST_ASKED_S = 60.0
# A reading of the job is good for a call as long as the wait for its turn was no longer than this.
LONGEST_HOLD_S = 2.0
# And as long as it is no older than this once `sending` is on record: a commit may take long, and a process may be stopped.
OLDEST_READING_S = 5.0


@dataclass(slots=True, kw_only=True)
class Tries:
    """
    What one drive of an intent has used up of its bounds.
    """

    conflicts: int = 0
    unanswered: int = 0
    retries: int = 0
    throttled: int = 0
    early: int = 0
    late: int = 0
    renewed: bool = False

    def count_retry(self, *, throttled: bool) -> tuple[int, int]:
        """
        Count a call that may be repeated; return its number among those of its kind, and how many of them are borne.
        """
        if throttled:
            self.throttled += 1
            return self.throttled, MAX_THROTTLED
        self.retries += 1
        return self.retries, MAX_RETRIES
