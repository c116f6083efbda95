"""Many files in one stream from a device: their contents end to end, cut where the sizes say, and believed by SHA-256.

There is nothing to parse, so there is nothing that a device could smuggle in: names are those that were asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from snpe_tools.core.errors import DeviceError
from snpe_tools.core.progress import Advance
from snpe_tools.devices.device import Device


@dataclass(frozen=True)
class Expected:
    """A file that a device says it has."""

    size: int
    sha256: str


class Splitter:
    """Writes files below a folder, one after another, from bytes as they arrive. A context manager."""

    def __init__(self, device: Device, target: Path, expected: Mapping[str, Expected], advance: Advance) -> None:
        self._device = device
        self._target = target
        self._coming = iter(expected.items())
        self._advance = advance
        self._open = ExitStack()
        self._left = 0

    def __enter__(self) -> Self:
        try:
            self._next()
        except BaseException:  # an empty file that comes first is checked here, and may be wrong
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def take(self, data: bytes) -> None:
        """The next bytes.

        Raises:
            DeviceError: there are more than were asked for, or a file is not what the device said.
        """
        self._advance(len(data))
        while data:
            if not self._left:
                raise self._wrong("it sent more than was asked for.")
            part, data = data[: self._left], data[self._left :]
            self._stream.write(part)
            self._digest.update(part)
            self._left -= len(part)
            if not self._left:
                self._check()
                self._next()

    def end(self) -> None:
        """All has arrived.

        Raises:
            DeviceError: it has not.
        """
        if self._left:
            raise self._wrong(f"{self._name!r} and what follows did not arrive.")

    def _next(self) -> None:
        """Begin with the next file; empty ones are done at once."""
        for name, wanted in self._coming:
            self._name, self._wanted = name, wanted
            file = self._target / self._name
            file.parent.mkdir(parents=True, exist_ok=True)
            self._open.close()
            self._stream = self._open.enter_context(file.open("wb"))
            self._digest = hashlib.sha256()
            self._left = self._wanted.size
            if self._left:
                return
            self._check()

    def _check(self) -> None:
        if self._digest.hexdigest() != self._wanted.sha256:
            raise self._wrong(f"{self._name!r} arrived otherwise than it said: another SHA-256.")

    def _wrong(self, what: str) -> DeviceError:
        return DeviceError(what, "Run it again; nothing may write there meanwhile.", address=str(self._device))
