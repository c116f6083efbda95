"""What a DLC holds, as plain values: a summary for people, and one document with everything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.tensor_spec import Encoding
from snpe_tools.dlc.model import Attribute, Dlc, Graph, Node, Tensor
from snpe_tools.inspection.history import CompiledCache, Writer, compiled_caches, written_by
from snpe_tools.inspection.macs import Macs, count_macs, node_macs
from snpe_tools.inspection.precision import PrecisionSummary, summarize
from snpe_tools.inspection.targets import Target, targets

_SHOWN_VALUES = 64


@dataclass(frozen=True)
class GraphSummary:
    """One graph.

    Attributes:
        tensors: number of tensors; those that are parameters of operations, such as permutations, are not among them.
        encodings: tensors that have one.
        parameters: elements of static tensors.
        bytes_by_dtype: stored bytes of static tensors; bytes that several tensors share count once.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operations: dict[str, int]
    tensors: int
    encodings: int
    parameters: int
    bytes_by_dtype: dict[str, int]
    macs: Macs
    precision: PrecisionSummary
    unread: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """A DLC, without the lists of operations and tensors."""

    file: Path
    bytes: int
    version: str
    records: dict[str, int]
    written_by: list[Writer]
    graphs: list[GraphSummary]
    caches: list[CompiledCache]
    targets: list[Target]


def describe(dlc: Dlc) -> Description:
    """The summary of an open DLC; costs no reading of weights."""
    path = dlc.container.path
    return Description(
        file=path,
        bytes=path.stat().st_size,
        version=f"{dlc.version[0]}.{dlc.version[1]}",
        records={name: record.size for name, record in dlc.container.records.items()},
        written_by=written_by(dlc),
        graphs=[summarize_graph(graph) for graph in dlc.graphs],
        caches=compiled_caches(dlc),
        targets=targets(dlc),
    )


def summarize_graph(graph: Graph) -> GraphSummary:
    """Counts and sums of one graph."""
    return GraphSummary(
        name=graph.name,
        inputs=tuple(graph.inputs),
        outputs=tuple(graph.outputs),
        operations=dict(graph.op_types().most_common()),
        tensors=len(graph.tensors),
        encodings=sum(tensor.encoding is not None for tensor in graph.tensors.values()),
        parameters=sum(tensor.spec.elements for tensor in graph.with_role("static")),
        bytes_by_dtype=_bytes_by_dtype(graph),
        macs=count_macs(graph),
        precision=summarize(graph),
        unread=graph.unread,
    )


def _bytes_by_dtype(graph: Graph) -> dict[str, int]:
    counts, seen = Counter[str](), set[tuple[int, int]]()
    for tensor in graph.with_role("static"):
        if tensor.data:
            place = (np.frombuffer(tensor.data, np.uint8).ctypes.data, len(tensor.data))
            counts[tensor.dtype.name] += 0 if place in seen else len(tensor.data)
            seen.add(place)
    return dict(counts.most_common())


def document(dlc: Dlc) -> dict[str, Any]:
    """Everything the file says as one JSON document, except the values of its weights."""
    summary = describe(dlc)
    graphs = [
        {
            **vars(of_graph),
            "macs": vars(of_graph.macs),
            "inputs": [tensor_document(tensor) for tensor in graph.inputs],
            "outputs": [tensor_document(tensor) for tensor in graph.outputs],
            "ops": [node_document(node, graph) for node in graph.nodes],
            "tensors": [tensor_document(tensor) for tensor in graph.tensors.values()],
            "counts": {"ops": len(graph.nodes), "tensors": of_graph.tensors, "encodings": of_graph.encodings},
        }
        for graph, of_graph in zip(dlc.graphs, summary.graphs, strict=True)
    ]
    records = [vars(record) for record in dlc.container.records.values()]
    return {**vars(summary), "records": records, "metadata": dict(dlc.metadata), "graphs": graphs}


def node_document(node: Node, graph: Graph) -> dict[str, Any]:
    """One operation, with what it computes and the tensors it names."""
    return {
        "name": node.name,
        "type": node.type,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "attributes": {name: _attribute(value) for name, value in node.attributes.items()},
        "macs": node_macs(node, graph.tensors),
    }


def _attribute(value: Attribute) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(value, Tensor):
        return value
    content = {**tensor_document(value)}
    if value.is_complete and value.spec.elements <= _SHOWN_VALUES and not value.encoding:
        content["values"] = value.values().tolist()
    return content


def tensor_document(tensor: Tensor) -> dict[str, Any]:
    """One tensor without its values."""
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "role": tensor.role,
        "bytes": len(tensor.data) if tensor.data is not None else None,
        "encoding": encoding_document(tensor) if tensor.encoding else None,
    }


def encoding_document(tensor: Tensor) -> dict[str, Any]:
    """A tensor's encoding; `stated_min` and `stated_max` only where the file holds them."""
    encoding, limits = tensor.encoding, tensor.limits
    if encoding is None:
        return {}
    stated = {"stated_min": limits.minima, "stated_max": limits.maxima} if limits and limits.minima else {}
    symmetric = bool(limits and limits.symmetric)
    return {"bits": encoding.bits, "axis": encoding.axis, "symmetric": symmetric, "scales": list(encoding.scales),
            "offsets": list(encoding.offsets), **stated}  # fmt: skip


def real_range(tensor: Tensor) -> tuple[float, float] | None:
    """Smallest and largest real value that the encoding can express."""
    encoding = tensor.encoding
    return range_of(encoding, signed=tensor.dtype.name.startswith("s")) if encoding and encoding.scales else None


def range_of(encoding: Encoding, *, signed: bool) -> tuple[float, float]:
    """Ends of an encoding; `signed` integers reach from -2^(bits-1), unsigned ones from 0."""
    low = -(1 << encoding.bits - 1) if signed else 0
    pairs = list(zip(encoding.scales, encoding.offsets, strict=True))
    lows = [scale * (low + offset) for scale, offset in pairs]
    highs = [scale * (low + (1 << encoding.bits) - 1 + offset) for scale, offset in pairs]
    return min(lows), max(highs)
