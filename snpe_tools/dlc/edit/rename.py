"""Gives the graph in a DLC another name, in place.

ONNX Runtime names the graph after a hash, and `snpe-net-run`, caches and profiles show that name ever after. A
FlatBuffers string is a length and its bytes, so a name that is no longer than the old one fits where the old one
stands.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from snpe_tools.core.errors import DlcError
from snpe_tools.dlc.container import Container
from snpe_tools.dlc.flatbuffer import Buffer
from snpe_tools.dlc.v4 import HEADER

_NAME_FIELDS = (4, 12)


def graph_identifier(text: str) -> str:
    """`text` as a graph name: letters, digits and underscores, beginning with a letter."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    return name if name[:1].isalpha() else f"model_{name}".rstrip("_")


def rename_graph(path: Path, name: str) -> None:
    """Rename the only graph of a version 4 DLC.

    Args:
        path: the file, changed in place.
        name: the new name; cut to the length of the old one.

    Raises:
        DlcError: the file is damaged, or holds several graphs.
    """
    with Container(path) as container:
        places = [
            place
            for record in ("model", "model.params")
            if record in container.records
            for place in _names(container, record)
        ]
    with path.open("r+b") as stream:
        for offset, size in places:
            encoded = name.encode()[:size]
            stream.seek(offset)
            stream.write(struct.pack("<I", len(encoded)) + encoded.ljust(size, b"\0"))


def _names(container: Container, record: str) -> Iterator[tuple[int, int]]:
    """File offset of each copy of the graph's name in a record (at its length field), and that length."""
    buffer = Buffer(container.data(record)[HEADER:], record)
    graphs = list(buffer.root(0).tables(4))
    if len(graphs) != 1:
        raise DlcError(f"{container.path} holds {len(graphs)} graphs; only the single graph of a file can be renamed.")
    for place in (graphs[0].place(field) for field in _NAME_FIELDS):
        if place is not None:
            yield container.records[record].offset + HEADER + place, buffer.unpack("I", place)
