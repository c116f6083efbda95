"""What each operation of a graph asks of the HTP, in units that do not depend on the precision.

Matrix products run on the matrix unit in blocks of 32 input channels, 32 output channels and 32 positions; a dimension
that fills no whole block costs one all the same. Everything else runs on the vector unit, element by element; tensors
lie in memory in blocks of 32 channels as well, so few channels cost as much as 32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from snpe_tools.dlc.model import Graph, Node, Tensor
from snpe_tools.inspection.macs import node_macs

Kind = Literal["matrix", "depthwise", "elementwise", "normalization", "movement", "unknown"]
Width = Literal["fp16", "a16", "a8"]
"""How an operation computes: in half precision, or with activations of 16 or 8 bits."""

_BLOCK, _HALF = 32, 16
_MATRIX = {
    "Conv1d", "Conv2d", "Conv3d", "GroupedConv2d", "Convolutional", "TransposeConv1d", "TransposeConv2d",
    "TransposeConv3d", "Deconvolution", "MatMul", "FullyConnected",
}  # fmt: skip
_DEPTHWISE = {"DepthWiseConv1d", "DepthWiseConv2d", "DepthwiseConvolutional"}
_NORMALIZATION = {
    "Softmax", "LogSoftmax", "LayerNorm", "RmsNorm", "GroupNorm", "InstanceNorm", "L2Norm", "Lrn", "Moments", "Reduce",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Arg", "ArgMax", "Argmax", "Argmin", "TopK",
    "CumulativeSum",
}  # fmt: skip
_ELEMENTWISE = {
    "Eltwise_Binary", "Eltwise_Unary", "Eltwise_Ternary", "ElementwiseBinaryOp", "ElementwiseUnaryOp", "ElementwiseOp",
    "ElementWiseNeuron", "ElementWiseAbs", "Neuron", "Batchnorm", "Prelu", "Scaling", "Cast", "Convert", "Quantize",
    "Dequantize", "Pool", "PoolAvg2d", "PoolAvg3d", "PoolMax2d", "PoolMax3d", "Pooling",
}  # fmt: skip
_MOVEMENT = {
    "BatchToSpace", "ChannelShuffle", "Concat", "CropAndResize", "DepthToSpace", "Gather", "GatherElements", "GatherNd",
    "OneHot", "Pack", "Pad", "Permute", "Resize", "ResizeBilinear", "ResizeNearestNeighbor", "ScatterElements",
    "ScatterNd", "Slice", "SpaceToBatch", "SpaceToDepth", "Split", "Stack", "StridedSlice", "Tile", "Transpose",
    "UnPack", "Unpack", "Reshape",
}  # fmt: skip
_FREE = {"Input", "Identity", "ExpandDims", "Squeeze", "Shape"}
_READS_ROWS = {"Gather", "GatherElements", "GatherNd"}


@dataclass(frozen=True)
class Work:
    """What one operation asks for.

    Attributes:
        node, type: of the DLC.
        kind: which unit does it, in which manner.
        width: how it computes in the file as it is.
        macs: multiply-accumulates.
        blocks: the same with every dimension filled to whole blocks.
        elements: read and written, activations only, channels filled to whole blocks.
        plain_elements: the same, channels as they are.
        weights: elements of static inputs that are read.
        weight_bits: of each; float weights are stored on the device in 16.
    """

    node: str
    type: str
    kind: Kind
    width: Width
    macs: int
    blocks: int
    elements: int
    plain_elements: int
    weights: int
    weight_bits: int


def work_of(graph: Graph) -> list[Work]:
    """The work of every operation that costs something, in order of execution."""
    return list(_works(graph))


def _works(graph: Graph) -> Iterator[Work]:
    for node in graph.nodes:
        if node.type not in _FREE:
            yield _work(node, graph.tensors)


def _work(node: Node, tensors: Mapping[str, Tensor]) -> Work:
    reads = [tensors[name] for name in node.inputs if name in tensors]
    writes = [tensors[name] for name in node.outputs if name in tensors]
    static = [tensor for tensor in reads if tensor.role == "static"]
    active = [tensor for tensor in reads if tensor.role != "static"]
    macs, kind = node_macs(node, tensors), _kind(node)
    return Work(
        node=node.name,
        type=node.type,
        kind="unknown" if macs is None else kind,
        width=_width(writes or active),
        macs=macs or 0,
        blocks=_blocks(kind, macs or 0, static, writes),
        elements=sum(_filled(tensor.shape) for tensor in (*active, *writes)),
        plain_elements=sum(tensor.spec.elements for tensor in (*active, *writes)),
        weights=_weights(node, static, writes),
        weight_bits=_weight_bits(static),
    )


def _kind(node: Node) -> Kind:
    kinds: tuple[tuple[Kind, set[str]], ...] = (
        ("depthwise", _DEPTHWISE), ("matrix", _MATRIX), ("normalization", _NORMALIZATION),
        ("elementwise", _ELEMENTWISE), ("movement", _MOVEMENT),
    )  # fmt: skip
    return next((kind for kind, types in kinds if node.type in types), "unknown")


def _width(tensors: list[Tensor]) -> Width:
    """By the first activation that is a number to compute with."""
    for tensor in tensors:
        if tensor.dtype.is_fixed_point:
            return "a8" if tensor.dtype.bits <= 8 else "a16"  # noqa: PLR2004
    return "fp16"


def _weight_bits(static: list[Tensor]) -> int:
    largest = max(static, key=lambda tensor: tensor.spec.elements, default=None)
    if largest is None or largest.dtype.is_float:
        return _HALF
    return largest.encoding.bits if largest.encoding else largest.dtype.bits


def _weights(node: Node, static: list[Tensor], writes: list[Tensor]) -> int:
    """A lookup reads only the rows that it gives."""
    stored = sum(tensor.spec.elements for tensor in static)
    given = sum(tensor.spec.elements for tensor in writes)
    return min(stored, given) if node.type in _READS_ROWS else stored


def _filled(shape: tuple[int, ...]) -> int:
    """Elements with the last dimension filled to whole blocks."""
    return math.prod(shape[:-1]) * _up(shape[-1]) if shape else 1


def _up(length: int) -> int:
    return math.ceil(length / _BLOCK) * _BLOCK


def _blocks(kind: Kind, macs: int, static: list[Tensor], writes: list[Tensor]) -> int:
    """Multiply-accumulates with depth, width and positions filled to whole blocks."""
    if not macs or not writes or not writes[0].shape:
        return 0
    shape = writes[0].shape
    channels, positions = shape[-1], math.prod(shape[:-1])
    if kind == "depthwise":
        return macs // channels * _up(channels)
    depth = _depth(static, macs, writes[0].spec.elements)
    times = macs // max(1, positions * channels * depth)
    batches = math.prod(shape[:-2]) if not static else 1
    return max(1, times) * batches * _up(positions // batches) * _up(channels) * _up(depth)


def _depth(static: list[Tensor], macs: int, outputs: int) -> int:
    """Input channels that are summed over; the filter's height and width come on top."""
    per_output = max(1, macs // max(1, outputs))
    matrices = [tensor.shape for tensor in static if len(tensor.shape) > 2]  # noqa: PLR2004
    if matrices:
        largest = max(matrices, key=math.prod)
        return min(per_output, largest[-2])
    return per_output
