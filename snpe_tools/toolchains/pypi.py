"""The toolchain that needs no SDK: ONNX Runtime's QNN execution provider and its IR backend write the DLC."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.dlc.rename import rename_graph
from snpe_tools.errors import ConversionError
from snpe_tools.process import Finished, run
from snpe_tools.qnn.library import check_runtime
from snpe_tools.socs import Soc

_FAILED = re.compile(
    r"Validation FAILED for \d+ nodes in OrtNodeUnit .*?:\n"
    r"(?P<nodes>(?:\s*Operator type: .*\n)+)\s*REASON : (?P<reason>.*)"
)
_NODE = re.compile(r"Operator type: (?P<type>\S+) Node name: (?P<name>.*?) Node index")
_SHOWN = 10


@dataclass(frozen=True)
class Refusal:
    """A node that the HTP does not take: its name, its ONNX type, and why, in the runtime's words."""

    node: str
    type: str
    reason: str

    def __str__(self) -> str:
        return f"{self.type} {self.node!r}: {self.reason}"


def convert(onnx_file: Path, folder: Path, graph_name: str, soc: Soc) -> Path:
    """Write the DLC of an ONNX model into `folder`; returns its path.

    Args:
        onnx_file: fixed shapes, float or QDQ, int32 inputs.
        folder: a scratch folder.
        graph_name: name of the graph inside the DLC.
        soc: the SoC whose HTP decides which operations are supported.

    Raises:
        ConversionError: the HTP refuses operations (each is listed), or the runtime failed.
    """
    check_runtime()
    finished = run([sys.executable, "-m", "snpe_tools.toolchains.ort_dump", onnx_file, folder, str(soc.id)])
    written = list(folder.glob("*.dlc"))
    if finished.code or len(written) != 1:
        raise _explain(finished, written, onnx_file, soc)
    rename_graph(written[0], graph_name)
    return written[0]


def _explain(finished: Finished, written: list[Path], onnx_file: Path, soc: Soc) -> ConversionError:
    refusals = list(dict.fromkeys(find_refusals(finished.output)))
    if refusals:
        listed = "".join(f"\n    {refusal}" for refusal in refusals[:_SHOWN])
        more = f"\n    … and {len(refusals) - _SHOWN} more" if len(refusals) > _SHOWN else ""
        message = f"{onnx_file}: the HTP of {soc} refuses {len(refusals)} operations.{listed}{more}"
        return ConversionError(message, "Replace them in the model, or try another precision or SoC.")
    if len(written) > 1:
        return ConversionError(f"{onnx_file}: the graph fell into {len(written)} parts; one DLC was expected.")
    return ConversionError(
        f"{onnx_file}: ONNX Runtime QNN ended with {finished.ending} and wrote no DLC.{finished.tail()}"
    )


def find_refusals(log: str) -> Iterator[Refusal]:
    """The refused nodes that a verbose ONNX Runtime log tells of."""
    for match in _FAILED.finditer(log):
        nodes = list(_NODE.finditer(match["nodes"]))
        reason = match["reason"].split(f"{nodes[0]['type']} node `")[0].strip() if nodes else ""
        for node in nodes:
            yield Refusal(node["name"], node["type"], reason)
