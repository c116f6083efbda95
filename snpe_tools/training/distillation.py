"""What a student learns from a teacher's logits, beside the right answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.training.labels import Labelled
from snpe_tools.training.tensors import cross_entropies, model_inputs, padded_length

if TYPE_CHECKING:
    from torch import Tensor, nn


def distillation_loss(
    student: nn.Module, teacher: nn.Module, labelled: Labelled, rows: NDArray[np.intp], weight: float
) -> tuple[Tensor, int]:
    """Cross-entropy of the answers and of the teacher's distributions, and the tokens of the batch.

    Start and end are averaged; padding is left out of every softmax.

    Args:
        student, teacher: models with start_logits and end_logits.
        weight: share of the teacher's part, 0 to 1.
    """
    import torch

    length = padded_length(student, labelled, rows)
    given = model_inputs(student, labelled.windows, rows, length)
    padding = given["attention_mask"] == 0
    with torch.no_grad():
        wanted = teacher(**model_inputs(teacher, labelled.windows, rows, length))
    output = student(**given)
    hard = cross_entropies(output, labelled, rows, padding)
    soft = [
        _divergence(getattr(output, name), getattr(wanted, name), padding) for name in ("start_logits", "end_logits")
    ]
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
