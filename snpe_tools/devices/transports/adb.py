"""Devices over ADB, through adbutils, which brings its own adb: one connection to the ADB server for each script.

Input and output are framed as in ADB's shell protocol, version 2: a byte that names the stream, four bytes of length
(little-endian), the data. Devices have it since Android 7.
"""

from __future__ import annotations

import struct
import time

from snpe_tools.core.errors import DeviceError, UsageError
from snpe_tools.devices.transports.adb_server import connected, ready, request, told
from snpe_tools.devices.transports.address import DeviceAddress
from snpe_tools.devices.transports.line import Line
from snpe_tools.devices.transports.transport import Stream

_INPUT, _EXIT, _END_OF_INPUT = 0, 3, 4
_OUTPUTS = {1, 2}
_HEADER = struct.Struct("<BI")
_LONGEST = 0xFFFF
"""Bytes of a request to the server: its length is four hexadecimal digits."""


class AdbTransport:
    """A device over ADB.

    Raises:
        DeviceError: it is missing, not ready, or too old.
        SetupError: the ADB server cannot be started.
    """

    def __init__(self, address: DeviceAddress, patience: float) -> None:
        self._address = DeviceAddress("adb", ready(address, patience))
        features = request(f"host-serial:{self._address.target}:features", patience)
        if "shell_v2" not in features.split(","):
            raise DeviceError("its ADB is too old.", "Android 7 or newer is needed.", address=str(self._address))

    @property
    def address(self) -> DeviceAddress:
        """With the serial number, also when none was named."""
        return self._address

    def open(self, script: str, seconds: float) -> Stream:
        """Start `script`. When the server has been killed meanwhile it is started, and finds the device again."""
        service = f"shell,v2,raw:{script}"
        if len(service.encode()) > _LONGEST:
            raise UsageError("A command is too long for ADB.", "Put its arguments into a file on the device.")
        try:
            return self._opened(service, seconds)
        except ConnectionError:
            try:
                ready(self._address, seconds)
            except DeviceError as problem:
                raise ConnectionError(
                    f"{problem.message.removeprefix(f'{problem.address}: ').rstrip('.')}"
                ) from problem
            return self._opened(service, seconds)

    def _opened(self, service: str, seconds: float) -> Stream:
        line = connected(seconds)
        try:
            with told():
                for command in (f"host:transport:{self._address.target}", service):
                    line.send_command(command)
                    line.check_okay()
        except BaseException:
            line.close()
            raise
        return _ShellStream(Line(line.conn))

    def close(self) -> None:
        """Nothing is held: the server is everybody's."""


class _ShellStream:
    """One script, framed."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._buffer = b""
        self._left = 0
        self._ended = False

    def send(self, data: bytes) -> None:
        self._line.send(_HEADER.pack(_INPUT, len(data)) + data)

    def end(self) -> None:
        self._line.send(_HEADER.pack(_END_OF_INPUT, 0))

    def receive(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while not self._ended:
            if self._left and self._buffer:
                data = self._take(self._left)
                self._left -= len(data)
                return data
            if not self._left and len(self._buffer) >= _HEADER.size:
                self._next_frame()
            elif more := self._line.receive(max(0.0, deadline - time.monotonic())):
                self._buffer += more
            else:
                self._ended = True
        return b""

    def _next_frame(self) -> None:
        stream, self._left = _HEADER.unpack(self._take(_HEADER.size))
        self._ended = stream == _EXIT
        if not self._ended and stream not in _OUTPUTS:
            raise ConnectionError("it does not speak ADB's shell protocol")

    def _take(self, most: int) -> bytes:
        taken, self._buffer = self._buffer[:most], self._buffer[most:]
        return taken

    def close(self) -> None:
        self._line.close()
