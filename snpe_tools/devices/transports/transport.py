"""What a way to a device has to offer: a shell script's standard input and output, and nothing else.

Everything above (exit status, time-outs, files, resumption) is written once, over this. A transport of your own needs
these two classes; `fake.py` is the shortest example, `one_wire.py` the base for a serial line, and
`snpe_tools.testing.TransportSuite` the tests that it has to pass.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class OneWireStream(Stream, Protocol):
    """A running script on a line that carries only one.

    Where streams have these two methods, no second one is opened beside a running script: neither to hear whether the
    device still answers, nor to kill what runs there.
    """

    def ask(self, seconds: float) -> None:
        """Make sure that the device still answers. Called by the thread that receives; no output is lost.

        Raises:
            TimeoutError: no answer within `seconds`.
        """

    def kill(self, seconds: float) -> None:
        """End the script and all it started, within `seconds`; harmless when it has ended."""


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
