"""Containers of version 2.5, as SNPE 1.19 to 1.22 write them: one protobuf message of buffers and layers.

No real file was at hand: the fields of buffers, layers and encodings follow notes taken from real files; where the
weights are is not known, so they are found by their form: a nested message with a list of dimensions and as many
float32 numbers or bytes. Everything that is not recognised is listed as unread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from snpe_tools.core.dtypes import BY_CODE, FLOAT_32
from snpe_tools.core.errors import DlcError
from snpe_tools.dlc.container import Container
from snpe_tools.dlc.layers import Encoded, Layer, assemble, encoding_of_range, fixed_point, make_tensor
from snpe_tools.dlc.model import Graph, Tensor
from snpe_tools.dlc.protobuf import Message, Part, WireError, packed

_HEADER = 8
_BUFFERS, _LAYERS = 1, 5
_NAME, _TYPE, _DIMS, _INPUTS, _OUTPUTS, _ENCODING = 1, 2, 3, 7, 8, 10
_KNOWN = {_NAME, _TYPE, _DIMS, _INPUTS, _OUTPUTS, _ENCODING}
_ENCODING_ENTRY = 4
_MAX_RANK, _MAX_DEPTH = 16, 4
_SMALLEST_WEIGHT = 4


def read_graphs(container: Container) -> tuple[Graph, ...]:
    """The one graph of the file.

    Raises:
        DlcError: the record is no protobuf message, or holds no layers.
    """
    try:
        model = Message(container.data("model")[_HEADER:], "model", _HEADER)
        buffers = {message.text(_NAME): _shape(message, 3) for message in model.messages(_BUFFERS)}
        unread: list[str] = []
        layers = [_layer(message, buffers, unread) for message in model.messages(_LAYERS)]
    except WireError as problem:
        raise DlcError(
            f"{container.path}: record 'model': {problem}.", "The file is damaged or cut off: copy it again."
        ) from problem
    return (assemble("graph", layers, container, unread),)


def _layer(message: Message, buffers: dict[str, tuple[int, ...]], unread: list[str]) -> Layer:
    name, outputs = message.text(_NAME), tuple(message.texts(_OUTPUTS))
    shapes = [_dims(part) for part in message.parts(_DIMS)]
    shapes += [buffers.get(output, ()) for output in outputs[len(shapes) :]]
    encodings = [_encoding(part) for part in message.messages(_ENCODING)]
    weights: list[Tensor] = []
    for field, values in message.fields.items():
        if field not in _KNOWN:
            found = [tensor for value in values if isinstance(value, Part) for tensor in _weights(value, name)]
            weights += found
            if not found:
                unread.append(f"layer {name!r}: field {field}, {len(values)} values")
    named = [_numbered(tensor, index) for index, tensor in enumerate(weights)]
    return Layer(name, message.text(_TYPE), tuple(message.texts(_INPUTS)), outputs, {}, shapes, encodings, named)


def _numbered(tensor: Tensor, index: int) -> Tensor:
    return replace(tensor, name=f"{tensor.name}/weights_{index}")


def _shape(message: Message, field: int) -> tuple[int, ...]:
    return tuple(message.integers(field))


def _dims(part: Part) -> tuple[int, ...]:
    """Dimensions, whether packed into the field or repeated in a message within it."""
    try:
        nested = Message(part.data, "model", part.at)
        values = [value for field in nested.fields for value in nested.integers(field)]
    except WireError:
        values = packed(part)
    if len(values) > _MAX_RANK or any(value >= 1 << 31 for value in values):
        raise WireError("holds an impossible shape", part.at)
    return tuple(values)


def _encoding(message: Message) -> Encoded | None:
    entries = [
        (entry.number(4), entry.number(5), entry.number(2), entry.number(3))
        for entry in message.messages(_ENCODING_ENTRY)
    ]
    return encoding_of_range(entries, None)


def _weights(part: Part, layer: str, depth: int = 0) -> Iterator[Tensor]:
    """Messages within `part` that are a list of dimensions and as many values."""
    if depth > _MAX_DEPTH or len(part.data) < _SMALLEST_WEIGHT:
        return
    try:
        message = Message(part.data, "model", part.at)
    except WireError:
        return
    parts = [value for values in message.fields.values() for value in values if isinstance(value, Part)]
    if tensor := _tensor(parts, layer):
        yield tensor
        return
    for inner in parts:
        yield from _weights(inner, layer, depth + 1)


def _tensor(parts: list[Part], layer: str) -> Tensor | None:
    encoded = next((found for part in parts if (found := _own_encoding(part))), None)
    for dims in parts:
        shape = _maybe_shape(dims)
        for values in parts:
            size = len(values.data)
            if shape and values is not dims and size in {math.prod(shape), 4 * math.prod(shape)}:
                small = size == math.prod(shape)
                dtype = (fixed_point(encoded) or BY_CODE[0x408]) if small else FLOAT_32
                return make_tensor(layer, shape, dtype, "static", encoded, values.data)
    return None


def _own_encoding(part: Part) -> Encoded | None:
    try:
        return _encoding(Message(part.data, "model", part.at))
    except WireError:
        return None


def _maybe_shape(part: Part) -> tuple[int, ...]:
    """Packed dimensions of at least four elements in all, else ()."""
    try:
        values = tuple(packed(part)) if len(part.data) <= 5 * _MAX_RANK else ()
    except WireError:
        return ()
    fits = 0 < len(values) <= _MAX_RANK and all(values) and math.prod(values) >= _SMALLEST_WEIGHT
    return values if fits else ()
