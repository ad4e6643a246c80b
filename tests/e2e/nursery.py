"""
A process that starts daemons: it has everything imported, and each daemon is a fork of it, so that a round is short.

Run as ``python nursery.py``. For each line ``CONFIG LOG`` on its standard input it starts ``guard run`` with that settings
file and that log, and prints the process id. What it starts is its own child, which nobody waits for.
"""

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

from guard import commands
from guard.app import Outside
from guard.cli.top import told
from guard.logs import configure_logs
from guard.settings import load_settings

PR_SET_PDEATHSIG = 1


def become_guard(config: str, log: str) -> None:
    """
    Do what ``guard run`` does, in this process, to its end.
    """
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(stream, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Whoever started the nursery may be ended, too, and a daemon that nobody knows would stay.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    code = 70
    try:
        with told():
            configure_logs()
            code = asyncio.run(commands.run(load_settings(Path(config)), Outside()))
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        settings, _, to = line.strip().partition(" ")
        pid = os.fork()
        if pid == 0:
            become_guard(settings, to)
        print(pid, flush=True)  # noqa: T201
