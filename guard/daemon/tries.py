"""
How often one drive of an intent may try, and what it has used up of that.
"""

from dataclasses import dataclass

MAX_CONFLICTS = 3
MAX_UNANSWERED = 3
MAX_RETRIES = 4
MAX_EARLY = 3
MAX_LATE = 5
LONGEST_RETRY_S = 30.0
LONGEST_ASKED_S = 60.0
# A reading of the job is good for a call as long as the wait for its turn was no longer than this.
LONGEST_HOLD_S = 2.0


@dataclass(slots=True, kw_only=True)
class Tries:
    """
    What one drive of an intent has used up of its bounds.
    """

    conflicts: int = 0
    unanswered: int = 0
    retries: int = 0
    early: int = 0
    late: int = 0
    renewed: bool = False
