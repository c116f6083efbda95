"""Logits of windows from an ONNX model on ONNX Runtime's CPU provider."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import OnnxError
from snpe_tools.core.files import require_file
from snpe_tools.graph.session import explained
from snpe_tools.tasks.question_answering.answers import FloatArray
from snpe_tools.tasks.question_answering.features import Windows

if TYPE_CHECKING:
    import onnxruntime as ort

LOGITS = ("start_logits", "end_logits")


@dataclass(frozen=True)
class Logits:
    """Start and end logits, float32 (windows, length) each; 0 at padding. `seconds` is the time of all inferences."""

    start: FloatArray
    end: FloatArray
    seconds: float

    @property
    def logits(self) -> tuple[FloatArray, FloatArray]:
        """Both arrays."""
        return self.start, self.end

    def not_finite(self, windows: Windows) -> int:
        """How many logits of real tokens are NaN or infinite."""
        real = windows.attention_mask > 0
        return int(sum(np.count_nonzero(~np.isfinite(logits[real])) for logits in self.logits))


def run_onnx(
    model: Path, windows: Windows, *, optimize: bool = True, advance: Callable[[int], None] | None = None
) -> Logits:
    """Run every window.

    Each window is one inference on one core: that needs no padding where the model's shapes are dynamic, and keeps more
    of a CPU busy than one inference on all cores.

    Args:
        optimize: off, ONNX Runtime computes QDQ models node by node, as they were written.
        advance: called with the number of windows just done.

    Raises:
        OnnxError: the model cannot be loaded, or has no start_logits and end_logits.
    """
    session = open_session(model, optimize=optimize, threads=1)
    names = [value.name for value in session.get_inputs()]
    if not set(LOGITS) <= {value.name for value in session.get_outputs()}:
        raise OnnxError(
            f"{model} has no outputs {' and '.join(LOGITS)}.", "It is not an exported question-answering model."
        )
    dynamic = not isinstance(session.get_inputs()[0].shape[1], int)
    lengths = windows.attention_mask.sum(axis=1) if dynamic else np.full(len(windows), windows.length)
    result = np.zeros((2, *windows.input_ids.shape), np.float32)

    def infer(row: int) -> None:
        rows, length = slice(row, row + 1), int(lengths[row])
        with explained(model):
            result[:, rows, :length] = session.run(list(LOGITS), windows.inputs(rows, names, length))

    started = time.perf_counter()
    for _ in parallel(infer, range(len(windows))):
        if advance:
            advance(1)
    return Logits(result[0], result[1], time.perf_counter() - started)


def parallel(function: Callable[[int], None], rows: Iterable[int]) -> Iterator[None]:
    """Calls in as many threads as there are cores; an interrupt drops those that wait."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from pool.map(function, rows)
    finally:
        pool.shutdown(cancel_futures=True)


def open_session(model: Path, *, optimize: bool = True, threads: int = 0) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU; `threads` work on one inference, 0 for one on each core.

    Raises:
        OnnxError: ONNX Runtime does not accept the model.
    """
    import onnxruntime as ort

    require_file(model, "an ONNX model")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # ONNX Runtime raises many kinds
        raise OnnxError(
            f"ONNX Runtime cannot load {model}: {problem}", "The file may be damaged or cut off."
        ) from problem
