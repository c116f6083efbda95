"""Compares what was not read into graphs: records of unknown content, compiled caches, bytes without a known meaning.

Two files are the same only where every byte of them was compared, as what it means or as what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from snpe_tools.dlc.model import Dlc

_BLOCK = 1 << 20
_READ = ("model", "model.params", "model.params.bin")
_METADATA = "dlc.metadata"
_SHOWN_AS_WRITTEN_BY = {
    "dlcGenerationInfo", "converter-command", "converter-version", "quantizer-command", "quantizer-version",
}  # fmt: skip
_LONGEST = 80


def other_records(first: Dlc, second: Dlc) -> Iterator[tuple[str, str, str]]:
    """Name, before and after of each record that is neither graph, weights nor metadata and differs in any byte."""
    names = dict.fromkeys([*first.container.records, *second.container.records])
    for name in names:
        if name in _READ or name.startswith(_METADATA):
            continue
        sides = [_size(dlc, name) for dlc in (first, second)]
        if None in sides:
            yield name, *("missing" if side is None else f"{side} bytes" for side in sides)  # type: ignore[misc]
        elif apart := bytes_apart(first, second, name):
            yield name, f"{sides[0]} bytes", f"{sides[1]} bytes; {apart}"


def unread_bytes(first: Dlc, second: Dlc) -> Iterator[tuple[str, str]]:
    """Records of graphs and weights that differ in bytes, and where; nothing for files of two container versions."""
    for name in _READ if first.version == second.version else ():
        if (_size(first, name) is None) != (_size(second, name) is None):
            yield name, "one file does not have it"
        elif apart := bytes_apart(first, second, name):
            yield name, apart


def metadata_changes(first: Dlc, second: Dlc) -> Iterator[tuple[str, str, str]]:
    """Entries of the metadata that differ, besides who wrote the file and when: their path, before and after."""
    for name in dict.fromkeys([*first.metadata, *second.metadata]):
        yield from _entries_apart(name, first.metadata.get(name), second.metadata.get(name))


def _entries_apart(path: str, old: Any, new: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - any JSON value
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            if key not in _SHOWN_AS_WRITTEN_BY:
                yield from _entries_apart(f"{path} {key}", old.get(key), new.get(key))
    elif repr(old) != repr(new):
        yield path, *("missing" if side is None else str(side)[:_LONGEST] for side in (old, new))  # type: ignore[misc]


def _size(dlc: Dlc, name: str) -> int | None:
    record = dlc.container.records.get(name)
    return None if record is None else record.size


def bytes_apart(first: Dlc, second: Dlc, name: str) -> str:
    """How the bytes of a record differ, in words; "" where they are equal, or neither file has it."""
    if _size(first, name) is None:
        return ""
    old, new = first.container.data(name), second.container.data(name)
    count, place = abs(len(old) - len(new)), -1
    for start in range(0, min(len(old), len(new)), _BLOCK):
        blocks = [data[start : min(start + _BLOCK, len(old), len(new))] for data in (old, new)]
        if blocks[0] != blocks[1]:
            apart = np.flatnonzero(np.frombuffer(blocks[0], np.uint8) != np.frombuffer(blocks[1], np.uint8))
            count, place = count + len(apart), start + int(apart[0]) if place < 0 else place
        for dlc, block in zip((first, second), blocks, strict=True):
            dlc.container.release(block)
    if not count:
        return ""
    at = min(len(old), len(new)) if place < 0 else place
    return f"{count} bytes differ, the first at offset {at}"
