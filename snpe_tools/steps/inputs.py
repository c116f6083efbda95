"""questions → raw files and list.txt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snpe_tools.execution.written_inputs import WrittenInputs, write_windows
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import Question


def inputs(
    model: Path,
    questions: Sequence[Question],
    tokenizer: Path,
    folder: Path,
    *,
    limit: int | None = None,
    for_calibration: bool = False,
    native: bool = False,
) -> WrittenInputs:
    """Write the windows of questions as raw files and an input list, and prove that one of them reads back right.

    Args:
        model: the fixed-shape ONNX model, whose inputs say names, shapes and types.
        questions: as `load_questions` gives them.
        tokenizer: the checkpoint's tokenizer.json.
        folder: where the files go; replaced as a whole.
        limit: at most so many windows, spread evenly over all of them.
        for_calibration: leave out the line that names the outputs; quantizers take lists without it.
        native: write int32 instead of float32.

    Raises:
        TensorError: the raw files, read back and run, do not give what the arrays give.
    """
    length = input_specs(load(model))[0].shape[-1]
    windows = make_windows(questions, load_tokenizer(tokenizer), length)
    if limit is not None and limit < len(windows):
        windows = _spread(windows, limit)
    return write_windows(model, windows, folder, for_calibration=for_calibration, native=native)


def _spread(windows: Windows, count: int) -> Windows:
    """`count` windows at even distances: passages of every part of the set are seen."""
    return windows.take(np.linspace(0, len(windows) - 1, count).astype(np.intp))
