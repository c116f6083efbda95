"""Logits of windows from an ONNX model on ONNX Runtime's CPU provider."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.errors import OnnxError
from snpe_tools.files import require_file
from snpe_tools.qa.answers import FloatArray
from snpe_tools.qa.features import Windows

if TYPE_CHECKING:
    import onnxruntime as ort

LOGITS = ("start_logits", "end_logits")
_BATCH = 8


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

    A model with dynamic shapes gets batches of windows of similar length, without their padding; one with fixed
    shapes gets one padded window at a time.

    Args:
        optimize: off, ONNX Runtime computes QDQ models node by node, as they were written.
        advance: called with the number of windows just done.

    Raises:
        OnnxError: the model cannot be loaded, or has no start_logits and end_logits.
    """
    session = open_session(model, optimize=optimize)
    names = [value.name for value in session.get_inputs()]
    if not set(LOGITS) <= {value.name for value in session.get_outputs()}:
        raise OnnxError(
            f"{model} has no outputs {' and '.join(LOGITS)}.", "It is not an exported question-answering model."
        )
    dynamic = not isinstance(session.get_inputs()[0].shape[1], int)
    result = np.zeros((2, *windows.input_ids.shape), np.float32)
    started = time.perf_counter()
    for rows, length in _batches(windows, dynamic=dynamic):
        result[:, rows, :length] = session.run(list(LOGITS), windows.inputs(rows, names, length))
        if advance:
            advance(len(rows))
    return Logits(result[0], result[1], time.perf_counter() - started)


def _batches(windows: Windows, *, dynamic: bool) -> list[tuple[NDArray[np.intp], int]]:
    if not dynamic:
        return [(np.array([row]), windows.length) for row in range(len(windows))]
    return by_length(windows, _BATCH)


def by_length(windows: Windows, size: int) -> list[tuple[NDArray[np.intp], int]]:
    """Batches of up to `size` windows of similar length, and the length of each batch's longest."""
    lengths = windows.attention_mask.sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    groups = [order[first : first + size] for first in range(0, len(order), size)]
    return [(rows, int(lengths[rows].max())) for rows in groups]


def open_session(model: Path, *, optimize: bool = True) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU.

    Raises:
        OnnxError: ONNX Runtime does not accept the model.
    """
    import onnxruntime as ort

    require_file(model, "an ONNX model")
    options = ort.SessionOptions()
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # ONNX Runtime raises many kinds
        raise OnnxError(
            f"ONNX Runtime cannot load {model}: {problem}", "The file may be damaged or cut off."
        ) from problem
