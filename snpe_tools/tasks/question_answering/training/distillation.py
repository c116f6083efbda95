"""What a student learns from a teacher's logits, beside the right answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.tasks.batch import FloatArray
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.logits import LOGITS
from snpe_tools.tasks.question_answering.training.labels import Labelled
from snpe_tools.tasks.question_answering.training.tensors import cross_entropies, model_inputs, padded_length

if TYPE_CHECKING:
    from torch import Tensor, nn

_TEMPERATURE = 2.0
_NEVER = -1e9
"""A logit whose probability is 0, and whose product with 0 still is a number."""

Lesson = Callable[[NDArray[np.intp], int], "tuple[Tensor, ...]"]
"""A teacher's start and end logits (rows, length) of some windows."""


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
    soft = [_divergence(output[name], theirs, padding) for name, theirs in zip(LOGITS, wanted, strict=True)]
    loss = (1 - weight) * sum(hard) / 2 + weight * sum(soft) / 2
    return loss, int(given["input_ids"].numel())


def _divergence(student: Tensor, teacher: Tensor, padding: Tensor) -> Tensor:
    """Cross-entropy of two distributions over the real tokens, averaged over the windows."""
    import torch

    mine = torch.log_softmax(_without(padding, student), dim=-1)
    theirs = torch.softmax(_without(padding, teacher), dim=-1)
    return -(theirs * mine).sum(dim=-1).mean()


def imitation_loss(
    student: nn.Module, teacher: nn.Module, windows: Windows, rows: NDArray[np.intp]
) -> tuple[Tensor, int]:
    """How far a model of the same shape is from its teacher, on the way and in the end; and the tokens of the batch.

    The divergence of its answers, softened as in distillation (Hinton et al., 2015), and of each tensor carried from
    layer to layer the share of its energy that is error. Padding is left out. Right answers are not looked at.

    Args:
        student, teacher: models with start_logits, end_logits and hidden.
    """
    import torch

    length = padded_length(student, windows, rows)
    given = model_inputs(student, windows, rows, length)
    real = given["attention_mask"] > 0
    with torch.no_grad():
        wanted = teacher(**given)
    output = student(**given)
    answers = [_softened(output[name], wanted[name], ~real) for name in LOGITS]
    carried = [
        (mine - theirs)[real].square().sum() / theirs[real].square().sum()
        for mine, theirs in zip(output.hidden, wanted.hidden, strict=True)
        if mine.shape[:2] == real.shape
    ]
    return torch.stack([*answers, *carried]).sum(), int(given["input_ids"].numel())


def _softened(student: Tensor, teacher: Tensor, padding: Tensor) -> Tensor:
    """Kullback-Leibler divergence at a temperature, in the units of that at 1; averaged over the windows."""
    import torch

    mine, theirs = (
        torch.log_softmax(_without(padding, logits) / _TEMPERATURE, dim=-1) for logits in (student, teacher)
    )
    divergence = torch.nn.functional.kl_div(mine, theirs, log_target=True, reduction="batchmean")
    return _TEMPERATURE**2 * divergence


def _without(padding: Tensor, logits: Tensor) -> Tensor:
    return logits.float().masked_fill(padding, _NEVER)
