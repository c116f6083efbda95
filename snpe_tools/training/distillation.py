"""What a student learns from a teacher's logits, beside the right answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.qa.answers import FloatArray
from snpe_tools.qa.features import Windows
from snpe_tools.qa.inference import LOGITS
from snpe_tools.training.labels import Labelled
from snpe_tools.training.tensors import cross_entropies, model_inputs, padded_length

if TYPE_CHECKING:
    from torch import Tensor, nn

Lesson = Callable[[NDArray[np.intp], int], "tuple[Tensor, ...]"]
"""A teacher's start and end logits (rows, length) of some windows."""


def live(teacher: nn.Module, windows: Windows) -> Lesson:
    """The teacher is asked at every step: right for one pass over the data."""
    import torch

    def lesson(rows: NDArray[np.intp], length: int) -> tuple[Tensor, ...]:
        with torch.no_grad():
            output = teacher(**model_inputs(teacher, windows, rows, length))
        return tuple(getattr(output, name) for name in LOGITS)

    return lesson


def remembered(logits: FloatArray) -> Lesson:
    """The teacher was asked before: right for several passes. `logits` are (2, windows, length)."""
    import torch

    def lesson(rows: NDArray[np.intp], length: int) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(part[rows, :length]) for part in logits)

    return lesson


def distillation_loss(
    student: nn.Module, lesson: Lesson, labelled: Labelled, rows: NDArray[np.intp], weight: float
) -> tuple[Tensor, int]:
    """Cross-entropy of the answers and of the teacher's distributions, and the tokens of the batch.

    Start and end are averaged; padding is left out of every softmax.

    Args:
        student: a model with start_logits and end_logits.
        lesson: the teacher's.
        weight: share of the teacher's part, 0 to 1.
    """
    length = padded_length(student, labelled.windows, rows)
    given = model_inputs(student, labelled.windows, rows, length)
    padding = given["attention_mask"] == 0
    output = student(**given)
    hard = cross_entropies(output, labelled, rows, padding)
    wanted = [logits.to(padding.device) for logits in lesson(rows, length)]
    soft = [_divergence(getattr(output, name), theirs, padding) for name, theirs in zip(LOGITS, wanted, strict=True)]
    loss = (1 - weight) * sum(hard) / 2 + weight * sum(soft) / 2
    return loss, int(given["input_ids"].numel())


def _divergence(student: Tensor, teacher: Tensor, padding: Tensor) -> Tensor:
    """Cross-entropy of two distributions over the real tokens, averaged over the windows."""
    import torch

    mine = torch.log_softmax(student.float().masked_fill(padding, _NEVER), dim=-1)
    theirs = torch.softmax(teacher.float().masked_fill(padding, _NEVER), dim=-1)
    return -(theirs * mine).sum(dim=-1).mean()


_NEVER = -1e9
"""A logit whose probability is 0, and whose product with 0 still is a number."""
