"""Windows as PyTorch tensors on the device of a model."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.training.labels import Labelled

if TYPE_CHECKING:
    from torch import Tensor, nn

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_MULTIPLE = 16


def model_inputs(model: nn.Module, windows: Windows, rows: NDArray[np.intp], length: int) -> dict[str, Tensor]:
    """The inputs that `model` takes, int64 tensors of shape (rows, length)."""
    import torch

    taken = getattr(model, "input_names", None) or inspect.signature(model.forward).parameters
    arrays = windows.inputs(rows, [name for name in _INPUTS if name in taken], length)
    device = next(model.parameters()).device
    return {name: torch.from_numpy(array.astype(np.int64)).to(device) for name, array in arrays.items()}


def padded_length(model: nn.Module, windows: Windows, rows: NDArray[np.intp]) -> int:
    """Tokens that `model` always takes; else those of the longest window, up to a multiple of 16: few shapes."""
    if fixed := getattr(model, "length", 0):
        return int(fixed)
    longest = int(windows.attention_mask[rows].sum(axis=1).max())
    return min(-(-longest // _MULTIPLE) * _MULTIPLE, windows.length)


def answer_loss(model: nn.Module, labelled: Labelled, rows: NDArray[np.intp]) -> tuple[Tensor, int]:
    """Cross-entropy of the start and the end token, averaged, float32; and the tokens of the batch.

    Padding never competes: its logits are left out of the softmax.
    """
    length = padded_length(model, labelled.windows, rows)
    given = model_inputs(model, labelled.windows, rows, length)
    output = model(**given)
    losses = cross_entropies(output, labelled, rows, given["attention_mask"] == 0)
    return sum(losses) / 2, int(given["input_ids"].numel())


def cross_entropies(output: Any, labelled: Labelled, rows: NDArray[np.intp], padding: Tensor) -> list[Tensor]:  # noqa: ANN401
    """Cross-entropy of the start and of the end token, float32, averaged over the windows."""
    import torch

    answers = (output.start_logits, labelled.start), (output.end_logits, labelled.end)
    return [
        torch.nn.functional.cross_entropy(
            logits.float().masked_fill(padding, -torch.inf),
            torch.from_numpy(wanted[rows].astype(np.int64)).to(padding.device),
        )
        for logits, wanted in answers
    ]
