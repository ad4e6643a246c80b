"""
What keeps the process from pausing holds while the daemon runs, and not beyond.
"""

import gc
import sys

from guard.daemon.promptness import SWITCH_S, prompt


def test_short_turns_and_small_collections():
    """
    Threads take short turns and what is there is out of every collection, until the daemon ends.
    """
    before = sys.getswitchinterval()
    with prompt():
        assert abs(sys.getswitchinterval() - SWITCH_S) < 1e-6
        assert gc.get_freeze_count() > 10_000
    assert (sys.getswitchinterval(), gc.get_freeze_count()) == (before, 0)
