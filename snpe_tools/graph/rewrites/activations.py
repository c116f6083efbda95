"""Activations that exporters write in parts, as the one operation that the HTP has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute
from snpe_tools.graph.rewrites.region import Floats, compute, depends_on

if TYPE_CHECKING:
    import onnx

GELU_OPSET = 20
_KINDS = {"Add", "Cast", "Div", "Erf", "Identity", "Mul", "Sub"}
_CLOSE = 2e-6
_FURTHEST = 3
"""Scalar operations between x and its Erf."""


def gelu(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """x/2 · (1 + erf(x / √2)), in whatever order, as Gelu (opset 20): a quantized Erf is refused."""
    if node.op_type != "Erf":
        return None
    for source in _sources(graph, node):
        regions = list(depends_on(graph, source, _KINDS, node))
        for region in reversed(regions):
            if _is_gelu(graph, region, source):
                last = region[-1]
                made = graph.node("Gelu", [source], last.output, last)
                return Replacement(last, [made], "a Gelu in parts; a quantized Erf is refused")
    return None


def _sources(graph: Graph, erf: onnx.NodeProto) -> list[str]:
    """Tensors that may be x: what the Erf reads, and what that is a multiple of."""
    found = [erf.input[0]]
    while len(found) <= _FURTHEST:
        writer = graph.writer.get(found[-1])
        if writer is None or writer.op_type not in {"Mul", "Div", "Identity", "Cast"}:
            break
        moving = [name for name in writer.input if graph.value(name) is None]
        if len(moving) != 1:
            break
        found.append(moving[0])
    return found[::-1]


def _is_gelu(graph: Graph, region: list[onnx.NodeProto], source: str) -> bool:
    from onnx import TensorProto

    casts = [one for one in region if one.op_type == "Cast"]
    if any(attribute(cast, "to") != TensorProto.FLOAT for cast in casts):
        return False
    if any((array := graph.value(name)) is not None and array.size != 1 for one in region for name in one.input):
        return False
    probe: Floats = np.linspace(-8, 8, 257, dtype=np.float32).reshape(1, -1)
    (got,) = compute(graph, region, source, [probe])
    return got.shape == probe.shape and bool(np.abs(got - _gelu(probe)).max() < _CLOSE)


def _gelu(x: Floats) -> Floats:
    from scipy.special import erf

    result: Floats = (x / 2 * (1 + erf(x.astype(np.float64) / np.sqrt(2)))).astype(np.float32)
    return result


def reciprocal(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """1/x as Div(1, x): a quantized Reciprocal of the HTP ignores the scale of its input."""
    if node.op_type != "Reciprocal":
        return None
    one = graph.constant("one", np.array(1, np.float32))
    made = graph.node("Div", [one, node.input[0]], node.output, node)
    return Replacement(node, [made], "quantized, the HTP ignores its input's scale; Div(1, x) is right")
