"""
The simulated service without a socket: an httpx transport that calls the application in this process.
"""

import asyncio

import httpx
from starlette.types import ASGIApp, Message, Scope

from guard.simulator.answers import DROP


class LoopbackTransport(httpx.AsyncBaseTransport):
    """
    Carries requests to *app* in this process.

    A reset raises ``httpx.ReadError``, a truncated body ``httpx.RemoteProtocolError``. An answer that takes longer than the
    request's read timeout raises ``httpx.ReadTimeout`` while the call goes on, as it would in a server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Call the application with *request* and return its whole answer.
        """
        exchange = _Exchange(await request.aread())
        call = asyncio.create_task(_called(self._app, request, exchange))
        timeout = request.extensions.get("timeout", {}).get("read")
        await asyncio.wait([call], timeout=timeout)
        if not call.done():
            raise httpx.ReadTimeout("the simulated service has not answered", request=request)
        call.result()
        if exchange.dropped is not None:
            kind = httpx.ReadError if exchange.dropped == "reset" else httpx.RemoteProtocolError
            raise kind("the simulated service dropped the connection", request=request)
        return httpx.Response(exchange.status, headers=exchange.headers, content=exchange.content, request=request)


async def _called(app: ASGIApp, request: httpx.Request, exchange: "_Exchange") -> None:
    raw_path, _, query = request.url.raw_path.partition(b"?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 1),
        "extensions": {DROP: exchange.drop},
    }
    await app(scope, exchange.receive, exchange.send)


class _Exchange:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.content = b""
        self.dropped: str | None = None

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.content += message.get("body", b"")

    def drop(self, delivery: str) -> None:
        self.dropped = delivery
