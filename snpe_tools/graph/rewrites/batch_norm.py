"""BatchNormalization folded into the product before it, or as a depthwise convolution with a scale for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snpe_tools.graph.channel_size import expected_size
from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute

if TYPE_CHECKING:
    import onnx

_Wide = NDArray[np.float64]
_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}
_BIAS = 2
_MAP = 4
"""Axes of a map: batch, channels, rows, columns."""
_SPREAD = 4.0
"""From this ratio of the widest to the narrowest channel on, channels are brought to one width."""


class _Line(NamedTuple):
    """What a BatchNormalization computes: gain · x + shift, for each channel; deviation and mean of each after it."""

    gain: _Wide
    shift: _Wide
    deviation: _Wide
    mean: _Wide


def _line(graph: Graph, node: onnx.NodeProto) -> _Line | None:
    values = [graph.value(name) for name in node.input[1:5]] if node.op_type == "BatchNormalization" else []
    held = [value.astype(np.float64) for value in values if value is not None]
    if len(held) < 4 or any(node.output[1:]) or attribute(node, "training_mode", 0):  # noqa: PLR2004
        return None
    gamma, beta, mean, variance = held
    gain = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    return _Line(gain, beta - gain * mean, np.abs(gamma), beta)


def fold(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """Behind a convolution or a Gemm of its own: into its weight and bias."""
    line, product = _line(graph, node), graph.writer.get(node.input[0])
    if line is None or product is None or product.op_type not in _OUTPUT_AXIS or not graph.sole_reader(node.input[0]):
        return None
    weight = graph.value(product.input[1])
    bias = graph.value(product.input[_BIAS]) if _has_bias(product) else np.zeros(len(line.gain), np.float32)
    plain = product.op_type != "Gemm" or (attribute(product, "alpha", 1.0), attribute(product, "beta", 1.0)) == (1, 1)
    if weight is None or bias is None or not plain:
        return None
    axis = 0 if product.op_type == "Gemm" and attribute(product, "transB", 0) else _OUTPUT_AXIS[product.op_type]
    grouped = product.op_type == "ConvTranspose" and attribute(product, "group", 1) != 1
    if grouped or weight.shape[axis] != len(line.gain):
        return None
    scaled = weight.astype(np.float64) * line.gain.reshape([-1 if one == axis else 1 for one in range(weight.ndim)])
    made = type(product)()
    made.CopyFrom(product)
    made.name = graph.fresh(f"{product.name or product.output[0]}_folded")
    shifted = np.broadcast_to(bias.astype(np.float64), line.gain.shape) * line.gain + line.shift
    names = [graph.constant(f"{product.input[1]}_folded", scaled.astype(np.float32)),
             graph.constant(f"{node.output[0]}_bias", shifted.astype(np.float32))]  # fmt: skip
    del made.input[1:]
    made.input.extend(names)
    made.output[0] = node.output[0]
    return Replacement(node, [made], f"folded into the {product.op_type} before it")


def _has_bias(node: onnx.NodeProto) -> bool:
    return len(node.input) > _BIAS and bool(node.input[_BIAS])


def level(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """Before a convolution, with a Relu between at most: channels of one width, and the rest in the weights behind.

    One encoding serves all channels of a map; a channel of a thousandth of the widest one would have no steps at all.
    """
    weight = graph.value(node.input[1]) if node.op_type == "Conv" and attribute(node, "group", 1) == 1 else None
    between = graph.writer.get(node.input[0]) if weight is not None else None
    relu = between if between is not None and between.op_type in {"LeakyRelu", "Relu"} else None
    norm = graph.writer.get(relu.input[0]) if relu is not None else between
    line = _line(graph, norm) if norm is not None else None
    if line is None or norm is None or weight is None or not graph.sole_reader(norm.output[0]):
        return None
    rectified = relu is not None and relu.op_type == "Relu"
    width = expected_size(line.deviation, line.mean, rectified=rectified)
    width = np.maximum(width, width.max() * 1e-6)
    alone = relu is None or graph.sole_reader(relu.output[0]) is not None
    if not alone or width.max() / width.min() < _SPREAD or _rank(graph, norm) != _MAP:
        return None
    scaled = (weight * width.reshape(1, -1, *[1] * (weight.ndim - 2))).astype(np.float32)
    levelled = graph.fresh(f"{norm.output[0]}_levelled")
    nodes = [_depthwise(graph, norm, line._replace(gain=line.gain / width, shift=line.shift / width), levelled)]
    if relu is not None:
        rectified = graph.fresh(f"{relu.output[0]}_levelled")
        nodes.append(graph.node(relu.op_type, [levelled], [rectified], relu))
        nodes[-1].attribute.extend(relu.attribute)
        levelled = rectified
    made = type(node)()
    made.CopyFrom(node)
    made.name = graph.fresh(f"{node.name or node.output[0]}_levelled")
    made.input[0], made.input[1] = levelled, graph.constant(f"{node.input[1]}_levelled", scaled)
    ratio = width.max() / width.min()
    reason = f"channels of the BatchNormalization before it differ {ratio:.0f} times: brought to one width"
    return Replacement(node, [*nodes, made], reason)


def _rank(graph: Graph, norm: onnx.NodeProto) -> int:
    return len(graph.shape(norm.input[0]) or ())


def depthwise(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """On a map, with nothing to be folded into: a depthwise convolution, which has a scale for each channel."""
    line = _line(graph, node)
    if line is None or _rank(graph, node) != _MAP:
        return None
    made = _depthwise(graph, node, line, node.output[0])
    return Replacement(node, [made], "alone it is refused or loses small channels; as a depthwise Conv it keeps them")


def _depthwise(graph: Graph, node: onnx.NodeProto, line: _Line, target: str) -> onnx.NodeProto:
    channels = len(line.gain)
    names = [graph.constant(f"{node.output[0]}_gain", line.gain.astype(np.float32).reshape(channels, 1, 1, 1)),
             graph.constant(f"{node.output[0]}_shift", line.shift.astype(np.float32))]  # fmt: skip
    return graph.node("Conv", [node.input[0], *names], [target], node, group=channels, kernel_shape=[1, 1])
