"""Multiply-accumulates of one inference, from op types and shapes.

    convolution           output elements x weight elements / output channels
    transposed            input elements x weight elements / input channels
    FullyConnected        output elements x weight elements / output features
    MatMul                output elements x length of the summed axis

Element-wise, moving and normalizing operations multiply too, but are no matrix products: they count 0, as the SDK's
own listing counts most of them. An operation of a type that is in none of these lists is not counted, and named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from snpe_tools.dlc.model import Graph, Node, Tensor

_CONVOLUTIONS = {
    "Conv1d", "Conv2d", "Conv3d", "DepthWiseConv1d", "DepthWiseConv2d", "GroupedConv2d",
    "Convolutional", "DepthwiseConvolutional",
}  # fmt: skip
_TRANSPOSED = {"TransposeConv1d", "TransposeConv2d", "TransposeConv3d", "Deconvolution"}
_WITHOUT = {
    "Arg", "ArgMax", "Argmax", "Argmin", "Batchnorm", "BatchToSpace", "Cast", "ChannelShuffle", "Concat", "Convert",
    "CropAndResize", "CumulativeSum", "DepthToSpace", "Dequantize", "Eltwise_Binary", "Eltwise_Ternary",
    "Eltwise_Unary", "ElementWiseAbs", "ElementWiseNeuron", "ElementwiseBinaryOp", "ElementwiseOp",
    "ElementwiseUnaryOp", "ExpandDims", "Gather", "GatherElements", "GatherNd", "GroupNorm", "Identity", "Input",
    "InstanceNorm", "L2Norm", "LayerNorm", "Lrn", "LogSoftmax", "Moments", "Neuron", "NonMaxSuppression",
    "NonZero", "OneHot", "Pack", "Pad", "Permute", "Pool", "PoolAvg2d", "PoolAvg3d", "PoolMax2d", "PoolMax3d",
    "Pooling", "Prelu", "Quantize", "Reduce", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "Reshape", "Resize", "ResizeBilinear", "ResizeNearestNeighbor", "RmsNorm", "Scaling", "ScatterElements",
    "ScatterNd", "Shape", "Slice", "Softmax", "SpaceToBatch", "SpaceToDepth", "Split", "Squeeze", "Stack",
    "StridedSlice", "Tile", "TopK", "Transpose", "UnPack", "Unpack",
}  # fmt: skip


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one inference.

    Attributes:
        total: of the operations that were counted.
        uncounted: operations of unknown type, or without the shapes that are needed: their number by type.
    """

    total: int
    uncounted: Mapping[str, int]


def count_macs(graph: Graph) -> Macs:
    """Multiply-accumulates of one inference of `graph`."""
    total, uncounted = 0, Counter[str]()
    for node in graph.nodes:
        found = node_macs(node, graph.tensors)
        if found is None:
            uncounted[node.type] += 1
        total += found or 0
    return Macs(total, dict(uncounted))


def node_macs(node: Node, tensors: Mapping[str, Tensor]) -> int | None:
    """Multiply-accumulates of one operation, None where they cannot be told."""
    if node.type in _WITHOUT:
        return 0
    inputs = [tensors[name].shape for name in node.inputs if name in tensors]
    outputs = [tensors[name].shape for name in node.outputs if name in tensors]
    if not outputs or not all(outputs[0]) or len(inputs) < 2 or not all(inputs[1]):  # noqa: PLR2004
        return None
    return _products(node, inputs[0], _weight(node, tensors) or inputs[1], outputs[0])


def _weight(node: Node, tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The largest static input that is no vector: SNPE 1.x lists the bias before the weights."""
    static = [tensors[name].shape for name in node.inputs if name in tensors and tensors[name].role == "static"]
    matrices = [shape for shape in static if len(shape) > 1]
    return max(matrices, key=math.prod, default=())


def _products(node: Node, data: tuple[int, ...], weight: tuple[int, ...], output: tuple[int, ...]) -> int | None:
    if not (data and weight and output):
        return None
    if node.type == "MatMul":
        return math.prod(output) * (data[-2] if node.attributes.get("transpose_in0") and len(data) > 1 else data[-1])
    if node.type in _CONVOLUTIONS and weight[-1]:
        return math.prod(output) * math.prod(weight) // weight[-1]
    if node.type in _TRANSPOSED and data[-1]:
        return math.prod(data) * math.prod(weight) // data[-1]
    if node.type == "FullyConnected" and output[-1]:
        return math.prod(output) * math.prod(weight) // output[-1]
    return None
