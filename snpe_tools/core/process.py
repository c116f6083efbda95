"""The only door to `subprocess`: argument lists, captured output, and errors in the tool's own words."""

from __future__ import annotations

import codecs
import contextlib
import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import SetupError
from snpe_tools.core.printing import printable

KEPT = 1 << 20
"""Characters of a command's output that are kept, unless told otherwise."""
_SIGNALLED = 128


@dataclass(frozen=True)
class Finished:
    """A command that ended, on this machine or on a device.

    Attributes:
        command: what was run, as text for a shell.
        status: exit status. A shell's own: 126 not executable, 127 not found, 128 + n killed by signal n. Negative when
            a signal ended a program that no shell started.
        output: both its outputs in order, as text; of a device's long ones only the end.
    """

    command: str
    status: int
    output: str

    @property
    def ending(self) -> str:
        """How it ended, in words: "exit status 3", "killed by SIGKILL"."""
        number = -self.status if self.status < 0 else self.status - _SIGNALLED
        known = {int(one): one.name for one in signal.Signals}
        return f"killed by {known[number]}" if number in known else f"exit status {self.status}"

    def tail(self, lines: int = 8) -> str:
        """The last lines it printed, indented, one per line, as a terminal may show them."""
        kept = [line.expandtabs().rstrip() for line in self.output.split("\n") if line.strip()][-lines:]
        return "".join(f"\n    {printable(line)}" for line in kept)


def run(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Finished:
    """Run a program to its end; its stdout and stderr arrive together, in order.

    Args:
        arguments: program and arguments; nothing passes through a shell.
        environment: variables added to this process's own.
        timeout: seconds after which the program is killed.
        on_line: receives each line as it arrives.

    Raises:
        SetupError: the program does not exist, or ran past `timeout`.
    """
    command = tuple(str(argument) for argument in arguments)
    variables = {**os.environ, **(environment or {})}
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except (FileNotFoundError, PermissionError) as problem:
        raise SetupError(f"{command[0]} cannot be started: {problem.strerror}.", "snpe-tools doctor") from problem
    return _collect(process, command, timeout, on_line)


def _collect(
    process: subprocess.Popen[str],
    command: tuple[str, ...],
    timeout: float | None,
    on_line: Callable[[str], None] | None,
) -> Finished:
    lines: list[str] = []
    try:
        if on_line is None:
            lines.append(process.communicate(timeout=timeout)[0])
        else:
            for line in process.stdout or ():
                lines.append(line)
                on_line(line.rstrip("\n"))
            process.wait(timeout)
    except subprocess.TimeoutExpired as problem:
        raise SetupError(f"{command[0]} did not end within {timeout:.0f} seconds.") from problem
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
    return Finished(shlex.join(command), process.returncode, "".join(lines))


class AttachedProcess:
    """A process whose standard input and both outputs are one socket. It leads a process group of its own.

    Args:
        errors_apart: its second output is this process's instead, since the socket is for a protocol.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        line: socket.socket,
        *,
        cwd: Path,
        environment: Mapping[str, str],
        errors_apart: bool = False,
    ) -> None:
        self._process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=line.fileno(),
            stdout=line.fileno(),
            stderr=None if errors_apart else line.fileno(),
            start_new_session=True,
        )

    def kill(self) -> None:
        """End it and all it started, if they still run."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


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
