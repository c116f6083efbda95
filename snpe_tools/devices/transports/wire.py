"""A file descriptor that carries bytes both ways: a serial port, a pseudo-terminal or a socket."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from collections.abc import Iterator

_READ = 1 << 16


class Wire:
    """Takes over an open file descriptor. Whatever breaks it is a `ConnectionError`."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def send(self, data: bytes, seconds: float) -> None:
        """Write all of `data`.

        Raises:
            TimeoutError: the other side does not take it within `seconds`.
        """
        deadline = time.monotonic() + seconds
        left = memoryview(data)
        while left:
            self._wait(select.POLLOUT, deadline - time.monotonic())
            with _connection(), contextlib.suppress(BlockingIOError):
                left = left[os.write(self._descriptor, left) :]

    def receive(self, seconds: float) -> bytes:
        """The next bytes, `b""` after the last.

        Raises:
            TimeoutError: nothing arrived within `seconds`.
        """
        self._wait(select.POLLIN, seconds)
        try:
            with _connection():
                return os.read(self._descriptor, _READ)
        except ConnectionError as problem:
            if isinstance(problem.__cause__, OSError) and problem.__cause__.errno == errno.EIO:
                return b""  # a pseudo-terminal that nobody holds any more
            raise

    def _wait(self, event: int, seconds: float) -> None:
        with _connection():
            poll = select.poll()
            poll.register(self._descriptor, event)
            if not poll.poll(max(0, round(seconds * 1000))):
                raise TimeoutError(f"nothing moved within {seconds:.0f} seconds")

    def close(self) -> None:
        """Let go of the descriptor; harmless when it is done already."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


@contextlib.contextmanager
def _connection() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, BlockingIOError):
        raise
    except (OSError, ValueError) as problem:
        raise ConnectionError(getattr(problem, "strerror", "") or "the connection is closed") from problem
