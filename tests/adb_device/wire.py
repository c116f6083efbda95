"""ADB messages and streams as a device sees them, written after the protocol's documentation (protocol.txt).

A message: command, two arguments, length, checksum and complement of the command, 32 bits each, little-endian, then the
payload. Version 0x01000001 has no checksums. In a stream one message at a time is under way until its OKAY.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable

HEADER = struct.Struct("<6I")
VERSION, PAYLOAD = 0x01000001, 1 << 18
CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(word, "little") for word in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
TOKEN = 1
"""Kind of the AUTH message that asks the host to sign 20 bytes."""


class Wire:
    """A connection to the host's ADB server. After `drop_after` bytes it breaks, as a pulled cable does."""

    def __init__(self, connection: socket.socket, drop_after: int) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._left = drop_after

    def send(self, command: int, first: int, second: int, payload: bytes = b"") -> None:
        header = HEADER.pack(command, first, second, len(payload), 0, command ^ 0xFFFFFFFF)
        with self._lock:
            self._count(len(payload))
            self._socket.sendall(header + payload)

    def receive(self) -> tuple[int, int, int, bytes]:
        command, first, second, length, _, _ = HEADER.unpack(self._exactly(HEADER.size))
        payload = self._exactly(length)
        self._count(length)
        return command, first, second, payload

    def _count(self, count: int) -> None:
        if self._left:
            self._left -= count
            if self._left <= 0:
                self._socket.shutdown(socket.SHUT_RDWR)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return bytes(data)


class Channel:
    """One stream: `read` gives what the host wrote, `write` waits until the host has taken it."""

    def __init__(self, wire: Wire, local: int, remote: int) -> None:
        self._wire, self._local, self._remote = wire, local, remote
        self._incoming: queue.Queue[bytes] = queue.Queue()
        self._taken = threading.Event()
        self._rest = b""
        self.closed = threading.Event()

    def accept(self) -> None:
        self._wire.send(OKAY, self._local, self._remote)

    def told(self, command: int, payload: bytes) -> None:
        """A message of the host."""
        if command == WRTE:
            self._incoming.put(payload)
        elif command == OKAY:
            self._taken.set()
        elif command == CLSE:
            self.gone()

    def gone(self) -> None:
        """The host closed it, or is gone."""
        self.closed.set()
        self._taken.set()
        self._incoming.put(b"")

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes; fewer at the end."""
        while len(self._rest) < count and not (self.closed.is_set() and self._incoming.empty()):
            data = self._incoming.get()
            if data:
                self._rest += data
                self.accept()
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def write(self, data: bytes) -> None:
        """Send it piece by piece.

        Raises:
            ConnectionError: the host closed the stream.
        """
        for start in range(0, len(data), PAYLOAD):
            self._taken.clear()
            if self.closed.is_set():
                raise ConnectionError
            self._wire.send(WRTE, self._local, self._remote, data[start : start + PAYLOAD])
            self._taken.wait()

    def close(self) -> None:
        if not self.closed.is_set():
            self._wire.send(CLSE, self._local, self._remote)
            self.gone()


Serve = Callable[[Channel, str], None]


def serve(wire: Wire, banner: str, service: Serve) -> None:
    """Answer a host until it goes: each stream it opens is served by a thread of its own.

    Without a banner no key is good enough, as on a phone whose owner has not allowed this computer yet.
    """
    channels: dict[int, Channel] = {}
    try:
        while True:
            command, first, second, payload = wire.receive()
            if command in {CNXN, AUTH} and not banner:
                wire.send(AUTH, TOKEN, 0, bytes(20))
            elif command == CNXN:
                wire.send(CNXN, VERSION, PAYLOAD, banner.encode())
            elif command == OPEN:
                channel = channels[len(channels) + 1] = Channel(wire, len(channels) + 1, first)
                name = payload.rstrip(b"\0").decode()
                threading.Thread(target=_served, args=(service, channel, name), daemon=True).start()
            elif second in channels:
                channels[second].told(command, payload)
    except OSError:
        return
    finally:
        for channel in channels.values():
            channel.gone()


def _served(service: Serve, channel: Channel, name: str) -> None:
    try:
        channel.accept()
        service(channel, name)
        channel.close()
    except OSError:
        channel.gone()
