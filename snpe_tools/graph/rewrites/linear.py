"""Matrix products in the form that the HTP computes exactly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute

if TYPE_CHECKING:
    import onnx

MATRIX = 2


def gemm(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """MatMul of a constant matrix, and the Add of a constant vector, as one Gemm with an int32 bias."""
    product, bias = _product_and_bias(graph, node)
    if product is None:
        return None
    weight, shape = graph.value(product.input[1]), graph.shape(product.input[0])
    vector = graph.value(bias)
    if weight is None or vector is None or shape is None or weight.ndim != MATRIX or len(shape) < MATRIX:
        return None
    columns = weight.shape[1]
    if vector.size not in {1, columns} or vector.shape not in {
        (),
        (1,) * vector.ndim,
        (1,) * (vector.ndim - 1) + (columns,),
    }:
        return None
    if vector.ndim > len(shape):
        return None
    held = graph.constant(f"{bias}_bias", np.broadcast_to(vector.ravel(), columns).astype(np.float32))
    inputs = [product.input[0], product.input[1], held]
    reason = "a product and its bias: one operation, with a bias of 32 bits"
    if len(shape) == MATRIX:
        return Replacement(node, [graph.node("Gemm", inputs, node.output, node)], reason)
    return Replacement(node, _flat(graph, node, inputs, [*shape[:-1], columns]), reason)


def _product_and_bias(graph: Graph, node: onnx.NodeProto) -> tuple[onnx.NodeProto | None, str]:
    if node.op_type == "Add":
        for one, other in (tuple(node.input), tuple(node.input)[::-1]):
            writer = graph.writer.get(one)
            if writer is not None and writer.op_type == "MatMul" and graph.sole_reader(one) is not None:
                return writer, other
    return None, ""


def _flat(graph: Graph, node: onnx.NodeProto, inputs: list[str], shape: list[int]) -> list[onnx.NodeProto]:
    """A Gemm of the rows of a tensor of more than two axes."""
    width = graph.shape(inputs[1])
    rows = graph.constant(f"{inputs[0]}_rows", np.array([-1, width[0] if width else -1], np.int64))
    back = graph.constant(f"{node.output[0]}_shape", np.array(shape, np.int64))
    flat, product = graph.fresh(f"{inputs[0]}_flat"), graph.fresh(f"{node.output[0]}_flat")
    return [
        graph.node("Reshape", [inputs[0], rows], [flat], node),
        graph.node("Gemm", [flat, *inputs[1:]], [product], node),
        graph.node("Reshape", [product, back], node.output, node),
    ]


def vector_weight(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """MatMul with a vector as weight: the vector becomes a matrix of one column."""
    weight, shape = (
        (graph.value(node.input[1]), graph.shape(node.input[0])) if node.op_type == "MatMul" else (None, None)
    )
    if weight is None or shape is None or weight.ndim != 1:
        return None
    column = graph.constant(f"{node.input[1]}_column", weight.reshape(-1, 1))
    product = graph.fresh(f"{node.output[0]}_column")
    back = graph.constant(f"{node.output[0]}_shape", np.array(shape[:-1], np.int64))
    nodes = [
        graph.node("MatMul", [node.input[0], column], [product], node),
        graph.node("Reshape", [product, back], node.output, node),
    ]
    return Replacement(node, nodes, "quantized, a weight of one axis is read wrong; as one column it is right")


def norm_vectors(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """LayerNormalization with a broadcast gamma or beta: expanded; applied after it where they differ by norm."""
    shape = graph.shape(node.input[0]) if node.op_type == "LayerNormalization" else None
    if shape is None or any(node.output[1:]):
        return None
    wanted = shape[attribute(node, "axis", -1) % len(shape) :]
    held = {index: array for index, name in enumerate(node.input[1:], 1) if (array := graph.value(name)) is not None}
    if len(held) != len(node.input) - 1 or all(array.shape == wanted for array in held.values()):
        return None
    if all(array.size in {1, math.prod(wanted)} for array in held.values()):
        vectors = [np.broadcast_to(array.reshape(-1), math.prod(wanted)).reshape(wanted) for array in held.values()]
        names = [graph.constant(f"{node.input[index]}_expanded", one) for index, one in zip(held, vectors, strict=True)]
        reason = "a broadcast gamma or beta costs up to 30 dB on the HTP; expanded"
        return Replacement(node, [_norm(graph, node, names, node.output[0])], reason)
    return Replacement(node, _norm_and_scale(graph, node, wanted), "gamma or beta differs by norm: applied after it")


def _norm(graph: Graph, node: onnx.NodeProto, vectors: list[str], target: str) -> onnx.NodeProto:
    made = graph.node("LayerNormalization", [node.input[0], *vectors], [target], node)
    made.attribute.extend(node.attribute)
    return made


def _norm_and_scale(graph: Graph, node: onnx.NodeProto, wanted: tuple[int, ...]) -> list[onnx.NodeProto]:
    ones = graph.constant(f"{node.output[0]}_ones", np.ones(wanted, np.float32))
    zeros = graph.constant(f"{node.output[0]}_zeros", np.zeros(wanted, np.float32))
    normed, scaled = graph.fresh(f"{node.output[0]}_normed"), graph.fresh(f"{node.output[0]}_scaled")
    shifted = len(node.input) > 2  # noqa: PLR2004
    nodes = [
        _norm(graph, node, [ones, zeros], normed),
        graph.node("Mul", [normed, node.input[1]], [scaled if shifted else node.output[0]], node),
    ]
    return [*nodes, graph.node("Add", [scaled, node.input[2]], node.output, node)] if shifted else nodes
