"""The toolchain that needs no SDK: ONNX Runtime's QNN execution provider and its IR backend write the DLC."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import ConversionError, UsageError
from snpe_tools.core.process import Finished, run
from snpe_tools.core.progress import Advance
from snpe_tools.core.socs import Soc
from snpe_tools.dlc.edit.rename import rename_graph
from snpe_tools.graph.loading import infer_types, load
from snpe_tools.qnn.isolation import isolated
from snpe_tools.qnn.library import check_runtime
from snpe_tools.qnn.session import Session
from snpe_tools.toolchains import Conversion, NewDlc, Preparation

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


class PyPI:
    """ONNX Runtime QNN writes the DLC, the HTP library that comes with it compiles the caches."""

    label = "pypi"
    reads_qdq = True

    def convert(self, job: Conversion, folder: Path) -> NewDlc:
        """See `Toolchain.convert`; each refused operation is listed."""
        if job.quantization:
            raise UsageError(
                "ONNX Runtime QNN reads quantized models as QDQ, and quantizes nothing itself.",
                "Quantize first: snpe-tools quantize; or add --toolchain sdk.",
            )
        check_runtime()
        finished = run([sys.executable, "-m", "snpe_tools.toolchains.pypi.dump", job.onnx, folder, str(job.soc.id)])
        written = list(folder.glob("*.dlc"))
        if finished.status or len(written) != 1:
            raise _explain(finished, written, job)
        rename_graph(written[0], job.graph)
        return NewDlc(written[0])

    def prepare(self, job: Preparation, folder: Path, advance: Advance) -> NewDlc:
        """See `Toolchain.prepare`."""
        current = job.dlc
        for soc in job.socs:
            following = folder / f"{soc}.dlc"
            isolated(_add_cache, current, following, soc)
            _check_cache(following, soc)
            current = following
            advance()
        return NewDlc(current)


def _add_cache(dlc: Path, target: Path, soc: Soc) -> None:
    with Session(dlc, soc) as session:
        session.add_cache(target)


def _check_cache(path: Path, soc: Soc) -> None:
    with dlc_format.open(path) as dlc:
        if soc.name not in {cache.soc for cache in dlc.caches}:
            raise ConversionError(f"The compiler reported success for {soc}, and wrote no cache for it.")


def _explain(finished: Finished, written: list[Path], job: Conversion) -> ConversionError:
    refusals = list(dict.fromkeys(find_refusals(finished.output)))
    if refusals:
        shapes = _node_shapes(job.onnx)
        lines = [f"{one.type} {one.node!r} {shapes.get(one.node, '')}: {one.reason}" for one in refusals]
        listed = "".join(f"\n    {line}" for line in lines)
        message = f"{job.source}: the HTP of {job.soc} refuses {len(refusals)} operations.{listed}"
        return ConversionError(message, "Replace them in the model, or try another precision or SoC.")
    if len(written) > 1:
        return ConversionError(f"{job.source}: the graph fell into {len(written)} parts; one DLC was expected.")
    return ConversionError(
        f"{job.source}: ONNX Runtime QNN ended with {finished.ending} and wrote no DLC.{finished.tail()}"
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
