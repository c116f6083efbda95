"""A bounded cursor over FlatBuffers bytes.

Source of the layout: https://flatbuffers.dev/internals/ (tables, vtables, vectors, strings).
The bytes come from files of unknown origin, so every offset is checked before it is followed,
and the number of vector elements read from one buffer never exceeds its size in bytes: vectors that
share their storage could otherwise make a small file expand without end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snpe_tools.errors import DlcError

Bytes = memoryview


class Buffer:
    """The bytes of one DLC record, read through bounds checks.

    Args:
        data: the record's bytes.
        record: the record's name, used in errors.
    """

    def __init__(self, data: Bytes, record: str) -> None:
        self.data = data
        self.record = record
        self._elements_left = len(data)

    def unpack(self, format_: str, offset: int) -> Any:  # noqa: ANN401 - struct decides the type
        """The one value of `format_` (a `struct` code) at `offset`."""
        size = struct.calcsize(format_)
        if offset < 0 or offset + size > len(self.data):
            raise self.error("points outside the record", offset)
        return struct.unpack_from(f"<{format_}", self.data, offset)[0]

    def slice(self, offset: int, size: int) -> Bytes:
        """`size` bytes from `offset`."""
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise self.error(f"holds {size} bytes that reach outside the record", offset)
        return self.data[offset : offset + size]

    def take(self, count: int, offset: int) -> int:
        """`count`, once it is known that reading so many elements is within the budget."""
        if count > self._elements_left:
            raise self.error(f"claims {count} elements, more than the record can hold", offset)
        self._elements_left -= count
        return count

    def error(self, what: str, offset: int) -> DlcError:
        """The error that names this record and the offset in it."""
        return DlcError(f"record {self.record!r}: offset {offset} {what}: the file is damaged.")

    def root(self, offset: int) -> Table:
        """The root table, whose position is stored at `offset`."""
        return Table(self, offset + self.unpack("I", offset))


class Table:
    """One FlatBuffers table. `field` numbers are vtable byte offsets (4, 6, 8, ...)."""

    def __init__(self, buffer: Buffer, position: int) -> None:
        self.buffer = buffer
        self.position = position
        self._vtable = position - buffer.unpack("i", position)
        self._vtable_size: int = buffer.unpack("H", self._vtable)

    def _offset(self, field: int) -> int | None:
        if field + 2 > self._vtable_size:
            return None
        relative = self.buffer.unpack("H", self._vtable + field)
        return self.position + relative if relative else None

    def _target(self, field: int) -> int | None:
        offset = self._offset(field)
        return None if offset is None else offset + self.buffer.unpack("I", offset)

    def has(self, field: int) -> bool:
        """Whether the field is stored (a stored field may equal the default)."""
        return self._offset(field) is not None

    def scalar(self, field: int, format_: str, default: float = 0) -> Any:  # noqa: ANN401
        """The scalar in `field`, `default` when the writer left it out."""
        offset = self._offset(field)
        return default if offset is None else self.buffer.unpack(format_, offset)

    def place(self, field: int) -> int | None:
        """Where the string, table or vector in `field` begins in the buffer."""
        return self._target(field)

    def string(self, field: int) -> str:
        """The string in `field`, empty when absent. Bytes that are not UTF-8 are shown as U+FFFD."""
        target = self._target(field)
        return "" if target is None else self._string_at(target)

    def _string_at(self, target: int) -> str:
        size = self.buffer.take(self.buffer.unpack("I", target), target)
        return bytes(self.buffer.slice(target + 4, size)).decode("utf-8", errors="replace")

    def table(self, field: int) -> Table | None:
        """The table in `field`."""
        target = self._target(field)
        return None if target is None else Table(self.buffer, target)

    def _vector(self, field: int) -> tuple[int, int]:
        target = self._target(field)
        if target is None:
            return 0, 0
        return target + 4, self.buffer.take(self.buffer.unpack("I", target), target)

    def _pointers(self, field: int) -> Iterator[int]:
        start, count = self._vector(field)
        self.buffer.slice(start, 4 * count)
        for offset in range(start, start + 4 * count, 4):
            yield offset + self.buffer.unpack("I", offset)

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of the vector in `field`."""
        return (Table(self.buffer, target) for target in self._pointers(field))

    def strings(self, field: int) -> list[str]:
        """The strings of the vector in `field`."""
        return [self._string_at(target) for target in self._pointers(field)]

    def numbers(self, field: int, dtype: str) -> NDArray[Any]:
        """The scalars of the vector in `field`, as a view of the record (`dtype` such as "<i4")."""
        start, count = self._vector(field)
        return np.frombuffer(self.buffer.slice(start, count * np.dtype(dtype).itemsize), dtype)
