"""
``guard status``: what the daemon tells over its listener, and what the ledger tells alone.
"""

import asyncio
import contextlib
import io
import json
import threading

import pytest
from e2e_stand import daemon, free_port, until
from rich.console import Console

from guard.daemon.server import bind
from guard.ledger import open_ledger
from guard.settings import fixed_settings, load_settings
from guard.status import status
from guard.statusscreen import show_status
from tests.certificates import pair

pytestmark = pytest.mark.server
TOKEN = "a-token-for-the-listener"


def asked(site):
    """
    Return what ``guard status`` would show.
    """
    return asyncio.run(status(load_settings(site.config)))


def test_status_of_a_running_daemon(site, simulated, tmp_path):
    """
    Over TLS and with the token of the settings the daemon is asked; pauses, targets and the holder stand in one screen.
    """
    certificate, key = pair(tmp_path, name="guard.example")
    (tmp_path / "tokens").write_text(TOKEN)
    port = free_port()
    files = {"listen_certificate": str(certificate), "listen_key": str(key), "listen_token_file": str(tmp_path / "tokens")}
    site.set(armed=True, listen=f"127.0.0.1:{port}", scan_interval="1s", **files)
    with daemon(site, wait=False) as running:
        until(lambda: running.events("scan.finished"), "the target is walked")
        assert site.guard("pause", "--reason", "stocktaking", "--by", "eve", "--for", "2h").returncode == 0
        done = site.guard("status", "--output", "json")
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        assert (told["source"], told["armed"], told["note"]) == ("daemon", True, "")
        assert [one["target"] for one in told["targets"]] == ["lab"]
        assert (told["ledger"]["pause"]["by"], told["ledger"]["pause"]["reason"]) == ("eve", "stocktaking")
        assert told["ledger"]["holders"][0]["pid"] == running.process.pid
        assert told["closed"][0].startswith("paused:")
        shown = site.guard("status", COLUMNS="80")
        assert "paused by eve since" in shown.stdout
        assert "armed, ready, up" in shown.stdout
        assert max(map(len, shown.stdout.splitlines())) <= 160
        # Another certificate than the daemon's is not trusted, and then nothing is asked with the token.
        (tmp_path / "other").mkdir()
        site.set(listen_certificate=str(pair(tmp_path / "other")[0]))
        assert (asked(site).source, "CERTIFICATE_VERIFY_FAILED" in asked(site).note) == ("ledger", True)
        assert running.end() == 0


def test_status_without_a_daemon(site, simulated):
    """
    When no daemon answers, the ledger alone is read, and it is said; without a ledger there is one message.
    """
    site.set(listen=f"127.0.0.1:{free_port()}")
    missing = site.guard("status")
    assert (missing.returncode, missing.stdout) == (4, "")
    assert "there is no such file" in missing.stderr
    simulated.stage("forgotten")
    site.scan()
    told = asked(site)
    assert (told.source, told.armed, told.ledger.usable, told.ledger.holders) == ("ledger", None, True, ())
    assert told.note.startswith("no daemon answers at 127.0.0.1:")
    assert (told.targets[0].target, told.targets[0].jobs >= 1) == ("lab", True)
    site.set(listen="127.0.0.1:0")
    assert "listen names port 0" in asked(site).note


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "is no guard of this version", id="other-json"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "answers 404 instead of its status", id="404"),
        pytest.param(
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "takes no token of these settings", id="401"
        ),
        pytest.param(b"\x1b[2J\x1b[31mSSH-2.0-evil\r\n", "no daemon answers", id="not-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (9 << 20), "its answer has no end", id="endless"),
    ],
)
def test_another_program_at_the_address(tmp_path, answer, words):
    """
    Whoever else listens on the daemon's address is told from it, harms no terminal, and the ledger is read instead.
    """
    sock = bind("127.0.0.1:0")
    sock.setblocking(True)

    def serve():
        connection, _ = sock.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(answer)

    async def told():
        await (await open_ledger(f"sqlite:///{tmp_path}/guard.db")).aclose()
        return await status(settings)

    target = {"name": "lab", "region": "cn-north-4", "project_id": "p"}
    listen = f"127.0.0.1:{sock.getsockname()[1]}"
    settings = fixed_settings(targets=[target], ledger=f"sqlite:///{tmp_path}/guard.db", listen=listen)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    shown = io.StringIO()
    show_status(Console(file=shown, force_terminal=True, width=80, color_system=None), asyncio.run(told()))
    thread.join(timeout=20)
    sock.close()
    assert words in shown.getvalue()
    assert "the ledger alone" in shown.getvalue()
    assert "\x1b[2J" not in shown.getvalue()


def test_status_of_another_ledger_is_told(site, simulated, tmp_path):
    """
    A daemon that acts on another ledger than the settings name is shown with that difference in the first place.
    """
    site.set(listen=f"127.0.0.1:{free_port()}")
    with daemon(site) as running:
        site.set(ledger=f"sqlite:///{tmp_path}/other.db")
        assert f"acts on ledger sqlite:///{site.ledger}, and these settings name" in asked(site).note
        assert running.end() == 0
