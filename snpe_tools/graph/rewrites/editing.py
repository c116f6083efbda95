"""A graph that is being rewritten: who writes and reads each tensor, its constants, shapes and types, and new nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.loading import constant_tensors, infer_types, node_by_output

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Change:
    """One applied rewrite: its name, the node that it replaced (type and name), and why."""

    rewrite: str
    node: str
    reason: str

    def __str__(self) -> str:
        return f"{self.rewrite}: {self.node}: {self.reason}"


@dataclass(frozen=True)
class Replacement:
    """What stands in place of `node` and writes its outputs; whatever it alone needed goes with it.

    Attributes:
        node: the node that goes.
        nodes: the nodes that come, in order.
        reason: why, in a few words.
    """

    node: onnx.NodeProto
    nodes: Sequence[onnx.NodeProto]
    reason: str


class Graph:
    """A view of a model's main graph. Constants may be added at any time; nodes are replaced by `apply`."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.writer = node_by_output(model.graph.node)
        self.readers = readers_by_name(model.graph.node)
        self.outputs = {value.name for value in model.graph.output}
        self.inputs = {value.name for value in model.graph.input}
        self._constants = dict(constant_tensors(model))
        self._names = {*self.writer, *self.readers, *self.outputs, *self.inputs, *self._constants}
        self._names |= {node.name for node in model.graph.node}

    @property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        """The nodes, in order of execution."""
        nodes: Sequence[onnx.NodeProto] = self.model.graph.node
        return nodes

    @cached_property
    def places(self) -> dict[str, int]:
        """The position of the node that writes each tensor."""
        return {name: place for place, node in enumerate(self.nodes) for name in node.output}

    @cached_property
    def _typed(self) -> dict[str, onnx.ValueInfoProto]:
        graph = infer_types(self.model).graph
        return {value.name: value for value in (*graph.value_info, *graph.output, *graph.input)}

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, or None where it is not known or not fixed."""
        if name in self._constants:
            return tuple(self._constants[name].dims)
        value = self._typed.get(name)
        if value is None or not value.type.tensor_type.HasField("shape"):
            return None
        dims = value.type.tensor_type.shape.dim
        known = all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in dims)
        return tuple(dim.dim_value for dim in dims) if known else None

    def element_type(self, name: str) -> int:
        """`TensorProto.DataType` of a tensor, 0 where it is not known."""
        if name in self._constants:
            return int(self._constants[name].data_type)
        return int(self._typed[name].type.tensor_type.elem_type) if name in self._typed else 0

    def value(self, name: str) -> Array | None:
        """The value of a constant, or None where `name` is none; an input with a default is no constant."""
        from onnx import numpy_helper

        if name not in self._constants or name in self.inputs:
            return None
        array: Array = numpy_helper.to_array(self._constants[name])
        return array

    def scalar(self, name: str) -> float | None:
        """The value of a constant of one element."""
        array = self.value(name)
        return float(array.reshape(())) if array is not None and array.size == 1 else None

    def sole_reader(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor, once; None where there are others, or it is an output of the graph."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def fresh(self, stem: str) -> str:
        """A name that nothing in the graph has."""
        name, number = stem, 0
        while name in self._names:
            number += 1
            name = f"{stem}_{number}"
        self._names.add(name)
        return name

    def constant(self, stem: str, array: Array) -> str:
        """Add a constant; returns its name."""
        from onnx import numpy_helper

        name = self.fresh(stem)
        tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        self.model.graph.initializer.append(tensor)
        self._constants[name] = tensor
        return name

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        like: onnx.NodeProto,
        **attributes: Any,  # noqa: ANN401
    ) -> onnx.NodeProto:
        """A new node, named after the one that it stands for."""
        from onnx import helper

        stem = like.name or like.output[0]
        return helper.make_node(kind, inputs, outputs, name=self.fresh(f"{stem}_{kind}"), **attributes)

    def apply(self, replacements: Iterable[Replacement]) -> None:
        """Replace nodes, and drop what nothing reads any more. The view is stale afterwards: make a new one."""
        by_output = {first_output(one.node): one for one in replacements}
        nodes: list[onnx.NodeProto] = []
        for node in self.nodes:
            found = by_output.get(first_output(node))
            nodes.extend(found.nodes if found else [node])
        store(self.model.graph.node, nodes)
        drop_unread(self.model)
        del self.model.graph.value_info[:]


Match = Callable[[Graph, "onnx.NodeProto"], "Replacement | None"]
"""What may stand in place of a node."""


def replace_all(model: onnx.ModelProto, rewrite: str, match: Match) -> list[Change]:
    """Apply a rewrite, in place, until it matches nowhere."""
    changes: list[Change] = []
    while True:
        graph = Graph(model)
        found = [one for node in graph.nodes if (one := match(graph, node))]
        if not found:
            return changes
        changes += [Change(rewrite, describe(one.node), one.reason) for one in found]
        graph.apply(found)


def first_output(node: onnx.NodeProto) -> str:
    """The first tensor that a node writes; outputs that nobody wants have no name."""
    return next((name for name in node.output if name), "")


def describe(node: onnx.NodeProto) -> str:
    """Type and name of a node as messages show them: of a nameless node, the tensor that it writes."""
    return f"{node.op_type} {node.name!r}" if node.name else f"{node.op_type} that writes {first_output(node)!r}"


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:  # noqa: ANN401 - of any type
    """The value of a node's attribute."""
    from onnx import helper

    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds (If, Loop, Scan)."""
    for one in node.attribute:
        if one.HasField("g"):
            yield one.g
        yield from one.graphs


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, those of its subgraphs among them."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from names_read(inner)
        yield from (value.name for value in graph.output)


def readers_by_name(nodes: Iterable[onnx.NodeProto]) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each name, once for each time that they do; what a subgraph reads, its node reads."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in names_read(node):
            readers.setdefault(name, []).append(node)
    return readers


def drop_unread(model: onnx.ModelProto) -> None:
    """Remove the nodes and initializers that no output needs; inputs of the graph stay."""
    writer = node_by_output(model.graph.node)
    needed, queue = set[str](), [value.name for value in model.graph.output]
    while queue:
        name = queue.pop()
        if name not in needed:
            needed.add(name)
            queue.extend(names_read(writer[name]) if name in writer else ())
    drop(model.graph.node, lambda node: not needed & set(node.output))
    drop(model.graph.initializer, lambda tensor: tensor.name not in needed)


def drop(repeated: Any, unwanted: Callable[[Any], bool]) -> None:  # noqa: ANN401 - protobuf containers have no public type
    """Remove the messages of a repeated field that are not wanted."""
    for index in range(len(repeated) - 1, -1, -1):
        if unwanted(repeated[index]):
            del repeated[index]


def store(repeated: Any, kept: Sequence[Any]) -> None:  # noqa: ANN401 - protobuf containers have no public type
    """Make a repeated field hold these messages, which may be its own."""
    copies = [type(item).FromString(item.SerializeToString()) for item in kept]
    del repeated[:]
    repeated.extend(copies)
