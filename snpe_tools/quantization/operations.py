"""The operations of a graph whose results are quantized, under names that no exporter and no window length changes.

    Softmax                  all operations of that ONNX type
    Add>LayerNormalization   those of type Add that a LayerNormalization reads: residual sums
    Gemm>output              those that write an output of the model
    Softmax#3                the fourth Softmax, in order of execution
    Add>LayerNormalization#3 the fourth of these

Operations that only move numbers (Reshape, Transpose, ...) have the encoding of what they move, so they are no
operations here: whoever reads behind them reads what was moved. A quantized constant is of type Constant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snpe_tools.core.errors import RecipeError
from snpe_tools.graph.loading import constant_tensors

if TYPE_CHECKING:
    import onnx

MOVES = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Split", "Slice", "Expand", "Gather"}
)
OUTPUT, CONSTANT = "output", "Constant"
_SELECTOR = re.compile(r"(?P<type>\w+)(?:>(?P<reader>\w+))?(?:#(?P<number>\d+))?")


@dataclass(frozen=True)
class Operation:
    """One operation whose result is quantized.

    Attributes:
        name: unique, as above.
        tensor: what it writes.
        type: ONNX type.
        node: the node's name, "" of a constant.
        readers: types of what reads it, in order; "output" for the model itself.
        consumers: tensors of the operations that read it.
    """

    name: str
    tensor: str
    type: str
    node: str
    readers: tuple[str, ...]
    consumers: tuple[str, ...]


def find_operations(model: onnx.ModelProto, quantized: Collection[str]) -> list[Operation]:
    """The operations of a float graph, in order of execution.

    Args:
        quantized: names of the tensors that get an activation encoding.
    """
    walk = _Walk(model, quantized)
    found, counts = [], Counter[str]()
    for tensor, (kind, node) in walk.written.items():
        readers = tuple(dict.fromkeys(walk.readers.get(tensor, ())))
        short = f"{kind}>{readers[0][0]}" if readers else kind
        types, consumers = tuple(one for one, _ in readers), tuple(other for _, other in readers if other)
        found.append(Operation(f"{short}#{counts[short]}", tensor, kind, node, types, consumers))
        counts[short] += 1
    return found


def moved_from(model: onnx.ModelProto, quantized: Collection[str]) -> dict[str, str]:
    """Which quantized tensor each tensor is, moved at most."""
    return _Walk(model, quantized).source


class _Walk:
    """One pass over the nodes: which quantized tensor each tensor is a moved copy of, and who reads it."""

    def __init__(self, model: onnx.ModelProto, quantized: Collection[str]) -> None:
        self.source: dict[str, str] = {}
        self.written: dict[str, tuple[str, str]] = {}
        self.readers: dict[str, list[tuple[str, str]]] = {}
        self._quantized, self._pending = set(quantized), dict[str, list[tuple[str, str]]]()
        for name, _ in constant_tensors(model):
            if name in self._quantized:
                self.source[name] = name
                self.written[name] = (CONSTANT, "")
        for node in model.graph.node:
            self._visit(node)
        for value in model.graph.output:
            if value.name in self.source:
                self.readers.setdefault(self.source[value.name], []).append((OUTPUT, ""))

    def _visit(self, node: onnx.NodeProto) -> None:
        written = [name for name in node.output if name in self._quantized]
        if node.op_type == "Constant":
            return
        if node.op_type in MOVES and not written:
            if node.input[0] in self.source:
                self.source.update(dict.fromkeys(node.output, self.source[node.input[0]]))
            return
        read = [self.source[name] for name in node.input if name in self.source]
        waiting = [one for name in node.input for one in self._pending.get(name, ())]
        if not written:  # fused with what reads it
            for name in node.output:
                self._pending[name] = [*waiting, *((source, node.op_type) for source in read)]
            return
        for name in written:
            self.source[name] = name
            self.written[name] = (node.op_type, node.name)
        for source, kind in [*((one, node.op_type) for one in read), *waiting]:
            self.readers.setdefault(source, []).append((kind, written[0]))


def select(operations: Sequence[Operation], selectors: Iterable[str]) -> list[Operation]:
    """The operations that any of `selectors` names, in order of execution.

    Raises:
        RecipeError: a selector that is none, or that no operation fits.
    """
    chosen: set[str] = set()
    for text in selectors:
        fitting = _fitting(operations, text)
        if not fitting:
            known = ", ".join(sorted({operation.name.split("#")[0] for operation in operations}))
            raise RecipeError(f"No operation of the model fits {text!r}.", f"It has: {known}.")
        chosen |= {operation.tensor for operation in fitting}
    return [operation for operation in operations if operation.tensor in chosen]


def _fitting(operations: Sequence[Operation], text: str) -> list[Operation]:
    match = _SELECTOR.fullmatch(text)
    if match is None:
        raise RecipeError(f"{text!r} names no operations.", "Write a type, such as Softmax, Add>Softmax or Softmax#3.")
    kind, reader, number = match["type"], match["reader"], match["number"]
    found = [one for one in operations if one.type == kind and (reader is None or reader in one.readers)]
    if number is None:
        return found
    if reader is not None:
        return [one for one in found if one.name == text]
    return found[int(number) : int(number) + 1]


def by_tensor(operations: Iterable[Operation]) -> Mapping[str, Operation]:
    """Operations by the tensor they write."""
    return {operation.tensor: operation for operation in operations}
