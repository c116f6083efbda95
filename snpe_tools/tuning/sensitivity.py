"""What each tensor costs at 8 bits, all of them from one pass over a few windows.

The logits are differentiated along random directions: the gradient at a tensor times the error that rounding makes
there is the change of the logits along that direction, and its mean square over directions and windows is the energy
that this tensor adds (Hutchinson's estimator of a trace). One backward pass serves every tensor, every reader and every
clipped range, where leaving out one tensor at a time would need an inference for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snpe_tools.graph.ranges import Ranges
from snpe_tools.layerwise.causes import likely_cause
from snpe_tools.layerwise.figures import Figures
from snpe_tools.layerwise.layer import Grid, Layer
from snpe_tools.quantization.operations import CONSTANT, MOVES, Operation, by_tensor
from snpe_tools.spec import Array
from snpe_tools.training.onnx_module import GraphFunction
from snpe_tools.tuning.greedy import Effects, noise_of

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

Clip = tuple[float, float]
FULL: Clip = (1.0, 1.0)
CLIPS: tuple[Clip, ...] = (
    FULL, (0.75, 0.75), (0.5, 0.5), (0.25, 0.25), (0.5, 1.0), (0.25, 1.0), (1.0, 0.75), (1.0, 0.5), (1.0, 0.25)
)  # fmt: skip
"""Shares of the observed smallest and largest value that are tried as ranges."""
_DIRECTIONS = 4
_BITS = 8
_SMALLEST_STEP = 1e-12


@dataclass(frozen=True)
class Sensitivity:
    """Changes of the logits by clip, tensor and reader, along random directions, as shares of the logits' RMS."""

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
    operations: Iterable[Operation],
    symmetric: Mapping[str, bool],
    ranges: Ranges,
    windows: Iterable[Mapping[str, Array]],
) -> Sensitivity:
    """Measure every tensor that operations write.

    Args:
        model: float ONNX, fixed shapes.
        symmetric: by tensor, whether its encoding is.
        ranges: what 8 bits must span, before clipping.
        windows: inputs by name; logits of padding do not count.

    Raises:
        OnnxError: an operation that cannot be differentiated.
    """
    probe = _Probe(model, operations, symmetric, ranges)
    for inputs in windows:
        probe.add(inputs)
    return Sensitivity(probe.result(), probe.causes())


class _Probe:
    def __init__(
        self,
        model: onnx.ModelProto,
        operations: Iterable[Operation],
        symmetric: Mapping[str, bool],
        ranges: Ranges,
    ) -> None:
        import torch

        self._graph, self._symmetric, self._ranges = GraphFunction(model), symmetric, ranges.as_dict()
        self._known = by_tensor(operations)
        self._source = _sources(model, self._known)
        self._reader = {node.output[0]: _operation_behind(model, node, self._known) for node in model.graph.node}
        self._random = torch.Generator().manual_seed(0)
        self._sums: dict[tuple[Clip, str, str], list[float]] = {}
        self._taps: list[tuple[str, str, Tensor]] = []
        self._seen: dict[str, tuple[Layer, Figures]] = {}

    def add(self, inputs: Mapping[str, Array]) -> None:
        """One window: a forward pass, and a backward pass for each direction."""
        import torch

        self._taps = []
        given = {name: torch.from_numpy(np.asarray(array)) for name, array in inputs.items()}
        outputs = self._graph(given, self._graph.weights, self._tap)
        real = given["attention_mask"].flatten() > 0
        logits = torch.cat([outputs[name].flatten()[real] for name in self._graph.outputs])
        scale = float(logits.detach().square().sum().sqrt())
        if not self._seen:
            self._look({tensor: value.detach() for tensor, _, value in self._taps})
        signs = torch.randint(0, 2, (_DIRECTIONS, len(logits)), generator=self._random).float() * 2 - 1
        values = [value for _, _, value in self._taps]
        gradients = [torch.autograd.grad(logits @ row, values, retain_graph=True) for row in signs]
        self._collect(list(zip(*gradients, strict=True)), scale)

    def _collect(self, gradients: Sequence[Sequence[Tensor]], scale: float) -> None:
        """Gradients by tap and direction: how rounding at each tap changes the logits along each direction."""
        import torch

        changes: dict[tuple[Clip, str, str], Tensor] = {}
        for (tensor, reader, value), directions in zip(self._taps, gradients, strict=True):
            rows = torch.stack([gradient.flatten() for gradient in directions])
            for clip in self._clips(tensor):
                error = self._error(tensor, value.detach(), clip)
                key = (clip, tensor, reader)
                changes[key] = changes.get(key, 0.0) + rows @ error.flatten() / scale
        for key, change in changes.items():
            self._sums.setdefault(key, []).extend(change.tolist())

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
        source = self._source.get(name, "")
        if not source or source not in self._ranges or self._reader.get(reader, "") is None:
            return value
        if not value.requires_grad:
            value = value.detach().requires_grad_()
        tapped = value.view_as(value)
        self._taps.append((source, self._reader.get(reader) or "", tapped))
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


def _sources(model: onnx.ModelProto, known: Mapping[str, Operation]) -> dict[str, str]:
    """Which operation's tensor each tensor is, moved at most; constants are no part of it."""
    source: dict[str, str] = {}
    for node in model.graph.node:
        for name in node.output:
            if name in known and known[name].type != CONSTANT:
                source[name] = name
            elif node.op_type in MOVES and node.input[0] in source:
                source[name] = source[node.input[0]]
    return source


def _operation_behind(model: onnx.ModelProto, node: onnx.NodeProto, known: Mapping[str, Operation]) -> str | None:
    """The tensor of the operation that a node computes or is fused into; None where it only moves numbers."""
    written: str = node.output[0]
    if written in known:
        return written
    if node.op_type in MOVES:
        return None
    behind = [one for one in model.graph.node if written in one.input]
    return _operation_behind(model, behind[0], known) if behind else ""
