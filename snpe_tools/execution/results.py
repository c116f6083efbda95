"""The folder of a run: `Result_<i>` folders that are whole, and the record of the call that wrote them.

`run.json` is written before the first result and says exactly what was asked for: the model's hash, the flags, the
versions, and a stamp of every inference's raw files. A result is kept for the next call only when all of that is
the same; anything else is removed before that call begins, so results of another run are never read as its own.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.errors import TensorError
from snpe_tools.core.files import sha256, storage_errors, write_text
from snpe_tools.core.locks import held
from snpe_tools.core.raw_files import flat_name
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.execution.worker import CLAIM, Item, Job, count_not_finite
from snpe_tools.project.provenance import versions

RECORD = "run.json"
_RESULT = re.compile(r"Result_(\d+)")
_DEBRIS = re.compile(r"\.Result_\d+\..*\.(part|old)")
_STAMP = 16


@dataclass(frozen=True)
class KeptResults:
    """Results of an earlier, equal call.

    Attributes:
        indices: their numbers.
        not_finite: how many NaN and infinite numbers they hold.
        claim: identifies this call; only its workers may write to the folder.
    """

    indices: frozenset[int]
    not_finite: int
    claim: str


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and hold it: one run at a time writes there; a second one waits here for the first.

    Raises:
        StorageError: no space, or no permission.
    """
    with ExitStack() as stack:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder / ".lock", f"Another run is writing to {folder}; waiting for it."))
        yield


def claim(job: Job, specs: Sequence[TensorSpec], items: Sequence[Item], *, resume: bool = True) -> KeptResults:
    """Leave nothing in the folder but this call's results. Call it with the folder locked.

    Args:
        specs: the outputs that are written.
        resume: keep whole results of an equal call.

    Raises:
        StorageError: no space, or no permission.
    """
    call, stamps = _call(job), [_stamp(item) for item in items]
    same = _same_stamps(job.folder, call, stamps) if resume else frozenset()
    files = {job.outputs[spec.name]: spec.nbytes(native=job.native_outputs) for spec in specs}
    kept = frozenset(index for index in same if _is_whole(job.folder / f"Result_{index}", files))
    record = json.dumps({"dlc": str(job.dlc), "call": call, "inputs": stamps}, indent=1) + "\n"
    identity = new_sha256(record.encode()).hexdigest()
    write_text(job.folder / CLAIM, identity)
    _clear(job.folder, kept)
    write_text(job.folder / RECORD, record)
    return KeptResults(kept, sum(_not_finite(job, specs, index) for index in kept), identity)


def _call(job: Job) -> dict[str, Any]:
    """What must be equal for a result to be the same."""
    shown = ("snpe-tools", "onnxruntime-qnn", "numpy")
    return {
        "sha256": sha256(job.dlc),
        "soc": job.soc.name,
        "outputs": dict(job.outputs),
        "native_inputs": job.native_inputs,
        "native_outputs": job.native_outputs,
        "use_cache": job.use_cache,
        "versions": {name: versions("run")[name] for name in shown},
    }


def _stamp(item: Item) -> str:
    """Identifies an inference's raw files by place, size and time of change; "" when one is missing."""
    digest = new_sha256(str(item.batch).encode())
    for row in item.rows:
        for name, file in sorted(row.items()):
            try:
                stat = file.stat()
            except OSError:
                return ""
            digest.update(
                f"{name}\0{file.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\n".encode()
            )
    return digest.hexdigest()[:_STAMP]


def _same_stamps(folder: Path, call: Mapping[str, Any], stamps: Sequence[str]) -> frozenset[int]:
    """Inferences that an earlier, equal call was asked for."""
    try:
        known = json.loads((folder / RECORD).read_bytes())
        if known["call"] != call:
            return frozenset()
        pairs = zip(known["inputs"], stamps, strict=False)
        return frozenset(index for index, (old, new) in enumerate(pairs) if new and old == new)
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _is_whole(folder: Path, files: Mapping[str, int]) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except OSError:
        return False


def _clear(folder: Path, kept: frozenset[int]) -> None:
    """Remove every result but the kept ones, and what a killed run left half-written."""
    for entry in list(folder.iterdir()):
        result = _RESULT.fullmatch(entry.name)
        if (result and int(result[1]) not in kept) or _DEBRIS.fullmatch(entry.name):
            shutil.rmtree(entry)


def _not_finite(job: Job, specs: Sequence[TensorSpec], index: int) -> int:
    folder = job.folder / f"Result_{index}"
    return count_not_finite(
        np.fromfile(folder / job.outputs[spec.name], spec.dtype.numpy if job.native_outputs else np.float32)
        for spec in specs
    )


def read_results(
    folder: Path, output: str, shape: Sequence[int], count: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One output of all inferences of a run, float32 (count, *shape).

    Raises:
        TensorError: a result is missing or has another size.
    """
    results = np.empty((count, *shape), np.float32)
    for index in range(count):
        file = folder / f"Result_{index}" / flat_name(output)
        if not file.is_file() or file.stat().st_size != results[index].nbytes:
            raise TensorError(
                f"{file} is missing or has another size than {tuple(shape)} float32.", "Run the model again."
            )
        results[index] = np.fromfile(file, np.float32).reshape(shape)
    return results
