"""Whether the bytes of each record are those that were written: CRC-32, where the writer states it.

QAIRT's writer (container 4.1) leaves every CRC at 0, which says nothing. Source: APPNOTE.TXT, section 4.4.7.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from snpe_tools.dlc.container import Container

_BLOCK = 1 << 22


def damaged_records(container: Container) -> Iterator[tuple[str, int, int]]:
    """Name, stated and computed CRC-32 of each record whose bytes do not have the CRC that its writer stated."""
    for name, record in container.records.items():
        if record.crc and (found := _crc(container, name)) != record.crc:
            yield name, record.crc, found


def _crc(container: Container, name: str) -> int:
    data, crc = container.data(name), 0
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        crc = zlib.crc32(block, crc)
        container.release(block)
    return crc
