"""
The way to the network: httpx's interface over aiohttp's connections.

httpx's own transport spends most of a call's processor time in a parser of pure Python; aiohttp parses in C, at a quarter of
it. The package that joins the two is not used here, because it has aiohttp quote addresses again, which breaks the signature
over an id with unusual characters, and keep cookies, which would be sent with later calls.
"""

import ssl

import aiohttp
import httpx
from yarl import URL

# In this order: an error is the first of these that it is an instance of.
_KINDS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientError, httpx.NetworkError),
    (TimeoutError, httpx.ReadTimeout),
    (OSError, httpx.NetworkError),
)
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
# A token of IAM comes in one header, and is longer than what aiohttp takes by default.
LONGEST_HEADER = 128 * 1024
# aiohttp would add these if they were missing.
_ONLY_GIVEN = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


class Transport(httpx.AsyncBaseTransport):
    """
    At most *most* connections, each kept for *keepalive_s* seconds after a call; what a request asks for as timeouts holds.

    A request is sent once. Only a GET is sent again, once, on another connection, if the first was closed before the answer,
    as one that was kept may be. Answers are read whole. Raises httpx's ``TransportError`` tree.
    """

    def __init__(self, *, verify: ssl.SSLContext, proxy: str | None, most: int, keepalive_s: float) -> None:
        self._verify = verify
        self._proxy = None if proxy is None else URL(proxy)
        self._most = most
        self._keepalive_s = keepalive_s
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request and return its answer.
        """
        session = self._session or self._begin()
        limits = request.extensions.get("timeout", {})
        timeout = aiohttp.ClientTimeout(
            connect=limits.get("pool"), sock_connect=limits.get("connect"), sock_read=limits.get("read")
        )
        try:
            async with session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers,
                data=request.content or None,
                proxy=self._proxy,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                body = await response.read()
        except _FAILURES as error:
            kind = next(kind for of, kind in _KINDS if isinstance(error, of))
            raise kind(str(error), request=request) from error
        return httpx.Response(response.status, headers=response.raw_headers, content=body)

    async def aclose(self) -> None:
        """
        Close every connection.
        """
        if self._session is not None:
            await self._session.close()

    def _begin(self) -> aiohttp.ClientSession:
        # Not before the first call: a session belongs to the event loop in which it is made.
        connector = aiohttp.TCPConnector(limit=self._most, keepalive_timeout=self._keepalive_s, ssl=self._verify)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ONLY_GIVEN,
            auto_decompress=False,
            max_field_size=LONGEST_HEADER,
            trust_env=False,
        )
        return self._session
