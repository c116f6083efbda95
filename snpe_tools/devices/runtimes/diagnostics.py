"""The diagnostics log of `snpe-net-run`, as far as its format is public.

The log itself is a binary of the vendor's whose layout is not documented, so it is not guessed at. Where the SDK on
this machine has `snpe-diagview`, that reads it; the CSV it writes has the name of a figure in its second column and
microseconds in its fourth (public documentation of the tool, and public readers of its output).
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from snpe_tools.core.errors import SetupError
from snpe_tools.core.process import run
from snpe_tools.core.progress import say
from snpe_tools.toolchains.sdk.environment import libraries_folder, tools_folder

_MICRO = 1e-6
_NAME, _VALUE = 1, 3
_SECONDS = 120
_LARGEST = 1 << 26


def read_diagnostics(output: Path, root: Path) -> dict[str, float] | None:
    """Seconds by lower-case name of the figure, such as "init" and "avg_total_inference_time".

    Args:
        output: the folder that `snpe-net-run` wrote.
        root: the SDK's.

    Returns:
        None where there is no log, or no reader for it on this machine; the latter is said.
    """
    logs = sorted(output.glob("SNPEDiag*.log"))
    viewer = tools_folder(root) / "snpe-diagview"
    if not logs:
        return None
    if not viewer.is_file():
        say(f"  {logs[0].name} is kept; reading it needs the SDK's snpe-diagview, which this SDK lacks.")
        return None
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "diagnostics.csv"
        where = {"LD_LIBRARY_PATH": str(libraries_folder(root))}
        command: list[str | Path] = [viewer, "--input_log", logs[0], "--output", table]
        try:
            finished = run(command, environment=where, timeout=_SECONDS)
        except SetupError as problem:
            say(f"  {logs[0].name} was not read: {problem.message}")
            return None
        if finished.status or not table.is_file() or table.stat().st_size > _LARGEST:
            say(f"  {logs[0].name} was not read: snpe-diagview ended with {finished.ending}.{finished.tail(3)}")
            return None
        return parse_table(table.read_text(encoding="utf-8", errors="replace"))


def parse_table(text: str) -> dict[str, float]:
    """Figures of such a CSV in seconds; rows that are no figure are left out, and of two of a name the first counts."""
    found: dict[str, float] = {}
    for row in csv.reader(text.splitlines()):
        if len(row) <= _VALUE or not row[_NAME].strip():
            continue
        try:
            found.setdefault(row[_NAME].strip().lower(), float(row[_VALUE]) * _MICRO)
        except ValueError:
            continue
    return found
