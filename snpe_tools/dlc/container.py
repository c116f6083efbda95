"""The outer layer of a DLC: a zip file of stored records, mapped into memory.

Records are found by their headers and read in place: Qualcomm's writer leaves the CRC-32 at 0, so `zipfile` itself
    would
refuse to read them, and weights can take gigabytes.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from snpe_tools.errors import DlcError
from snpe_tools.files import require_file

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_MAX_RECORDS = 10_000


@dataclass(frozen=True)
class Record:
    """One record: its name, the position of its bytes in the file, and their number."""

    name: str
    offset: int
    size: int


class Container:
    """The records of a DLC, by name. Use as a context manager, or close it.

    Raises:
        DlcError: the file is no DLC; the message says what it is and what to do with it, where that is known.
    """

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "a DLC")
        self._file = path.open("rb")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self.records = {record.name: record for record in self._directory()}
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the file. Arrays that view its weights must not be used afterwards."""
        with contextlib.suppress(BufferError):  # a view is still alive; the map is freed with it
            self._map.close()
        self._file.close()

    def _directory(self) -> list[Record]:
        try:
            with zipfile.ZipFile(self._file) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, struct.error, UnicodeDecodeError, ValueError) as problem:
            raise DlcError(
                f"{self.path} is not a DLC: {_kind(self._map[:64])}.", "A DLC is a zip file; the copy may be cut off."
            ) from problem
        if len(entries) > _MAX_RECORDS:
            raise DlcError(f"{self.path} is not a DLC: it lists {len(entries)} records.")
        return [self._locate(entry) for entry in entries]

    def _locate(self, entry: zipfile.ZipInfo) -> Record:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise self.error(entry.filename, "is compressed; DLC records are stored as they are")
        header = self._map[entry.header_offset : entry.header_offset + 30]
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            raise self.error(entry.filename, f"has no header at offset {entry.header_offset}")
        _, name, extra = _LOCAL_HEADER.unpack(header)
        start = entry.header_offset + 30 + name + extra
        if start + entry.file_size > len(self._map):
            raise self.error(
                entry.filename, f"needs {entry.file_size} bytes at offset {start}, past the end of the file"
            )
        return Record(entry.filename, start, entry.file_size)

    def error(self, record: str, what: str) -> DlcError:
        """The error about one record."""
        return DlcError(f"{self.path}: record {record!r} {what}.", "The file is damaged or cut off: copy it again.")

    def data(self, record: str) -> memoryview:
        """The bytes of a record, in place.

        Raises:
            DlcError: there is no such record.
        """
        found = self.records.get(record)
        if found is None:
            names = ", ".join(self.records) or "none"
            raise DlcError(
                f"{self.path} has no record {record!r} (it has: {names}).",
                "It is no complete DLC: convert the model again.",
            )
        return memoryview(self._map)[found.offset : found.offset + found.size]


_MAGIC = {
    b"\x7fELF": "it is an ELF library",
    b"\x08": "it looks like an ONNX model",
    b"PK\x03\x04": "its zip directory is missing",
}


def _kind(head: bytes) -> str:
    return next((words for magic, words in _MAGIC.items() if head.startswith(magic)), "it has no zip directory")
