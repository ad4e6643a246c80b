"""
The simulated service on a real socket of 127.0.0.1, in the event loop that runs already.

uvicorn's own protocol is used (over httptools where that is installed, which takes a quarter less time than h11), with one
thing added that ASGI lacks: the application may drop the connection. No signal handler is installed and no Date header is
added, for the application sends its own.
"""

import asyncio
import socket
import struct
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from guard.simulator.answers import DROP

_KEEP_ALIVE_SECONDS = 75
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class DroppableProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # one of two classes, as is installed
    """
    One connection that the application can drop; a call that is cancelled at shutdown drops it too.
    """

    app: Any
    cycle: Any
    transport: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hosted: Any = self.app
        self.access_log = False

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await hosted({**scope, "extensions": {DROP: self.drop}}, receive, send)
            except asyncio.CancelledError:
                self.drop("reset")
            except ClientDisconnect:
                # Whoever asked does not wait for the answer any more.
                self.drop("close")

        self.app = app

    def drop(self, delivery: str) -> None:
        """
        Close the connection without completing the answer: with a TCP reset for "reset", else after what was written.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.transport.is_closing():
            return
        if delivery == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()
        else:
            self.transport.close()


class RunningServer:
    """
    A server that answers at *url* until ``aclose``; an asynchronous context manager that closes it.
    """

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def aclose(self) -> None:
        """
        Stop answering; calls that are under way are dropped.
        """
        for task in list(self._server.server_state.tasks):
            task.cancel()
        await self._server.shutdown(sockets=[self._listener])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def serve(app: ASGIApp, *, port: int = 0) -> RunningServer:
    """
    Start *app* on 127.0.0.1 at *port* (0: a free one) and return when it answers; OSError if the port is taken.
    """
    # asyncio turns Nagle's algorithm off only on sockets that say they are TCP; with it, each small answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        http=DroppableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        date_header=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = uvicorn.Server(config)
    # serve() would install signal handlers; these two steps are all of it that a loopback server needs.
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    return RunningServer(server, listener)
