"""
The web server on the daemon's own event loop: it binds before anything starts, and leaves signals to the daemon.

With a certificate it speaks TLS alone; certificate and tokens are taken anew while it serves. However many connections
somebody opens, the process keeps the file descriptors that it needs for its calls and its ledger.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette

from guard.daemon.access import Access
from guard.errors import BadInput

REFRESH_S = 5.0
# Probes and scrapes are a handful; what else comes must keep neither event loop nor file descriptors from the terminations.
MOST_CONNECTIONS = 64


class _QuietServer(uvicorn.Server):
    """
    A server that installs no signal handlers, because the daemon has its own.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Listening(socket.socket):
    """
    A listening socket of which ``MOST_CONNECTIONS`` connections stay: for each further one, the oldest ends.

    Not the newcomer: else those who hold connections and say nothing would lock probes out, and a sound guard be restarted.
    They count from the moment at which they are accepted, because a TLS handshake that never ends holds a descriptor, too.
    """

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._held: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """
        Accept a connection, and end the oldest if there are too many.
        """
        accepted, address = super().accept()
        self._held = [one for one in self._held if one.fileno() >= 0]
        while len(self._held) >= MOST_CONNECTIONS:
            # Shut and not closed: the event loop reads the end of it, and closes it itself.
            with contextlib.suppress(OSError):
                self._held.pop(0).shutdown(socket.SHUT_RDWR)
        self._held.append(accepted)
        return accepted, address


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
        sock = _Listening(found[0], found[1], found[2])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(found[4])
        sock.listen(MOST_CONNECTIONS)
    except OSError as error:
        why = f"{error.strerror or error}; choose another address, or end who listens there, perhaps another guard"
        raise BadInput(f"listen: cannot listen on {listen}: {why}") from error
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def serving(app: Starlette, sock: socket.socket, access: Access | None = None) -> AsyncIterator[int]:
    """
    Serve *app* on a bound socket while the context lasts; gives the port. With the certificate of *access*, by TLS.
    """
    # The parser that the image has, also where developers have installed another one.
    config = uvicorn.Config(
        app,
        http="h11",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        server_header=False,
        # At most so many are accepted in one turn of the event loop, in which none can be closed.
        backlog=MOST_CONNECTIONS,
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
