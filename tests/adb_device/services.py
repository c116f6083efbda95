"""What a device does for a host: `shell,v2,raw:`, `exec:` and `sync:`, on a folder of this machine.

Frames and requests after the protocol's documentation (shell protocol version 2; SYNC.TXT).
"""

from __future__ import annotations

import os
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.adb_device.wire import Channel

FRAME, REQUEST, STATUS = struct.Struct("<BI"), struct.Struct("<4sI"), struct.Struct("<4s3I")
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
CHUNK = 1 << 16


class Services:
    """A device whose home is `folder`; programs in `<folder>/bin` come first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def serve(self, channel: Channel, name: str) -> None:
        """One stream from start to end; a service that is not known is closed at once."""
        kind, _, argument = name.partition(":")
        if kind.startswith("shell,v2,") and kind.endswith("raw"):
            _framed(channel, self._start(argument, subprocess.PIPE))
        elif kind == "exec":
            _plain(channel, self._start(argument, subprocess.STDOUT))
        elif kind == "sync":
            _sync(channel)

    def _start(self, command: str, errors: int) -> subprocess.Popen[bytes]:
        path = f"{self._folder}/bin:{os.environ['PATH']}"
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self._folder,
            env={**os.environ, "HOME": str(self._folder), "XDG_CACHE_HOME": "", "PATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )


def _framed(channel: Channel, process: subprocess.Popen[bytes]) -> None:
    def passed_on(stream: int, source: IO[bytes] | None) -> threading.Thread:
        return _pump(source, lambda data: channel.write(FRAME.pack(stream, len(data)) + data))

    outputs = [passed_on(STDOUT, process.stdout), passed_on(STDERR, process.stderr)]
    threading.Thread(target=_fed, args=(channel, process), daemon=True).start()
    for output in outputs:
        output.join()
    status = process.wait()
    channel.write(FRAME.pack(EXIT, 1) + bytes([status if status >= 0 else 128 - status]))


def _fed(channel: Channel, process: subprocess.Popen[bytes]) -> None:
    """Frames of input, until the host ends it or is gone; then the process reads the end of its input."""
    assert process.stdin
    try:
        while header := channel.read(FRAME.size):
            stream, length = FRAME.unpack(header)
            data = channel.read(length)
            if stream == CLOSE_STDIN:
                break
            process.stdin.write(data)
            process.stdin.flush()
    except (OSError, struct.error):
        pass
    try:
        process.stdin.close()
    except OSError:
        return


def _pump(source: IO[bytes] | None, write: Callable[[bytes], None]) -> threading.Thread:
    """Pass on what a process prints. When the host is gone the pipe is closed, and the process hears of it."""

    def passed_on() -> None:
        assert source
        try:
            while data := os.read(source.fileno(), CHUNK):
                write(data)
        except OSError:
            pass
        finally:
            source.close()

    thread = threading.Thread(target=passed_on, daemon=True)
    thread.start()
    return thread


def _plain(channel: Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.close()
    _pump(process.stdout, channel.write).join()
    process.wait()


def _sync(channel: Channel) -> None:
    """Requests until the host quits: STAT, SEND and RECV, of which `adb push` and `adb pull` of files consist."""
    requests = {b"STAT": _stat, b"SEND": _send, b"RECV": _recv}
    while header := channel.read(REQUEST.size):
        name, length = REQUEST.unpack(header)
        if name not in requests:
            return
        requests[name](channel, channel.read(length).decode())


def _stat(channel: Channel, path: str) -> None:
    try:
        found = os.lstat(path)
        channel.write(STATUS.pack(b"STAT", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime)))
    except OSError:
        channel.write(STATUS.pack(b"STAT", 0, 0, 0))


def _send(channel: Channel, target: str) -> None:
    """A file that breaks off is removed, as a device does it."""
    path = Path(target.rpartition(",")[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while True:
            header = channel.read(REQUEST.size)
            if len(header) < REQUEST.size:
                path.unlink()
                return
            name, length = REQUEST.unpack(header)
            if name == b"DONE":
                break
            file.write(channel.read(length))
    channel.write(REQUEST.pack(b"OKAY", 0))


def _recv(channel: Channel, path: str) -> None:
    try:
        with Path(path).open("rb") as file:
            while data := file.read(CHUNK):
                channel.write(REQUEST.pack(b"DATA", len(data)) + data)
        channel.write(REQUEST.pack(b"DONE", 0))
    except OSError as problem:
        text = (problem.strerror or "failed").encode()
        channel.write(REQUEST.pack(b"FAIL", len(text)) + text)
