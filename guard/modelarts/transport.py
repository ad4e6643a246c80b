"""
The way to the network: httpx's interface over connections of our own, whose answers are parsed in C.

aiohttp (3.x) takes words that came on an idle connection, a second answer that came late, for the answer to the next call,
and every later one gets that of the call before: a re-read would show the past. In here they end the connection. httpx's own
transport ends it too, but spends most of a call's processor time in a parser of pure Python, and a kill is five calls.
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import Mapping

import httpx
from aiohappyeyeballs import start_connection

from guard.modelarts.address import Address, Place, address_of
from guard.modelarts.connection import Answer as Raw
from guard.modelarts.connection import Connection, Unheard
from guard.modelarts.messages import Answer, Call, Fields, answered

# Of the addresses of a name the next one is tried after so long.
_NEXT_ADDRESS_S = 0.25


class Transport(httpx.AsyncBaseTransport):
    """
    At most *most* connections, each kept for *keepalive_s* seconds after a call; what a request asks for as timeouts holds.

    A request is sent once. Only a GET is sent again, once, on a new connection, if one that was kept was closed before
    anything of the answer came. Answers are read whole. Raises httpx's ``TransportError`` tree.
    """

    def __init__(self, *, verify: ssl.SSLContext, proxy: str | None, most: int, keepalive_s: float) -> None:
        self._verify = verify
        self._proxy = None if proxy is None else httpx.URL(proxy)
        self._most = most
        self._keepalive_s = keepalive_s
        self._room = asyncio.Semaphore(most)
        self._idle: dict[Place, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request of httpx and return its answer.
        """
        limits = request.extensions.get("timeout", {})
        try:
            answer = await self._sent(request.method, address_of(request.url), request.headers.raw, request.content, limits)
        except httpx.TransportError as error:
            error.request = request
            raise
        status, headers, body = answer
        return httpx.Response(status, headers=headers, content=body)

    async def answer(self, call: Call, limits: Mapping[str, float | None]) -> Answer:
        """
        Send a call and return its answer; *limits* are httpx's timeouts by their names.
        """
        return answered(*await self._sent(call.method, call.address, call.fields(), call.content, limits))

    async def _sent(
        self, method: str, address: Address, fields: Fields, content: bytes, limits: Mapping[str, float | None]
    ) -> Raw:
        place = address.place
        sent = self._written(method, address, fields) + content
        await self._take_room(limits.get("pool"))
        try:
            connection = self._kept(place)
            if connection is not None:
                try:
                    return await self._answered(connection, place, sent, limits.get("read"))
                except Unheard:
                    if method != "GET":
                        raise
            connection = await self._connected(place, limits.get("connect"))
            return await self._answered(connection, place, sent, limits.get("read"))
        finally:
            self._room.release()

    async def aclose(self) -> None:
        """
        Close every connection.
        """
        if self._sweeper is not None:
            self._sweeper.cancel()
        ends = [connection.gone for connection in self._open]
        for connection in list(self._open):
            connection.close()
        if ends:
            await asyncio.wait(ends, timeout=1.0)

    async def _answered(self, connection: Connection, place: Place, sent: bytes, silent_s: float | None) -> Raw:
        answer = await connection.call(sent, silent_s=silent_s)
        if connection.is_free():
            self._keep(place, connection)
        else:
            connection.close()
        return answer

    def _written(self, method: str, address: Address, headers: Fields) -> bytes:
        target = address.raw_path
        if self._proxy is not None and address.place.scheme == "http":
            # What is not a tunnel, the proxy has to be told whole.
            target = b"http://" + address.netloc + target
            headers = [*headers, *self._shown_to_proxy()]
        lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), target)]
        lines += [b"%s: %s" % each for each in headers]
        head = b"\r\n".join([*lines, b"", b""])
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            raise httpx.LocalProtocolError("a header of the request holds a line break")
        return head

    def _shown_to_proxy(self) -> list[tuple[bytes, bytes]]:
        assert self._proxy is not None  # noqa: S101 - asked for on the way through a proxy alone
        if not self._proxy.userinfo:
            return []
        words = f"{self._proxy.username}:{self._proxy.password}".encode()
        return [(b"Proxy-Authorization", b"Basic " + base64.b64encode(words))]

    async def _take_room(self, within_s: float | None) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(within_s):
                await self._room.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout(f"all {self._most} connections are in use") from error

    def _kept(self, place: Place) -> Connection | None:
        """
        Return the connection to a place that was used last, if one is still good.
        """
        kept, oldest = self._idle.get(place, []), asyncio.get_running_loop().time() - self._keepalive_s
        while kept:
            connection = kept.pop()
            if connection.is_free() and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _keep(self, place: Place, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(place, []).append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keepalive_s, self._sweep)

    def _sweep(self) -> None:
        """
        Close what nobody has used for long enough, and come again while something is kept.
        """
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._keepalive_s
        for place, kept in list(self._idle.items()):
            for connection in kept:
                if connection.idle_since <= oldest:
                    connection.close()
            self._idle[place] = [one for one in kept if one.is_free()]
            if not self._idle[place]:
                del self._idle[place]
        self._sweeper = loop.call_later(self._keepalive_s, self._sweep) if self._idle else None

    async def _connected(self, place: Place, within_s: float | None) -> Connection:
        if len(self._open) >= self._most:
            # Those in use are fewer, so some are idle, to other places, or just going.
            oldest = min((one for kept in self._idle.values() for one in kept), key=lambda one: one.idle_since, default=None)
            if oldest is not None:
                oldest.close()
                self._idle = {at: [one for one in kept if one is not oldest] for at, kept in self._idle.items()}
        try:
            async with asyncio.timeout(within_s):
                if self._proxy is None:
                    return await self._connect(place, httpx.ConnectError)
                proxy = address_of(self._proxy).place
                connection = await self._connect(proxy, httpx.ProxyError)
                if place.scheme == "https":
                    await self._tunnel(connection, place)
                return connection
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection to {place.host} within {within_s} s") from error

    async def _connect(self, place: Place, failure: type[httpx.TransportError]) -> Connection:
        loop = asyncio.get_running_loop()
        tls = self._verify if place.scheme == "https" else None
        try:
            # Not by create_connection alone: cancelled in its race of addresses, Python 3.11 leaves the socket open.
            addresses = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
            reached = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S)
            _, connection = await loop.create_connection(
                lambda: Connection(loop), sock=reached, ssl=tls, server_hostname=place.host if tls else None
            )
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            # A name that is none at all is a ValueError.
            raise failure(f"{place.host}: {error}") from error
        self._open.add(connection)
        connection.gone.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    async def _tunnel(self, connection: Connection, place: Place) -> None:
        host = f"[{place.host}]" if ":" in place.host else place.host
        to = f"{host}:{place.port}".encode("ascii")
        shown = b"".join([b"%s: %s\r\n" % each for each in self._shown_to_proxy()])
        asked = b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (to, to, shown)
        try:
            status, _, _ = await connection.call(asked, silent_s=None, tunnel=True)
            if not 200 <= status < 300:
                raise httpx.ProxyError(f"the proxy answered {status}")
            loop = asyncio.get_running_loop()
            connection.transport = await loop.start_tls(
                connection.transport, connection, self._verify, server_hostname=place.host
            )
        except httpx.RemoteProtocolError as error:
            raise httpx.ProxyError(f"the proxy: {error}") from error
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            raise httpx.ConnectError(f"{place.host}: {error}") from error
        finally:
            if connection.transport is None or connection.transport.is_closing():
                connection.close()
