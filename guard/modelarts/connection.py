"""
One connection to one place, on which one call is made after the other: its request as bytes, and the answer read whole.

The parser is llhttp, by httptools: in C, as that of the listener. Failures are httpx's.
"""

import asyncio
from typing import Any

import httptools
import httpx

# A token of IAM comes in one header, of tens of kilobytes.
LONGEST_HEAD = 256 * 1024
# Answers that have no body, whatever their headers say.
_BODILESS = frozenset({204, 304})

Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, bytes]


class Unheard(httpx.RemoteProtocolError):
    """
    The connection was closed before anything of the answer came.
    """


class Connection(asyncio.Protocol):
    """
    A connection that *loop* made. It may be used again while ``is_free``; *idle_since* is for whoever keeps it meanwhile.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.gone: asyncio.Future[None] = loop.create_future()
        self.idle_since = 0.0
        self.transport: Any = None
        self._loop = loop
        self._answer: asyncio.Future[Answer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._broken = False
        self._begin(tunnel=False)

    async def call(self, request: bytes, *, silent_s: float | None, tunnel: bool = False) -> Answer:
        """
        Send a request and return its answer: status, headers and body.

        Raises ``Unheard``, ``RemoteProtocolError``, or ``ReadTimeout`` when nothing came for *silent_s* seconds. With
        *tunnel* a good answer ends with its headers, and what follows is another's. Cancelled or failed, the connection is
        closed.
        """
        if self._broken:
            raise Unheard("the connection was closed")
        self._begin(tunnel=tunnel)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._heard_at = self._loop.time()
        if silent_s is not None:
            self._timer = self._loop.call_later(silent_s, self._look, silent_s)
        self.transport.write(request)
        try:
            return await answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def is_free(self) -> bool:
        """
        Tell whether another call can be made.
        """
        return not self._broken and not self.transport.is_closing()

    def close(self) -> None:
        """
        Close the connection at once.
        """
        self._broken = True
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Take the way to the other side.
        """
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """
        Take in that the connection is no more; an answer without a length ends with it.
        """
        self._broken = True
        if self._headed and self._ends_with_connection and error is None:
            self._complete()
        else:
            why = f" ({error})" if error is not None else ""
            kind = httpx.RemoteProtocolError if self._heard else Unheard
            self._fail(kind(f"the connection was closed before the answer was complete{why}"))
        if not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        """
        Take in what came; whatever nobody asked for ends the connection.
        """
        if self._answer is None or self._answer.done():
            self.close()
            return
        self._heard, self._heard_at = True, self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not (self._tunnel and self._answer.done()):
                self._fail(httpx.RemoteProtocolError(f"the answer is no HTTP ({type(error).__name__})"))
                self.close()
        if not self._headed:
            self._head_bytes += len(data)
            if self._head_bytes > LONGEST_HEAD:
                self._fail(httpx.RemoteProtocolError("the headers of the answer do not end"))
                self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Take a header of the parser, or one that came after a body in parts, which says nothing.
        """
        if not self._headed:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """
        Take in that the parser has all headers.
        """
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            return
        self._headed = True
        names = {name.lower() for name, _ in self._headers}
        self._ends_with_connection = not names & {b"content-length", b"transfer-encoding"} and status not in _BODILESS
        if self._tunnel and 200 <= status < 300:
            self._complete()

    def on_body(self, body: bytes) -> None:
        """
        Take a part of the body of the parser.
        """
        self._body.append(body)

    def on_message_complete(self) -> None:
        """
        Take in that the answer is whole; those that only announce one are passed over.
        """
        if not self._headed:
            self._headers.clear()
            return
        if not self._parser.should_keep_alive():
            self._broken = True
        self._complete()

    def _begin(self, *, tunnel: bool) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._body: list[bytes] = []
        self._tunnel = tunnel
        self._headed = self._heard = self._ends_with_connection = False
        self._head_bytes = 0

    def _complete(self) -> None:
        if self._answer is None:
            return
        if self._answer.done():
            # A second answer to one request: nobody can tell whose the next one would be.
            self._broken = True
            return
        self._answer.set_result((self._parser.get_status_code(), self._headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _look(self, silent_s: float) -> None:
        """
        End a call when nothing came for long enough, else look again when that may be.
        """
        left_s = self._heard_at + silent_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look, silent_s)
        else:
            self._fail(httpx.ReadTimeout(f"nothing came for {silent_s:g} s"))
