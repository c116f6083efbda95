"""net-run: its overhead over bare executions, its workers, its memory; side by side, several rounds.

    make dlc MODEL=mobilebert RANDOM=1
    .venv/bin/python bench/net_run.py overhead --dlc Models/mobilebert/mobilebert.w8a16.sm8650.dlc --inputs 20
    .venv/bin/python bench/net_run.py workers  --dlc Models/mobilebert/mobilebert.w8a16.sm8650.dlc --inputs 8
    .venv/bin/python bench/net_run.py single   --dlc TINY.dlc --inputs 500
    .venv/bin/python bench/net_run.py many     --dlc TINY.dlc --inputs 10000

`overhead` compares the wall time of `snpe-tools net-run` with the time inside `graphExecute`; `workers` one worker with
two; `single` one call with a process for each input; `many` gives the parent's memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil


def net_run(dlc: Path, listed: Path, out: Path, *more: object) -> list[str]:
    arguments = ("--container", dlc, "--input_list", listed, "--output_dir", out, "--set_unconsumed_as_output", *more)
    return [sys.executable, "-m", "snpe_tools", "net-run", "--use_dsp", *map(str, arguments)]


@dataclass(frozen=True)
class Measured:
    """Wall seconds, seconds inside `graphExecute`, and the peak MB (resident) of the process and its largest worker."""

    wall: float
    busy: float
    parent: int
    worker: int


def timed(command: list[str]) -> Measured:
    peaks = {"parent": 0, "worker": 0}
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peaks))
    watcher.start()
    printed, _ = process.communicate()
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    watcher.join()
    return Measured(wall, json.loads(printed)["busy"], peaks["parent"] >> 20, peaks["worker"] >> 20)


def _watch(parent: psutil.Process, peaks: dict[str, int]) -> None:
    try:
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            peaks["parent"] = max(peaks["parent"], parent.memory_info().rss)
            for child in parent.children(recursive=True):
                peaks["worker"] = max(peaks["worker"], _resident(child))
            time.sleep(0.05)
    except psutil.NoSuchProcess:
        return


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def overhead(dlc: Path, listed: Path, folder: Path, count: int) -> str:
    """Both times are of the same run, so that a busy machine stretches both."""
    run = timed(net_run(dlc, listed, folder / "out", "--workers", 1))
    return (
        f"{count} inputs: net-run {run.wall:.1f} s, of which graphExecute {run.busy:.1f} s: "
        f"overhead {100 * (run.wall / run.busy - 1):.1f} %; memory: parent {run.parent} MB, worker {run.worker} MB"
    )


def workers(dlc: Path, listed: Path, folder: Path, count: int) -> str:
    one, two = (timed(net_run(dlc, listed, folder / f"out{number}", "--workers", number)) for number in (1, 2))
    return (
        f"{count} inputs: 1 worker {one.wall:.1f} s, 2 workers {two.wall:.1f} s, {one.wall / two.wall:.2f} times the "
        f"throughput; memory of a worker {one.worker} and {two.worker} MB"
    )


def single(dlc: Path, listed: Path, folder: Path, count: int) -> str:
    """A process per input is measured on 20 of them and scaled up."""
    together = timed(net_run(dlc, listed, folder / "out")).wall
    lines, sampled, one_by_one = listed.read_text().splitlines(), min(20, count), 0.0
    for index, line in enumerate(lines[:sampled]):
        own = folder / "one.txt"
        own.write_text(line + "\n")
        one_by_one += timed(net_run(dlc, own, folder / f"one{index}", "--workers", 1)).wall
    apart = one_by_one / sampled * count
    return (
        f"{count} inputs: one call {together:.1f} s, a process each {apart:.1f} s (from {sampled}), "
        f"{apart / together:.1f} times as fast"
    )


def many(dlc: Path, listed: Path, folder: Path, count: int) -> str:
    run = timed(net_run(dlc, listed, folder / "out"))
    return f"{count} inputs: {run.wall:.1f} s, memory: parent {run.parent} MB, worker {run.worker} MB"


def inputs_for(dlc: Path, folder: Path, count: int) -> Path:
    """Random tokens, or random numbers for float inputs; absolute paths, so that any folder will do."""
    import snpe_tools.dlc as dlc_format
    from snpe_tools.core.raw_files import write_inputs

    numbers = np.random.default_rng(0)
    with dlc_format.open(dlc) as model:
        specs = [tensor.spec for tensor in model.graph.inputs]
    arrays = {}
    for spec in specs:
        shape = (count, *spec.shape)
        draw = {"input_ids": lambda size: numbers.integers(5, 1000, size), "attention_mask": np.ones}
        other = numbers.standard_normal if spec.dtype.is_float else np.zeros
        arrays[spec.name] = np.asarray(draw.get(spec.name, other)(shape))
    listed = write_inputs(folder / "raws", arrays, specs)
    absolute = listed.read_text().replace(":=", f":={folder}/raws/")
    listed.write_text(absolute)
    return listed


def main() -> None:
    benchmarks: dict[str, Callable[[Path, Path, Path, int], str]] = {
        function.__name__: function for function in (overhead, workers, single, many)
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=benchmarks)
    parser.add_argument("--dlc", type=Path, required=True)
    parser.add_argument("--inputs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    for turn in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            listed = inputs_for(arguments.dlc, Path(folder), arguments.inputs)
            found = benchmarks[arguments.benchmark](arguments.dlc, listed, Path(folder), arguments.inputs)
        print(f"round {turn + 1}: {found}", flush=True)


if __name__ == "__main__":
    main()
