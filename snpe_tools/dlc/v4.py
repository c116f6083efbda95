"""Containers of version 4.x, as SNPE 2.x and QAIRT write them: FlatBuffers `NETD` (graphs) and `NETP` (weights).

The format is not documented; field numbers were read off files whose content was known, and are checked against the
runtime's own reader in the integration tests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

from snpe_tools.core.dtypes import BY_CODE, DataType
from snpe_tools.core.tensor_spec import Encoding
from snpe_tools.dlc.container import Container
from snpe_tools.dlc.flatbuffer import Buffer, Table
from snpe_tools.dlc.model import Attribute, Graph, Limits, Node, Role, Tensor
from snpe_tools.dlc.v4_weights import Weights, WeightTable

HEADER = 8
_MINOR_AT = 4
_ROLES: dict[int, Role] = {0: "input", 1: "output", 3: "native", 4: "static"}
_PER_TENSOR, _PER_AXIS, _NO_ENCODING = 0, 1, 0x7FFFFFFF
_STRING, _FLOAT, _BOOL = 0x608, 0x232, 0x508
_MAX_RANK = 16
_LAST_FIELD = {"graph": 12, "operation": 12, "tensor": 32}
"""The last field that a file was seen to have."""
_ENTRY = {4: "<u4", 6: "<f4", 8: "<f4", 10: "<f4", 12: "<i4", 14: "u1"}
"""Fields of one encoding: bits, minimum, maximum, scale, offset, symmetric."""
_WIDEST = 64
_CODES = {"<u4": "I", "<f4": "f", "<i4": "i", "u1": "B"}


@dataclass(frozen=True)
class _Source:
    """What is needed beside a table to read it.

    Attributes:
        weights: bytes of static tensors by name.
        unread: collects what is not understood.
        marked: a byte says whether a tensor has an encoding, as in 4.1; in 4.0 only the encoding itself does.
    """

    weights: Weights
    unread: list[str]
    marked: bool

    def note_unknown(self, table: Table, kind: str) -> None:
        """Say once that tables of this kind have fields that no file had yet."""
        if table.goes_beyond(_LAST_FIELD[kind]):
            line = f"{kind}s have fields beyond number {_LAST_FIELD[kind]}"
            if line not in self.unread:
                self.unread.append(line)


def read_graphs(container: Container) -> tuple[Graph, ...]:
    """All graphs of the `model` record, their static tensors with data from `model.params` and `model.params.bin`.

    Raises:
        DlcError: an offset, a count or a type in the file cannot be right.
    """
    record = container.data("model")
    model = Buffer(record[HEADER:], "model", str(container.path), HEADER)
    weights = WeightTable(container)
    marked = record[_MINOR_AT] >= 1
    graphs = tuple(_graph(table, weights, marked=marked) for table in model.root(0).tables(4))
    lost = [f"graph {name!r}" for name in weights.other_graphs([graph.name for graph in graphs])]
    return (replace(graphs[0], strays=(*graphs[0].strays, *lost)), *graphs[1:]) if graphs and lost else graphs


def _graph(table: Table, weights: WeightTable, *, marked: bool) -> Graph:
    name = table.string(4)
    own, of_nodes = weights.of_graph(name)
    source = _Source(own, [], marked)
    source.note_unknown(table, "graph")
    tensors: dict[str, Tensor] = {}
    for entry in table.tables(8):
        tensor = _tensor(entry, source)
        if tensor.name in tensors:
            raise entry.buffer.error(f"defines the tensor {tensor.name!r} a second time", entry.position)
        tensors[tensor.name] = tensor
    bare = replace(source, weights={})
    parameters: Iterable[Weights] = chain(of_nodes, repeat({}))
    pairs = zip(table.tables(6), parameters, strict=False)
    nodes = tuple(_node(node, replace(source, weights=of_node) if of_node else bare) for node, of_node in pairs)
    strays = _without(own, tensors)
    for node, of_node in zip(nodes, of_nodes, strict=False):
        strays += _without(of_node, [tensor.name for tensor in node.tensors()])
    strays += [f"operation {index}" for index in range(len(nodes), len(of_nodes)) if of_nodes[index]]
    return Graph(name, nodes, tensors, tuple(source.unread), tuple(strays))


def _without(weights: Weights, known: Collection[str]) -> list[str]:
    """Names of the weights that are not among `known` and have bytes."""
    return [name for name, data in weights.items() if len(data) and name not in known]


def _node(table: Table, source: _Source) -> Node:
    source.note_unknown(table, "operation")
    attributes = {entry.string(4): _attribute(entry, source) for entry in table.tables(12)}
    return Node(table.string(4), table.string(6), tuple(table.strings(8)), tuple(table.strings(10)), attributes)


def _attribute(table: Table, source: _Source) -> Attribute:
    if (tensor := table.table(12)) is not None:
        return _tensor(tensor, source)
    value = table.table(10)
    if value is None:
        return 0
    kind = value.scalar(4, "I")
    if kind == _STRING or value.has(10):
        return value.string(10)
    if kind == _FLOAT:
        return float(value.scalar(8, "d"))
    number = int(value.scalar(6, "q"))
    return bool(number) if kind == _BOOL else number


def _tensor(table: Table, source: _Source) -> Tensor:
    source.note_unknown(table, "tensor")
    name = table.string(6)
    shape = table.numbers(10, "<i4")
    if len(shape) > _MAX_RANK or (shape < 0).any():
        raise table.buffer.error(f"gives tensor {name!r} an impossible shape", table.position)
    dtype = _data_type(table, name)
    role = _ROLES.get(location := int(table.scalar(8, "B")))
    if role is None:
        source.unread.append(f"tensor {name!r}: the kind {location}, read as a tensor between nodes")
    encoding, limits = _encoding(table.table(14), dtype, name, source)
    sizes = tuple(int(size) for size in shape)
    return Tensor(name, sizes, dtype, role or "native", encoding, limits, source.weights.get(name))


def _data_type(table: Table, name: str) -> DataType:
    code = int(table.scalar(16, "I"))
    if code not in BY_CODE:
        raise table.buffer.error(f"gives tensor {name!r} the unknown data type {code:#x}", table.position)
    return BY_CODE[code]


def _encoding(info: Table | None, dtype: DataType, name: str, source: _Source) -> tuple[Encoding | None, Limits | None]:
    kind = _NO_ENCODING if info is None else _encoding_kind(info, marked=source.marked)
    if info is None or kind == _NO_ENCODING:
        return None, None
    if kind == _PER_TENSOR and (single := info.table(8)):
        return _per_tensor(single, dtype)
    if kind == _PER_AXIS and (along := info.table(10)):
        return _per_axis(along, dtype)
    source.unread.append(f"tensor {name!r}: an encoding of kind {kind}")
    return None, None


def _encoding_kind(info: Table, *, marked: bool) -> int:
    """4.1 states it; 4.0 leaves it out where there is an encoding, so there the fields that are stored tell."""
    if marked:
        return int(info.scalar(4, "I")) if info.scalar(6, "B") else _NO_ENCODING
    if info.has(8):
        return _PER_TENSOR
    return _PER_AXIS if info.has(10) else int(info.scalar(4, "I", _NO_ENCODING))


def _per_tensor(entry: Table, dtype: DataType) -> tuple[Encoding, Limits]:
    columns = [[entry.scalar(field, _CODES[kind])] for field, kind in _ENTRY.items()]
    return _joined(entry, columns, None, stated=entry.has(6) or entry.has(8), dtype=dtype)


def _per_axis(along: Table, dtype: DataType) -> tuple[Encoding, Limits]:
    columns = [column.tolist() for column in along.columns(6, _ENTRY)]
    axis, stated = int(along.scalar(4, "i")), any(columns[1]) or any(columns[2])
    return _joined(along, columns, axis, stated=stated, dtype=dtype)


def _joined(
    table: Table, columns: list[list[Any]], axis: int | None, *, stated: bool, dtype: DataType
) -> tuple[Encoding, Limits]:
    bits, minima, maxima, scales, offsets, symmetric = columns
    width = bits[0] if bits and bits[0] else dtype.bits
    if width > _WIDEST:
        raise table.buffer.error(f"gives an encoding of {width} bits", table.position)
    encoding = Encoding(width, tuple(scales), tuple(offsets), axis)
    ends = (tuple(minima), tuple(maxima)) if stated else ((), ())
    return encoding, Limits(*ends, symmetric=any(symmetric))
