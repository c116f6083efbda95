"""DLC + input list → Result_<i>/<tensor>.raw, on the Hexagon emulator."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.errors import DlcError, TensorError, UsageError
from snpe_tools.files import whole_folder
from snpe_tools.progress import progress
from snpe_tools.qnn.isolation import crashed, pool
from snpe_tools.qnn.session import Session
from snpe_tools.socs import DEFAULT, Soc, check_fit
from snpe_tools.tensors import InputList, check_list, file_name, named, read_inputs, read_list

_DEFAULT_WORKERS = 2


@dataclass(frozen=True)
class RunResult:
    """What a run wrote.

    Attributes:
        folder: holds `Result_<i>` folders.
        outputs: tensors written for each inference.
        inferences: how many.
        seconds: median time of one inference in one worker. The emulator's time says nothing about a device.
        not_finite: NaN and infinite numbers among all outputs.
    """

    folder: Path
    outputs: tuple[str, ...]
    inferences: int
    seconds: float
    not_finite: int


@dataclass(frozen=True)
class _Job:
    """What every inference of a run shares."""

    dlc: Path
    modified: int
    soc: Soc
    outputs: tuple[str, ...]
    native_inputs: bool
    native_outputs: bool


def run(
    dlc: Path,
    input_list: Path,
    folder: Path,
    *,
    soc: Soc = DEFAULT,
    outputs: Sequence[str] = (),
    native_inputs: bool = False,
    native_outputs: bool = False,
    workers: int = 0,
) -> RunResult:
    """Execute a DLC on every line of an input list.

    Args:
        folder: where `Result_<i>` folders go; each appears whole.
        soc: the SoC whose HTP is emulated.
        outputs: tensors to write; those of the list's `%` line by default, else all.
        native_inputs, native_outputs: raw files in the model's own types instead of float32.
        workers: child processes; 0 takes up to two, as many as there are cores.

    Raises:
        DlcError, TensorError: the DLC or the list cannot be used; found before anything runs.
        ExecutionError: the runtime failed, or a worker died.
        StorageError: no space.
    """
    parsed = read_list(input_list)
    names = _check(dlc, parsed, outputs, soc, native=native_inputs)
    job = _Job(dlc.absolute(), dlc.stat().st_mtime_ns, soc, names, native_inputs, native_outputs)
    count = workers or min(_DEFAULT_WORKERS, os.cpu_count() or 1, len(parsed.lines))
    folder.mkdir(parents=True, exist_ok=True)
    _remove_results(folder, len(parsed.lines))
    seconds, not_finite = _run_all(job, parsed, folder, count)
    return RunResult(folder, job.outputs, len(parsed.lines), float(np.median(seconds)), not_finite)


def _check(dlc: Path, parsed: InputList, outputs: Sequence[str], soc: Soc, *, native: bool) -> tuple[str, ...]:
    """The names of the outputs to write, once the list is known to fit the model."""
    with dlc_format.open(dlc) as model:
        check_fit(str(dlc), [soc], quantized=model.is_quantized)
        known = [tensor.name for tensor in model.graph.outputs]
        check_list(parsed, [tensor.spec for tensor in model.graph.inputs], native=native)
    asked = tuple(outputs) or parsed.outputs or tuple(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UsageError(f"{dlc} has no output {unknown[0]!r}.", f"It has: {', '.join(known)}.")
    return asked


def _remove_results(folder: Path, count: int) -> None:
    """Results of an earlier run must never be read as this one's."""
    for index in range(count):
        shutil.rmtree(folder / f"Result_{index}", ignore_errors=True)


def _run_all(job: _Job, parsed: InputList, folder: Path, workers: int) -> tuple[list[float], int]:
    seconds, not_finite = [], 0
    with pool(workers) as executor, progress(f"running on {job.soc} (emulated)", len(parsed.lines)) as advance:
        tasks = [
            executor.submit(_infer, job, dict(line), parsed.path, index, folder)
            for index, line in enumerate(parsed.lines)
        ]
        try:
            for task in as_completed(tasks):
                took, bad = task.result()
                seconds.append(took)
                not_finite += bad
                advance()
        except BrokenProcessPool as problem:
            raise crashed(job.dlc) from problem
    return seconds, not_finite


@lru_cache(maxsize=1)
def _session(dlc: Path, _modified: int, soc: Soc) -> Session:
    """The worker's session, composed once for all its inferences."""
    return Session(dlc, soc)


def _infer(job: _Job, line: Mapping[str, Path], list_file: Path, index: int, folder: Path) -> tuple[float, int]:
    """One inference in a worker; returns its seconds, and how many outputs are NaN or infinite."""
    session = _session(job.dlc, job.modified, job.soc)
    arrays = read_inputs(named(line, session.inputs, list_file, index), session.inputs, native=job.native_inputs)
    started = time.perf_counter()
    stored = session.execute(arrays)
    took = time.perf_counter() - started
    results = {
        spec.name: stored[spec.name] if job.native_outputs else spec.to_real(stored[spec.name])
        for spec in session.outputs
        if spec.name in job.outputs
    }
    with whole_folder(folder / f"Result_{index}") as temporary:
        for name, values in results.items():
            values.tofile(temporary / f"{file_name(name)}.raw")
    return took, sum(int(np.count_nonzero(~np.isfinite(values))) for values in results.values())


def read_results(
    folder: Path, output: str, shape: Sequence[int], count: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One output of all inferences of a run, float32 (count, *shape).

    Raises:
        TensorError: a result is missing or has another size.
    """
    results = np.empty((count, *shape), np.float32)
    for index in range(count):
        file = folder / f"Result_{index}" / f"{file_name(output)}.raw"
        if not file.is_file() or file.stat().st_size != results[index].nbytes:
            raise TensorError(
                f"{file} is missing or has another size than {tuple(shape)} float32.", "Run the model again."
            )
        results[index] = np.fromfile(file, np.float32).reshape(shape)
    return results


def output_shape(dlc: Path, output: str) -> tuple[int, ...]:
    """The shape of one output.

    Raises:
        DlcError: there is none of that name.
    """
    with dlc_format.open(dlc) as model:
        for tensor in model.graph.outputs:
            if tensor.name == output:
                return tensor.shape
    raise DlcError(f"{dlc} has no output {output!r}.")
