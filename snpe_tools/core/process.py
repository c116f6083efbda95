"""The only door to `subprocess`: argument lists, captured output, and errors in the tool's own words."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import SetupError


@dataclass(frozen=True)
class Finished:
    """A process that ended. `code` is negative when a signal ended it."""

    arguments: tuple[str, ...]
    code: int
    output: str

    @property
    def ending(self) -> str:
        """How it ended, in words: "exit code 3", "killed by SIGSEGV"."""
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"

    def tail(self, lines: int = 8) -> str:
        """The last lines it printed, indented, one per line."""
        kept = [line for line in self.output.splitlines() if line.strip()][-lines:]
        return "".join(f"\n    {line}" for line in kept)


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
    return Finished(command, process.returncode, "".join(lines))


class AttachedProcess:
    """A process whose standard input and both outputs are one socket. It leads a process group of its own."""

    def __init__(
        self, arguments: Sequence[str], line: socket.socket, *, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        self._process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=line.fileno(),
            stdout=line.fileno(),
            stderr=line.fileno(),
            start_new_session=True,
        )

    def kill(self) -> None:
        """End it and all it started, if they still run."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
