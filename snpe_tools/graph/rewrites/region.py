"""What lies between two tensors of a graph, computed on probes: numbers prove a fusion, however it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.graph.rewrites.editing import Graph
from snpe_tools.graph.session import plain_session

if TYPE_CHECKING:
    import onnx

Floats = NDArray[np.float32]
_LONGEST = 24
"""Nodes that a fusion may replace."""


def depends_on(
    graph: Graph, source: str, kinds: Collection[str], start: onnx.NodeProto
) -> Iterator[list[onnx.NodeProto]]:
    """Growing regions: the nodes that compute something from `source` and constants alone, each ending in its output.

    Every region begins with all that `start` needs, ends with one more reader of it, and holds `kinds` only.
    """
    inside: list[onnx.NodeProto] = []
    known, begun = {source}, False
    for node in _forward(graph, source):
        if node.op_type not in kinds or not all(name in known or _constant(graph, name) for name in node.input):
            continue
        inside.append(node)
        known.update(node.output)
        begun = begun or node is start
        if begun:
            yield list(inside)
        if len(inside) == _LONGEST:
            return


def _constant(graph: Graph, name: str) -> bool:
    return not name or graph.value(name) is not None


def _forward(graph: Graph, source: str) -> list[onnx.NodeProto]:
    """Nodes that depend on `source`, the next few, in order of execution."""
    places = graph.places
    found: dict[int, onnx.NodeProto] = {}
    queue = [source]
    while queue and len(found) < 2 * _LONGEST:
        for node in graph.readers.get(queue.pop(0), ()):
            place = places[node.output[0]]
            if place not in found:
                found[place] = node
                queue.extend(node.output)
    return [found[place] for place in sorted(found)]


def compute(graph: Graph, nodes: Sequence[onnx.NodeProto], source: str, probes: Sequence[Floats]) -> list[Floats]:
    """What `nodes` make of each probe in the place of `source`: the output of the last of them."""
    from onnx import TensorProto, helper

    used = {name for node in nodes for name in node.input}
    held = [tensor for tensor in graph.model.graph.initializer if tensor.name in used]
    target = nodes[-1].output[0]
    inputs = [helper.make_tensor_value_info(source, TensorProto.FLOAT, probes[0].shape)]
    outputs = [helper.make_tensor_value_info(target, TensorProto.FLOAT, None)]
    slice_ = helper.make_graph(nodes, "probe", inputs, outputs, held)
    model = helper.make_model(slice_, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version)
    session = plain_session(model, threads=1)
    return [session.run(None, {source: probe})[0] for probe in probes]
