"""
The way to the network, one connection a slot.

httpcore's pool looks at all of its connections at every request, which at twenty of them takes more time than the rest of a
call. A slot is a pool of one connection; a request takes one that last served the same address, or a new one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType

import httpx

Origin = tuple[str, str, int | None]


class SlotTransport(httpx.AsyncBaseTransport):
    """
    At most *most* transports of one connection each, made by *make* when they are needed first; requests beyond that wait.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport], *, most: int) -> None:
        self._make = make
        self._places = asyncio.Semaphore(most)
        self._most = most
        self._all: list[httpx.AsyncBaseTransport] = []
        # The one that was used last is the warmest.
        self._idle: list[tuple[Origin, httpx.AsyncBaseTransport]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request on a slot, which is free again once the answer is closed.
        """
        url = request.url
        origin = (url.scheme, url.host, url.port)
        await self._places.acquire()
        slot = self._taken(origin)
        try:
            response = await slot.handle_async_request(request)
        except BaseException:
            self._release(origin, slot)
            raise
        stream = _Released(response.stream, lambda: self._release(origin, slot))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, extensions=response.extensions)

    async def aclose(self) -> None:
        """
        Close every connection.
        """
        for slot in self._all:
            await slot.aclose()

    async def __aenter__(self) -> "SlotTransport":
        """
        Slots are entered as they are made.
        """
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """
        Close every connection.
        """
        await self.aclose()

    def _taken(self, origin: Origin) -> httpx.AsyncBaseTransport:
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index][0] == origin:
                return self._idle.pop(index)[1]
        if len(self._all) < self._most:
            self._all.append(self._make())
            return self._all[-1]
        return self._idle.pop(0)[1]

    def _release(self, origin: Origin, slot: httpx.AsyncBaseTransport) -> None:
        self._idle.append((origin, slot))
        self._places.release()


class _Released(httpx.AsyncByteStream):
    """
    The body of an answer that tells once when it is closed.
    """

    def __init__(self, inner: object, release: Callable[[], None]) -> None:
        if not isinstance(inner, httpx.AsyncByteStream):
            raise TypeError(f"expected an asynchronous stream, got {type(inner).__name__}")
        self._inner = inner
        self._release: Callable[[], None] | None = release

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """
        Yield the parts of the body.
        """
        async for part in self._inner:
            yield part

    async def aclose(self) -> None:
        """
        Close the body and free its slot.
        """
        release, self._release = self._release, None
        try:
            await self._inner.aclose()
        finally:
            if release is not None:
                release()
