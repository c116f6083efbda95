"""A device in a folder of this machine, for tests: its shell is the local `/bin/sh`, its home is the folder.

It can be told to break, as cables and flash memory do:

    device = Device(FakeTransport(folder, Faults(drop_after=1000)))

Programs in `<folder>/bin` come first in its PATH: a `getprop` there makes it a phone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import InputError
from snpe_tools.core.process import AttachedProcess
from snpe_tools.devices.transports.address import DeviceAddress
from snpe_tools.devices.transports.line import Line
from snpe_tools.devices.transports.transport import Stream

_BLOCK = 512
_PULLED = "the fake cable was pulled"


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    Attributes:
        drop_after: bytes in both directions, all commands together, after which the line is dead for good.
        space: bytes that one file may have, as on a device that is full.
        silent: it takes everything, and answers nothing.
    """

    drop_after: int | None = None
    space: int | None = None
    silent: bool = False


class FakeTransport:
    """A transport to a folder, which is made when it is missing. `faults` may be replaced at any time.

    Args:
        path: PATH of its commands; "" for `<folder>/bin` and this machine's own.
    """

    def __init__(self, folder: Path, faults: Faults | None = None, path: str = "") -> None:
        self.folder = folder.resolve()
        self.faults = faults or Faults()
        self.moved = 0
        self._path = path
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{folder} is a file; a fake device lives in a folder.")
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> DeviceAddress:
        """`fake:FOLDER`."""
        return DeviceAddress("fake", str(self.folder))

    @property
    def dead(self) -> bool:
        """Whether the line has broken."""
        return self.faults.drop_after is not None and self.moved >= self.faults.drop_after

    def open(self, script: str, seconds: float) -> Stream:  # noqa: ARG002 - it answers at once, or never
        """Start `script` in the folder."""
        if self.dead:
            raise ConnectionError(_PULLED)
        ours, theirs = socket.socketpair()
        with theirs:
            command = "sleep 3600" if self.faults.silent else self._limited(script)
            process = AttachedProcess(
                ["/bin/sh", "-c", command], theirs, cwd=self.folder, environment=self._environment()
            )
        return _FakeStream(self, Line(ours), process)

    def _limited(self, script: str) -> str:
        """With the signal ignored, a write past the limit is an error like any other: "File too large"."""
        if self.faults.space is None:
            return script
        return f"trap '' XFSZ; ulimit -f {self.faults.space // _BLOCK}; {script}"

    def _environment(self) -> dict[str, str]:
        path = self._path or f"{self.folder}/bin:{os.environ.get('PATH', os.defpath)}"
        return {"HOME": str(self.folder), "XDG_CACHE_HOME": "", "PATH": path}

    def close(self) -> None:
        """Nothing is held."""


class _FakeStream:
    """A process at the other end of a socket."""

    def __init__(self, device: FakeTransport, line: Line, process: AttachedProcess) -> None:
        self._device = device
        self._line = line
        self._process = process

    def send(self, data: bytes) -> None:
        self._line.send(data)
        self._count(data)

    def end(self) -> None:
        self._line.end()

    def receive(self, seconds: float) -> bytes:
        try:
            data = self._line.receive(seconds)
        except ConnectionError:
            self._count(b"")
            raise
        self._count(data)
        return data

    def _count(self, data: bytes) -> None:
        self._device.moved += len(data)
        if self._device.dead:
            self._process.kill()
            self._line.close()
            raise ConnectionError(_PULLED)

    def close(self) -> None:
        self._line.close()
        self._process.kill()
