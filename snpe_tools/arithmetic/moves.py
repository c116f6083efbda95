"""Operations that move stored values and compute nothing: exact whatever the type is, as long as the encoding stays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from snpe_tools.arithmetic.grid import NoRule
from snpe_tools.core.tensor_spec import Array
from snpe_tools.dlc import Graph, Node, Tensor

Move = Callable[..., Array | tuple[Array, ...]]


def _reshape(graph: Graph, node: Node) -> Move:
    shape = _kept(graph, node)
    return lambda values: values.reshape(shape)


def _transpose(graph: Graph, node: Node) -> Move:
    _kept(graph, node)
    order = _numbers(node, "perm")
    return lambda values: np.ascontiguousarray(values.transpose(order))


def _gather(graph: Graph, node: Node) -> Move:
    axis, shape = int(str(node.attributes.get("axis", 0))), _kept(graph, node)
    return lambda values, indices: np.take(values, indices, axis).reshape(shape)


def _split(graph: Graph, node: Node) -> Move:
    _kept(graph, node)
    axis, places = int(str(node.attributes.get("axis", 0))), _numbers(node, "split_index")

    def compute(values: Array) -> tuple[Array, ...]:
        ends = [0, *places, values.shape[axis]]
        return tuple(np.take(values, np.arange(first, last), axis) for first, last in pairwise(ends))

    return compute


def _dequantize(graph: Graph, node: Node) -> Move:
    source, target = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    if target.dtype.name != "Float_32":
        raise NoRule(f"its output is {target.dtype}, and there is a rule for Float_32")
    return source.spec.to_real


def _kept(graph: Graph, node: Node) -> tuple[int, ...]:
    """The shape of the output, once it is known that values stay what they are."""
    source = graph.tensors[node.inputs[0]]
    for name in node.outputs:
        target = graph.tensors[name]
        if (target.dtype, target.encoding) != (source.dtype, source.encoding):
            raise NoRule(f"{target.name} has another encoding than {source.name}")
    shape = graph.tensors[node.outputs[0]].shape
    if node.type == "Reshape" and math.prod(shape) != math.prod(source.shape):
        raise NoRule(f"{source.name} {source.shape} does not fit into {shape}")
    return shape


def _numbers(node: Node, attribute: str) -> list[int]:
    value = node.attributes.get(attribute)
    if not isinstance(value, Tensor):
        raise NoRule(f"its attribute {attribute} is missing")
    return [int(number) for number in value.values().ravel().tolist()]


MOVES: Mapping[str, Callable[[Graph, Node], Move]] = {
    "Dequantize": _dequantize,
    "Gather": _gather,
    "Reshape": _reshape,
    "Split": _split,
    "Transpose": _transpose,
}
"""By type of the DLC operation."""
