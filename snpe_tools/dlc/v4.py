"""Containers of version 4.x, as SNPE 2.x and QAIRT write them: FlatBuffers `NETD` (graphs) and `NETP` (weights).

The format is not documented; field numbers were read off files whose content was known, and are checked against the
runtime's own reader in the integration tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat

from snpe_tools.dlc.container import Container
from snpe_tools.dlc.flatbuffer import Buffer, Table
from snpe_tools.dlc.model import Attribute, Graph, Node, Role, Tensor
from snpe_tools.dtypes import BY_CODE, DataType
from snpe_tools.spec import Encoding

HEADER = 8
_ROLES: dict[int, Role] = {0: "input", 1: "output", 3: "native", 4: "static"}
_PER_TENSOR, _PER_AXIS = 0, 1
_STRING, _FLOAT, _BOOL = 0x608, 0x232, 0x508
_MAX_RANK = 16

Weights = Mapping[str, memoryview]


def read_graphs(container: Container) -> tuple[Graph, ...]:
    """All graphs of the `model` record, their static tensors with data from `model.params` and `model.params.bin`.

    Raises:
        DlcError: an offset, a count or a type in the file cannot be right.
    """
    model = Buffer(container.data("model")[HEADER:], "model")
    weights = _Weights(container)
    return tuple(_graph(table, weights) for table in model.root(0).tables(4))


def _graph(table: Table, weights: _Weights) -> Graph:
    name = table.string(4)
    own, of_nodes = weights.of_graph(name)
    tensors = {tensor.name: tensor for tensor in (_tensor(entry, own) for entry in table.tables(8))}
    parameters: Iterable[Weights] = chain(of_nodes, repeat({}))
    nodes = tuple(_node(*pair) for pair in zip(table.tables(6), parameters, strict=False))
    return Graph(name, nodes, tensors)


def _node(table: Table, weights: Weights) -> Node:
    attributes = {entry.string(4): _attribute(entry, weights) for entry in table.tables(12)}
    return Node(table.string(4), table.string(6), tuple(table.strings(8)), tuple(table.strings(10)), attributes)


def _attribute(table: Table, weights: Weights) -> Attribute:
    if (tensor := table.table(12)) is not None:
        return _tensor(tensor, weights)
    value = table.table(10)
    if value is None:
        return 0
    kind = value.scalar(4, "I")
    if kind == _STRING:
        return value.string(10)
    if kind == _FLOAT:
        return float(value.scalar(8, "f"))
    number = int(value.scalar(6, "i"))
    return bool(number) if kind == _BOOL else number


def _tensor(table: Table, weights: Weights) -> Tensor:
    name = table.string(6)
    shape = table.numbers(10, "<i4")
    if len(shape) > _MAX_RANK or (shape < 0).any():
        raise table.buffer.error(f"gives tensor {name!r} an impossible shape", table.position)
    dtype = _data_type(table, name)
    role = _ROLES.get(int(table.scalar(8, "B")), "native")
    return Tensor(
        name, tuple(int(size) for size in shape), dtype, role, _encoding(table.table(14), dtype), weights.get(name)
    )


def _data_type(table: Table, name: str) -> DataType:
    code = int(table.scalar(16, "I"))
    if code not in BY_CODE:
        raise table.buffer.error(f"gives tensor {name!r} the unknown data type {code:#x}", table.position)
    return BY_CODE[code]


def _encoding(info: Table | None, dtype: DataType) -> Encoding | None:
    if info is None or not info.has(6):
        return None
    if info.scalar(4, "I") == _PER_TENSOR and (single := info.table(8)):
        return _joined([single], None, dtype)
    if info.scalar(4, "I") == _PER_AXIS and (axis := info.table(10)):
        return _joined(list(axis.tables(6)), int(axis.scalar(4, "i")), dtype)
    return None


def _joined(entries: list[Table], axis: int | None, dtype: DataType) -> Encoding:
    bits = int(entries[0].scalar(4, "I", dtype.bits)) if entries else dtype.bits
    scales = tuple(float(entry.scalar(10, "f")) for entry in entries)
    offsets = tuple(int(entry.scalar(12, "i")) for entry in entries)
    return Encoding(bits, scales, offsets, axis)


class _Weights:
    """Where the bytes of static tensors are, by graph: its own by name, its nodes' by node number and name."""

    def __init__(self, container: Container) -> None:
        self._blob = (
            Buffer(container.data("model.params.bin"), "model.params.bin")
            if "model.params.bin" in container.records
            else None
        )
        self._graphs = dict(self._read(container)) if "model.params" in container.records else {}

    def of_graph(self, name: str) -> tuple[Weights, list[Weights]]:
        """Weights of the graph's own tensors, and of each node's parameters."""
        return self._graphs.get(name, ({}, []))

    def _read(self, container: Container) -> Iterator[tuple[str, tuple[Weights, list[Weights]]]]:
        params = Buffer(container.data("model.params")[HEADER:], "model.params")
        for table in params.root(0).tables(4):
            nodes = [self._located(node, 4) for node in table.tables(8)]
            yield table.string(4), (self._located(table, 6), nodes)

    def _located(self, table: Table, field: int) -> Weights:
        return {entry.string(4): data for entry in table.tables(field) if (data := self._data(entry)) is not None}

    def _data(self, entry: Table) -> memoryview | None:
        place = entry.table(10)
        if place is None or self._blob is None:
            return None
        return self._blob.slice(int(place.scalar(4, "Q")), int(place.scalar(6, "Q")))
