"""
Who may ask the listener what: tokens, the certificate, their renewal, and that nothing changes state without a token.
"""

import asyncio
import os
import ssl

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from starlette.routing import Route

from guard.daemon.access import Access, AccessFiles
from guard.daemon.metrics import Metrics
from guard.daemon.server import MOST_CONNECTIONS, bind, serving
from guard.daemon.web import web_app
from guard.errors import BadInput
from tests.certificates import pair

OLD, NEW = "an-old-token-of-many-letters", "a-new-token-of-many-letters"
CHANGING = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")


def tokens_in(folder, text=OLD):
    """
    Write a file of tokens and return the access that it gives.
    """
    (folder / "tokens").write_text(text)
    return Access(AccessFiles(tokens=folder / "tokens"))


def application(access, objections=()):
    """
    Return the endpoints, of a guard that has one thing to tell.
    """
    metrics = Metrics(version="test")
    return web_app(
        metrics, alive=list, ready=lambda: list(objections), notes=lambda: ["target lab: bob's jobs"], access=access
    )


def ask(access, path, *, method="GET", token=None, objections=(), scheme="Bearer"):
    """
    One call of the endpoints.
    """

    async def run():
        headers = {} if token is None else {"Authorization": f"{scheme} {token}".encode()}
        transport = httpx.ASGITransport(application(access, objections))
        async with httpx.AsyncClient(transport=transport, base_url="http://guard.test") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "status"),
    [
        pytest.param(None, 401, id="none"),
        pytest.param(OLD, 200, id="right"),
        pytest.param(OLD[:-1], 401, id="shorter"),
        pytest.param(f"{OLD}x", 401, id="longer"),
        pytest.param("", 401, id="empty"),
        pytest.param("\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 20, 401, id="not-ascii"),
    ],
)
def test_metrics_need_the_token(tmp_path, given, status):
    """
    With a token file, the metrics are shown to those who hold a token of it.
    """
    answer = ask(tokens_in(tmp_path), "/metrics", token=given)
    assert answer.status_code == status
    assert ("costguard_build_info" in answer.text) is (status == 200)
    assert OLD not in answer.text
    assert answer.headers.get("www-authenticate") == (None if status == 200 else "Bearer")


def test_another_scheme_is_no_token(tmp_path):
    """
    A token sent as a password of Basic is none; the name of the scheme may be written in any case.
    """
    access = tokens_in(tmp_path)
    assert ask(access, "/metrics", token=OLD, scheme="Basic").status_code == 401
    assert ask(access, "/metrics", token=OLD, scheme="bEARER").status_code == 200


@pytest.mark.parametrize("host", ["guard.test/livez?", "guard.test/livez#", "x/readyz?a=", "guard.test"])
def test_the_path_that_is_served_is_the_one_that_is_judged(tmp_path, host):
    """
    A host that looks like the start of a public path opens nothing, and neither does another spelling of the path.
    """
    access = tokens_in(tmp_path)

    async def run():
        transport = httpx.ASGITransport(application(access))
        async with httpx.AsyncClient(transport=transport, base_url="http://guard.test") as client:
            for path in ("/metrics", "/livez/../metrics", "/metrics/", "//metrics", "/livez/%2e%2e/metrics"):
                answer = await client.get(path, headers={"host": host}, follow_redirects=True)
                assert answer.status_code == 401, path
                assert "costguard" not in answer.text

    asyncio.run(run())


@pytest.mark.parametrize(
    ("objections", "status", "plain", "full"),
    [
        pytest.param((), 200, "ok\n", "ok\ntarget lab: bob's jobs\n", id="ready"),
        pytest.param(("lab fails",), 503, "not well\n", "lab fails\ntarget lab: bob's jobs\n", id="not-ready"),
    ],
)
def test_probes_need_no_token_and_are_told_no_details(tmp_path, objections, status, plain, full):
    """
    A kubelet holds no token: it gets the status alone, who holds one the details; without a token file everybody does.
    """
    access = tokens_in(tmp_path)
    without, with_token = (ask(access, "/readyz", token=token, objections=objections) for token in (None, OLD))
    assert (without.status_code, without.text) == (status, plain)
    assert (with_token.status_code, with_token.text) == (status, full)
    assert ask(access, "/livez").text == "ok\n"
    assert ask(None, "/readyz", objections=objections).text == full


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/act", "/nowhere"])
@pytest.mark.parametrize("method", CHANGING)
def test_what_changes_state_needs_a_token(tmp_path, method, path):
    """
    An endpoint that changes state is out of reach without a token, also if the listener has none; none exists today.
    """
    done = []

    async def act(request):
        done.append(request.method)
        raise AssertionError

    def status(access, token=None):
        async def run():
            app = application(access)
            app.router.routes.append(Route("/act", act, methods=list(CHANGING)))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://guard.test") as client:
                headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                return (await client.request(method, path, headers=headers)).status_code

        return asyncio.run(run())

    access = tokens_in(tmp_path)
    assert [status(None), status(None, OLD), status(access), status(access, NEW)] == [401] * 4
    assert done == []
    reached = {"/act": 500, "/nowhere": 404}.get(path, 405)
    assert status(access, OLD) == reached
    assert done == ([method] if path == "/act" else [])


def test_tokens_are_renewed_without_a_gap(tmp_path):
    """
    A file may hold the old and the new token; one that cannot be used any more changes nothing.
    """
    access = tokens_in(tmp_path)
    for text, old, new in (
        (f"{OLD}\n{NEW}\n", 200, 200),
        (f"{NEW}\n", 401, 200),
        ("short\n", 401, 200),
        (f"\n\n  {OLD}\n", 200, 401),
    ):
        (tmp_path / "tokens").write_text(text)
        access.refresh()
        assert [ask(access, "/metrics", token=token).status_code for token in (OLD, NEW)] == [old, new]
    (tmp_path / "tokens").unlink()
    access.refresh()
    assert ask(access, "/metrics", token=OLD).status_code == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"", "expected at least one token", id="empty"),
        pytest.param(b"\n \n", "expected at least one token", id="blank"),
        pytest.param(b"fifteen-letters", "at least 16 characters without spaces", id="short"),
        pytest.param(b"two words are not one token", "without spaces", id="spaces"),
        pytest.param("\N{CJK UNIFIED IDEOGRAPH-4E2D}".encode() * 20, "expected tokens in ASCII", id="not-ascii"),
        pytest.param(None, "No such file", id="missing"),
    ],
)
def test_bad_token_files(tmp_path, text, words):
    """
    A token file that cannot be used is named, with what was expected, and none of what stands in it.
    """
    if text is not None:
        (tmp_path / "tokens").write_bytes(text)
    with pytest.raises(BadInput, match=words) as caught:
        Access(AccessFiles(tokens=tmp_path / "tokens"))
    assert str(tmp_path / "tokens") in str(caught.value)
    assert "two words" not in str(caught.value)


def test_a_certificate_is_served_and_renewed(tmp_path):
    """
    Over TLS the endpoints answer with the certificate that lies there now; a pair that does not fit keeps the last good one.
    """
    certificate, key = pair(tmp_path)
    access = Access(AccessFiles(certificate=certificate, key=key))
    seen = []

    async def served(port):
        trust = ssl.create_default_context(cadata=certificate.read_text())
        async with httpx.AsyncClient(verify=trust) as client:
            answer = await client.get(f"https://localhost:{port}/metrics")
            seen.append(answer.status_code)

    async def run():
        sock = bind("127.0.0.1:0")
        async with serving(application(access), sock, access) as port:
            await served(port)
            pair(tmp_path)
            access.refresh()
            await served(port)
            good = certificate.read_text()
            pair(tmp_path)
            certificate.write_text(good)
            access.refresh()
            await served(port)
            async with httpx.AsyncClient() as client:
                with pytest.raises(httpx.HTTPError):
                    await client.get(f"http://127.0.0.1:{port}/metrics")
            with pytest.raises(httpx.ConnectError):
                async with httpx.AsyncClient() as client:
                    await client.get(f"https://localhost:{port}/metrics")

    asyncio.run(run())
    assert seen == [200, 200, 200]


@pytest.mark.parametrize("encrypted", [False, True])
def test_connections_that_say_nothing_lock_nobody_out(tmp_path, encrypted):
    """
    Who holds hundreds of half requests, or half handshakes, uses up few descriptors, and probes are answered.
    """
    certificate, key = pair(tmp_path)
    access = Access(AccessFiles(certificate=certificate, key=key) if encrypted else AccessFiles())
    trust = ssl.create_default_context(cadata=certificate.read_text())
    many = 4 * MOST_CONNECTIONS

    async def run():
        async with serving(application(access), bind("127.0.0.1:0"), access) as port:
            before = len(os.listdir("/proc/self/fd"))
            held = []
            for _ in range(many):
                held.append(await asyncio.open_connection("127.0.0.1", port))
                held[-1][1].write(b"\x16\x03\x01" if encrypted else b"GET /livez HTTP/1.1\r\nX-Slow: ")
            async with httpx.AsyncClient(verify=trust) as client:
                answer = await client.get(f"{'https' if encrypted else 'http'}://localhost:{port}/livez")
            # The oldest were told to go, which the loop sees turn by turn.
            for _ in range(1000):
                await asyncio.sleep(0)
            assert len(os.listdir("/proc/self/fd")) <= before + many + MOST_CONNECTIONS
            # The newest of those who wait may wait on: nobody needs their place.
            assert not held[-1][0].at_eof()
            for _, writer in held:
                writer.close()
            return answer.status_code

    assert asyncio.run(asyncio.wait_for(run(), timeout=30)) == 200


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("POST /metrics HTTP/1.1\r\nContent-Length: 99999999999", id="refused-anyway"),
        pytest.param("GET /livez HTTP/1.1\r\nContent-Length: 99999999999", id="public"),
        pytest.param("GET /livez HTTP/1.1\r\nTransfer-Encoding: chunked", id="without-a-length"),
    ],
)
def test_a_body_without_end_is_not_read(asked):
    """
    Who announces a body is refused and hung up on, before any of it came: reading it would keep the event loop busy.
    """

    async def run():
        async with serving(application(Access(AccessFiles())), bind("127.0.0.1:0")) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{asked}\r\nHost: guard.test\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(), timeout=3)
            writer.close()
            return answer.split(b"\r\n")[0]

    assert asyncio.run(run()) in (b"HTTP/1.1 401 Unauthorized", b"HTTP/1.1 400 Bad Request")


def test_a_crowd_of_scrapes_is_one():
    """
    Whoever asks at the same moment is shown what was written once, and whoever asks later what holds then.
    """
    metrics = Metrics(version="test")
    application = web_app(metrics, alive=list, ready=list)
    written = []

    class Counting:
        def collect(self):
            written.append(1)
            return iter(())

    metrics.registry.register(Counting())
    written.clear()

    async def run():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://guard.test") as client:
            crowd = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
            together = len(written)
            metrics.armed.set(1)
            later = await client.get("/metrics")
            return together, {one.text for one in crowd}, later.text

    together, texts, later = asyncio.run(run())
    assert together == 1
    assert len(texts) == 1
    assert "costguard_armed 0.0" in texts.pop()
    assert "costguard_armed 1.0" in later


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_half_a_pair(tmp_path, missing):
    """
    A certificate without its key, or a key without its certificate, is refused.
    """
    files = dict(zip(("certificate", "key"), pair(tmp_path), strict=True))
    del files[missing]
    with pytest.raises(BadInput, match="listen_certificate and listen_key: expected both or neither"):
        AccessFiles(**files)


def test_a_pair_that_does_not_fit(tmp_path):
    """
    A certificate with the key of another one is refused with both names.
    """
    certificate, key = pair(tmp_path)
    good = certificate.read_text()
    pair(tmp_path)
    certificate.write_text(good)
    with pytest.raises(BadInput, match=r"tls\.crt and listen_key: .*tls\.key are no certificate and key in PEM"):
        Access(AccessFiles(certificate=certificate, key=key))


def test_a_key_with_a_password_asks_nobody(tmp_path):
    """
    A key that is locked by a password is refused at once; nobody sits at the daemon's terminal.
    """
    certificate, key = pair(tmp_path)
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(BadInput, match="are no certificate and key"):
        Access(AccessFiles(certificate=certificate, key=key))
