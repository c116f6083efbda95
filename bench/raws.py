"""Writing raw files: ours against plain sequential writes of the same bytes, on the same disk.

    make dlc
    .venv/bin/python bench/raws.py [--windows 10784]

10,784 is the number of windows of the 10,570 SQuAD v1.1 development questions at 384 tokens, so 32,352 raw files.
Each row is one loop of open, write, close over the same files and bytes, or one file that holds all of them.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.tensor_spec import TensorSpec

SPECS = [TensorSpec(name, (1, 384), BY_CODE[0x032]) for name in ("input_ids", "attention_mask", "token_type_ids")]
Arrays = Mapping[str, np.ndarray]


def ours(arrays: Arrays, folder: Path) -> None:
    write_inputs(folder, arrays, SPECS, ["start_logits", "end_logits"])


def plain_files(arrays: Arrays, folder: Path) -> None:
    for name, values in arrays.items():
        (folder / name).mkdir(parents=True)
        for row in range(len(values)):
            (folder / name / f"{row}.raw").write_bytes(values[row].astype(np.float32).tobytes())


def numpy_tofile(arrays: Arrays, folder: Path) -> None:
    for name, values in arrays.items():
        (folder / name).mkdir(parents=True)
        for row in range(len(values)):
            values[row].astype(np.float32).tofile(folder / name / f"{row}.raw")


def one_file(arrays: Arrays, folder: Path) -> None:
    folder.mkdir()
    with (folder / "all.raw").open("wb") as stream:
        for values in arrays.values():
            stream.write(values.astype(np.float32).tobytes())


def seconds(write: Callable[[Arrays, Path], None], arrays: Arrays, folder: Path) -> float:
    started = time.perf_counter()
    write(arrays, folder)
    took = time.perf_counter() - started
    shutil.rmtree(folder)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=10_784)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    numbers = np.random.default_rng(0)
    arrays = {spec.name: numbers.integers(0, 30_000, (arguments.windows, 384), np.int32) for spec in SPECS}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for turn in range(arguments.rounds):
            took = {
                write.__name__: seconds(write, arrays, Path(folder) / "raws")
                for write in (ours, plain_files, numpy_tofile, one_file)
            }
            ratio = took["ours"] / took["plain_files"]
            shown = ", ".join(f"{name} {value:.2f} s" for name, value in took.items())
            print(f"round {turn + 1}: {shown}; ours takes {ratio:.2f} times as long as plain_files")


if __name__ == "__main__":
    main()
