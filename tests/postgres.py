"""
A real PostgreSQL on loopback, made anew in a folder of its own: it starts in half a second and can be stopped at any time.
"""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

import psycopg
import pytest

from guard.ledger.schema import metadata

_NUMBERS = itertools.count(1)
_UNDER_ROOT = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def programs() -> Path:
    """
    Return the folder of the newest PostgreSQL; without one the test is skipped, or fails where nothing may be skipped.
    """
    found = [Path(name).resolve().parent for name in [shutil.which("postgres")] if name]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name), reverse=True)
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    reason = "PostgreSQL is not installed; .ci/debian says from which package it comes"
    raise (pytest.fail.Exception if os.environ.get("GUARD_TEST_NO_SKIPS") else pytest.skip.Exception)(reason)


class Server:
    """
    A server of its own; ``close`` ends it and removes its folder. Who connects is trusted, so a password is never asked for
    unless *access* says otherwise (a line of ``pg_hba.conf``).
    """

    def __init__(self, *options: str, access: str = "host all all 127.0.0.1/32 trust") -> None:
        self._programs = programs()
        self._options = options
        # Not below a folder of root's, which the server's own user could not enter.
        self.folder = Path(tempfile.mkdtemp(prefix="guard-postgres-", dir="/tmp"))
        if _UNDER_ROOT:
            shutil.chown(self.folder, "postgres", "postgres")
        initdb = [
            self._programs / "initdb",
            "-D",
            "data",
            "-A",
            "trust",
            "-U",
            "guard",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(initdb, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, **_UNDER_ROOT)
        (self.folder / "data/pg_hba.conf").write_text(f"local all all trust\n{access}\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._free: list[str] = []
        self.start()

    def start(self) -> None:
        """
        Start it, and wait until it answers.
        """
        command = [self._programs / "postgres", "-D", "data", "-p", str(self.port), "-k", str(self.folder)]
        command += [word for one in ("listen_addresses=127.0.0.1", *self._options) for word in ("-c", one)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **_UNDER_ROOT)
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(host=str(self.folder), port=self.port, user="guard", dbname="postgres").close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((self.folder / "log").read_text()[-2_000:]) from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """
        Stop it: at once but tidily (SIGINT), or as if the machine failed (SIGQUIT).
        """
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def close(self) -> None:
        """
        Stop it and remove everything.
        """
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """
        Run a statement as the owner of everything, in a transaction of its own; return its rows.
        """
        where = {"host": str(self.folder), "port": self.port, "user": "guard", "dbname": database}
        with psycopg.connect(**where, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str = "postgres", *, user: str = "guard", **parameters: str) -> str:
        """
        Return the URL of a database of this server.
        """
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{query}"

    def used_url(self) -> str:
        """
        Return the URL of a place whose ledger, if it has one, is empty; ``give_back`` it. That is faster than a new one.
        """
        return self._free.pop() if self._free else self.new_url()

    def give_back(self, url: str) -> None:
        """
        Empty the ledger of a place for its next user, if it has all tables of one.
        """
        name = url.rpartition("%3D")[2]
        tables = {str(row[0]) for row in self.run(f"SELECT relname FROM pg_stat_user_tables WHERE schemaname = '{name}'")}  # noqa: S608
        if tables == {*metadata.tables, "alembic_version"}:
            rows = [f"DELETE FROM {name}.{table.name}" for table in reversed(metadata.sorted_tables)]  # noqa: S608
            numbered = f"FROM pg_sequences WHERE schemaname = '{name}'"
            numbers = f"SELECT setval(format('%I.%I', schemaname, sequencename), 1, false) {numbered}"
            self.run("; ".join([*rows, numbers]))
            self._free.append(url)

    def new_url(self) -> str:
        """
        Return the URL of a place without anything in it: a schema, which is made faster than a database.
        """
        name = f"place_{next(_NUMBERS)}"
        self.run(f"CREATE SCHEMA {name}")
        return self.url(options=f"-csearch_path={name}")
