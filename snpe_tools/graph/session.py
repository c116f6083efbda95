"""ONNX Runtime on models in memory, and what it says about a model as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import OnnxError
from snpe_tools.core.files import require_file

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort


def plain_session(model: onnx.ModelProto, *, threads: int = 0) -> ort.InferenceSession:
    """A session on the CPU without graph optimizations: QDQ models are computed node by node, as they were written.

    `threads` work on one inference, 0 for one on each core.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextmanager
def explained(model: object) -> Iterator[None]:
    """Errors that ONNX Runtime raises while it loads or runs `model`, a path or a name.

    Raises:
        OnnxError: with ONNX Runtime's own words.
    """
    try:
        yield
    except Exception as problem:
        if not type(problem).__module__.startswith("onnxruntime"):
            raise
        words = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise OnnxError(
            f"ONNX Runtime cannot run {model}: {words}",
            "An operation that it does not know, or inputs out of range, such as token ids of another vocabulary.",
        ) from problem


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
