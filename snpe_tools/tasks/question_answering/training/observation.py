"""What a transformer thinks: the features after each layer, and the queries, keys and values inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_PROJECTIONS = {"query": 0, "key": 1, "value": 2, "q_lin": 0, "k_lin": 1, "v_lin": 2}


@dataclass(frozen=True)
class LayerTensors:
    """One batch through a model.

    Attributes:
        hidden: (batch, length, features) after each layer.
        related: queries, keys and values of each layer, all heads side by side: three of (batch, length, features).
    """

    hidden: tuple[Tensor, ...]
    related: tuple[tuple[Tensor, ...], ...]


class Observer:
    """Runs `model`, a question-answering model of the BERT family, and sees inside."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._kept: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        self._hooks = []
        for name, module in model.named_modules():
            place = _PROJECTIONS.get(name.rpartition(".")[2])
            if place is not None:
                self._hooks.append(module.register_forward_hook(_keeper(self._kept[place])))

    def __call__(self, **inputs: Tensor) -> LayerTensors:
        """The features of a batch."""
        for part in self._kept:
            part.clear()
        hidden = self.model(**inputs, output_hidden_states=True).hidden_states
        related = tuple(zip(*self._kept, strict=True))
        for part in self._kept:
            part.clear()
        return LayerTensors(tuple(hidden[1:]), related)

    def close(self) -> None:
        """Stop watching; otherwise every later batch through the model would be kept."""
        import torch

        for hook in self._hooks:
            hook.remove()
        torch.compiler.reset()  # compiled code does not notice that a hook is gone


def _keeper(kept: list[Tensor]) -> Any:  # noqa: ANN401 - PyTorch's type of a hook
    def keep(_: nn.Module, __: Any, output: Tensor) -> None:  # noqa: ANN401
        kept.append(output)

    return keep


@contextmanager
def lowest_layers(student: Any, count: int) -> Iterator[None]:  # noqa: ANN401 - a MobileBERT of transformers
    """Only the first `count` layers of a MobileBERT run in this block."""
    encoder = student.mobilebert.encoder
    whole = encoder.layer
    encoder.layer = whole[:count]
    try:
        yield
    finally:
        encoder.layer = whole
