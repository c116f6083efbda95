"""Runs a tool of the SDK: everything it says goes to a log, little to the terminal; success is a file that is there."""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from snpe_tools.core.errors import ConversionError
from snpe_tools.core.files import storage_errors
from snpe_tools.core.process import Finished, run
from snpe_tools.core.progress import say
from snpe_tools.toolchains.sdk.commands import Command
from snpe_tools.toolchains.sdk.environment import Sdk
from snpe_tools.toolchains.sdk.errors import complaints, explain

_WORTH_SAYING = re.compile(r"WARN|ERROR|FATAL|Run Summary|:\s+(?:Success|Fail)|Traceback")
_VARYING = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|\S*/\S*")
_MOST_KINDS = 12


def new_log(target: Path) -> Path:
    """An empty log beside what the tools make; it stays, and more so when they fail.

    Raises:
        StorageError: no permission to write there.
    """
    log = target.with_name(f"{target.name}.log")
    with storage_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
    return log


class Condenser:
    """Says a tool's warnings and errors, each kind once."""

    def __init__(self) -> None:
        self._kinds = Counter[str]()

    def take(self, line: str) -> None:
        """One line of the tool."""
        if not _WORTH_SAYING.search(line):
            return
        kind = _VARYING.sub("", line)
        self._kinds[kind] += 1
        if self._kinds[kind] == 1 and len(self._kinds) <= _MOST_KINDS:
            say(f"    {line.strip()}")

    @property
    def hidden(self) -> int:
        """Lines worth saying that were not said."""
        return self._kinds.total() - min(len(self._kinds), _MOST_KINDS)


def run_tool(sdk: Sdk, command: Command, folder: Path, log: Path) -> Finished:
    """Run one tool in `folder`, and return once the file it was to write is there.

    Args:
        log: the tool's command and all it says is appended, as it comes.

    Raises:
        ConversionError: it failed, crashed, or claims a success without a file; with its own words and their meaning.
        SetupError: the SDK lacks the tool.
        StorageError: the log cannot be written.
    """
    launcher, condenser = sdk.launcher(command.tool), Condenser()
    arguments: list[str | Path] = [*launcher, *command.arguments[1:]]
    say(f"  {command.tool} …")
    started = time.perf_counter()
    with storage_errors(log), log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {shlex.join(map(str, arguments))}\n")
        finished = run(
            arguments, cwd=folder, environment=sdk.environment, on_line=lambda line: _take(line, stream, condenser)
        )
        stream.write(f"[{finished.ending}]\n\n")
    more = f"; {condenser.hidden} more lines of such kinds" if condenser.hidden else ""
    say(f"  {command.tool}: {finished.ending}, {time.perf_counter() - started:.1f} s{more}; log: {log}")
    _require_success(finished, command, folder, log)
    return finished


def _take(line: str, stream: TextIO, condenser: Condenser) -> None:
    stream.write(f"{line}\n")
    stream.flush()
    condenser.take(line)


def _require_success(finished: Finished, command: Command, folder: Path, log: Path) -> None:
    made = folder / command.output
    if finished.status:
        raise failure(f"{command.tool} ended with {finished.ending}{_stage(finished)}.", finished.output, log)
    if not made.is_file():
        raise failure(f"{command.tool} reported success, and wrote no {command.output}.", finished.output, log)
    if not made.stat().st_size:
        raise failure(f"{command.tool} reported success, and wrote an empty {command.output}.", finished.output, log)


def _stage(finished: Finished) -> str:
    """Where a quantizer died: it says when it has quantized the parameters, and when it has seen all inputs."""
    if "Quantized parameters" in finished.output and "Generated activations" not in finished.output:
        return " while it ran the calibration inputs, after it had quantized the parameters"
    return ""


def failure(message: str, output: str, log: Path) -> ConversionError:
    """The error of a tool: what happened, what it means, the tool's own lines, and what to do."""
    known = explain(output)
    meaning = "".join(f"\n  It means: {one.cause}.\n    {one.line}" for one in known)
    seen = {one.line for one in known}
    words = [line for line in complaints(output) or output.strip().splitlines()[-5:] if line.strip() not in seen]
    own = "".join(f"\n    {line}" for line in words)
    return ConversionError(
        f"{message}{meaning}" + (f"\n  In the tool's words:{own}" if own else ""),
        " ".join([*(one.fix for one in known), f"Everything it said: {log}"]),
    )
