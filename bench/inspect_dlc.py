"""Seconds and peak memory of `info` and `diff` on given DLCs; each run is a process, start of Python included.

python bench/inspect_dlc.py A.dlc [B.dlc]       # B: another DLC of about the same size
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def measure(arguments: list[str]) -> tuple[float, float, float]:
    """Wall seconds, seconds of processor time and peak megabytes of one command."""
    command = [sys.executable, "-m", "snpe_tools", *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {0, 9}, command
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def report(name: str, arguments: list[str], rounds: int) -> None:
    walls, busy, peaks = zip(*(measure(arguments) for _ in range(rounds)), strict=True)
    print(
        f"{name:32} median {statistics.median(walls):.2f} s, best {min(walls):.2f} s, worst {max(walls):.2f} s, "
        f"processor {min(busy):.2f} s, {max(peaks):.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    for file in given.files:
        megabytes = file.stat().st_size / 1e6
        for flags in ([], ["--json"], ["--csv"]):
            report(f"info {' '.join(flags)} {megabytes:.0f} MB", ["info", str(file), *flags], given.rounds)
    pair = [str(file) for file in (given.files * 2)[:2]]
    report(f"diff {' and '.join(Path(file).name for file in pair)}", ["diff", *pair], given.rounds)


if __name__ == "__main__":
    main()
