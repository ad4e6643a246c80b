"""
The guard on PostgreSQL, as processes: it acts, stops when the server is gone, goes on when it is back, and moves its ledger.
"""

import time

import pytest
from e2e_stand import daemon, until

from tests.postgres import Server

pytestmark = pytest.mark.server
PASSWORD = "hunter2-of-the-ledger"


@pytest.fixture(scope="module")
def server():
    """
    A server that asks for a password and may be stopped.
    """
    server = Server(access="host all all 127.0.0.1/32 scram-sha-256")
    server.run(f"ALTER ROLE guard PASSWORD '{PASSWORD}'")
    yield server
    server.close()


@pytest.fixture
def url(server):
    """
    The URL of an empty place on it, with the password.
    """
    return server.new_url().replace("guard@", f"guard:{PASSWORD}@")


def test_the_server_goes_and_comes_back(site, simulated, server, url):
    """
    While the server is gone nothing is terminated, which is said; when it is back, what was due is ended without a person.
    """
    site.set(armed=True, ledger=url, scan_interval="1s", walk_interval="1s")
    simulated.stage("forgotten")
    with daemon(site) as running:
        until(lambda: running.terminations() == {"confirmed": 1}, "the first is confirmed")
        server.stop()
        simulated.runs("later", hours=30)
        until(lambda: running.get("/readyz")[0] == 503, "it says that it is not ready")
        assert "ledger postgresql://guard:***@127.0.0.1" in running.get("/readyz")[1]
        time.sleep(2)
        assert simulated.asked_to_end() == ["forgotten"]
        server.start()
        until(lambda: running.terminations() == {"confirmed": 2}, "the second is confirmed")
        until(lambda: running.get("/readyz")[0] == 200, "it is ready again")
        assert running.end() == 0
        log = running.log.read_text()
    assert simulated.asked_to_end() == ["forgotten", "later"]
    assert site.outcomes() == {"forgotten": "confirmed", "later": "confirmed"}
    assert PASSWORD not in log
    assert "Traceback" not in log


def test_commands_on_postgresql(site, simulated, url):
    """
    A database that no guard has set up is not paused but refused; one that has moved from a file tells the same as the file.
    """
    simulated.stage("forgotten")
    site.set(armed=True)
    site.scan()
    done = site.guard("ledger", "export", "moved")
    assert (done.returncode, done.stderr) == (0, "")
    assert "intents 1" in done.stdout
    outcomes = site.outcomes()
    site.set(ledger=url)
    refused = site.guard("pause", "--reason", "a test")
    assert refused.returncode == 4
    assert "start the guard on it once to set it up" in refused.stderr
    imported = site.guard("ledger", "import", "moved")
    assert (imported.returncode, imported.stderr) == (0, "")
    assert imported.stdout.replace("imported", "exported") == done.stdout
    assert site.guard("ledger", "export", "-").stdout == (site.folder / "moved").read_text()
    assert site.outcomes() == outcomes == {"forgotten": "confirmed"}


@pytest.mark.parametrize("words", [("run",), ("pause", "--reason", "x"), ("ledger", "import", "x")])
def test_a_server_that_is_not_there(site, simulated, words):
    """
    Each command ends with 4 and one sentence that names the ledger without its password.
    """
    site.set(ledger=f"postgresql://guard:{PASSWORD}@127.0.0.1:1/guard")
    done = site.guard(*words)
    assert (done.returncode, done.stdout) == (4, "")
    (line,) = [one for one in done.stderr.splitlines() if not one.startswith("{")]
    assert line.startswith("ledger postgresql://guard:***@127.0.0.1:1/guard cannot be opened: connection failed: ")
    assert "Connection refused" in line
    assert PASSWORD not in done.stderr
