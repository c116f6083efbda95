"""The plan that a search found, built as any model is: what its DLC answers on the emulator."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snpe_tools.core.progress import say
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.evaluate import spread_sample
from snpe_tools.scoring.host_runners import emulator_stage, onnx_stage
from snpe_tools.steps.build import build_dlc, choose_for
from snpe_tools.tasks.question_answering.answers import find_answers
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.inference import Logits
from snpe_tools.tasks.question_answering.metrics import has_unanswerable
from snpe_tools.tasks.question_answering.squad import Question
from snpe_tools.tuning.trial import Emulated

_ASKED = 8
"""Questions for the emulator: enough to see a DLC that computes something else than the QDQ model."""


def confirm(recipe: Recipe, space: Workspace, held_out: Sequence[Question]) -> Emulated:
    """Build the DLC of the plan that stands in the model's folder, and ask it some of the held-out questions.

    The windows have the recipe's own length. The caller holds the workspace's lock.

    Raises:
        SnpeToolsError: of the step that failed.
    """
    precision = recipe.parsed_precision
    build_dlc(recipe, space, precision, choose_for(recipe))
    asked = [held_out[index] for index in spread_sample(len(held_out), _ASKED)]
    windows = make_windows(asked, load_tokenizer(space.tokenizer), recipe.sequence_length)
    with tempfile.TemporaryDirectory(prefix="snpe-tools.") as folder:
        stages = (
            onnx_stage("onnx-float", space.dynamic),
            onnx_stage("onnx-qdq", space.qdq(precision), optimize=False),
            emulator_stage(f"dlc-{precision}", space.dlc(precision), space.onnx, Path(folder)),
        )
        wanted, quantized, emulated = (_texts(stage.compute(windows), windows) for stage in stages)
    found = Emulated(questions=len(asked), as_qdq=_equal(emulated, quantized), as_float=_equal(emulated, wanted))
    say(f"  the DLC on the emulator: {found}")
    return found


def _texts(logits: Logits, windows: Windows) -> list[str]:
    answers = find_answers(*logits.logits, windows, may_be_empty=has_unanswerable(windows.questions))
    return [answer.text for answer in answers]


def _equal(first: Sequence[str], second: Sequence[str]) -> int:
    return int(np.sum([one == other for one, other in zip(first, second, strict=True)]))
