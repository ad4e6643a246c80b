"""
A way to a database that breaks at a chosen moment: in the very exchange in which something is committed.
"""

import contextlib
import socket
import threading


class Cutting:
    """
    Passes bytes between clients and a port of this machine. Once *armed*, it ends the connection on which the next COMMIT
    comes by: before it reaches the server ("before"), or when the server has answered, and nobody is told ("after").
    """

    def __init__(self, port: int) -> None:
        self._there = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.armed: str | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """
        Take no more connections.
        """
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._there)
                told = threading.Event()
                for way in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(*way, told), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_asking: bool, told: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if is_asking and self.armed and b"COMMIT\0" in data:
                    how, self.armed = self.armed, None
                    self.cuts += 1
                    if how == "before":
                        break
                    told.set()
                elif not is_asking and told.is_set():
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
