"""
The implementations that the contract is run over.
"""

import pytest


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    """
    The URL of a ledger that does not exist yet.
    """
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'guard.db'}"


@pytest.fixture
def file_url(tmp_path):
    """
    The URL of a ledger file that does not exist yet.
    """
    return f"sqlite:///{tmp_path / 'guard.db'}"
