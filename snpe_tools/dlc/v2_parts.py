"""Pieces of a 2.5 layer: weights, encodings, and parameters whose names the format does not state."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterator

from snpe_tools.core.dtypes import BY_CODE, FLOAT_32, DataType
from snpe_tools.dlc.layers import Encoded, encoding_of_entries, fixed_point, make_tensor
from snpe_tools.dlc.model import Attribute, Tensor
from snpe_tools.dlc.protobuf import Message, Part, WireError

MAX_RANK = 16
_LARGEST_SIZE = 1 << 31
_MAX_DEPTH = 6
_FLOAT_BYTES = 4
_DIMS, _FLOATS, _QUANTIZED = 1, 2, 3
_QUANTIZED_BYTES, _QUANTIZED_ENCODING = 3, 4
_BITS, _LOW, _HIGH, _SCALE, _OFFSET = 1, 2, 3, 4, 5
_WIDTHS = {8: BY_CODE[0x408], 16: BY_CODE[0x416], 32: BY_CODE[0x432]}


def dimensions(message: Message, field: int) -> tuple[int, ...]:
    """The shape in `field`: a varint for each dimension.

    Raises:
        WireError: no tensor can have it.
    """
    values = tuple(message.integers(field))
    if len(values) > MAX_RANK or any(value >= _LARGEST_SIZE for value in values):
        raise WireError("holds an impossible shape", message.base)
    return values


def encoding(message: Message) -> Encoded | None:
    """`{bits=1, min=2, max=3, scale=4, offset=5}`, the last four of them floats; None where the scale is 0."""
    ends = (message.number(_SCALE), message.number(_OFFSET), message.number(_LOW), message.number(_HIGH))
    return encoding_of_entries([ends], None, message.integer(_BITS))


def is_weight(message: Message) -> bool:
    """Whether a message is `{dims=1; floats=2}` or `{dims=1; quantized=3}`: dimensions and as many values."""
    parts = [*message.parts(_FLOATS), *message.parts(_QUANTIZED)]
    if not message.fields.get(_DIMS) or len(parts) != 1 or not set(message.fields) <= {_DIMS, _FLOATS, _QUANTIZED}:
        return False
    if not all(isinstance(value, int) for value in message.fields[_DIMS]):
        return False
    elements = math.prod(message.integers(_DIMS))
    if message.parts(_FLOATS):
        return len(parts[0].data) == _FLOAT_BYTES * elements
    return _is_quantized(parts[0])


def _is_quantized(part: Part) -> bool:
    inner = nested(part)
    return inner is not None and set(inner.fields) == {_QUANTIZED_BYTES, _QUANTIZED_ENCODING}


def weight(message: Message, name: str) -> Tensor:
    """The static tensor in a message of the form that `is_weight` knows, whether or not its bytes suffice."""
    shape = dimensions(message, _DIMS)
    if (floats := message.parts(_FLOATS)) or not message.parts(_QUANTIZED):
        return make_tensor(name, shape, FLOAT_32, "static", None, floats[-1].data if floats else None)
    inner = next(message.messages(_QUANTIZED))
    data = next((part.data for part in reversed(inner.parts(_QUANTIZED_BYTES))), None)
    encoded = next((found for entry in inner.messages(_QUANTIZED_ENCODING) if (found := encoding(entry))), None)
    return make_tensor(name, shape, _stored_type(encoded, data, shape), "static", encoded, data)


def _stored_type(encoded: Encoded | None, data: memoryview | None, shape: tuple[int, ...]) -> DataType:
    """By the bits that the encoding states, else by the bytes of one value."""
    width, rest = divmod(8 * len(data or b""), math.prod(shape) or 1)
    return fixed_point(encoded) or (_WIDTHS.get(width) if not rest else None) or _WIDTHS[8]


def weights_within(
    message: Message, known: Collection[str] = (), path: str = "", depth: int = 0
) -> Iterator[tuple[str, Message]]:
    """Weights nested in `message`, with the numbers of the fields that lead to them, such as "20.1".

    Args:
        message: where to look.
        known: paths that are not looked into.
        path, depth: how far the search has come.
    """
    for field, values in message.fields.items():
        place = f"{path}{field}"
        for value in values if depth <= _MAX_DEPTH and place not in known else ():
            inner = nested(value) if isinstance(value, Part) and len(value.data) > _FLOAT_BYTES else None
            if inner is not None and is_weight(inner):
                yield place, inner
            elif inner is not None:
                yield from weights_within(inner, known, f"{place}.", depth + 1)


def numbered(message: Message, known: Collection[int], depth: int = 0) -> dict[int, Attribute]:
    """Parameters by the number of their field; fields in `known`, and weights, are left out."""
    found: dict[int, Attribute] = {}
    for field, values in message.fields.items():
        shown = [_shown(value, depth) for value in values if field not in known and not _holds_weights(value)]
        if shown:
            found[field] = shown[0] if len(shown) == 1 else shown
    return found


def _holds_weights(value: int | Part) -> bool:
    inner = nested(value) if isinstance(value, Part) and len(value.data) > _FLOAT_BYTES else None
    return inner is not None and (is_weight(inner) or any(weights_within(inner)))


def _shown(value: int | Part, depth: int) -> Attribute:
    """A number as it is, text as text, a message as its fields, other bytes in hexadecimal."""
    if isinstance(value, int):
        return value
    data = bytes(value.data)
    if value.fixed:
        return float(struct.unpack("<f" if len(data) == _FLOAT_BYTES else "<d", data)[0])
    if data and data.isascii() and data.decode("ascii").isprintable():
        return data.decode("ascii")
    inner = nested(value) if depth < _MAX_DEPTH else None
    if inner is None:
        return data.hex(" ")
    return {f"field_{field}": part for field, part in numbered(inner, (), depth + 1).items()}


def nested(value: Part) -> Message | None:
    """The message in `value`, None where its bytes are none."""
    if value.fixed:
        return None
    try:
        return Message(value.data, "model", value.at)
    except WireError:
        return None
