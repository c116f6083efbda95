r"""Devices at the end of one wire, such as a serial console, where a POSIX shell waits and nothing else can be opened.

The shell is replaced by a small server, which reads lines and runs one script at a time:

    o NUMBER BASE64   start a script       i BASE64   bytes for its standard input (answered by a mark)
    e                 end of its input     k          kill it and all it started
    a                 are you there?

What a script prints goes over the wire as it is. The server's own words are marks among it: a random token, a number
and a line break (`snpe_tools.devices.shell.Frame`). Input is base64, so that a terminal leaves it alone, and is sent a
piece at a time, so that the server always reads: a question and a kill arrive while a script does not read its input.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time

from snpe_tools.devices.shell import Frame, quote
from snpe_tools.devices.transports.address import DeviceAddress
from snpe_tools.devices.transports.transport import OneWireStream
from snpe_tools.devices.transports.wire import Wire

_OPENED, _ENDED, _TAKEN, _THERE = 1, 2, 3, 4
"""What a mark says; its number is ten times the script's number and this."""
_PIECE = 12_000
"""Bytes of input sent at a time: 16,000 characters of base64."""
_TICK = 0.1
"""Seconds between two looks at whether a stream was closed."""
_SERVER = r"""stty raw -echo 2>/dev/null
t={token} g= n=0 d=$(mktemp -d) || exit
trap 'rm -rf "$d"' EXIT
say() {{ printf '%s %d\n' "$t" "$1"; }}
end() {{ [ -z "$g" ] || {{ kill -KILL "-$g"; wait "$g"; }} 2>/dev/null; g=; }}
say 1
while IFS=' ' read -r c w x; do case $c in
o) end; exec 3>&-; n=$w; mkfifo "$d/$n" || exit; w=$(printf %s "$x" | base64 -d); say "${{n}}1"
setsid sh -c 'sh -c "$1" 2>&1; printf "%s %d\n" "$2" "$3"' sh "$w" "$t" "${{n}}2" <"$d/$n" & g=$!
exec 3>"$d/$n"; rm -f "$d/$n" ;;
i) {{ printf %s "$w" | base64 -d >&3; say "${{n}}3"; }} 2>/dev/null & ;;
e) exec 3>&- ;;
k) end; say "${{n}}2" ;;
a) say "${{n}}4" ;;
esac; done
end
"""


class OneWireTransport:
    """A device at the end of a wire. A new script ends the one before, with all that it left running.

    The device needs `base64`, `mkfifo`, `mktemp` and `setsid`, as coreutils with util-linux, busybox and toybox have.

    Args:
        wire: a shell reads what is written to it; taken over, and closed by `close`.
        patience: seconds that the shell may take to answer.

    Raises:
        ConnectionError: the wire is dead.
        TimeoutError: no shell answers.
    """

    def __init__(self, wire: Wire, address: DeviceAddress, patience: float) -> None:
        self._wire = wire
        self._address = address
        self._patience = patience
        self._frame = Frame()
        self._mark = self._frame.mark
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._held = b""
        self._number = 0
        self._current = _Script(self, 0)
        wire.send(f"\nexec sh -c {quote(_SERVER.format(token=self._frame.token))}\n".encode(), patience)
        self._current.wait(self._current.opened, patience)

    @property
    def address(self) -> DeviceAddress:
        """As it was given."""
        return self._address

    def open(self, script: str, seconds: float) -> OneWireStream:
        """Start `script`, and end the one before."""
        self._current.close()
        self._number += 1
        self._current = _Script(self, self._number)
        text = base64.b64encode(script.encode()).decode()
        self.say(f"o {self._number} {text}", seconds)
        self._current.wait(self._current.opened, seconds)
        return self._current

    def say(self, line: str, seconds: float) -> None:
        """Send a line to the server; one thread at a time.

        Raises:
            TimeoutError: the wire takes nothing.
        """
        deadline = time.monotonic() + seconds
        if not self._writing.acquire(timeout=max(0.0, seconds)):
            raise TimeoutError("the wire takes nothing")
        try:
            self._wire.send(f"{line}\n".encode(), deadline - time.monotonic())
        except TimeoutError as problem:  # half a line is on its way: nothing that follows would be understood
            self._wire.close()
            raise ConnectionError("the wire takes nothing") from problem
        finally:
            self._writing.release()

    def read(self, seconds: float) -> None:
        """Give what arrives next to the script that runs; one thread at a time.

        Raises:
            TimeoutError: nothing did.
        """
        if not self._reading.acquire(timeout=seconds):
            raise TimeoutError
        try:
            self._arrived(self._wire.receive(seconds))
        finally:
            self._reading.release()

    def _arrived(self, data: bytes) -> None:
        self._held += data
        while found := self._mark.search(self._held):
            number, word = divmod(int(found[1]), 10)
            if number == self._current.number:
                self._current.take(self._held[: found.start()])
                self._current.told(word)
            self._held = self._held[found.end() :]
        count = self._frame.safe(self._held) if data else len(self._held)
        self._current.take(self._held[:count])
        self._held = self._held[count:]
        if not data:
            self._current.told(_ENDED)

    def close(self) -> None:
        """Let go of the wire; the shell at its other end has ended."""
        self._current.close()
        self._wire.close()

    @property
    def patience(self) -> float:
        """Seconds that one piece of input may take on the wire."""
        return self._patience


class _Script:
    """One script that runs. A thread receives, and asks and kills between; another one sends."""

    def __init__(self, transport: OneWireTransport, number: int) -> None:
        self._transport = transport
        self.number = number
        self.opened, self._taken, self._there, self._ended = (threading.Event() for _ in range(4))
        self._events = {_OPENED: self.opened, _TAKEN: self._taken, _THERE: self._there, _ENDED: self._ended}
        self._closed = False
        self._keeping = threading.Lock()
        self._output = b""

    def take(self, data: bytes) -> None:
        """Receive output; what came before the script began is of another one."""
        with self._keeping:
            if self.opened.is_set() and not self._ended.is_set():
                self._output += data

    def told(self, word: int) -> None:
        """The server said something about this script."""
        if word in self._events:
            self._events[word].set()

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Read until something is said.

        Raises:
            ConnectionError: the script has ended, and it will not be.
            TimeoutError: it was not said within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not event.is_set():
            if self._ended.is_set():
                raise ConnectionError("the connection is closed")
            self._read(deadline - time.monotonic())

    def _read(self, seconds: float) -> None:
        """Read once; look at times whether another thread has closed this."""
        deadline = time.monotonic() + seconds
        while True:
            if self._closed:
                raise ConnectionError("the script is closed")
            left = deadline - time.monotonic()
            try:
                self._transport.read(max(0.0, min(_TICK, left)))
            except TimeoutError:
                if left > _TICK:
                    continue
                raise TimeoutError(f"nothing arrived within {seconds:.0f} seconds") from None
            return

    def send(self, data: bytes) -> None:
        """Send input, a piece at a time, until the server has taken it."""
        for start in range(0, len(data), _PIECE):
            self._check_open()
            self._taken.clear()
            piece = base64.b64encode(data[start : start + _PIECE]).decode()
            self._transport.say(f"i {piece}", self._transport.patience)
            while not self._taken.wait(_TICK) and not self._ended.is_set():
                self._check_open()
                with contextlib.suppress(TimeoutError):  # where no other thread receives, nobody else would hear it
                    self._transport.read(0)

    def end(self) -> None:
        """The script's input ends."""
        self._check_open()
        self._transport.say("e", self._transport.patience)

    def _check_open(self) -> None:
        if self._closed or self._ended.is_set():
            raise ConnectionError("the script has ended")

    def receive(self, seconds: float) -> bytes:
        """The next output."""
        deadline = time.monotonic() + seconds
        while not self._output:
            if self._ended.is_set():
                return b""
            self._read(deadline - time.monotonic())
        with self._keeping:
            data, self._output = self._output, b""
        return data

    def ask(self, seconds: float) -> None:
        """Wait for the server's answer; what the script prints meanwhile is kept."""
        deadline = time.monotonic() + seconds
        self._there.clear()
        self._transport.say("a", seconds)
        if not self._ended.is_set():
            self.wait(self._there, deadline - time.monotonic())

    def kill(self, seconds: float) -> None:
        """End the script and all it started."""
        if not self._ended.is_set():
            self._transport.say("k", seconds)
            with contextlib.suppress(ConnectionError):
                self.wait(self._ended, seconds)

    def close(self) -> None:
        """Let go of it; the next script ends this one."""
        self._closed = True
