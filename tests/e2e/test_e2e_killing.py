"""
Daemons killed at random instants; ``make test-kill`` runs ten times as many rounds, with a fresh seed.
"""

import pytest
from killing import killed

from tests.postgres import Server

pytestmark = pytest.mark.server
ROUNDS, SEED = 20, 20261127
ON_POSTGRES = 10


def test_killed_at_random_instants_on_sqlite(tmp_path):
    """
    After each SIGKILL the ledger is whole and forgets nothing; in the end every intent has one outcome, every violator was
    dealt with, and no job's termination was accepted twice or asked for without a record.
    """
    print(killed(tmp_path, f"sqlite:///{tmp_path}/guard.db", rounds=ROUNDS, seed=SEED))  # noqa: T201


def test_killed_at_random_instants_on_postgresql(tmp_path):
    """
    The same holds on PostgreSQL, whose server learns of each sudden end by a cut connection.
    """
    server = Server()
    try:
        print(killed(tmp_path, server.url(), rounds=ON_POSTGRES, seed=SEED))  # noqa: T201
    finally:
        server.close()
