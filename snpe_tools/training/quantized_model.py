"""A question-answering graph with a fake quantizer wherever its DLC will have a quantizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from snpe_tools.graph.ranges import Ranges
from snpe_tools.quantization.simulator import QuantizerSpec
from snpe_tools.training.fake_quantization import quantize_activation, quantize_weight
from snpe_tools.training.onnx_module import GraphFunction, with_weights

if TYPE_CHECKING:
    import onnx
    from torch import Tensor


@dataclass(frozen=True)
class AnswerLogits:
    """Start and end logits, float32 (batch, length)."""

    start_logits: Tensor
    end_logits: Tensor


class QuantizedModel(nn.Module):  # type: ignore[misc]
    """Trainable weights and ranges of a fixed-shape ONNX model.

    Args:
        model: the float model.
        quantizers: of every quantized tensor, by name.
        ranges: observed ranges, to start from.

    Attributes:
        input_names: what `forward` takes.
        length: tokens of a window, always as many.
    """

    learning_rate_scales: ClassVar = {"ranges": 100.0}
    """Ranges are learned relative to where they began, and have far to go."""

    def __init__(self, model: onnx.ModelProto, quantizers: Mapping[str, QuantizerSpec], ranges: Ranges) -> None:
        super().__init__()
        self._model, self._graph, self._quantizers = model, GraphFunction(model), dict(quantizers)
        self.input_names = self._graph.inputs
        self.length = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        self._places = {name: number for number, name in enumerate(self._graph.weights)}
        self.weights = nn.ParameterList(self._graph.weights.values())
        observed = ranges.as_dict()
        learned = [name for name in self._quantizers if name in observed and name not in self._places]
        self._rows = {name: number for number, name in enumerate(learned)}
        self.ranges = nn.ParameterList(torch.ones(2) for _ in learned)
        self.register_buffer("start", torch.tensor([observed[name] for name in learned], dtype=torch.float32))
        self.quantizing = True

    def forward(self, **inputs: Tensor) -> AnswerLogits:
        """Logits, with every quantized tensor rounded; without, as long as `quantizing` is off."""
        weights = {name: self.weights[place] for name, place in self._places.items()}
        hook = self._quantized if self.quantizing else None
        outputs = self._graph(inputs, weights, hook)
        return AnswerLogits(outputs["start_logits"], outputs["end_logits"])

    def _quantized(self, name: str, value: Tensor, _: str) -> Tensor:
        quantizer = self._quantizers.get(name)
        if quantizer is None:
            return value
        if name in self._rows:
            low, high = self._range(self._rows[name])
            return quantize_activation(value, low, high, quantizer.bits)
        if quantizer.symmetric:
            return quantize_weight(value, quantizer.bits, quantizer.axis)
        low, high = value.detach().min(), value.detach().max()
        return quantize_activation(value, low, high, quantizer.bits)

    def _range(self, row: int) -> Tensor:
        return self.start[row] * self.ranges[row]

    def trained_model(self) -> onnx.ModelProto:
        """The ONNX model with the weights as they are now."""
        return with_weights(self._model, {name: self.weights[place] for name, place in self._places.items()})

    def learned_ranges(self, ranges: Ranges) -> Ranges:
        """The ranges as they are now; tensors without a quantizer keep theirs of `ranges`."""
        found = ranges.as_dict()
        for name, row in self._rows.items():
            low, high = self._range(row).tolist()
            found[name] = (min(low, 0.0), max(high, 0.0))
        return Ranges.from_dict(found, ranges.windows)
