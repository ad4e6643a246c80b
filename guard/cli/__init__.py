"""
The command line: arguments in, exit codes out. What a command does is in ``commands`` and beside it.

Exit codes: 0 ended as asked, 1 bad input, 2 usage, 3 no target could be read, 4 the ledger cannot be used.
"""

import importlib
import io
import os
import signal
import sys
from typing import Any


def main() -> None:
    """
    Run the command line.
    """
    if os.getpid() == 1:
        # The kernel keeps a signal without a handler from the first process of a container: it would be deaf to a stop.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name may hold what the terminal's encoding lacks; then an escape is better than no answer.
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:2] == ["run"]:
        _leave_out_rich()
        from guard.cli.daemon import app
    else:
        from guard.cli.whole import app
    app()


def _leave_out_rich() -> None:
    """
    Let httpx and structlog find no rich, which they load with pygments and attrs if it is there, 6 MiB of each daemon: for a
    command line of httpx's own, and to draw tracebacks that no log of the daemon holds.
    """
    absent: dict[str, Any] = {"pygments": None, "rich": None}
    sys.modules.update(absent)
    try:
        for name in ("httpx", "structlog"):
            importlib.import_module(name)
    finally:
        for name in absent:
            del sys.modules[name]
