"""A bounded reader of protobuf messages whose schema is known only in part.

Source of the layout: https://protobuf.dev/programming-guides/encoding/ (varints, tags, wire types).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10
_MAX_FIELDS = 1 << 18
_FLOATS = {4: "<f", 8: "<d"}


class Part(NamedTuple):
    """Bytes inside a message, and where they begin in the record.

    Attributes:
        fixed: they are one fixed-width number (a float or a double) rather than bytes with a length.
    """

    data: memoryview
    at: int
    fixed: bool = False


Value = int | Part


class WireError(Exception):
    """The bytes are no protobuf message; `offset` says where."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(f"offset {offset} {what}")


class Message:
    """One message. Fields are split at once; nested messages when they are asked for.

    Args:
        data: the message's bytes.
        record: the record that holds them, for errors.
        base: where the message begins in that record.

    Raises:
        WireError: the bytes are no message.
    """

    def __init__(self, data: memoryview, record: str, base: int = 0) -> None:
        self.data, self.record, self.base = data, record, base
        self.fields = self._split()

    def _split(self) -> dict[int, list[Value]]:
        fields: dict[int, list[Value]] = {}
        at = count = 0
        while at < len(self.data):
            if (count := count + 1) > _MAX_FIELDS:
                raise WireError(f"begins a message of more than {_MAX_FIELDS} fields", self.base)
            tag, at = _varint(self.data, at, self.base)
            value, at = self._value(tag & 7, at)
            fields.setdefault(tag >> 3, []).append(value)
        return fields

    def _value(self, kind: int, at: int) -> tuple[Value, int]:
        if kind == _VARINT:
            return _varint(self.data, at, self.base)
        if kind == _BYTES:
            size, at = _varint(self.data, at, self.base)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise WireError(f"has the unknown wire type {kind}", self.base + at)
        if at + size > len(self.data):
            raise WireError(f"claims {size} bytes that reach outside the message", self.base + at)
        return Part(self.data[at : at + size], self.base + at, kind != _BYTES), at + size

    def parts(self, field: int) -> list[Part]:
        """The length-delimited (or fixed-width) values of a field."""
        return [value for value in self.fields.get(field, []) if isinstance(value, Part)]

    def messages(self, field: int) -> Iterator[Message]:
        """The nested messages of a field."""
        for part in self.parts(field):
            if part.fixed:
                raise WireError("holds a number where a message belongs", part.at)
            yield Message(part.data, self.record, part.at)

    def text(self, field: int) -> str:
        """The last string of a field, "" when absent."""
        return next((_text(part) for part in reversed(self.parts(field))), "")

    def texts(self, field: int) -> list[str]:
        """All strings of a field."""
        return [_text(part) for part in self.parts(field)]

    def integer(self, field: int, default: int = 0) -> int:
        """The last integer of a field."""
        return next((value for value in reversed(self.fields.get(field, [])) if isinstance(value, int)), default)

    def integers(self, field: int) -> list[int]:
        """All integers of a field, packed or not."""
        found: list[int] = []
        for value in self.fields.get(field, []):
            found += [value] if isinstance(value, int) else packed(value)
        return found

    def number(self, field: int, default: float = 0.0) -> float:
        """The last float or double of a field, or the integer that stands there."""
        values = self.fields.get(field)
        if not values:
            return default
        value = values[-1]
        if isinstance(value, int):
            return float(value)
        if len(value.data) not in _FLOATS:
            raise WireError("holds no number", value.at)
        return float(struct.unpack(_FLOATS[len(value.data)], value.data)[0])


def packed(part: Part) -> list[int]:
    """The varints that fill `part`.

    Raises:
        WireError: they do not.
    """
    found, at = [], 0
    while at < len(part.data):
        value, at = _varint(part.data, at, part.at)
        found.append(value)
    return found


def _varint(data: memoryview, at: int, base: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + _MAX_VARINT]):
        value |= (byte & 127) << 7 * index
        if byte < 128:  # noqa: PLR2004 - the top bit is clear
            return value, at + index + 1
    raise WireError("holds no whole number", base + at)


def _text(part: Part) -> str:
    return bytes(part.data).decode("utf-8", errors="replace")
