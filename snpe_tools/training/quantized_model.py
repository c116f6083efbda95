"""A graph with a fake quantizer wherever its DLC will have a quantizer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from snpe_tools.core.precision import NARROW_BITS
from snpe_tools.graph.onnx_module import GraphFunction
from snpe_tools.graph.ranges import Ranges
from snpe_tools.quantization.mixing import Layout
from snpe_tools.quantization.simulator import QuantizerSpec
from snpe_tools.training.fake_quantization import quantize_activation, quantize_weight

if TYPE_CHECKING:
    import onnx
    from torch import Tensor


@dataclass(frozen=True)
class Computed:
    """Outputs by name, float32 (batch, ...), and what is carried from layer to layer before any rounding."""

    outputs: Mapping[str, Tensor]
    hidden: tuple[Tensor, ...] = ()

    def __getitem__(self, name: str) -> Tensor:
        """An output, as of a model of transformers."""
        return self.outputs[name]


@dataclass(frozen=True)
class Quantizers:
    """Where a graph is rounded.

    Attributes:
        specs: of every quantized tensor, by name.
        layout: width and range of every activation, to start from.
        narrow: tensors of 16 bits that an operation of 8 reads, by the name that is read and what the reader writes.
    """

    specs: Mapping[str, QuantizerSpec]
    layout: Layout
    narrow: Mapping[tuple[str, str], str] = field(default_factory=dict)


class QuantizedModel(nn.Module):  # type: ignore[misc]
    """Trainable weights and ranges of a fixed-shape ONNX model.

    Activations of 16 bits are not rounded: their steps are 257 times as fine as those of 8. Tables that are looked up
    stay as they are.

    Args:
        model: the float model.
        quantizers: where it is rounded.
        fixed: weights that stay as they are, too.

    Attributes:
        input_names: what `forward` takes.
        length: tokens of a window, always as many.
    """

    learning_rate_scales: ClassVar = {"ranges": 100.0}
    """Ranges are learned relative to where they began, and have far to go."""

    def __init__(self, model: onnx.ModelProto, quantizers: Quantizers, fixed: Collection[str] = ()) -> None:
        super().__init__()
        self._model, self._graph, self._quantizers = model, GraphFunction(model), quantizers
        self.input_names = self._graph.inputs
        self.length = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
        trained = [name for name in self._graph.weights if name not in tables and name not in fixed]
        self._places = {name: number for number, name in enumerate(trained)}
        self.weights = nn.ParameterList(self._graph.weights[name] for name in trained)
        rest = [name for name in self._graph.weights if name not in self._places]
        self._fixed = {name: f"fixed_{number}" for number, name in enumerate(rest)}
        for name, place in self._fixed.items():
            self.register_buffer(place, self._graph.weights[name], persistent=False)
        self._rows, start = self._starting_ranges()
        self.ranges = nn.ParameterList(torch.ones(2) for _ in self._rows)
        self.register_buffer("start", torch.tensor(start, dtype=torch.float32).reshape(-1, 2))
        self._carried = [name for name in self._graph.computed if self._graph.reads[name] > 1]
        self.quantizing = True

    def _starting_ranges(self) -> tuple[dict[tuple[str, bool], int], list[tuple[float, float]]]:
        """Numbers of what is learned, by tensor and whether it is the range behind a Convert; and where each begins."""
        layout, specs = self._quantizers.layout, self._quantizers.specs
        found = {
            (name, False): ends
            for name, ends in layout.ranges.as_dict().items()
            if name in specs and specs[name].bits == NARROW_BITS and name not in self._graph.weights
        }
        found |= {(name, True): layout.narrow[name] for name in dict.fromkeys(self._quantizers.narrow.values())}
        return {key: number for number, key in enumerate(found)}, list(found.values())

    def forward(self, **inputs: Tensor) -> Computed:
        """Logits, with every quantized tensor rounded; without, as long as `quantizing` is off."""
        weights = {name: self.weights[place] for name, place in self._places.items()}
        weights |= {name: getattr(self, place) for name, place in self._fixed.items()}
        rounding = _Rounding(self, quantizing=self.quantizing)
        outputs = self._graph(inputs, weights, rounding)
        hidden = tuple(rounding.seen[name] for name in self._carried if name in rounding.seen)
        return Computed(outputs, hidden)

    def rounded(self, name: str, value: Tensor, converted: str | None) -> Tensor:
        """A value as its reader sees it; `converted`: the 16-bit tensor of which the reader sees 8 bits, if it does."""
        quantizer = self._quantizers.specs.get(converted or name)
        key = (converted or name, converted is not None)
        if quantizer is None:
            return value
        if key in self._rows:
            low, high = self._range(key)
            if quantizer.symmetric:
                low, high = _symmetric(low, high)
            return quantize_activation(value, low, high, NARROW_BITS)
        if name not in self._graph.weights:
            return value
        if quantizer.symmetric:
            return quantize_weight(value, quantizer.bits, quantizer.axis)
        return quantize_activation(value, value.detach().min(), value.detach().max(), quantizer.bits)

    def converted(self, name: str, reader: str) -> str | None:
        """The 16-bit tensor of which a read sees 8 bits, if it does."""
        return self._quantizers.narrow.get((name, reader))

    def is_shared(self, name: str) -> bool:
        """Whether several nodes read a tensor."""
        return self._graph.reads[name] > 1

    def _range(self, key: tuple[str, bool]) -> tuple[Tensor, Tensor]:
        low, high = self.start[self._rows[key]] * self.ranges[self._rows[key]]
        return low, high

    def trained_weights(self) -> dict[str, Tensor]:
        """Those that were trained, as they are now, by name."""
        return {name: self.weights[place].detach() for name, place in self._places.items()}

    def learned_layout(self) -> Layout:
        """The ranges as they are now; tensors that are not rounded keep theirs."""
        layout = self._quantizers.layout
        found = {narrow: dict[str, tuple[float, float]]() for narrow in (False, True)}
        for name, narrow in self._rows:
            low, high = (float(end.detach()) for end in self._range((name, narrow)))
            found[narrow][name] = (min(low, 0.0), max(high, 0.0))
        ranges = Ranges.from_dict(layout.ranges.as_dict() | found[False], layout.ranges.windows)
        return Layout(layout.wide, ranges, {**layout.narrow, **found[True]})


def _symmetric(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The range that AIMET gives a symmetric encoding: 128 steps below zero, 127 above."""
    largest = torch.maximum(-low, high)
    below = 2 ** (NARROW_BITS - 1)
    return -largest * below / (below - 1), largest


class _Rounding:
    """One pass through the graph: what several nodes read is rounded once.

    Attributes:
        seen: what several nodes read, before rounding.
    """

    def __init__(self, model: QuantizedModel, *, quantizing: bool) -> None:
        self._model, self._quantizing = model, quantizing
        self._made: dict[tuple[str, str | None], Any] = {}
        self.seen: dict[str, Any] = {}

    def __call__(self, name: str, value: Any, reader: str) -> Any:  # noqa: ANN401
        shared = self._model.is_shared(name)
        if shared:
            self.seen[name] = value
        if not self._quantizing:
            return value
        key = name, self._model.converted(name, reader)
        made = self._made.get(key)
        if made is None:
            made = self._model.rounded(name, value, key[1])
        if shared:
            self._made[key] = made
        return made
