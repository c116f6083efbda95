"""DLC files for Model Explorer: operations, shapes, types, encodings, weights' statistics, caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.dlc import Dlc, Graph, Node, Tensor
from snpe_tools.inspection.difference import encoding_text
from snpe_tools.inspection.history import compiled_caches
from snpe_tools.inspection.viewer.nodes import Pair, ShownNode, ShownTensor, graph_document

_SHORT = 16
_SAMPLED = 1 << 20
"""Elements of a weight that its statistics look at."""


def dlc_graphs(file: Path) -> list[dict[str, Any]]:
    """Every graph of a DLC.

    Raises:
        DlcError: the file is not a readable DLC.
    """
    with dlc_format.open(file) as opened:
        return [_graph(graph, opened) for graph in opened.graphs]


def _graph(graph: Graph, dlc: Dlc) -> dict[str, Any]:
    facts: list[Pair] = [("file", dlc.container.path.name), ("container", f"{dlc.version[0]}.{dlc.version[1]}"),
                         ("operations", str(len(graph.nodes))), ("tensors", str(len(graph.tensors)))]  # fmt: skip
    facts += [(f"cache of {cache.soc}", f"{cache.bytes} bytes, {cache.built_by or 'unknown'}")
              for cache in compiled_caches(dlc)]  # fmt: skip
    nodes = [_node(node, graph) for node in graph.nodes]
    inputs = [_shown(tensor) for tensor in graph.inputs]
    return graph_document(graph.name, inputs, nodes, [tensor.name for tensor in graph.outputs], facts)


def _node(node: Node, graph: Graph) -> ShownNode:
    weights = [tensor for name in node.inputs if (tensor := graph.tensors.get(name)) and tensor.role == "static"]
    attributes = [(name, _value(value)) for name, value in node.attributes.items() if name != "packageName"]
    attributes += [(f"weight {tensor.name}", f"{_text(tensor)}; {_statistics(tensor)}") for tensor in weights]
    known = {tensor.name for tensor in weights}
    writes = tuple(_shown(graph.tensors[name]) for name in node.outputs if name in graph.tensors)
    return ShownNode(node.name, node.type, tuple(name for name in node.inputs if name not in known), writes,
                     tuple(attributes))  # fmt: skip


def _shown(tensor: Tensor) -> ShownTensor:
    encoding = (("encoding", encoding_text(tensor)),) if tensor.encoding else ()
    return ShownTensor(tensor.name, (("shape", _dims(tensor)), ("dtype", tensor.dtype.name), *encoding))


def _text(tensor: Tensor) -> str:
    encoding = f", {encoding_text(tensor)}" if tensor.encoding else ""
    return f"{_dims(tensor)} {tensor.dtype.name}{encoding}"


def _dims(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _statistics(tensor: Tensor) -> str:
    """Ends, mean and deviation of the real values; of the first million of them where there are more."""
    if not tensor.is_complete or not tensor.spec.elements or tensor.encoding_problem():
        return "no values"
    with np.errstate(all="ignore"):
        values = tensor.real_values().ravel()[:_SAMPLED].astype(np.float64)
        finite = values[np.isfinite(values)]
    if not len(finite):
        return "no finite values"
    lost = f", {len(values) - len(finite)} not finite" if len(finite) < len(values) else ""
    return f"{finite.min():.4g} to {finite.max():.4g}, mean {finite.mean():.4g}, deviation {finite.std():.4g}{lost}"


def _value(value: object) -> str:
    if isinstance(value, Tensor):
        short = value.is_complete and value.spec.elements <= _SHORT
        return str(value.values().ravel().tolist()) if short else _text(value)
    return str(value)
