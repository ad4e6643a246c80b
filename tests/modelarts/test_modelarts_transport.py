"""
The way to the network over real sockets: what is sent, byte by byte, and what becomes of every kind of failure.
"""

import asyncio
import contextlib
import gzip
import ssl

import httpx
import pytest

from guard.modelarts import http_client

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Peer:
    """
    A server of raw bytes: *answers* are sent one after another, None closes the connection instead; it keeps what it got.
    """

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.got: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.tasks = []

    async def serve(self, reader, writer):
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.got.append(head + body)
                answer = self.answers.pop(0) if self.answers else OK
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if answer is not OK and b"content-length: 2\r\n\r\nok" not in answer and b"keep" not in answer:
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def against(peer, act, **options):
    """
    Run *act* with a client and the address of the peer.
    """

    async def run():
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        peer.port = server.sockets[0].getsockname()[1]
        try:
            async with http_client(**{key: each(peer) for key, each in options.items()}) as http:
                await act(http, f"http://127.0.0.1:{peer.port}")
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.gather(*peer.tasks)

    asyncio.run(run())


def test_an_address_goes_out_as_it_was_signed():
    """
    What is quoted stays quoted: an id with a colon, a tilde or a slash is the same to the signature and to the wire.
    """
    peer = Peer()

    async def act(http, url):
        await http.get(f"{url}/v2/p/training-jobs/a%3Ab%40c%7Ed%2Fe%21%2B%20?limit=5&x=a%2Bb")

    against(peer, act)
    assert peer.got[0].startswith(b"GET /v2/p/training-jobs/a%3Ab%40c%7Ed%2Fe%21%2B%20?limit=5&x=a%2Bb HTTP/1.1\r\n")


def test_nothing_is_added():
    """
    The headers that go out are those of the request, the host and the length of the body.
    """
    peer = Peer()

    async def act(http, url):
        await http.send(httpx.Request("POST", url, headers={"x-sdk-date": "1"}, content=b"{}"))
        await http.send(httpx.Request("GET", url))

    against(peer, act)
    names = [{line.split(b":")[0].lower() for line in each.split(b"\r\n")[1:] if b": " in line} for each in peer.got]
    assert names == [{b"host", b"content-length", b"x-sdk-date"}, {b"host"}]
    assert peer.got[0].endswith(b"\r\n\r\n{}")


def test_cookies_and_redirects_lead_nowhere():
    """
    A cookie is not sent with the next call, and a redirection is an answer like any other.
    """
    moved = b"HTTP/1.1 302 Found\r\nlocation: /else\r\nset-cookie: a=b\r\ncontent-length: 2\r\n\r\nok"
    peer = Peer(moved)

    async def act(http, url):
        assert (await http.send(httpx.Request("GET", url))).status_code == 302
        http.cookies.clear()
        await http.send(httpx.Request("GET", url))

    against(peer, act)
    assert len(peer.got) == 2
    assert b"cookie" not in peer.got[1].lower()


def test_a_body_is_unpacked():
    """
    A body that was packed is handed out as it was, and one that cannot be unpacked is an error of its own.
    """
    body = gzip.compress(b'{"a": 1}')
    packed = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s"
    peer = Peer(packed % (len(body), body), packed % (4, b"nope"))

    async def act(http, url):
        assert (await http.get(url)).json() == {"a": 1}
        with pytest.raises(httpx.DecodingError):
            await http.get(url)

    against(peer, act)


def test_a_long_token_fits():
    """
    A header of 60 kB, as a token may be, is taken.
    """
    token = b"t" * 60_000
    peer = Peer(b"HTTP/1.1 200 OK\r\nx-subject-token: %s\r\ncontent-length: 2\r\n\r\nok" % token)

    async def act(http, url):
        assert (await http.get(url)).headers["x-subject-token"] == token.decode()

    against(peer, act)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\nshort", httpx.RemoteProtocolError, id="cut"),
        pytest.param(b"\x16\x03garbage\r\n\r\n", httpx.RemoteProtocolError, id="garbage"),
        pytest.param(None, httpx.RemoteProtocolError, id="closed"),
        pytest.param(b"HTTP/1.1 200 OK\r\nkeep: 1\r\n", httpx.ReadTimeout, id="silent"),
    ],
)
def test_failures_have_their_names(answer, kind):
    """
    An answer that ends early, is none, does not come or stops is httpx's error of that kind, and the call was sent once.
    """
    peer = Peer(answer)

    async def act(http, url):
        with pytest.raises(kind):
            await http.send(httpx.Request("POST", url, content=b"{}", extensions={"timeout": {"read": 0.05}}))

    against(peer, act)
    assert len(peer.got) == 1


def test_a_call_is_never_sent_twice():
    """
    A connection that was kept and then closed by the service costs the call its answer; it is not sent again by itself.
    """
    peer = Peer(OK, None)

    async def act(http, url):
        await http.post(url, content=b"1")
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(url, content=b"2")

    against(peer, act)
    assert [each[-1:] for each in peer.got] == [b"1", b"2"]
    assert peer.connections == 1


def test_nobody_listens():
    """
    A port at which nobody listens and a name that does not exist are failures to connect.
    """

    async def act():
        async with http_client() as http:
            for url in ("http://127.0.0.1:1/", "http://nowhere.invalid/"):
                with pytest.raises(httpx.ConnectError):
                    await http.get(url)

    asyncio.run(act())


def test_an_address_without_tls_is_not_trusted():
    """
    A peer that does not speak TLS where it was asked for is a failure to connect.
    """

    class Plain(Peer):
        async def serve(self, reader, writer):
            self.tasks.append(asyncio.current_task())
            writer.write(b"HTTP/1.1 400 No\r\n\r\n")
            await reader.read()
            writer.close()

    peer = Plain()

    async def act(http, url):
        with pytest.raises(httpx.ConnectError):
            await http.get(url.replace("http:", "https:"))

    against(peer, act, verify=lambda _: ssl.create_default_context())


def test_a_proxy_is_asked_with_its_password():
    """
    Through a proxy the whole address is asked for, and the password of the proxy's address is shown to it alone.
    """
    peer = Peer()

    async def act(http, url):
        assert (await http.get("http://modelarts.test/v2/a%3Ab")).text == "ok"

    against(peer, act, proxy=lambda one: f"http://guard:secret@127.0.0.1:{one.port}")
    assert peer.got[0].startswith(b"GET http://modelarts.test/v2/a%3Ab HTTP/1.1\r\n")
    assert b"proxy-authorization: basic z3vhcmq6c2vjcmv0" in peer.got[0].lower()


def test_tls_goes_through_a_proxy_by_connect():
    """
    An address with TLS is reached by CONNECT; what the proxy refuses is a failure of the proxy.
    """
    peer = Peer(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")

    async def act(http, url):
        with pytest.raises(httpx.ProxyError):
            await http.get("https://modelarts.test/v2/secret")

    against(peer, act, proxy=lambda one: f"http://guard:secret@127.0.0.1:{one.port}")
    assert peer.got[0].startswith(b"CONNECT modelarts.test:443 HTTP/1.1\r\n")
    assert b"secret" not in peer.got[0].split(b"\r\n")[0]


def test_connections_are_bounded_and_kept():
    """
    Ten calls at once open no more connections than are allowed, and later ones use them again.
    """
    peer = Peer()

    async def act(http, url):
        await asyncio.gather(*(http.get(url) for _ in range(10)))
        await http.get(url)

    against(peer, act, connections=lambda _: 2)
    assert len(peer.got) == 11
    assert peer.connections <= 2
