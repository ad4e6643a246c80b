"""
The connections below httpx, over real sockets: how an answer ends, which connections are used again, and how long they live.
"""

import asyncio
import contextlib
import socket
import ssl
import warnings

import httpx
import pytest

from guard.modelarts.connection import LONGEST_HEAD
from guard.modelarts.transport import Transport
from tests.daemon.test_access import pair

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSE = object()


class Peer:
    """
    A server that answers each request of each connection with the next of *answers*, in pieces; CLOSE ends the connection.

    It keeps how many connections there were, how many are open, and what it got.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.got = []
        self.made = self.open = 0
        self.url = ""
        self.writers = []

    async def serve(self, reader, writer):
        self.made, self.open = self.made + 1, self.open + 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self.got.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in self.answers.pop(0) if self.answers else [OK]:
                    if piece is CLOSE:
                        await self.end(writer)
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        await self.end(writer)

    async def end(self, writer):
        self.open -= 1
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def against(peer, act, *, most=4, keepalive_s=30.0, verify=None, proxy=False, tls=None):
    """
    Run *act* with a transport and the peer listening.
    """

    async def run():
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        peer.url = f"{'https' if tls else 'http'}://localhost:{port}"
        transport = Transport(
            verify=verify or ssl.create_default_context(),
            proxy=f"http://me:p%40ss@127.0.0.1:{port}" if proxy else None,
            most=most,
            keepalive_s=keepalive_s,
        )
        try:
            await act(transport)
        finally:
            await transport.aclose()
            server.close()
            await server.wait_closed()
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(run())


async def until(happened):
    """
    Wait until something happened on the other side of a socket.
    """
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - what a kernel has done has no event
            await asyncio.sleep(0.001)


def get(peer, method="GET", **timeout):
    """
    Return a request to the peer.
    """
    return httpx.Request(method, f"{peer.url}/x", extensions={"timeout": timeout})


@pytest.mark.parametrize(
    ("pieces", "status", "body", "kept"),
    [
        pytest.param([OK[:5], OK[5:30], OK[30:]], 200, b"ok", True, id="in-pieces"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\nx: y\r\n\r\n"],
            200,
            b"ok",
            True,
            id="in-parts-with-a-trailer",
        ),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\no", b"k", CLOSE], 200, b"ok", False, id="until-the-end"),
        pytest.param([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b"", True, id="without-a-body"),
        pytest.param([b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"], 202, b"", True, id="empty"),
        pytest.param([b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n" + OK], 200, b"ok", True, id="announced"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\n\r\n", OK], 200, b"ok", True, id="announced-early"),
        pytest.param([OK.replace(b"200 OK", b"200 OK\r\nconnection: close")], 200, b"ok", False, id="to-be-closed"),
        pytest.param([OK + OK], 200, b"ok", False, id="twice"),
        pytest.param([OK.replace(b"1.1", b"1.0"), CLOSE], 200, b"ok", False, id="old"),
    ],
)
def test_how_an_answer_ends(pieces, status, body, kept):
    """
    An answer is whole however it is cut and whatever ends it; only a connection that is surely clean is used again.
    """
    peer = Peer(pieces)

    async def act(transport):
        answer = await transport.handle_async_request(get(peer))
        assert (answer.status_code, answer.content, answer.headers.get("x")) == (status, body, None)
        assert (await transport.handle_async_request(get(peer))).content == b"ok"

    against(peer, act)
    assert peer.made == (1 if kept else 2)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", CLOSE], id="cut"),
        pytest.param([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", CLOSE], id="cut-in-parts"),
        pytest.param([b"HTTP/1.1 200 OK\r\nx: y", CLOSE], id="cut-in-a-header"),
        pytest.param([b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", CLOSE], id="another-one"),
        pytest.param([b"HTTP/1.1 200 OK\r\nx: " + b"y" * (LONGEST_HEAD + 1)], id="endless-head"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!"], id="two-lengths"),
        pytest.param([b"<html>"], id="no-http"),
        pytest.param([CLOSE], id="closed"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_answer(pieces, method):
    """
    Whatever is no whole answer on a new connection is an error, and nothing is sent again.
    """
    peer = Peer(pieces)

    async def act(transport):
        with pytest.raises(httpx.RemoteProtocolError) as raised:
            await transport.handle_async_request(get(peer, method))
        assert raised.value.request.method == method

    against(peer, act)
    assert len(peer.got) == 1


def test_a_read_is_sent_again_on_a_new_connection_alone():
    """
    A kept connection that the service closed costs a GET one more try, on a new one; if that is closed too, it ends.
    """
    peer = Peer([OK], [OK], [CLOSE], [CLOSE])

    async def act(transport):
        await asyncio.gather(*(transport.handle_async_request(get(peer)) for _ in range(2)))
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(get(peer))

    against(peer, act)
    assert (peer.made, len(peer.got)) == (3, 4)


def test_a_read_that_was_heard_in_part_is_not_sent_again():
    """
    Once something of an answer came, a connection that ends is an error, on a kept one too.
    """
    peer = Peer([OK], [OK[:9], CLOSE])

    async def act(transport):
        await transport.handle_async_request(get(peer))
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(get(peer))

    against(peer, act)
    assert (peer.made, len(peer.got)) == (1, 2)


def test_what_nobody_asked_for_ends_a_connection():
    """
    Words on an idle connection are taken for no answer to a later call.
    """
    peer = Peer()

    async def act(transport):
        await transport.handle_async_request(get(peer))
        peer.writers[0].write(OK.replace(b"ok", b"no"))
        await peer.writers[0].drain()
        for _ in range(20):
            await asyncio.sleep(0)
        assert (await transport.handle_async_request(get(peer, "POST"))).content == b"ok"

    against(peer, act)
    assert peer.made == 2


def test_a_connection_that_is_idle_for_long_is_closed():
    """
    After its time a kept connection is closed by itself, and no call uses one that is older.
    """
    peer = Peer()

    async def act(transport):
        await transport.handle_async_request(get(peer))
        await until(lambda: not peer.open)
        await transport.handle_async_request(get(peer))

    against(peer, act, keepalive_s=0.05)
    assert peer.made == 2


def test_no_more_connections_than_allowed():
    """
    Whoever finds all connections in use waits for one, for as long as it was told to.
    """
    peer = Peer()
    peer.answers = [[], *([OK] for _ in range(6))]

    async def act(transport):
        hanging = asyncio.create_task(transport.handle_async_request(get(peer)))
        await until(lambda: peer.got)
        await asyncio.gather(*(transport.handle_async_request(get(peer)) for _ in range(3)))
        also = asyncio.create_task(transport.handle_async_request(get(peer, read=0.05)))
        peer.answers[:0] = [[]]
        await until(lambda: len(peer.got) == 5)
        with pytest.raises(httpx.PoolTimeout):
            await transport.handle_async_request(get(peer, pool=0.01))
        with pytest.raises(httpx.ReadTimeout):
            await also
        assert (await transport.handle_async_request(get(peer, pool=5))).content == b"ok"
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging

    against(peer, act, most=2)
    assert peer.made == 3


def test_a_kept_connection_makes_room_for_another_place():
    """
    Where as many connections as allowed are kept, the oldest of them is closed for one to another place.
    """
    first, second = Peer(), Peer()

    async def act(transport):
        async def inner(_):
            for _ in range(2):
                await transport.handle_async_request(get(first))
                await transport.handle_async_request(get(second))

        server = await asyncio.start_server(second.serve, "127.0.0.1", 0)
        second.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await inner(None)
        await transport.aclose()
        server.close()
        await server.wait_closed()

    against(first, act, most=1)
    assert (first.made, second.made) == (2, 2)


def test_a_header_cannot_bring_another():
    """
    A line break in a header is refused before anything is sent.
    """
    peer = Peer()

    async def act(transport):
        request = httpx.Request("GET", f"{peer.url}/x", headers=[(b"x-auth-token", b"a\r\nx-more: b")])
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(request)

    against(peer, act)
    assert peer.made == 0


class Tunnelling(Peer):
    """
    A proxy that opens a tunnel to *behind*, unless it has a *refusal*.
    """

    def __init__(self, behind, refusal=b""):
        super().__init__()
        self.behind, self.refusal = behind, refusal

    async def serve(self, reader, writer):
        self.made += 1
        self.got.append(await reader.readuntil(b"\r\n\r\n"))
        if self.refusal:
            writer.write(self.refusal)
            await self.end(writer)
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.behind)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source, sink):
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))


def test_through_a_tunnel(tmp_path):
    """
    Through a proxy, https goes end to end: the proxy sees the place and its password, the service neither of them.
    """
    certificate, key = pair(tmp_path)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate, key)
    service = Peer()

    async def act(_):
        server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=served)
        port = server.sockets[0].getsockname()[1]
        proxy = Tunnelling(port)
        listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        address = f"http://me:p%40ss@127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        trust = ssl.create_default_context(cadata=certificate.read_text())
        transport = Transport(verify=trust, proxy=address, most=2, keepalive_s=30)
        for _ in range(2):
            request = httpx.Request("GET", f"https://localhost:{port}/secret?x=1")
            assert (await transport.handle_async_request(request)).content == b"ok"
        distrusting = Transport(verify=ssl.create_default_context(), proxy=address, most=2, keepalive_s=30)
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await distrusting.handle_async_request(httpx.Request("GET", f"https://localhost:{port}/"))
        for one in (transport, distrusting):
            await one.aclose()
        proxy.refusal = b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n"
        with pytest.raises(httpx.ProxyError, match="407"):
            await transport.handle_async_request(httpx.Request("GET", f"https://localhost:{port}/"))
        await transport.aclose()
        for one in (server, listening):
            one.close()
            await one.wait_closed()
        assert proxy.made == 3
        assert proxy.got[0].split(b"\r\n") == [
            b"CONNECT localhost:%d HTTP/1.1" % port,
            b"Host: localhost:%d" % port,
            b"Proxy-Authorization: Basic bWU6cEBzcw==",
            b"",
            b"",
        ]

    against(Peer(), act)
    assert [each.split(b"\r\n")[0] for each in service.got] == [b"GET /secret?x=1 HTTP/1.1"] * 2
    assert not any(b"roxy" in each for each in service.got)


@pytest.mark.parametrize("url", ["https://localhost:1/", "http://localhost:1/"])
def test_a_proxy_at_which_nobody_listens(url):
    """
    A proxy that cannot be reached is told as that.
    """

    async def act():
        transport = Transport(verify=ssl.create_default_context(), proxy="http://127.0.0.1:1", most=1, keepalive_s=1)
        with pytest.raises(httpx.ProxyError):
            await transport.handle_async_request(httpx.Request("GET", url))
        await transport.aclose()

    asyncio.run(act())


def test_over_tls_itself(tmp_path):
    """
    Over TLS connections are kept and closed as without, and a name that is no name is a failure to connect.
    """
    certificate, key = pair(tmp_path)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate, key)
    peer = Peer()

    async def act(transport):
        for _ in range(3):
            assert (await transport.handle_async_request(get(peer, connect=5, read=5))).content == b"ok"
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(httpx.Request("GET", f"https://{'a' * 70}.test/"))

    against(peer, act, verify=ssl.create_default_context(cadata=certificate.read_text()), tls=served)
    assert peer.made == 1


def test_a_place_that_does_not_answer_the_handshake():
    """
    A connection that comes to nothing ends in time.
    """

    class Silent(Peer):
        async def serve(self, reader, writer):
            self.made += 1
            await reader.read()
            await self.end(writer)

    peer = Silent()

    async def act(transport):
        request = httpx.Request("GET", peer.url.replace("http:", "https:"), extensions={"timeout": {"connect": 0.05}})
        with pytest.raises(httpx.ConnectTimeout):
            await transport.handle_async_request(request)

    against(peer, act)
    assert peer.made == 1


@pytest.mark.parametrize("steps", range(20))
def test_a_call_that_is_cancelled_while_it_connects_leaves_no_socket(steps, monkeypatch):
    """
    Whichever step of connecting to a name of two addresses a call is cancelled at, its sockets are closed, not forgotten.
    """
    peer = Peer()

    async def act(transport):
        async def both(host, port, **_):
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))] * 2

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        for _ in range(10):
            call = asyncio.ensure_future(transport.handle_async_request(get(peer, connect=5, read=5)))
            for _ in range(steps):
                await asyncio.sleep(0)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
            del call

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        against(peer, act, most=20)
    assert [str(one.message) for one in told] == []
    assert peer.open == 0
