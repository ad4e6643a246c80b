"""
``guard ledger export`` and ``guard ledger import``: files and the right to act around what ``guard.ledger.moving`` does.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa

from guard.app import holder
from guard.commands import recorded
from guard.daemon.clocks import RealClock
from guard.errors import BadInput
from guard.ledger.lease import SqlLease
from guard.ledger.moving import Counts, export_to, import_from
from guard.ledger.opening import open_ledger
from guard.settings import Settings

STREAM = Path("-")


async def export_ledger(settings: Settings, path: Path) -> Counts:
    """
    Write the whole ledger to a file that does not exist yet (``-`` is the standard output); return the rows by table.

    Raises ``BadInput`` if the file cannot be written; nothing is left of what is not whole.
    """
    async with recorded(settings) as ledger:
        with _begun(path) as file:
            return await ledger.read("be exported", lambda at: _export(at, file))


async def import_ledger(settings: Settings, path: Path) -> Counts:
    """
    Take a whole ledger from a file into the one of the settings, which is made if need be and must be empty, in one
    transaction; return the rows by table. Raises ``BadInput``, ``LedgerUnusable``, and ``LedgerHeld`` if a guard acts on it.
    """
    ledger = await open_ledger(settings.ledger)
    try:
        lease = SqlLease(ledger, f"{holder()} (import)", RealClock(), shared=False)
        await lease.acquire()
        try:
            return await ledger.write("be imported", lambda at: import_from(at, path))
        finally:
            await lease.release()
    finally:
        await ledger.aclose()


@contextlib.contextmanager
def _begun(path: Path) -> Iterator[BinaryIO]:
    if path == STREAM:
        yield sys.stdout.buffer
        return
    try:
        # Names of people and jobs stand in it.
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError as error:
        raise BadInput(f"{path}: there is such a file; name one that does not exist yet") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _export(connection: sa.Connection, file: BinaryIO) -> Counts:
    # A reading that is begun anew, because the server was restarted, begins the file anew. A pipe cannot, and then holds
    # what no import takes.
    if file is not sys.stdout.buffer:
        file.seek(0)
        file.truncate()
    return export_to(connection, file.write)
