"""The plan that a search found, built as any model is: what its DLC predicts on the emulator."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.progress import say
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.evaluate import spread_sample
from snpe_tools.scoring.host_runners import emulator_runner, onnx_runner
from snpe_tools.steps.build import build_dlc, choose_for
from snpe_tools.tasks import Batch, Outputs, Task, find_task
from snpe_tools.tuning.trial import Emulated

_ASKED = 8
"""Examples for the emulator: enough to see a DLC that computes something else than the QDQ model."""


def confirm(recipe: Recipe, space: Workspace, held_out: Sequence[Any]) -> Emulated:
    """Build the DLC of the plan that stands in the model's folder, and ask it some of the held-out examples.

    They are encoded in the recipe's own length. The caller holds the workspace's lock.

    Raises:
        SnpeToolsError: of the step that failed.
    """
    precision = recipe.parsed_precision
    build_dlc(recipe, space, precision, choose_for(recipe))
    asked = [held_out[index] for index in spread_sample(len(held_out), _ASKED)]
    task = find_task(recipe.task)
    batch = task.encode(asked, space.tokenizer, (1, recipe.sequence_length))
    with tempfile.TemporaryDirectory(prefix="snpe-tools.") as folder:
        runners = (
            onnx_runner("onnx-float", space.dynamic, task.outputs),
            onnx_runner("onnx-qdq", space.qdq(precision), task.outputs, optimize=False),
            emulator_runner(f"dlc-{precision}", space.dlc(precision), space.onnx, Path(folder), task.outputs),
        )
        wanted, quantized, emulated = (_texts(task, runner.compute(batch), batch) for runner in runners)
    as_qdq, as_float = _equal(emulated, quantized), _equal(emulated, wanted)
    found = Emulated(examples=len(asked), as_qdq=as_qdq, as_float=as_float, noun=task.words.examples)
    say(f"  the DLC on the emulator: {found}")
    return found


def _texts(task: Task, outputs: Outputs, batch: Batch) -> list[str]:
    return [prediction.text for prediction in task.predict(outputs, batch)]


def _equal(first: Sequence[str], second: Sequence[str]) -> int:
    return int(np.sum([one == other for one, other in zip(first, second, strict=True)]))
