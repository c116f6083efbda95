"""Each known bad pattern that no rewrite removes: its name, the node, the reason, and what to do.

`snpe_tools.graph.rewrites` removes the patterns that it can replace by something exact. What is found here is computed
wrong, or by nothing, and is refused before conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import ConversionError
from snpe_tools.graph.rewrites.editing import Graph, describe
from snpe_tools.graph.rewrites.recurrent import GATES, LONGEST

if TYPE_CHECKING:
    import onnx

FLOAT = "fp16"


@dataclass(frozen=True)
class Finding:
    """A bad pattern in a graph: its name, the node's type and name, what goes wrong, and what to do."""

    pattern: str
    node: str
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.node}: {self.reason} {self.advice}"


Check = Callable[[Graph, bool], Iterator[Finding]]
"""Looks at a graph, which is or will be quantized or not."""


def findings(model: onnx.ModelProto, precision: str = FLOAT) -> list[Finding]:
    """What is known to go wrong in a graph that was rewritten.

    Args:
        model: float or QDQ.
        precision: what it is quantized to, for a float model; a QDQ model is quantized whatever this says.
    """
    graph = Graph(model)
    quantized = precision != FLOAT or any(node.op_type == "QuantizeLinear" for node in graph.nodes)
    return [found for check in (_scatters, _recurrent, _branches, _foreign) for found in check(graph, quantized)]


def require_right(model: onnx.ModelProto, source: Path) -> None:
    """Refuse a graph, float or QDQ, that is known to be computed wrong.

    Raises:
        ConversionError: with every node that is.
    """
    found = findings(model)
    if found:
        lines = "".join(f"\n    {one.node}: {one.reason}" for one in found)
        advice = " ".join(dict.fromkeys(one.advice for one in found))
        raise ConversionError(f"{source}: the HTP cannot compute {len(found)} operations.{lines}", advice)


def _scatters(graph: Graph, quantized: bool) -> Iterator[Finding]:  # noqa: FBT001
    """Several ScatterElements with the same data."""
    seen: set[str] = set()
    for node in graph.nodes if quantized else ():
        if node.op_type == "ScatterElements":
            source = _before_encoding(graph, node.input[0])
            if source in seen:
                reason = (
                    f"a second ScatterElements writes into {source!r}; quantized, the HTP mixes them up (1 to 17 dB)."
                )
                yield Finding("scatter-twice", describe(node), reason, "Convert the float model, or use Where instead.")
            seen.add(source)


def _before_encoding(graph: Graph, name: str) -> str:
    """The tensor that a pair of QuantizeLinear and DequantizeLinear stores."""
    writer = graph.writer.get(name)
    while writer is not None and writer.op_type in {"QuantizeLinear", "DequantizeLinear"}:
        name = writer.input[0]
        writer = graph.writer.get(name)
    return name


def _recurrent(graph: Graph, _: bool) -> Iterator[Finding]:  # noqa: FBT001
    """What could not be unrolled."""
    for node in graph.nodes:
        if node.op_type in GATES:
            reason = f"the HTP opens no {node.op_type}, and this one cannot be unrolled."
            advice = (
                f"Unrolled are fixed lengths of up to {LONGEST} steps, constant weights and default activations, "
                "without clip: `snpe-tools simplify --shape` fixes the length."
            )
            yield Finding("recurrent", describe(node), reason, advice)


def _branches(graph: Graph, _: bool) -> Iterator[Finding]:  # noqa: FBT001
    """Nodes with graphs of their own."""
    for node in graph.nodes:
        if node.op_type in {"If", "Loop", "Scan"}:
            advice = "Where an input decides it, fix that: snpe-tools simplify --value NAME=VALUE."
            yield Finding("branch", describe(node), "a DLC has one straight graph.", advice)


def _foreign(graph: Graph, _: bool) -> Iterator[Finding]:  # noqa: FBT001
    """Operations of another domain than ONNX's."""
    known = {"", "ai.onnx", "com.microsoft"}
    for node in graph.nodes:
        if node.domain not in known:
            reason = f"an operation of the domain {node.domain!r}, which neither ONNX nor the HTP knows."
            yield Finding("foreign", describe(node), reason, "Export the model with operations of ONNX alone.")
