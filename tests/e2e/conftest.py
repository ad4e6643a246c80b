"""
Fixtures of the end-to-end tests.
"""

import pytest
from e2e_stand import Simulated, Site


@pytest.fixture
def simulated():
    """
    A simulated service without jobs.
    """
    with Simulated() as service:
        yield service


@pytest.fixture
def site(tmp_path, simulated):
    """
    A folder with settings that watch the simulated service, disarmed.
    """
    return Site(tmp_path, simulated.url)
