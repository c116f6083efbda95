"""EM and F1 of a PyTorch model, with the scorer that every stage uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.progress import progress
from snpe_tools.tasks.batch import FloatArray
from snpe_tools.tasks.question_answering.answers import find_answers
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.logits import LOGITS
from snpe_tools.tasks.question_answering.metrics import QaScore, evaluate, has_unanswerable
from snpe_tools.tasks.question_answering.training.tensors import model_inputs

if TYPE_CHECKING:
    from torch import nn

_BATCH = 16


def score_model(model: nn.Module, windows: Windows, max_answer_length: int) -> QaScore:
    """EM and F1 over all questions of `windows`, computed in float32 on the device where `model` is."""
    start, end = all_logits(model, windows, "scoring")
    answers = find_answers(
        start,
        end,
        windows,
        may_be_empty=has_unanswerable(windows.questions),
        max_answer_length=max_answer_length,
    )
    return evaluate(windows.questions, [answer.text for answer in answers])


def all_logits(model: nn.Module, windows: Windows, label: str) -> FloatArray:
    """Start and end logits of all windows, float32 (2, windows, length); 0 where a batch needed no padding.

    Args:
        label: of the progress display.
    """
    import torch

    result = np.zeros((2, *windows.input_ids.shape), np.float32)
    model.eval()
    with torch.inference_mode(), progress(label, len(windows)) as advance:
        for rows, longest in _by_length(windows):
            length = getattr(model, "length", 0) or longest
            output = model(**model_inputs(model, windows, rows, length))
            result[:, rows, :length] = [output[name].float().cpu().numpy() for name in LOGITS]
            advance(len(rows))
    return result


def _by_length(windows: Windows) -> list[tuple[NDArray[np.intp], int]]:
    """Batches of windows of similar length, and the length of each batch's longest."""
    lengths = windows.attention_mask.sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    groups = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]
    return [(rows, int(lengths[rows].max())) for rows in groups]
