"""Outputs of the graph that mix ranges: boxes of hundreds beside scores below one, in one encoding of 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snpe_tools.graph.rewrites.editing import Graph, Replacement, describe

if TYPE_CHECKING:
    import onnx

RATIO = 8.0
"""From this ratio of the steps of its parts on, an output is said to mix ranges: the finest part loses three bits."""
MOVES = {"Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}


def parts_apart(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """An 8-bit output that joins parts of different steps: the parts keep theirs, and are joined as real numbers."""
    quantize = graph.writer.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
    if quantize is None or quantize.op_type != "QuantizeLinear" or not _is_output(graph, node.output[0]):
        return None
    joined = _concat(graph, quantize.input[0])
    steps = [_step(graph, name) for name in joined.input] if joined is not None else []
    zero = graph.value(quantize.input[2]) if len(quantize.input) > 2 else None  # noqa: PLR2004
    if joined is None or zero is None or zero.dtype.itemsize != 1 or not steps or min(steps) <= 0:
        return None
    ratio = max(steps) / min(steps)
    if ratio < RATIO:
        return None
    made = graph.node("Identity", [quantize.input[0]], node.output, node)
    reason = f"{describe(joined)} joins parts whose steps differ {ratio:.0f} times: each keeps its own"
    return Replacement(node, [made], reason)


def _is_output(graph: Graph, name: str) -> bool:
    """Whether a tensor leaves the graph as it is, moved at most, and nothing else reads it."""
    if name in graph.outputs:
        return not graph.readers.get(name)
    readers = graph.readers.get(name, [])
    return bool(readers) and all(one.op_type in MOVES and _is_output(graph, one.output[0]) for one in readers)


def _concat(graph: Graph, name: str) -> onnx.NodeProto | None:
    writer = graph.writer.get(name)
    while writer is not None and writer.op_type in MOVES:
        writer = graph.writer.get(writer.input[0])
    return writer if writer is not None and writer.op_type == "Concat" else None


def _step(graph: Graph, name: str) -> float:
    """The step of the encoding that a tensor has, moved at most; 0 where it has none."""
    writer = graph.writer.get(name)
    while writer is not None and writer.op_type in MOVES:
        writer = graph.writer.get(writer.input[0])
    if writer is None or writer.op_type != "DequantizeLinear":
        return 0.0
    return graph.scalar(writer.input[1]) or 0.0
