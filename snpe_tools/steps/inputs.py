"""examples → raw files and list.txt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.execution.written_inputs import WrittenInputs, write_batch
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.tasks import DEFAULT_TASK, Batch, find_task


def inputs(
    model: Path,
    examples: Sequence[Any],
    preprocessing: Path,
    folder: Path,
    *,
    task: str = DEFAULT_TASK,
    limit: int | None = None,
    for_calibration: bool = False,
    native: bool = False,
) -> WrittenInputs:
    """Write examples as raw files and an input list, and prove that one of them reads back right.

    Args:
        model: the fixed-shape ONNX model, whose inputs say names, shapes and types.
        examples: as the task's `load` gives them.
        preprocessing: what turns examples into arrays, such as the checkpoint's tokenizer.json.
        folder: where the files go; replaced as a whole.
        task: what the examples are for.
        limit: at most so many inferences, spread evenly over all of them.
        for_calibration: leave out the line that names the outputs; quantizers take lists without it.
        native: write int32 instead of float32.

    Raises:
        TensorError: the raw files, read back and run, do not give what the arrays give.
        UsageError: there is no such task.
    """
    batch = find_task(task).encode(examples, preprocessing, input_specs(load(model))[0].shape)
    if limit is not None and limit < len(batch):
        batch = _spread(batch, limit)
    return write_batch(model, batch, folder, for_calibration=for_calibration, native=native)


def _spread(batch: Batch, count: int) -> Batch:
    """`count` inferences at even distances: every part of the set is seen."""
    return batch.take(np.linspace(0, len(batch) - 1, count).astype(np.intp))
