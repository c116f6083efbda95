"""ONNX files for Model Explorer: operations, shapes and types, and weights by shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpe_tools.graph.loading import infer_types, load
from snpe_tools.inspection.viewer.nodes import Pair, ShownNode, ShownTensor, graph_document

if TYPE_CHECKING:
    import onnx


def onnx_graphs(file: Path) -> list[dict[str, Any]]:
    """The graph of an ONNX model.

    Raises:
        InputError: the file is missing or no ONNX model.
    """
    graph = infer_types(load(file)).graph
    weights = {tensor.name: "x".join(map(str, tensor.dims)) or "scalar" for tensor in graph.initializer}
    known = {value.name: _facts(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    inputs = [ShownTensor(value.name, known[value.name]) for value in graph.input if value.name not in weights]
    nodes = [_node(node, weights, known) for node in graph.node]
    facts: list[Pair] = [("file", file.name), ("operations", str(len(nodes))), ("weights", str(len(weights)))]
    return [graph_document(graph.name or file.stem, inputs, nodes, [value.name for value in graph.output], facts)]


def _facts(value: onnx.ValueInfoProto) -> tuple[Pair, ...]:
    from onnx import TensorProto

    kind = value.type.tensor_type
    shape = "x".join(dim.dim_param or str(dim.dim_value) for dim in kind.shape.dim) or "scalar"
    return ("shape", shape), ("dtype", TensorProto.DataType.Name(kind.elem_type))


def _node(node: onnx.NodeProto, weights: dict[str, str], known: dict[str, tuple[Pair, ...]]) -> ShownNode:
    from onnx import helper

    attributes = [(item.name, str(helper.get_attribute_value(item))[:200]) for item in node.attribute]
    attributes += [(f"weight {name}", weights[name]) for name in node.input if name in weights]
    writes = tuple(ShownTensor(name, known.get(name, ())) for name in node.output if name)
    reads = tuple(name for name in node.input if name and name not in weights)
    return ShownNode(node.name or node.op_type, node.op_type, reads, writes, tuple(attributes))
