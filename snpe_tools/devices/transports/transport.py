"""What a way to a device has to offer: a shell script's standard input and output, and nothing else.

Everything above (exit status, time-outs, files, resumption) is written once, over this. A transport of your own needs
these two classes; `fake.py` is the shortest example.
"""

from __future__ import annotations

from typing import Protocol

from snpe_tools.devices.transports.address import DeviceAddress


class Stream(Protocol):
    """One running script. Every method raises `ConnectionError` once the line is dead."""

    def send(self, data: bytes) -> None:
        """Write all of `data` to its standard input; blocks while the device is slow."""

    def end(self) -> None:
        """Close its standard input."""

    def receive(self, seconds: float) -> bytes:
        """The next bytes of its output, `b""` after the last.

        Raises:
            TimeoutError: nothing arrived within `seconds`.
        """

    def close(self) -> None:
        """Let go of it, from any thread, at once; a blocked `send` or `receive` ends."""


class Transport(Protocol):
    """A connected device."""

    @property
    def address(self) -> DeviceAddress:
        """Which device this is; `adb` alone has become `adb:SERIAL`."""

    def open(self, script: str, seconds: float) -> Stream:
        """Start `script` in the device's POSIX shell, without a terminal; its two outputs arrive as one.

        Raises:
            ConnectionError: the line is dead, or the device refuses.
            TimeoutError: no answer within `seconds`.
        """

    def close(self) -> None:
        """Disconnect; harmless when it is done already."""
