"""Which operation reads which operation's result, with whatever only moves numbers looked through."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from snpe_tools.quantization.operations import CONSTANT, MOVES, Operation, by_tensor

if TYPE_CHECKING:
    import onnx


class Reads:
    """What the nodes of a float graph read, in terms of its operations.

    Args:
        model: the graph; its nodes are known by the first tensor that they write.
        operations: of that graph.
    """

    def __init__(self, model: onnx.ModelProto, operations: Sequence[Operation]) -> None:
        self._nodes = model.graph.node
        self._known = by_tensor(operations)
        self._sources = self._find_sources()
        self._operations = {node.output[0]: self._behind(node) for node in self._nodes}

    def source(self, name: str) -> str:
        """The operation's tensor that a tensor is, moved at most; "" of constants and of what is not quantized."""
        return self._sources.get(name, "")

    def operation(self, written: str) -> str | None:
        """The tensor of the operation that a node computes or is fused into.

        Returns:
            None where the node only moves numbers; "" where nothing quantized is behind it, as of the model's outputs.
        """
        return self._operations.get(written, "")

    def narrow(self, wide: Collection[str]) -> dict[tuple[str, str], str]:
        """Reads that see 8 bits of a tensor of 16: its name, by the name that is read and what the node writes."""
        return {
            (name, node.output[0]): source
            for node in self._nodes
            if (behind := self.operation(node.output[0])) and behind not in wide
            for name in node.input
            if (source := self.source(name)) in wide
        }

    def _find_sources(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for node in self._nodes:
            for name in node.output:
                if name in self._known and self._known[name].type != CONSTANT:
                    found[name] = name
                elif node.op_type in MOVES and node.input[0] in found:
                    found[name] = found[node.input[0]]
        return found

    def _behind(self, node: onnx.NodeProto) -> str | None:
        written: str = node.output[0]
        if written in self._known:
            return written
        if node.op_type in MOVES:
            return None
        behind = [one for one in self._nodes if written in one.input]
        return self._behind(behind[0]) if behind else ""
