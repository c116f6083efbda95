"""The outer layer of a DLC: a zip file of stored records, mapped into memory.

Records are found by their headers and read in place: Qualcomm's writer leaves the CRC-32 at 0, so `zipfile` itself
would refuse to read them, and weights can take gigabytes.
"""

from __future__ import annotations

import contextlib
import mmap
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from snpe_tools.core.errors import DlcError
from snpe_tools.core.files import require_file
from snpe_tools.dlc.directory import Entry, ZipError, cut_record, read_directory
from snpe_tools.dlc.identify import identify

Record = Entry
_DAMAGED = "The file is damaged or cut off: copy it again."


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
            self.records = self._directory()
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

    def _directory(self) -> dict[str, Record]:
        with memoryview(self._map) as data:
            try:
                entries = read_directory(data)
            except ZipError as problem:
                raise self._not_a_dlc(data, problem) from problem
        found: dict[str, Record] = {}
        for entry in entries:
            if entry.name in found:
                raise self.error(entry.name, f"stands in the file twice, the second time at offset {entry.offset}")
            found[entry.name] = entry
        return found

    def _not_a_dlc(self, data: memoryview, problem: ZipError) -> DlcError:
        if problem.record:
            what, advice = str(problem), problem.advice or _DAMAGED
        elif bytes(data[:4]) == b"PK\x03\x04":
            what, advice = f"{problem}{cut_record(data)}", _DAMAGED
        else:
            what, advice = identify(data)
        return DlcError(f"{self.path} is not a readable DLC: {what}.", advice)

    def release(self, data: memoryview) -> None:
        """Let the system drop these bytes of the file from memory; they are read again when they are needed."""
        advise = getattr(mmap, "MADV_DONTNEED", None)
        if advise is None or not data:
            return
        start = _address(data) - _address(memoryview(self._map))
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        if 0 <= start < len(self._map):
            self._map.madvise(advise, first, start + len(data) - first)

    def error(self, record: str, what: str) -> DlcError:
        """The error about one record."""
        return DlcError(f"{self.path}: record {record!r} {what}.", _DAMAGED)

    def data(self, record: str) -> memoryview:
        """The bytes of a record, in place.

        Raises:
            DlcError: there is no such record.
        """
        found = self.records.get(record)
        if found is None:
            names = ", ".join(map(repr, self.records)) or "none"
            raise DlcError(
                f"{self.path} has no record {record!r} (it has: {names}).",
                "It is no complete DLC: convert the model again.",
            )
        return memoryview(self._map)[found.offset : found.offset + found.size]


def _address(data: memoryview) -> int:
    return int(np.frombuffer(data, np.uint8).ctypes.data)
