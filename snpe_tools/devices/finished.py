"""A command that ended on a device, and what it printed on the way."""

from __future__ import annotations

import codecs
import signal
from collections.abc import Callable
from dataclasses import dataclass

from snpe_tools.core.printing import printable

KEPT = 1 << 20
"""Characters of a command's output that are kept, unless told otherwise."""
_SIGNALLED = 128


@dataclass(frozen=True)
class Finished:
    """A command that ended on a device.

    Attributes:
        command: what was run, as text for a shell.
        status: exit status as its shell saw it: 126 not executable, 127 not found, 128 + n killed by signal n.
        output: both its outputs in order, as text; of long ones only the end.
    """

    command: str
    status: int
    output: str

    @property
    def ending(self) -> str:
        """How it ended, in words: "exit status 3", "killed by SIGKILL"."""
        number = self.status - _SIGNALLED
        known = {int(one): one.name for one in signal.Signals}
        return f"killed by {known[number]}" if number in known else f"exit status {self.status}"

    def tail(self, lines: int = 8) -> str:
        """The last lines it printed, indented, one per line, as a terminal may show them."""
        kept = [line.expandtabs().rstrip() for line in self.output.split("\n") if line.strip()][-lines:]
        return "".join(f"\n    {printable(line)}" for line in kept)


class Output:
    """Bytes as text: whole lines to a listener, and the end of it kept."""

    def __init__(self, on_line: Callable[[str], None] | None, keep: int) -> None:
        self._keep = keep
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._on_line = on_line
        self._kept: list[str] = []
        self._length = 0
        self._line = ""

    def take(self, data: bytes, *, final: bool = False) -> None:
        """Receive what came next."""
        text = self._decoder.decode(data, final)
        self._kept.append(text)
        self._length += len(text)
        if self._length > 2 * self._keep:
            self._kept = ["".join(self._kept)[-self._keep :]]
            self._length = self._keep
        if self._on_line:
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                self._on_line(line.rstrip("\r"))
            self._line = self._line[-KEPT:]

    def end(self) -> str:
        """All that was kept."""
        self.take(b"", final=True)
        if self._on_line and self._line:
            self._on_line(self._line)
        return "".join(self._kept)[-self._keep :]
