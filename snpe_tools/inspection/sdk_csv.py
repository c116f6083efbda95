"""The description as CSV, in the shape of `snpe-dlc-info -s`, for scripts that read that file.

Sections, as public scripts parse them: `Id,Name,Type,Inputs,Outputs,Out Dims,Runtimes,Parameters` rows,
`Input Name,Dimensions,Type,Encoding Info`, `Output Name,Dimensions,Type,Encoding Info`, and lines such as
`Total parameters:`. The Runtimes column is left empty: the SDK's own is known to be unreliable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from snpe_tools.dlc.model import Dlc, Graph, Node, Tensor
from snpe_tools.inspection.describe import GraphSummary, describe, range_of
from snpe_tools.inspection.macs import node_macs

_KINDS = {"input": "APP_WRITE", "output": "APP_READ", "native": "NATIVE", "static": "STATIC"}
_NODES = ("Id", "Name", "Type", "Inputs", "Outputs", "Out Dims", "Runtimes", "Parameters")


def rows(dlc: Dlc) -> Iterator[Sequence[str]]:
    """The rows of the CSV file."""
    summary = describe(dlc)
    yield [f"DLC info for: {summary.file}"]
    for graph, of_graph in zip(dlc.graphs, summary.graphs, strict=True):
        yield [f"Graph: {graph.name}"]
        yield _NODES
        yield from (_node(index, node, graph) for index, node in enumerate(graph.nodes))
        for label, tensors in (("Input", graph.inputs), ("Output", graph.outputs)):
            yield [f"{label} Name", "Dimensions", "Type", "Encoding Info"]
            yield from (_boundary(tensor) for tensor in tensors)
        yield from ([line] for line in _totals(of_graph))
    yield from ([line] for line in _provenance(dlc))


def _node(index: int, node: Node, graph: Graph) -> Sequence[str]:
    outputs = [graph.tensors[name] for name in node.outputs if name in graph.tensors]
    return (
        str(index),
        node.name,
        node.type,
        "; ".join(_tensor(name, graph) for name in node.inputs),
        "; ".join(_tensor(name, graph) for name in node.outputs),
        "; ".join(_dims(tensor) for tensor in outputs),
        "",
        "; ".join(_parameters(node, graph)),
    )


def _tensor(name: str, graph: Graph) -> str:
    tensor = graph.tensors.get(name)
    if tensor is None:
        return name
    return (
        f"{name} (data type: {tensor.dtype}; tensor dimension: [{_dims(tensor)}]; tensor type: {_KINDS[tensor.role]})"
    )


def _parameters(node: Node, graph: Graph) -> Iterable[str]:
    static = [graph.tensors[name] for name in node.inputs if name in graph.tensors]
    count = sum(tensor.spec.elements for tensor in static if tensor.role == "static")
    if count:
        yield f"param count: {count}"
    if macs := node_macs(node, graph.tensors):
        yield f"MACs per inference: {macs}"
    for key, value in node.attributes.items():
        if not isinstance(value, Tensor) and key != "packageName":
            yield f"{key}: {value}"


def _boundary(tensor: Tensor) -> Sequence[str]:
    return tensor.name, _dims(tensor), tensor.dtype.name, encoding_info(tensor)


def _dims(tensor: Tensor) -> str:
    return ",".join(map(str, tensor.shape))


def encoding_info(tensor: Tensor) -> str:
    """An encoding in the SDK's words, "No encoding info" without one."""
    encoding = tensor.encoding
    if encoding is None or not encoding.scales:
        return "No encoding info"
    low, high = range_of(encoding, signed=tensor.dtype.name.startswith("s"))
    more = f" (first of {len(encoding.scales)} channels)" if len(encoding.scales) > 1 else ""
    return (
        f"{tensor.name} encoding : bitwidth {encoding.bits}, min {low:.12f}, max {high:.12f}, "
        f"scale {encoding.scales[0]:.12f}, offset {encoding.offsets[0]:.12f}{more}"
    )


def _totals(summary: GraphSummary) -> Iterable[str]:
    megabytes = summary.parameters * 4 // (1 << 20)
    yield f"Total parameters: {summary.parameters} ({megabytes} MB assuming single precision float)"
    yield f"Total MACs per inference: {summary.macs.total}"
    yield f"Ops used by Graph: {', '.join(sorted(summary.operations))}"


def _provenance(dlc: Dlc) -> Iterable[str]:
    written = {entry.stage: entry for entry in describe(dlc).written_by}
    for stage in ("Converter", "Quantizer"):
        entry = written.get(stage.lower())
        yield f"{stage} command: {entry.command if entry else 'N/A'}"
    converter = written.get("converter")
    yield f"DLC created with converter version: {converter.version if converter else 'N/A'}"
