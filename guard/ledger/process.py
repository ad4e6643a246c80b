"""
Who a process is, precisely enough to tell later that it has died.

Only reads what the kernel says; sends no signal but the null one, which asks whether a process exists.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """
    A process, and the world in which its *pid* means something.

    *start* is in clock ticks since boot: a pid is given again, a pid with its start is not. What the machine does not tell
    is "".
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    start: str


def this_process() -> Process:
    """
    Return the process that runs this.
    """
    pid = os.getpid()
    return Process(
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        pid=pid,
        start=_state_and_start(pid)[1],
    )


def is_dead(other: Process, *, seen_from: Process) -> bool:
    """
    Tell whether *other* is certain to have ended; every doubt says no.

    Its pid says nothing on another machine, after another boot, or in another pid namespace (a container).
    """
    there = (other.host, other.boot_id, other.pid_namespace)
    if there != (seen_from.host, seen_from.boot_id, seen_from.pid_namespace) or not all(there) or other.pid <= 0:
        return False
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    state, start = _state_and_start(other.pid)
    if state in {"Z", "X"}:
        return True
    return bool(start and other.start) and start != other.start


def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""


def _state_and_start(pid: int) -> tuple[str, str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return "", ""
    # The name of the program stands in brackets and may itself hold brackets and spaces.
    fields = text.rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")
