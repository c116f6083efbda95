"""Whether the weights of each operation can be its own: they are there, and their shapes fit its inputs and outputs.

FullyConnected   [outputs, inputs]: every row of the input gives a row of the output
convolution      [height, width, inputs / groups, outputs]; channels are the last axis of activations
bias             one value for each output channel
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from snpe_tools.dlc.model import Graph, Node, Tensor

_DENSE = {"FullyConnected"}
_CONVOLUTIONS = {"Conv1d", "Conv2d", "Conv3d", "Convolutional"}
_DEPTHWISE = {"DepthWiseConv1d", "DepthWiseConv2d", "DepthwiseConvolutional"}
_TRANSPOSED = {"TransposeConv1d", "TransposeConv2d", "TransposeConv3d", "Deconvolution"}
_MULTIPLYING = _DENSE | _CONVOLUTIONS | _DEPTHWISE | _TRANSPOSED
_PAIR = 2


def missing_weights(graph: Graph) -> Iterator[tuple[str, str]]:
    """Operations that multiply by weights and have none: name, and what is missing."""
    for node in graph.nodes:
        if node.type in _MULTIPLYING and len(_known(node, graph.tensors)) < _PAIR:
            yield node.name, f"is a {node.type} without weights"


def unfit_weights(graph: Graph) -> Iterator[tuple[str, str]]:
    """Weights whose shape their operation cannot have: their name, and why."""
    for node in graph.nodes:
        inputs = _known(node, graph.tensors)
        outputs = [graph.tensors[name] for name in node.outputs if name in graph.tensors]
        if node.type not in _MULTIPLYING or len(inputs) < _PAIR or not outputs or not outputs[0].shape:
            continue
        static = [tensor for tensor in inputs[1:] if tensor.role == "static"]
        matrix = max(static, key=lambda tensor: (len(tensor.shape), tensor.spec.elements), default=None)
        if matrix is None or 0 in (*inputs[0].shape, *outputs[0].shape):
            continue
        yield from _misfit(node, inputs[0], matrix, outputs[0])
        yield from _bias_misfit(node, static, matrix, outputs[0])


def _known(node: Node, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    return [tensors[name] for name in node.inputs if name in tensors]


def _misfit(node: Node, data: Tensor, weight: Tensor, output: Tensor) -> Iterator[tuple[str, str]]:
    fits = True
    if node.type in _DENSE and len(weight.shape) == _PAIR:
        out, into = weight.shape
        fits = out > 0 and into > 0 and data.spec.elements * out == output.spec.elements * into
        fits = fits and output.shape[-1] % out == 0
    elif node.type in _CONVOLUTIONS and len(weight.shape) > _PAIR and data.shape:
        groups = node.attributes.get("group", node.attributes.get("groups", 1))
        into = weight.shape[-2] * (groups if isinstance(groups, int) else 1)
        fits = weight.shape[-1] == output.shape[-1] and into == data.shape[-1]
    elif node.type in _DEPTHWISE and len(weight.shape) > _PAIR:
        fits = math.prod(weight.shape[-2:]) == output.shape[-1]
    if not fits:
        yield (
            weight.name,
            f"has the shape {_text(weight)}, which takes no {_text(data)} to {_text(output)} ({node.name})",
        )


def _bias_misfit(node: Node, static: list[Tensor], weight: Tensor, output: Tensor) -> Iterator[tuple[str, str]]:
    channels = weight.shape[0] if node.type in _DENSE and weight.shape else output.shape[-1]
    for tensor in static:
        if tensor is not weight and len(tensor.shape) == 1 and tensor.shape[0] not in {1, channels}:
            yield tensor.name, f"is a bias of {tensor.shape[0]} values for {channels} outputs ({node.name})"


def _text(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
