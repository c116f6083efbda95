"""Operations of ONNX Runtime's own domain (com.microsoft), as its optimizer and `optimum` write them, in ONNX's.

Their meaning is that of ONNX Runtime's docs/ContribOperators.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute
from snpe_tools.graph.rewrites.recurrent import Builder

if TYPE_CHECKING:
    import onnx

DOMAIN = "com.microsoft"
_NORMS = {"SkipLayerNormalization": "LayerNormalization", "SkipSimplifiedLayerNormalization": "RMSNormalization"}
_QUICK = 1.702


def _input(node: onnx.NodeProto, index: int) -> str:
    return str(node.input[index]) if len(node.input) > index else ""


def _replacement(build: Builder) -> Replacement:
    return Replacement(build.node, build.nodes, f"{DOMAIN} operations are not ONNX; the same in ONNX's own")


def gelus(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """BiasGelu, Gelu, FastGelu (by tanh) and QuickGelu (by the logistic function)."""
    if node.domain != DOMAIN or node.op_type not in {"BiasGelu", "FastGelu", "Gelu", "QuickGelu"}:
        return None
    build, x = Builder(graph, node), node.input[0]
    if _input(node, 1):
        x = build.op("Add", x, node.input[1])
    if node.op_type == "QuickGelu":
        scaled = build.op("Mul", x, build.constant(np.array(attribute(node, "alpha", _QUICK), np.float32)))
        build.write(build.op("Mul", x, build.op("Sigmoid", scaled)), node.output[0])
    else:
        by = "tanh" if node.op_type == "FastGelu" else "none"
        build.write(build.op("Gelu", x, approximate=by), node.output[0])
    return _replacement(build)


def skip_norm(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """A sum, and its LayerNormalization; the sum may be an output, too."""
    return _skip(graph, node) if node.op_type == "SkipLayerNormalization" else None


def skip_simple_norm(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """A sum, and its RMSNormalization; the sum may be an output, too."""
    return _skip(graph, node) if node.op_type == "SkipSimplifiedLayerNormalization" else None


def _skip(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    if any(node.output[1:3]):
        return None
    build, simple = Builder(graph, node), node.op_type.startswith("SkipSimplified")
    vectors = [_input(node, 2)] if simple else [_input(node, 2), _input(node, 3)]
    bias = _input(node, 3 if simple else 4)
    total = build.op("Add", node.input[0], node.input[1])
    total = build.op("Add", total, bias) if bias else total
    epsilon = attribute(node, "epsilon", 1e-12)
    normed = build.op(_NORMS[node.op_type], total, *(one for one in vectors if one), axis=-1, epsilon=epsilon)
    build.write(normed, node.output[0])
    build.write(total, str(node.output[3]) if len(node.output) > 3 else "")  # noqa: PLR2004
    return _replacement(build)


def simple_norm(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """SimplifiedLayerNormalization, which ONNX calls RMSNormalization."""
    if node.op_type != "SimplifiedLayerNormalization" or any(node.output[1:]):
        return None
    build = Builder(graph, node)
    settings = {"axis": attribute(node, "axis", -1), "epsilon": attribute(node, "epsilon", 1e-5)}
    build.write(build.op("RMSNormalization", *node.input, **settings), node.output[0])
    return _replacement(build)


def fused_product(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """FusedMatMul: a product of transposed matrices, times a number."""
    plain = not attribute(node, "transBatchA", 0) and not attribute(node, "transBatchB", 0)
    if node.domain != DOMAIN or node.op_type != "FusedMatMul" or not plain:
        return None
    build, factors = Builder(graph, node), []
    for name, key in zip(node.input, ("transA", "transB"), strict=True):
        rank = len(graph.shape(name) or ())
        if attribute(node, key, 0) and rank < 2:  # noqa: PLR2004
            return None
        order = [*range(rank - 2), rank - 1, rank - 2]
        factors.append(build.op("Transpose", name, perm=order) if attribute(node, key, 0) else name)
    product, alpha = build.op("MatMul", *factors), attribute(node, "alpha", 1.0)
    scaled = product if alpha == 1 else build.op("Mul", product, build.constant(np.array(alpha, np.float32)))
    build.write(scaled, node.output[0])
    return _replacement(build)
