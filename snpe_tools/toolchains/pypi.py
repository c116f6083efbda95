"""The toolchain that needs no SDK: ONNX Runtime's QNN execution provider and its IR backend write the DLC."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.dlc.rename import rename_graph
from snpe_tools.errors import ConversionError
from snpe_tools.graph.loading import infer_types, load
from snpe_tools.process import Finished, run
from snpe_tools.qnn.library import check_runtime
from snpe_tools.socs import Soc

_FAILED = re.compile(
    r"Validation FAILED for \d+ nodes in OrtNodeUnit .*?:\n"
    r"(?P<nodes>(?:\s*Operator type: .*\n)+)\s*REASON : (?P<reason>.*)"
)
_NODE = re.compile(r"Operator type: (?P<type>\S+) Node name: (?P<name>.*?) Node index")


@dataclass(frozen=True)
class Refusal:
    """A node that the HTP does not take: its name, its ONNX type, and why, in the runtime's words."""

    node: str
    type: str
    reason: str


def convert(onnx_file: Path, folder: Path, graph_name: str, soc: Soc, source: Path) -> Path:
    """Write the DLC of an ONNX model into `folder`; returns its path.

    Args:
        onnx_file: fixed shapes, float or QDQ, int32 inputs.
        folder: a scratch folder.
        graph_name: name of the graph inside the DLC.
        soc: the SoC whose HTP decides which operations are supported.
        source: the user's own file, to name in errors.

    Raises:
        ConversionError: the HTP refuses operations (each is listed), or the runtime failed.
    """
    check_runtime()
    finished = run([sys.executable, "-m", "snpe_tools.toolchains.ort_dump", onnx_file, folder, str(soc.id)])
    written = list(folder.glob("*.dlc"))
    if finished.code or len(written) != 1:
        raise _explain(finished, written, onnx_file, soc, source)
    rename_graph(written[0], graph_name)
    return written[0]


def _explain(finished: Finished, written: list[Path], onnx_file: Path, soc: Soc, source: Path) -> ConversionError:
    refusals = list(dict.fromkeys(find_refusals(finished.output)))
    if refusals:
        shapes = _node_shapes(onnx_file)
        lines = [f"{one.type} {one.node!r} {shapes.get(one.node, '')}: {one.reason}" for one in refusals]
        listed = "".join(f"\n    {line}" for line in lines)
        message = f"{source}: the HTP of {soc} refuses {len(refusals)} operations.{listed}"
        return ConversionError(message, "Replace them in the model, or try another precision or SoC.")
    if len(written) > 1:
        return ConversionError(f"{source}: the graph fell into {len(written)} parts; one DLC was expected.")
    return ConversionError(
        f"{source}: ONNX Runtime QNN ended with {finished.ending} and wrote no DLC.{finished.tail()}"
    )


def _node_shapes(onnx_file: Path) -> dict[str, str]:
    """Shapes that each node reads and writes, by its name: "(1,8,8) → (1,64)"."""
    graph = infer_types(load(onnx_file)).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {node.name: f"{_listed(node.input, shapes)} → {_listed(node.output, shapes)}" for node in graph.node}


def _listed(names: Iterable[str], shapes: Mapping[str, Sequence[int]]) -> str:
    return " ".join(f"({','.join(map(str, shapes[name]))})" for name in names if name in shapes)


def find_refusals(log: str) -> Iterator[Refusal]:
    """The refused nodes that a verbose ONNX Runtime log tells of."""
    for match in _FAILED.finditer(log):
        nodes = list(_NODE.finditer(match["nodes"]))
        reason = match["reason"].split(f"{nodes[0]['type']} node `")[0].strip() if nodes else ""
        for node in nodes:
            yield Refusal(node["name"], node["type"], reason)
