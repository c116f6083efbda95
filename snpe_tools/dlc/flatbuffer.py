"""A bounded cursor over FlatBuffers bytes.

Source of the layout: https://flatbuffers.dev/internals/ (tables, vtables, vectors, strings).
The bytes come from files of unknown origin, so every offset is checked before it is followed,
and the number of vector elements read from one buffer never exceeds its size in bytes: vectors that
share their storage could otherwise make a small file expand without end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.errors import DlcError

Bytes = memoryview
Column = NDArray[Any]
_SMALLEST_TABLE = 12
"""Bytes that a table in a vector takes at least: the offset to it, the offset to its vtable, one field."""


_MOST_TABLES = 1_000_000
"""A BERT of 12 layers has 2,200, and 50,000 operations some 250,000; so many take some seconds."""
_READERS = {code: struct.Struct(f"<{code}").unpack_from for code in "bBhHiIqQfd"}
_unsigned = _READERS["I"]
_MOST_FIELDS = 24
"""Fields that are looked up in a vtable; no table here has more."""
_MOST_VTABLES = 4096
"""Vtables that are kept; tables of one kind share a few."""


class Buffer:
    """The bytes of one DLC record, read through bounds checks.

    Args:
        data: the record's bytes.
        record, path: names of the record and its file, used in errors.
        base: where `data` begins in the record.
    """

    def __init__(self, data: Bytes, record: str, path: str = "", base: int = 0) -> None:
        self.data = data
        self.record, self.path, self.base = record, path, base
        self._bytes_left, self._tables_left = len(data), _MOST_TABLES
        self._vtables: dict[int, tuple[tuple[int, ...], int]] = {}
        self._array = np.frombuffer(data, np.uint8)

    def unpack(self, format_: str, offset: int) -> Any:  # noqa: ANN401 - struct decides the type
        """The one value of `format_` (a `struct` code) at `offset`."""
        if offset >= 0:
            try:
                return _READERS[format_](self.data, offset)[0]
            except struct.error:
                pass
        raise self.error("points outside the record", offset)

    def _at(self, offset: int) -> int:
        """The unsigned 32-bit number at `offset`, which is not negative."""
        try:
            return _unsigned(self.data, offset)[0]  # type: ignore[no-any-return]
        except struct.error:
            raise self.error("points outside the record", offset) from None

    def follow(self, offset: int) -> int:
        """Where the 32-bit offset that is stored at `offset` leads."""
        return offset + self._at(offset)

    def text(self, offset: int) -> str:
        """The string at `offset`; bytes that are not UTF-8 are shown as U+FFFD."""
        size = self.take(self._at(offset), 1, offset)
        return str(self.slice(offset + 4, size), "utf-8", "replace")

    def vtable(self, position: int) -> tuple[tuple[int, ...], int]:
        """Of the table at `position`: where its first fields are, 0 for those left out; and its vtable's size."""
        place = position - self.unpack("i", position)
        found = self._vtables.get(place)
        if found is None:
            size = self.unpack("H", place)
            fields = self.slice(place, min(size, 2 * _MOST_FIELDS) // 2 * 2)
            if len(self._vtables) >= _MOST_VTABLES:
                self._vtables.clear()
            found = self._vtables[place] = struct.unpack(f"<{len(fields) // 2}H", fields), size
        return found

    def slice(self, offset: int, size: int) -> Bytes:
        """`size` bytes from `offset`."""
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise self.error(f"holds {size} bytes that reach outside the record", offset)
        return self.data[offset : offset + size]

    def take(self, count: int, size: int, offset: int) -> int:
        """`count`, once it is known that the record can hold so many more elements of `size` bytes."""
        if count * size > self._bytes_left:
            raise self.error(f"claims {count} elements, more than the record can hold", offset)
        self._bytes_left -= count * size
        return count

    def take_table(self, offset: int) -> None:
        """Count one more table that is read by itself, which takes some microseconds."""
        self._tables_left -= 1
        if self._tables_left < 0:
            raise self.error(f"is table {_MOST_TABLES + 1} of the record, more than any model has", offset)

    def gather(self, offsets: Column, dtype: str) -> Column:
        """The values of `dtype` (such as "<u4") at each of `offsets`."""
        size = np.dtype(dtype).itemsize
        outside = (offsets < 0) | (offsets + size > len(self.data))
        if outside.any():
            raise self.error("points outside the record", int(offsets[outside][0]))
        return self._array[offsets[:, None] + np.arange(size)].view(dtype)[:, 0]

    def error(self, what: str, offset: int) -> DlcError:
        """The error that names the file, this record and the offset in it."""
        return DlcError(
            f"{self.path}: record {self.record!r}: offset {self.base + offset} {what}.",
            "The file is damaged or cut off: copy it again.",
        )

    def root(self, offset: int) -> Table:
        """The root table, whose position is stored at `offset`."""
        return Table(self, offset + self.unpack("I", offset))


class Table:
    """One FlatBuffers table. `field` numbers are vtable byte offsets (4, 6, 8, ...)."""

    __slots__ = ("_fields", "_vtable_size", "buffer", "position")

    def __init__(self, buffer: Buffer, position: int) -> None:
        self.buffer = buffer
        self.position = position
        self._fields, self._vtable_size = buffer.vtable(position)

    def _offset(self, field: int) -> int | None:
        index = field >> 1
        relative = self._fields[index] if index < len(self._fields) else 0
        return self.position + relative if relative else None

    def _target(self, field: int) -> int | None:
        offset = self._offset(field)
        return None if offset is None else self.buffer.follow(offset)

    def has(self, field: int) -> bool:
        """Whether the field is stored (a stored field may equal the default)."""
        return self._offset(field) is not None

    def goes_beyond(self, field: int) -> bool:
        """Whether fields after `field` are stored; a later version of a schema appends its fields."""
        return self._vtable_size > field + 2

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
        return "" if target is None else self.buffer.text(target)

    def table(self, field: int) -> Table | None:
        """The table in `field`."""
        target = self._target(field)
        return None if target is None else Table(self.buffer, target)

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        """Where the vector's first element is, and how many elements of `size` bytes it has."""
        target = self._target(field)
        if target is None:
            return 0, 0
        return target + 4, self.buffer.take(self.buffer.unpack("I", target), size, target)

    def _pointers(self, field: int, size: int) -> Iterator[int]:
        start, count = self._vector(field, size)
        relative = self.buffer.slice(start, 4 * count).cast("B")
        for index, (offset,) in enumerate(struct.iter_unpack("<I", relative)):
            yield start + 4 * index + offset

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of the vector in `field`."""
        for target in self._pointers(field, _SMALLEST_TABLE):
            self.buffer.take_table(target)
            yield Table(self.buffer, target)

    def columns(self, field: int, columns: Mapping[int, str]) -> list[Column]:
        """Scalars of all tables of the vector in `field`, 0 where a table leaves one out.

        Args:
            field: the vector of tables.
            columns: fields of those tables and their types, such as {4: "<i4"}.

        Returns:
            An array for each of `columns`, as long as the vector.
        """
        start, count = self._vector(field, _SMALLEST_TABLE)
        places = start + 4 * np.arange(count, dtype=np.int64)
        tables = places + self.buffer.gather(places, "<u4")
        vtables = tables - self.buffer.gather(tables, "<i4")
        sizes = self.buffer.gather(vtables, "<u2")
        return [self._column(tables, vtables, sizes, number, dtype) for number, dtype in columns.items()]

    def _column(self, tables: Column, vtables: Column, sizes: Column, field: int, dtype: str) -> Column:
        relative = np.zeros(len(tables), np.int64)
        listed = field + 2 <= sizes
        relative[listed] = self.buffer.gather(vtables[listed] + field, "<u2")
        stored = relative > 0
        values = np.zeros(len(tables), dtype)
        values[stored] = self.buffer.gather(tables[stored] + relative[stored], dtype)
        return values

    def strings(self, field: int) -> list[str]:
        """The strings of the vector in `field`."""
        return [self.buffer.text(target) for target in self._pointers(field, 4)]

    def numbers(self, field: int, dtype: str) -> Column:
        """The scalars of the vector in `field`, as a view of the record (`dtype` such as "<i4")."""
        return np.frombuffer(self.bytes(field, np.dtype(dtype).itemsize), dtype)

    def long_bytes(self, field: int) -> Bytes:
        """The bytes of a `vector64`: the offset to it and its length have 64 bits each, and its data follow."""
        offset = self._offset(field)
        if offset is None:
            return self.buffer.slice(0, 0)
        target = offset + self.buffer.unpack("Q", offset)
        count = self.buffer.take(self.buffer.unpack("Q", target), 1, target)
        return self.buffer.slice(target + 8, count)

    def bytes(self, field: int, size: int = 1) -> Bytes:
        """The bytes of the vector in `field`, whose elements have `size` bytes each."""
        start, count = self._vector(field, size)
        return self.buffer.slice(start, count * size)
