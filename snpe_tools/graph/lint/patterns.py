"""Each known bad pattern: its name, the node, the reason, and what to do.

`snpe_tools.graph.rewrites` removes the patterns that it can replace by something exact; what is found here afterwards
is computed wrong, or may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snpe_tools.graph.rewrites.editing import Graph, describe

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Finding:
    """A bad pattern in a graph.

    Attributes:
        pattern: its name.
        node: the node's type and name.
        reason: what goes wrong, with the figure that was measured.
        advice: what to do.
        wrong: whether the DLC would compute something else; otherwise it loses accuracy.
    """

    pattern: str
    node: str
    reason: str
    advice: str
    wrong: bool = True

    def __str__(self) -> str:
        return f"{self.pattern}: {self.node}: {self.reason} {self.advice}"


Check = Callable[[Graph, bool], Iterator[Finding]]
"""Looks at a graph, which is or will be quantized or not."""


def findings(model: onnx.ModelProto, precision: str = "fp16") -> list[Finding]:
    """What is known to go wrong in a graph.

    Args:
        model: float or QDQ; rewritten before, or the patterns that can be rewritten are found as well.
        precision: what it is quantized to, for a float model; a QDQ model is quantized whatever this says.
    """
    graph = Graph(model)
    quantized = precision != "fp16" or any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    return [found for check in _CHECKS for found in check(graph, quantized)]


def _scatters(graph: Graph, quantized: bool) -> Iterator[Finding]:  # noqa: FBT001
    """Two ScatterElements into one tensor."""
    seen: set[str] = set()
    for node in graph.nodes if quantized else ():
        if node.op_type == "ScatterElements":
            if node.input[0] in seen:
                yield Finding(
                    "scatter-twice",
                    describe(node),
                    f"two ScatterElements write into {node.input[0]!r}; quantized, the HTP mixes them up (1 to 17 dB).",
                    "Convert the model in fp16, or replace them by Where.",
                )
            seen.add(node.input[0])


_CHECKS: tuple[Check, ...] = (_scatters,)
