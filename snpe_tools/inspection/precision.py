"""How exactly a graph computes: which share of its weights and activations has which type."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from snpe_tools.dlc.model import Graph, Node, Tensor

_BORDERS = {"Quantize", "Dequantize", "Cast", "Convert"}
"""Operations that change the type and compute nothing."""


@dataclass(frozen=True)
class Share:
    """How much has one kind of number: "8-bit per-channel", "float 32", ...

    Attributes:
        share: of all weights (by element) or of all activations (by tensor), 0 to 1.
    """

    kind: str
    share: float


@dataclass(frozen=True)
class PrecisionSummary:
    """Shares, largest first.

    Attributes:
        weights: of the elements of static tensors.
        activations: of the tensors that operations write.
        float_operations: operations that compute on float activations, by type.
    """

    weights: tuple[Share, ...]
    activations: tuple[Share, ...]
    float_operations: dict[str, int]


def summarize(graph: Graph) -> PrecisionSummary:
    """Which share of `graph` has which type."""
    weights, activations = Counter[str](), Counter[str]()
    for tensor in graph.tensors.values():
        if tensor.role == "static":
            weights[_weight_kind(tensor)] += tensor.spec.elements
        elif tensor.role != "input":
            activations[_kind(tensor)] += 1
    floats = Counter(node.type for node in graph.nodes if computes_in_float(node, graph))
    return PrecisionSummary(_shares(weights), _shares(activations), dict(floats.most_common()))


def computes_in_float(node: Node, graph: Graph) -> bool:
    """Whether the operation reads or writes a float activation, and does more than to convert it."""
    if node.type in _BORDERS or node.type == "Input":
        return False
    touched = (graph.tensors.get(name) for name in (*node.inputs, *node.outputs))
    return any(tensor.dtype.is_float and tensor.role != "static" for tensor in touched if tensor)


def _weight_kind(tensor: Tensor) -> str:
    if not tensor.dtype.is_fixed_point:
        return _kind(tensor)
    along = "per-channel" if tensor.encoding and tensor.encoding.axis is not None else "per-tensor"
    return f"{_kind(tensor)} {along}"


def _kind(tensor: Tensor) -> str:
    dtype = tensor.dtype
    if dtype.is_fixed_point:
        return f"{tensor.encoding.bits if tensor.encoding else dtype.bits}-bit"
    if dtype.is_float:
        return f"float {dtype.bits}"
    return "bool" if dtype.name.startswith("Bool") else f"integer {dtype.bits}"


def _shares(counts: Counter[str]) -> tuple[Share, ...]:
    total = sum(counts.values())
    return tuple(Share(kind, count / total) for kind, count in counts.most_common()) if total else ()
