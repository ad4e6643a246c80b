"""
What tests of any folder may stand on.
"""

import pytest

from tests.postgres import Server


@pytest.fixture(scope="session")
def postgres():
    """
    A PostgreSQL that the tests of this process share, each in a place of its own.
    """
    server = Server("autovacuum=off")
    yield server
    server.close()
