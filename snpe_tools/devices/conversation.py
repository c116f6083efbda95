"""One script on a device from start to end: input fed, output read, its exit status found, a dead line noticed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from snpe_tools.devices.shell import Frame
from snpe_tools.devices.transports.transport import OneWireStream, Stream, Transport

Sink = Callable[[bytes], None]
_FIRST = 2
"""Process group 1 is everything."""
_SHOWN = 200
_NOISE = 1 << 16
"""Bytes that a login shell may print before a script starts."""


_TICK = 1.0
"""Seconds between two looks at whether the whole is to stop."""


class OverTimeError(Exception):
    """The script ran longer than it was allowed to; it was killed."""


class StoppedError(Exception):
    """Another thread stopped it; it was killed."""


def converse(
    transport: Transport,
    text: str,
    *,
    sink: Sink,
    patience: float,
    limit: float,
    chunks: Iterable[bytes] = (),
    stop: threading.Event | None = None,
) -> int:
    """Run the script `text`, and give its exit status as its own shell saw it.

    Args:
        sink: receives what it prints, as it arrives.
        patience: seconds of silence after which the device is asked whether it is still there.
        limit: seconds after which the script is killed.
        chunks: its standard input.
        stop: once it is set, the script is killed.

    Raises:
        ConnectionError: the line broke before the script ended.
        OverTimeError: it ran past `limit`.
        StoppedError: `stop` was set.
    """
    frame = Frame()
    stream = transport.open(frame.around(text), patience)
    reader = _Reader(frame, sink)
    feeder = _Feeder(stream, chunks)
    try:
        feeder.start()
        for data in _received(transport, stream, feeder, patience, time.monotonic() + limit, stop):
            reader.take(data)
            if reader.status is not None:
                return reader.status
    except ConnectionError:
        if feeder.problem:
            raise feeder.problem from None
        raise
    except BaseException:  # too late, Ctrl-C, or more output than was wanted: nothing is left running
        _kill(transport, stream, reader.group, patience)
        raise
    finally:
        stream.close()
        feeder.join()
    raise feeder.problem or ConnectionError(reader.ending)


def _received(
    transport: Transport,
    stream: Stream,
    feeder: _Feeder,
    patience: float,
    deadline: float,
    stop: threading.Event | None,
) -> Iterator[bytes]:
    """What arrives until the stream ends. Silence is allowed as long as the device answers something else."""
    sent, heard = 0, time.monotonic()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise OverTimeError
        if stop and stop.is_set():
            raise StoppedError
        try:
            data = stream.receive(min(_TICK, patience, left))
        except TimeoutError:
            if time.monotonic() - heard < patience:
                continue
            if time.monotonic() < deadline and feeder.sent == sent:
                _ask(transport, stream, patience)
            sent, heard = feeder.sent, time.monotonic()
            continue
        if not data:
            return
        heard = time.monotonic()
        yield data


def _ask(transport: Transport, stream: Stream, patience: float) -> None:
    """Whether the device still answers: itself on its only line, else a command that does nothing on another stream.

    Raises:
        ConnectionError: it does not.
    """
    try:
        if isinstance(stream, OneWireStream):
            stream.ask(patience)
        else:
            _ask_beside(transport, patience)
    except TimeoutError as problem:
        raise ConnectionError(f"it has not answered for {2 * patience:.0f} seconds") from problem


def _ask_beside(transport: Transport, patience: float) -> None:
    stream = transport.open(":", patience)
    try:
        stream.end()
        while stream.receive(patience):
            pass
    finally:
        stream.close()


def _kill(transport: Transport, stream: Stream, group: int, patience: float) -> None:
    """End a script and all it started, as far as the device lets us."""
    with contextlib.suppress(OSError):
        if isinstance(stream, OneWireStream):
            stream.kill(patience)
        elif group >= _FIRST:
            _kill_beside(transport, group, patience)


def _kill_beside(transport: Transport, group: int, patience: float) -> None:
    stream = transport.open(f"kill -KILL -{group} || kill -KILL {group}", patience)
    with contextlib.suppress(OSError):
        stream.receive(patience)
    stream.close()


class _Reader:
    """Finds the two marks in what arrives, and passes on what stands between them."""

    def __init__(self, frame: Frame, sink: Sink) -> None:
        self._frame = frame
        self._mark = frame.mark
        self._sink = sink
        self._held = b""
        self.group = 0
        self.status: int | None = None

    def take(self, data: bytes) -> None:
        """More bytes from the device."""
        self._held += data
        if not self.group and not self._started():
            return
        if found := self._mark.search(self._held):
            self.status = int(found[1])
            self._pass_on(found.start())
        else:
            self._pass_on(self._frame.safe(self._held))

    @property
    def ending(self) -> str:
        """Why there was no exit status."""
        if self.group:
            return "the connection ended before the command did"
        said = ascii(self._held[-_SHOWN:].decode(errors="replace").strip())
        return f"its login runs no commands, and says {said}"

    def _started(self) -> bool:
        if found := self._mark.search(self._held):
            self.group = int(found[1])
            self._held = self._held[found.end() :]
            return True
        if len(self._held) > _NOISE:
            raise ConnectionError("its shell prints without end before a command can start")
        return False

    def _pass_on(self, count: int) -> None:
        if count > 0:
            self._sink(self._held[:count])
            self._held = self._held[count:]


class _Feeder(threading.Thread):
    """Writes a script's standard input while another thread reads what it prints.

    A script may end before it has read everything: its exit status says why, not the broken pipe here.
    """

    def __init__(self, stream: Stream, chunks: Iterable[bytes]) -> None:
        super().__init__(daemon=True, name="device-input")
        self._stream = stream
        self._chunks = chunks
        self.sent = 0
        self.problem: Exception | None = None

    def run(self) -> None:
        """Feed everything, then close the script's input."""
        try:
            for chunk in self._chunks:
                self._stream.send(chunk)
                self.sent += len(chunk)
            self._stream.end()
        except ConnectionError:
            return
        except Exception as problem:  # noqa: BLE001 - told by the thread that waits
            self.problem = problem
            self._stream.close()
