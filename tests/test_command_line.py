"""
The command line as it starts: the daemon's command brings along only what the daemon needs.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOADED = """
import sys
sys.argv = ["guard", *sys.argv[1:]]
from guard.cli import main
try:
    main()
except SystemExit as end:
    loaded = sorted({"alembic", "attr", "psycopg", "pygments", "rich", "guard.reporting"} & sys.modules.keys())
    print(f"code {end.code}, loaded {loaded}")
"""


def started(*words):
    """
    Start a command; return its exit code, what of the large libraries it had loaded by its end, and its errors.
    """
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
    )
    return done.stdout.strip().splitlines()[-1], done.stderr


@pytest.mark.parametrize("words", [["run", "-c", "/nonexistent"], ["run", "--help"]], ids=["fails", "helps"])
def test_the_daemon_loads_no_tables_and_no_migrations(words):
    """
    What draws tables, brings a database up to date or speaks to PostgreSQL is not loaded to run, and everything still works.
    """
    told, errors = started(*words)
    code = 0 if words[-1] == "--help" else 1
    assert told == f"code {code}, loaded []"
    assert ("the settings file cannot be read" in errors) is bool(code)


def test_other_commands_have_all_of_it():
    """
    A command that prints tables loads what it needs, also if nobody has loaded it before.
    """
    told, errors = started("policies", "--help")
    assert told.startswith("code")
    assert "rich" in told
    assert "Traceback" not in errors


def test_a_hostile_message_moves_nothing_on_the_terminal():
    """
    The name of a file cannot colour or erase what stands on the terminal.
    """
    _, errors = started("run", "-c", "/\x1b[2Jgone")
    assert "\x1b" not in errors
    assert "\N{REPLACEMENT CHARACTER}[2Jgone" in errors
