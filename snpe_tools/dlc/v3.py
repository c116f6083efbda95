"""Containers of version 3.0, as SNPE 1.3x to 1.68 write them: FlatBuffers `NETD` (layers) and `NETP` (weights).

A layer is its own output tensors: shapes and encodings stand in its attributes, weights in `model.params` under its
name. Read off real files of SNPE 1.42, 1.48, 1.51 and 1.56, float and quantized.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from snpe_tools.dlc.container import Container
from snpe_tools.dlc.flatbuffer import Buffer, Table
from snpe_tools.dlc.layers import Encoded, Layer, assemble, encoding_of_entries, fixed_point, make_tensor, weight_type
from snpe_tools.dlc.model import Attribute, Graph, Tensor

_HEADER = 8
_MAX_DEPTH = 12
_MAX_RANK = 16
_SCALARS = {1: (8, "B"), 2: (10, "i"), 3: (12, "I"), 4: (14, "f")}
_LISTS = {7: (20, "i1"), 8: (22, "<i4"), 9: (24, "<f4")}
_TEXT, _NESTED, _BOOL = 5, 11, 1
_BYTES, _FLOATS = 6, 8
_HIDDEN = {"OutputDims", "FxpData", "DataEncoding"}
"""Attributes that describe tensors; they become shapes and encodings."""
_REPEATED = "BufferInfos"
"""An attribute of the graph that gives the shapes once more."""


def read_graphs(container: Container) -> tuple[Graph, ...]:
    """The one graph of the file.

    Raises:
        DlcError: an offset, a count or a type in the file cannot be right.
    """
    model = Buffer(container.data("model")[_HEADER:], "model", str(container.path), _HEADER)
    unread: list[str] = []
    weights = _weights(container, unread)
    root = model.root(0)
    layers = [_layer(table, weights, unread) for table in root.tables(6)]
    others = [name for name in _attributes(root, 12, unread) if name != _REPEATED]
    unread += [f"attribute {name!r} of the graph" for name in others]
    names = {layer.name for layer in layers}
    strays = [tensor.name for layer, tensors in weights.items() if layer not in names for tensor in tensors]
    return (assemble("graph", layers, container, unread, strays),)


def _layer(table: Table, weights: Mapping[str, list[Tensor]], unread: list[str]) -> Layer:
    name = table.string(6)
    attributes = _attributes(table, 14, unread)
    outputs = tuple(table.strings(12))
    shapes = _shapes(attributes.get("OutputDims"), table)
    encodings = _encodings(attributes)
    shown = {key: value for key, value in attributes.items() if key not in _HIDDEN}
    return Layer(name, table.string(8), tuple(table.strings(10)), outputs, shown, shapes, encodings,
                 weights.get(name, []))  # fmt: skip


def _attributes(table: Table, field: int, unread: list[str], depth: int = 0) -> dict[str, Attribute]:
    if depth > _MAX_DEPTH:
        raise table.buffer.error(f"nests attributes more than {_MAX_DEPTH} deep", table.position)
    return {entry.string(4): _value(entry, unread, depth) for entry in table.tables(field)}


def _value(entry: Table, unread: list[str], depth: int) -> Attribute:
    kind = int(entry.scalar(6, "B"))
    if kind in _SCALARS:
        value = entry.scalar(*_SCALARS[kind])
        return bool(value) if kind == _BOOL else value
    if kind in _LISTS:
        return entry.numbers(*_LISTS[kind]).tolist()  # type: ignore[no-any-return]
    if kind == _TEXT:
        return entry.string(16)
    if kind == _NESTED:
        nested = _attributes(entry, 28, unread, depth + 1)
        numbered = list(nested) == [str(index) for index in range(len(nested))]
        return list(nested.values()) if numbered and nested else nested
    unread.append(f"attribute {entry.string(4)!r}: a value of kind {kind}")
    return ""


def _shapes(dims: Attribute | None, table: Table) -> list[tuple[int, ...]]:
    found = dims if isinstance(dims, list) else []
    shapes = [tuple(shape) for shape in found if isinstance(shape, list)]
    for shape in shapes:
        if len(shape) > _MAX_RANK or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise table.buffer.error(f"gives layer {table.string(6)!r} an impossible shape", table.position)
    return shapes  # type: ignore[return-value]


def _encodings(attributes: Mapping[str, Attribute]) -> list[Encoded | None]:
    """One for each output: `FxpData` until SNPE 1.48, `DataEncoding` from 1.56 on."""
    new, old = attributes.get("DataEncoding"), attributes.get("FxpData")
    entries = new if isinstance(new, list) else old if isinstance(old, list) else []
    return [_encoding(entry) for entry in entries]


def _encoding(entry: Attribute) -> Encoded | None:
    if not isinstance(entry, dict):
        return None
    elements = entry.get("DataEncodingElement", [entry])
    axis = entry.get("axis", -1)
    numbers = [element for element in elements if isinstance(element, dict)] if isinstance(elements, list) else []
    along = axis if isinstance(axis, int) and axis >= 0 and len(numbers) > 1 else None
    return encoding_of_entries([_range(element) for element in numbers], along)


def _range(element: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Scale, offset, minimum and maximum; what is left out is 0."""
    values = (element.get(key, 0) for key in ("delta", "offset", "min", "max"))
    scale, offset, low, high = (float(value) if isinstance(value, int | float) else 0.0 for value in values)
    return scale, offset, low, high


def _weights(container: Container, unread: list[str]) -> dict[str, list[Tensor]]:
    """Static tensors by layer name."""
    if "model.params" not in container.records:
        return {}
    params = Buffer(container.data("model.params")[_HEADER:], "model.params", str(container.path), _HEADER)
    return {table.string(4): list(_tensors(table, unread)) for table in params.root(0).tables(4)}


def _tensors(table: Table, unread: list[str]) -> Iterator[Tensor]:
    layer = table.string(4)
    for entry in table.tables(6):
        shape = tuple(int(size) for size in entry.numbers(6, "<i4"))
        attributes = _attributes(entry, 10, unread)
        encoded = next(iter(_encodings(attributes)), None)
        content = entry.table(8)
        name = f"{layer}/{entry.string(4)}"
        if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
            raise entry.buffer.error(f"gives tensor {name!r} an impossible shape", entry.position)
        data, stored = _stored(content) if content else (None, None)
        dtype = weight_type(stored, data, shape) or fixed_point(encoded)
        if dtype is None:
            raise entry.buffer.error(f"gives tensor {name!r} the unknown data type {stored}", entry.position)
        yield make_tensor(name, shape, dtype, "static", encoded, data)


def _stored(content: Table) -> tuple[memoryview | None, int | None]:
    """The bytes of a weight, and the number of its type."""
    stored = int(content.scalar(4, "B"))
    if content.has(_FLOATS):
        return content.bytes(_FLOATS, 4), stored
    return content.bytes(_BYTES) if content.has(_BYTES) else None, stored
