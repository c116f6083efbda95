"""What each tensor costs at 8 bits, all of them from one pass over a few windows.

One of each choice that the outputs make (such as the first and the last token of a text) is drawn from the float
model's own distribution. The gradient of its log-probability at a tensor, times the error that rounding makes there, is
how much the error changes that draw's log-probability; half its mean square over draws and windows is the
Kullback-Leibler divergence that the error adds (its second-order form, by the Fisher information). So an error counts
by what it does to predictions: one that moves logits of what nobody would predict counts little. One backward pass
serves every tensor, every reader and every clipped range, where leaving out one tensor at a time would need an
inference for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.onnx_module import GraphFunction
from snpe_tools.graph.ranges import Ranges
from snpe_tools.layerwise.causes import likely_cause
from snpe_tools.layerwise.figures import Figures
from snpe_tools.layerwise.layer import Grid, Layer
from snpe_tools.quantization.operations import Operation, by_tensor
from snpe_tools.quantization.reads import Reads
from snpe_tools.tuning.greedy import Effects, noise_of

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

Distributions = Callable[["Mapping[str, Tensor]", "Mapping[str, Tensor]"], "list[Tensor]"]
Clip = tuple[float, float]
FULL: Clip = (1.0, 1.0)
_SHARES = (1.0, 0.85, 0.7, 0.5, 0.35, 0.25)
_ALIKE = 1
CLIPS: tuple[Clip, ...] = tuple(
    (low, high)
    for (place, low), (other, high) in product(enumerate(_SHARES), repeat=2)
    if 1 in {low, high} or abs(place - other) <= _ALIKE
)
"""Shares of the observed smallest and largest value that are tried as ranges: one end alone, or both about alike."""
_TEMPERATURE = 2.0
"""Of the distributions, as in distillation: at 1 a window with a sure prediction would tell nothing."""
_BITS = 8
_SMALLEST_STEP = 1e-12


@dataclass(frozen=True)
class Sensitivity:
    """Changes of log-probabilities by clip, tensor and reader, each a row over windows; and likely causes in words."""

    by_clip: Mapping[Clip, Effects]
    causes: Mapping[str, str]

    def why(self, tensor: str) -> str:
        """What stretches the range of a tensor, or why its errors count."""
        return self.causes.get(tensor, "")

    def best_clips(self) -> dict[str, Clip]:
        """The range of each tensor that adds least noise; the whole range where clipping gains nothing."""
        return {tensor: self._best(tensor) for tensor in self.by_clip[FULL]}

    def _best(self, tensor: str) -> Clip:
        return min(self.by_clip, key=lambda clip: (noise_of(self.by_clip[clip], tensor, ()), -sum(clip)))

    def effects(self, clips: Mapping[str, Clip]) -> Effects:
        """With the range of each tensor clipped as told, whole where nothing is told."""
        return {tensor: self.by_clip[clips.get(tensor, FULL)][tensor] for tensor in self.by_clip[FULL]}


def measure(
    model: onnx.ModelProto,
    operations: Sequence[Operation],
    symmetric: Mapping[str, bool],
    ranges: Ranges,
    windows: Iterable[Mapping[str, Array]],
    distributions: Distributions,
) -> Sensitivity:
    """Measure every tensor that operations write.

    Args:
        model: float ONNX, fixed shapes.
        symmetric: by tensor, whether its encoding is.
        ranges: what 8 bits must span, before clipping.
        windows: inputs by name.
        distributions: logits of each choice that outputs make; see `Task.distributions`.

    Raises:
        OnnxError: an operation that cannot be differentiated.
    """
    probe = _Probe(model, operations, symmetric, ranges, distributions)
    for inputs in windows:
        probe.add(inputs)
    return Sensitivity(probe.result(), probe.causes())


class _Tap(NamedTuple):
    """A value where an operation reads it: its name, the operation's tensor that it is, and the reader's tensor."""

    name: str
    tensor: str
    reader: str
    value: Tensor


class _Probe:
    def __init__(
        self,
        model: onnx.ModelProto,
        operations: Sequence[Operation],
        symmetric: Mapping[str, bool],
        ranges: Ranges,
        distributions: Distributions,
    ) -> None:
        import torch

        self._distributions = distributions
        self._graph, self._symmetric, self._ranges = GraphFunction(model), symmetric, ranges.as_dict()
        self._known = by_tensor(operations)
        self._reads = Reads(model, operations)
        self._random = torch.Generator().manual_seed(0)
        self._sums: dict[tuple[Clip, str, str], list[float]] = {}
        self._taps: list[_Tap] = []
        self._seen: dict[str, tuple[Layer, Figures]] = {}

    def add(self, inputs: Mapping[str, Array]) -> None:
        """One window: a forward and a backward pass."""
        import torch

        self._taps = []
        given = {name: torch.from_numpy(np.asarray(array)) for name, array in inputs.items()}
        outputs = self._graph(given, self._graph.weights, self._tap)
        if not self._seen:
            self._look({tap.tensor: tap.value.detach() for tap in self._taps})
        logits = self._distributions({name: outputs[name] for name in self._graph.outputs}, given)
        drawn = sum(self._log_probability(choice) for choice in logits)
        gradients = torch.autograd.grad(drawn, [tap.value for tap in self._taps])
        self._collect(gradients)

    def _log_probability(self, logits: Tensor) -> Tensor:
        """Of what is drawn from the logits' own distribution."""
        import torch

        logs = torch.log_softmax(logits / _TEMPERATURE, -1)
        return logs[torch.multinomial(logs.detach().exp(), 1, generator=self._random)].sum()

    def _collect(self, gradients: Sequence[Tensor]) -> None:
        """What rounding at each tap changes; the taps of one value share its errors."""
        import torch

        by_value: dict[str, list[tuple[_Tap, Tensor]]] = {}
        for tap, gradient in zip(self._taps, gradients, strict=True):
            by_value.setdefault(tap.name, []).append((tap, gradient.flatten()))
        changes = Counter[tuple[Clip, str, str]]()
        for pairs in by_value.values():
            tensor, value = pairs[0][0].tensor, pairs[0][0].value.detach()
            rows = torch.stack([gradient for _, gradient in pairs])
            for clip in self._clips(tensor):
                effects = (rows @ self._error(tensor, value, clip).flatten()).tolist()
                for (tap, _), effect in zip(pairs, effects, strict=True):
                    changes[clip, tensor, tap.reader] += effect
        for key, change in changes.items():
            self._sums.setdefault(key, []).append(change)

    def _look(self, values: Mapping[str, Tensor]) -> None:
        """Add up what the words for a cause need."""
        for tensor, value in values.items():
            low, high = self._ranges[tensor]
            layer = Layer(tensor, tensor, self._known[tensor].type, "", (), (), _grid(low, high))
            figures = self._seen.setdefault(tensor, (layer, Figures(layer.grid)))[1]
            array = value.numpy()
            figures.add(array, rounded(value, low, high, symmetric=False).numpy())

    def causes(self) -> dict[str, str]:
        """The likely cause of each tensor's error, in words."""
        return {tensor: likely_cause(layer, figures, self._seen) for tensor, (layer, figures) in self._seen.items()}

    def _tap(self, name: str, value: Any, reader: str) -> Any:  # noqa: ANN401
        """Called for each tensor that a node reads: make those that are quantized there leaves of the gradient."""
        source, behind = self._reads.source(name), self._reads.operation(reader)
        if source not in self._ranges or behind is None:
            return value
        if not value.requires_grad:
            value = value.detach().requires_grad_()
        tapped = value.view_as(value)
        self._taps.append(_Tap(name, source, behind, tapped))
        return tapped

    def _clips(self, tensor: str) -> list[Clip]:
        """Ranges to try: one that begins at 0 is clipped at its other end only."""
        return [clip for clip in CLIPS if self._ranges[tensor][0] < 0 or clip[0] == 1]

    def _error(self, tensor: str, value: Tensor, clip: Clip) -> Tensor:
        low, high = self._ranges[tensor]
        symmetric = self._symmetric.get(tensor, False)
        return rounded(value, low * clip[0], high * clip[1], symmetric=symmetric) - value

    def result(self) -> dict[Clip, dict[str, dict[str, NDArray[np.float64]]]]:
        """Arrays of changes; a clip that was not tried for a tensor changes as the whole range does."""
        found: dict[Clip, dict[str, dict[str, NDArray[np.float64]]]] = {clip: {} for clip in CLIPS}
        for clip in CLIPS:
            for key, whole in self._sums.items():
                if key[0] == FULL:
                    _, tensor, reader = key
                    changes = self._sums.get((clip, tensor, reader), whole)
                    found[clip].setdefault(tensor, {})[reader] = np.array(changes)
        return found


def _grid(low: float, high: float) -> Grid:
    bottom, levels = min(low, 0.0), 2**_BITS - 1
    step = max((max(high, 0.0) - bottom) / levels, _SMALLEST_STEP)
    zero = round(-bottom / step)
    return Grid.of(step, -zero, levels - zero, _BITS)


def rounded(value: Tensor, low: float, high: float, *, symmetric: bool) -> Tensor:
    """`value` as 8 bits hold it, in AIMET's encoding of a range."""
    import torch

    if symmetric:
        half = 2 ** (_BITS - 1)
        step = max(max(-low, high) / (half - 1), _SMALLEST_STEP)
        return torch.fake_quantize_per_tensor_affine(value, step, 0, -half, half - 1)
    bottom, levels = min(low, 0.0), 2**_BITS - 1
    step = max((max(high, 0.0) - bottom) / levels, _SMALLEST_STEP)
    return torch.fake_quantize_per_tensor_affine(value, step, round(-bottom / step), 0, levels)
