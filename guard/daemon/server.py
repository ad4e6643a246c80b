"""
The web server on the daemon's own event loop: it binds before anything starts, and leaves signals to the daemon.

With a certificate it speaks TLS alone; certificate and tokens are taken anew while it serves.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette

from guard.daemon.access import Access
from guard.errors import BadInput

REFRESH_S = 5.0


class _QuietServer(uvicorn.Server):
    """
    A server that installs no signal handlers, because the daemon has its own.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(listen: str) -> socket.socket:
    """
    Return a listening socket for ``host:port``; raises ``BadInput`` if the address is not usable.
    """
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise BadInput(f"listen: expected host:port such as 127.0.0.1:9108, got {listen!r}")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(found[0], found[1], found[2])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(found[4])
        sock.listen(128)
    except OSError as error:
        raise BadInput(f"listen: cannot listen on {listen}: {error.strerror or error}; choose another address") from error
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def serving(app: Starlette, sock: socket.socket, access: Access | None = None) -> AsyncIterator[int]:
    """
    Serve *app* on a bound socket while the context lasts; gives the port. With the certificate of *access*, by TLS.
    """
    # The parser that the image has, also where developers have installed another one.
    config = uvicorn.Config(
        app, http="h11", log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2, server_header=False
    )
    config.load()
    config.ssl = access.tls if access is not None else None
    server = _QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="web")
    refreshing = asyncio.create_task(_refresh_forever(access), name="access") if access is not None else None
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn only sets a flag
            await asyncio.sleep(0.005)
        yield sock.getsockname()[1]
    finally:
        if refreshing is not None:
            refreshing.cancel()
        server.should_exit = True
        await task
        sock.close()


async def _refresh_forever(access: Access) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        access.refresh()
