"""The directory of a zip file whose entries are stored, read with every offset checked; nothing is ever inflated.

Source: PKWARE APPNOTE.TXT, sections 4.3 (headers) and 4.5.3 (ZIP64 sizes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_END = struct.Struct("<4s4xHHIIH")
_END64_LOCATOR = struct.Struct("<4s4xQ4x")
_END64 = struct.Struct("<4s20xQQQQ")
_CENTRAL = struct.Struct("<4s4xHHHHIIIHHH8xI")
_LOCAL = struct.Struct("<4s2xHH8xIIHH")
_ZIP64, _FULL = 1, 0xFFFFFFFF
_MAX_ENTRIES = 10_000
_ENCRYPTED = 1


class ZipError(Exception):
    """Why the directory cannot be used.

    Attributes:
        record: the entry that is at fault, "" when there is no directory at all.
        advice: what to do, where copying the file again would not help.
    """

    def __init__(self, message: str, record: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.record, self.advice = record, advice


@dataclass(frozen=True)
class Entry:
    """One entry: its name, the position and number of its bytes in the file.

    Attributes:
        modified: when it was written, "" where the writer does not say.
        crc: the stated CRC-32 of its bytes; 0 where the writer left it out.
    """

    name: str
    offset: int
    size: int
    modified: str = ""
    crc: int = 0


def read_directory(data: memoryview) -> list[Entry]:
    """All entries of the zip file `data`.

    Raises:
        ZipError: no directory, or an entry that is compressed, encrypted or outside the file.
    """
    count, start = _directory_place(data)
    if count > _MAX_ENTRIES:
        raise ZipError(f"it lists {count} records", "directory")
    entries = []
    for _ in range(count):
        entry, start = _central(data, start)
        entries.append(entry)
    return entries


def _directory_place(data: memoryview) -> tuple[int, int]:
    """Number of entries, and where the first one is listed."""
    tail = max(0, len(data) - 0xFFFF - _END.size)
    end = bytes(data[tail:]).rfind(b"PK\x05\x06")
    if end < 0 or tail + end + _END.size > len(data):
        raise ZipError("it has no zip directory")
    end += tail
    _, _, count, _, start, _ = _END.unpack_from(data, end)
    if end >= _END64_LOCATOR.size:
        magic, place = _END64_LOCATOR.unpack_from(data, end - _END64_LOCATOR.size)
        if magic == b"PK\x06\x07" and place + _END64.size <= len(data):
            _, _, count, _, start = _END64.unpack_from(data, place)
    return count, start


def _central(data: memoryview, at: int) -> tuple[Entry, int]:
    """The entry listed at `at`, and where the next one is listed."""
    if at + _CENTRAL.size > len(data) or bytes(data[at : at + 4]) != b"PK\x01\x02":
        raise ZipError(f"its zip directory is damaged at offset {at}", "directory")
    _, flags, method, clock, day, crc, packed, size, name_size, extra, comment, header = _CENTRAL.unpack_from(data, at)
    name_at = at + _CENTRAL.size
    extra_at = name_at + name_size
    name = bytes(data[name_at:extra_at]).decode("utf-8", errors="replace")
    size, _, header = _zip64(data[extra_at : extra_at + extra], size, packed, header)
    if flags & _ENCRYPTED:
        raise ZipError(f"its record {name!r} is encrypted", name, "Ask its author for the file without a password.")
    if method:
        raise ZipError(f"its record {name!r} is compressed", name, "Pack it again with `zip -0`: records are stored.")
    start = _contents(data, name, header, size)
    return Entry(name, start, size, _time(day, clock), crc), extra_at + extra + comment


def _zip64(extra: memoryview, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """The three numbers; each that is 0xffffffff is replaced by its 64-bit value, in this order."""
    wide = _wide_numbers(extra)
    numbers = [next(wide, number) if number == _FULL else number for number in (size, packed, header)]
    return numbers[0], numbers[1], numbers[2]


def _wide_numbers(extra: memoryview) -> Iterator[int]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64:
            part = bytes(extra[at + 4 : at + 4 + length])
            yield from (number for (number,) in struct.iter_unpack("<Q", part[: len(part) // 8 * 8]))
        at += 4 + length


def _contents(data: memoryview, name: str, header: int, size: int) -> int:
    """Where the entry's bytes begin."""
    if header + _LOCAL.size > len(data) or bytes(data[header : header + 4]) != b"PK\x03\x04":
        raise ZipError(f"its record {name!r} has no header at offset {header}", name)
    name_size, extra = _LOCAL.unpack_from(data, header)[-2:]
    start: int = header + _LOCAL.size + name_size + extra
    if start + size > len(data):
        raise ZipError(f"its record {name!r} needs {size} bytes at offset {start}, past the end of the file", name)
    return start


def _time(day: int, clock: int) -> str:
    """Such as "2021-06-12 06:10:50"; "" for the year 1980, which means that the writer had no clock."""
    year, month = 1980 + (day >> 9), day >> 5 & 15
    if year == 1980:  # noqa: PLR2004
        return ""
    return f"{year}-{month:02}-{day & 31:02} {clock >> 11:02}:{clock >> 5 & 63:02}:{(clock & 31) * 2:02}"


def cut_record(data: memoryview) -> str:
    """Which record a file without a directory ends in, in words; "" when its headers do not say."""
    at = 0
    while at + _LOCAL.size <= len(data) and bytes(data[at : at + 4]) == b"PK\x03\x04":
        _, _, _, packed, size, name_size, extra = _LOCAL.unpack_from(data, at)
        name_at = at + _LOCAL.size
        name = bytes(data[name_at : name_at + name_size]).decode("utf-8", errors="replace")
        size = _zip64(data[name_at + name_size : name_at + name_size + extra], size, packed, 0)[0]
        start = name_at + name_size + extra
        if start + size > len(data):
            return f": it ends inside the record {name!r}, after {max(0, len(data) - start)} of {size} bytes"
        at = start + size
    return ""
