"""A graph in the form of Model Explorer's JSON files.

Source of the form: graph_builder.py of ai-edge-model-explorer 0.1.34 (Graph, GraphNode, IncomingEdge, MetadataItem).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Pair = tuple[str, str]


@dataclass(frozen=True)
class ShownTensor:
    """A tensor between nodes: its name, and what is shown of it."""

    name: str
    attributes: tuple[Pair, ...] = ()


@dataclass(frozen=True)
class ShownNode:
    """An operation.

    Attributes:
        name: nested by its slashes.
        reads: names of tensors that other nodes, or the model's inputs, provide.
        attributes: parameters, and statistics of its weights.
    """

    name: str
    label: str
    reads: tuple[str, ...]
    writes: tuple[ShownTensor, ...]
    attributes: tuple[Pair, ...] = field(default_factory=tuple)


def graph_document(
    name: str, inputs: Sequence[ShownTensor], nodes: Iterable[ShownNode], outputs: Sequence[str], facts: Sequence[Pair]
) -> dict[str, Any]:
    """One graph: a node for the inputs, one for each operation, one for the outputs; `facts` are of the whole graph."""
    listed = list(nodes)
    source = ShownNode("inputs", "inputs", (), tuple(inputs))
    sink = ShownNode("outputs", "outputs", tuple(outputs), ())
    places: dict[str, tuple[str, int]] = {}
    everything = [source, *listed, sink]
    for index, node in enumerate(everything):
        for position, tensor in enumerate(node.writes):
            places.setdefault(tensor.name, (str(index), position))
    shown = [_node(index, node, places) for index, node in enumerate(everything)]
    return {"id": name, "nodes": shown, "groupNodeAttributes": {"": dict(facts)}}


def _node(index: int, node: ShownNode, places: dict[str, tuple[str, int]]) -> dict[str, Any]:
    edges = [
        {
            "sourceNodeId": places[name][0],
            "sourceNodeOutputId": str(places[name][1]),
            "targetNodeInputId": str(position),
        }
        for position, name in enumerate(node.reads)
        if name in places
    ]
    outputs = [
        {"id": str(position), "attrs": _pairs((("__tensor_tag", tensor.name), ("tensor_name", tensor.name),
                                               *tensor.attributes))}
        for position, tensor in enumerate(node.writes)
    ]  # fmt: skip
    folder = node.name.strip("/").rpartition("/")[0]
    # Model Explorer waits forever for a node without its empty lists.
    return {"id": str(index), "label": node.label, "namespace": folder,
            "attrs": _pairs((("name", node.name), *node.attributes)), "incomingEdges": edges,
            "outputsMetadata": outputs, "inputsMetadata": [], "subgraphIds": []}  # fmt: skip


def _edge(source: str, output: int, position: int) -> dict[str, str]:
    return {"sourceNodeId": source, "sourceNodeOutputId": str(output), "targetNodeInputId": str(position)}


def _pairs(pairs: Iterable[Pair]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs]
