"""Outputs of an ONNX model on ONNX Runtime's CPU provider."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.errors import OnnxError
from snpe_tools.graph.session import explained, open_session
from snpe_tools.tasks.batch import Batch, FloatArray, Outputs


def run_onnx(
    model: Path,
    batch: Batch,
    outputs: Sequence[str],
    *,
    optimize: bool = True,
    advance: Callable[[int], None] | None = None,
) -> Outputs:
    """Run every inference of a batch.

    Each is computed on one core: that needs no padding where the model's shapes are dynamic, and keeps more of a CPU
    busy than one inference on all cores.

    Args:
        outputs: names of those that are wanted.
        optimize: off, ONNX Runtime computes QDQ models node by node, as they were written.
        advance: called with the number of inferences just done.

    Raises:
        OnnxError: the model cannot be loaded, or does not have these outputs.
    """
    session = open_session(model, optimize=optimize, threads=1)
    names = [value.name for value in session.get_inputs()]
    missing = [name for name in outputs if name not in {value.name for value in session.get_outputs()}]
    if missing:
        raise OnnxError(f"{model} has no output {missing[0]!r}.", f"Its task reads {' and '.join(outputs)}.")
    lengths = _lengths(batch, dynamic=_varies(session.get_inputs()[0].shape))
    varying = {value.name for value in session.get_outputs() if _varies(value.shape)}
    found: list[list[FloatArray]] = [[] for _ in range(len(batch))]

    def infer(row: int) -> None:
        length = None if lengths is None else int(lengths[row])
        with explained(model):
            found[row] = session.run(list(outputs), batch.inputs(slice(row, row + 1), names, length))

    started = time.perf_counter()
    for _ in parallel(infer, range(len(batch))):
        if advance:
            advance(1)
    seconds = time.perf_counter() - started
    columns = zip(*found, strict=True)
    arrays = {
        name: _padded(parts, batch.length if lengths is not None and name in varying else 0)
        for name, parts in zip(outputs, columns, strict=True)
    }
    return Outputs(arrays, seconds)


def _lengths(batch: Batch, *, dynamic: bool) -> NDArray[np.intp] | None:
    """Places to compute of each inference; None where all of them are."""
    return batch.real.sum(axis=1) if dynamic and batch.real is not None else None


def _varies(shape: Sequence[int | str | None]) -> bool:
    return len(shape) > 1 and not isinstance(shape[1], int)


def _padded(parts: Sequence[FloatArray], length: int) -> FloatArray:
    """One array of all inferences; with a length, the second axis filled up to it with 0."""
    if not length:
        return np.concatenate(parts).astype(np.float32, copy=False)
    result = np.zeros((len(parts), length, *parts[0].shape[2:]), np.float32)
    for row, part in enumerate(parts):
        result[row, : part.shape[1]] = part[0]
    return result


def parallel(function: Callable[[int], None], rows: Iterable[int]) -> Iterator[None]:
    """Calls in as many threads as there are cores; an interrupt drops those that wait."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from pool.map(function, rows)
    finally:
        pool.shutdown(cancel_futures=True)
