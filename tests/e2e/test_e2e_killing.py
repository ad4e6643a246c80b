"""
Daemons killed at random instants; ``make test-kill`` runs ten times as many rounds, with a fresh seed.
"""

import pytest
from killing import killed

pytestmark = pytest.mark.server
ROUNDS, SEED = 20, 20261127


def test_killed_at_random_instants_on_sqlite(tmp_path):
    """
    After each SIGKILL the ledger is whole and forgets nothing; in the end every intent has one outcome, every violator was
    dealt with, and no job's termination was accepted twice or asked for without a record.
    """
    print(killed(tmp_path, f"sqlite:///{tmp_path}/guard.db", rounds=ROUNDS, seed=SEED))  # noqa: T201
