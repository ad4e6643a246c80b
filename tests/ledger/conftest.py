"""
The implementations that the contract is run over.
"""

import shutil

import pytest


@pytest.fixture(params=["memory", "file", "postgresql"])
def url(request, tmp_path):
    """
    The URL of a ledger that does not exist yet, or is empty.
    """
    if request.param != "postgresql":
        yield "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'guard.db'}"
        return
    server = request.getfixturevalue("postgres")
    place = server.used_url()
    yield place
    server.give_back(place)


@pytest.fixture(params=["file", "postgresql"])
def lasting_url(request, tmp_path):
    """
    The URL of a ledger that does not exist yet, and that several connections and processes can open.
    """
    return (
        request.getfixturevalue("postgres").new_url()
        if request.param == "postgresql"
        else f"sqlite:///{tmp_path / 'guard.db'}"
    )


@pytest.fixture
def file_url(tmp_path):
    """
    The URL of a ledger file that does not exist yet.
    """
    return f"sqlite:///{tmp_path / 'guard.db'}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """
    A file with something of every kind in it.
    """
    # Not sooner: these take words from modules of tests, which pytest is to import first.
    from audit_cases import acted
    from ledger_cases import use

    path = tmp_path_factory.mktemp("audit") / "guard.db"
    use(f"sqlite:///{path}", acted)
    return path


@pytest.fixture
def acted_url(whole, tmp_path):
    """
    The URL of a copy of that file.
    """
    return f"sqlite:///{shutil.copy(whole, tmp_path / 'guard.db')}"
