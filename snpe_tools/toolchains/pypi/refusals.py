"""Why ONNX Runtime QNN wrote no DLC, told of the nodes that the user wrote.

The runtime names what it refused itself: the DequantizeLinear of a weight, a fused subgraph, a node without a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snpe_tools.core.errors import ConversionError
from snpe_tools.core.process import Finished
from snpe_tools.graph.loading import infer_types, load, node_by_output, nodes_by_input
from snpe_tools.toolchains import Conversion

if TYPE_CHECKING:
    import onnx

_FAILED = re.compile(
    r"Validation FAILED for \d+ nodes in OrtNodeUnit .*?:\n"
    r"(?P<nodes>(?:\s*Operator type: .*\n)+)\s*REASON : (?P<reason>.*)"
)
_NODE = re.compile(r"Operator type: (?P<type>\S+) Node name: (?P<name>.*?) Node index")
_OWN_NAME = re.compile(r"QNNExecutionProvider_\w+")
_ERROR = re.compile(r"\[E:onnxruntime|Exception|Error\b|FAIL|INVALID|NOT_IMPLEMENTED")
_SHOWN = 4
_QDQ = {"QuantizeLinear", "DequantizeLinear"}
_NO_REASON = "the runtime gave no reason"


@dataclass(frozen=True)
class Refusal:
    """A node that the HTP does not take: its name, its ONNX type, and why, in the runtime's words."""

    node: str
    type: str
    reason: str


def find_refusals(log: str) -> Iterator[Refusal]:
    """The refused nodes that a verbose ONNX Runtime log tells of."""
    for match in _FAILED.finditer(log):
        nodes = list(_NODE.finditer(match["nodes"]))
        reason = match["reason"].split(f"{nodes[0]['type']} node `")[0].strip() if nodes else ""
        for node in nodes:
            yield Refusal(node["name"], node["type"], reason)


def explain(finished: Finished, written: int, job: Conversion) -> ConversionError:
    """The error for a conversion that wrote no DLC, or several."""
    model = load(job.onnx)
    refusals = list(dict.fromkeys(find_refusals(finished.output)))
    if refusals:
        lines = list(dict.fromkeys(described(refusal, model) for refusal in refusals))
        listed = "".join(f"\n    {line}" for line in lines)
        message = f"{job.source}: the HTP of {job.soc} refuses {len(lines)} operations.{listed}"
        return ConversionError(message, next_step(refusals))
    if written > 1:
        return ConversionError(f"{job.source}: the graph fell into {written} parts; one DLC was expected.")
    return ConversionError(
        f"{job.source}: ONNX Runtime QNN ended with {finished.ending} and wrote no DLC.{_last_errors(finished)}",
        "Try `snpe-tools simplify` first: it raises old opsets, inlines functions and folds constants.",
    )


def next_step(refusals: Sequence[Refusal]) -> str:
    """What to try, by what was refused."""
    if any(refusal.type in _QDQ for refusal in refusals):
        return (
            "Quantize again with this version, which adds what such operations need; or `quantize --per-tensor`, "
            "another precision, or fp16 (convert the float model)."
        )
    return "Try `snpe-tools simplify` first (newer opset, fused operations), another precision, or another SoC."


def described(refusal: Refusal, model: onnx.ModelProto) -> str:
    """A refusal in a line: the operation that the user wrote, its shapes, what it reads, and why."""
    shapes = _shapes(model)
    node = next((one for one in model.graph.node if refusal.node and one.name == refusal.node), None)
    if node is None and not refusal.node:
        node = next((one for one in model.graph.node if not one.name and one.op_type == refusal.type), None)
    reason = _OWN_NAME.sub("the graph", refusal.reason) or _NO_REASON
    if node is None:
        return f"{refusal.type} {refusal.node!r}: {reason}"
    written, part = _written_by_user(node, model)
    name = written.name or written.output[0]
    place = f" ({part})" if part else ""
    return f"{written.op_type} {name!r} {_signature(written, shapes)}{place}: {reason}"


def _written_by_user(node: onnx.NodeProto, model: onnx.ModelProto) -> tuple[onnx.NodeProto, str]:
    """The operation that a QuantizeLinear or DequantizeLinear belongs to, and which tensor of it that stands for."""
    if node.op_type not in _QDQ:
        return node, ""
    readers, writers = nodes_by_input(model.graph.node), node_by_output(model.graph.node)
    found: onnx.NodeProto | None = node
    while found is not None and found.op_type in _QDQ:
        found = next(iter(readers.get(found.output[0], [])), None)
    if found is None:
        found = node
        while found.op_type in _QDQ and found.input[0] in writers:
            found = writers[found.input[0]]
    return (node, "") if found.op_type in _QDQ else (found, f"its {_plain(node.input[0])!r}")


def _plain(name: str) -> str:
    return name.removesuffix("_q").removesuffix("_updated")


def _signature(node: onnx.NodeProto, shapes: Mapping[str, Sequence[int]]) -> str:
    """Shapes that an operation reads and writes, past its Q and DQ: "(1,8,8) → (1,64)"."""
    return f"{_listed(node.input, shapes)} → {_listed(node.output, shapes)}"


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    graph = infer_types(model).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return shapes


def _listed(names: Iterable[str], shapes: Mapping[str, Sequence[int]]) -> str:
    return " ".join(f"({','.join(map(str, shapes[name]))})" for name in names if name in shapes)


def _last_errors(finished: Finished) -> str:
    """The lines that say why, without what the runtime logs of itself and of our program."""
    lines = [line.strip() for line in finished.output.splitlines() if _ERROR.search(line) and 'File "' not in line]
    kept = list(dict.fromkeys(_OWN_NAME.sub("the graph", line) for line in lines))[-_SHOWN:]
    return "".join(f"\n    {line}" for line in kept) or f"\n    {_NO_REASON}"
