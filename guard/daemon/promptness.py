"""
What keeps this process from pausing while deadlines wait: how threads take turns, and what the garbage collector looks at.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator

# A thread that wants to go on waits for so long at most while another computes. A transaction of the ledger takes turns with
# the event loop six times, so Python's 5 ms would make 30 of what the disk does in two.
SWITCH_S = 0.0005


@contextlib.contextmanager
def prompt() -> Iterator[None]:
    """
    Let threads take short turns, and keep what is there now out of every collection, while the context lasts.

    Modules, policies and settings live as long as the process; to go through them takes some 50 ms each time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
