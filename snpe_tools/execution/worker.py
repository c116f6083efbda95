"""One inference in a worker process: raw files → the DLC → a whole `Result_<i>` folder.

A worker is any process that can import this package and sees the same files: a child of this one, or a Dask worker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snpe_tools.core.errors import DlcError, ExecutionError, SnpeToolsError, StorageError
from snpe_tools.core.files import whole_folder
from snpe_tools.core.raw_files import read_inputs
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array, TensorSpec
from snpe_tools.qnn.profile import Event, Level
from snpe_tools.qnn.session import Session

CLAIM = ".claim"


@dataclass(frozen=True)
class Job:
    """What every inference of a run shares.

    Attributes:
        dlc: the file that is executed.
        modified: its modification time (ns): a worker that outlives a change must not use what it composed before.
        folder: where `Result_<i>` folders go.
        outputs: tensors to write, each with its file below `Result_<i>`.
        use_cache: start from the DLC's compiled cache for `soc`, where it has one.
        claim: what `folder/.claim` holds as long as the folder is this run's.
    """

    dlc: Path
    modified: int
    soc: Soc
    folder: Path
    outputs: Mapping[str, str]
    native_inputs: bool = False
    native_outputs: bool = False
    use_cache: bool = True
    claim: str = ""


@dataclass(frozen=True)
class Item:
    """One inference: its number, and the raw files of each input by name.

    Attributes:
        rows: as many as the model's batch takes, where each raw file holds one element of the batch; else one.
        batch: elements of a batch; 1 where a raw file holds a whole input.
        keep: whether its outputs are written.
        profiling: what is recorded of it.
    """

    index: int
    rows: Sequence[Mapping[str, Path]]
    batch: int = 1
    keep: bool = True
    profiling: Level = Level.OFF


@dataclass(frozen=True)
class Outcome:
    """How an inference ended.

    Attributes:
        seconds: inside `graphExecute` and its buffers; the emulator's time says nothing about a device.
        not_finite: NaN and infinite numbers among the outputs.
        start: how the worker got its graph: "cache", "compiled", or "compiled, since …".
        failure: why there is no result.
        events: what the profiling API recorded.
    """

    item: Item
    seconds: float = 0.0
    not_finite: int = 0
    start: str = ""
    failure: SnpeToolsError | None = None
    events: tuple[Event, ...] = ()


_lock = threading.Lock()
_open: dict[tuple[Path, int, Soc, bool], Session] = {}


def _session(job: Job) -> Session:
    """This process's session, opened once for all its inferences. Call it with the lock held."""
    key = (job.dlc, job.modified, job.soc, job.use_cache)
    if key not in _open:
        while _open:
            _open.popitem()[1].close()
        _open[key] = Session(job.dlc, job.soc, use_cache=job.use_cache)
    return _open[key]


def warm(job: Job) -> None:
    """Open the session alone: does the model itself bring the worker down?"""
    with _lock:
        _session(job)


def infer(job: Job, item: Item) -> Outcome:
    """Run one inference and write its result.

    Returns:
        Its outcome; a failure that is this inference's alone is part of it.

    Raises:
        SnpeToolsError: a failure that every inference would meet: the model cannot be opened, or no space is left.
    """
    with _lock:
        session = _session(job)
        try:
            return _infer(job, item, session)
        except StorageError:
            raise
        except SnpeToolsError as problem:
            return Outcome(item, start=session.start, failure=problem)


def _infer(job: Job, item: Item, session: Session) -> Outcome:
    arrays = _read(job, item, session.inputs)
    started = time.perf_counter()
    stored, events = session.profiled(arrays, item.profiling)
    seconds = time.perf_counter() - started
    results = _wanted(job, stored, session)
    if item.keep:
        _write(job, item.index, results)
    return Outcome(item, seconds, count_not_finite(results.values()), session.start, events=events)


def _wanted(job: Job, stored: Mapping[str, Array], session: Session) -> dict[str, Array]:
    missing = [name for name in job.outputs if name not in stored]
    if missing:
        raise DlcError(f"{job.dlc}: the runtime gives no output {missing[0]!r}; it gives {', '.join(stored)}.")
    specs = {spec.name: spec for spec in session.outputs}
    return {name: stored[name] if job.native_outputs else specs[name].to_real(stored[name]) for name in job.outputs}


def _read(job: Job, item: Item, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    if item.batch == 1:
        return read_inputs(item.rows[0], specs, native=job.native_inputs)
    parts = [part_of(spec, item.batch) for spec in specs]
    rows = [read_inputs(row, parts, native=job.native_inputs) for row in item.rows]
    padding = {part.name: part.to_native(np.zeros(part.shape)) for part in parts}
    rows += [padding] * (item.batch - len(rows))
    return {spec.name: np.concatenate([row[spec.name] for row in rows]) for spec in specs}


def part_of(spec: TensorSpec, batch: int) -> TensorSpec:
    """One of `batch` equal parts of a tensor, along its first axis."""
    return replace(spec, shape=(spec.shape[0] // batch, *spec.shape[1:]))


def _write(job: Job, index: int, results: Mapping[str, Array]) -> None:
    first = next(iter(job.outputs.values()))
    with whole_folder(job.folder / f"Result_{index}", known_by=Path(first).parts[0]) as temporary:
        for name, values in results.items():
            file = temporary / job.outputs[name]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(values.tobytes())
        _check_claim(job)


def _check_claim(job: Job) -> None:
    """A worker may outlive its run; its results must not appear among another run's."""
    file = job.folder / CLAIM
    if job.claim and (not file.is_file() or file.read_text(encoding="utf-8") != job.claim):
        raise ExecutionError(f"{job.folder} is another run's now; this one's results are no longer written.")


def count_not_finite(arrays: Iterable[Array]) -> int:
    """How many numbers are NaN or infinite."""
    return sum(int(np.count_nonzero(~np.isfinite(values))) for values in arrays)
