"""A socket that one thread writes while another reads, with a time-out for the reader only."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

_READ = 1 << 16


class Line:
    """A connected stream socket. Whatever breaks it is a `ConnectionError`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        self._socket = connection

    def send(self, data: bytes) -> None:
        """Write all of it; blocks while the other side is slow."""
        with _told():
            self._socket.sendall(data)

    def end(self) -> None:
        """Nothing more will be written."""
        with _told():
            self._socket.shutdown(socket.SHUT_WR)

    def receive(self, seconds: float, size: int = _READ) -> bytes:
        """At most `size` bytes, `b""` after the last.

        Raises:
            TimeoutError: nothing arrived within `seconds`.
        """
        with _told():
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if not poll.poll(max(0, round(seconds * 1000))):
                raise TimeoutError(f"nothing arrived within {seconds:.0f} seconds")
            return self._socket.recv(size)

    def close(self) -> None:
        """Let go of it; a blocked `send` or `receive` of another thread ends."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise
    except (OSError, ValueError) as problem:  # a closed socket's number is no longer one
        raise ConnectionError(getattr(problem, "strerror", "") or "the connection is closed") from problem
