"""Makes tensors between the nodes outputs of the graph, in a copy of a DLC, so that an execution shows them.

A DLC says with one byte per tensor whether it is an output; nothing else of the file changes. The compiler may fuse
less around such tensors: integer results stay the same bits, fp16 results can change in their last bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from snpe_tools.core.errors import DlcError
from snpe_tools.dlc.container import Container
from snpe_tools.dlc.flatbuffer import Buffer, Table
from snpe_tools.dlc.v4 import HEADER

_TENSORS, _NAME, _ROLE = 8, 6, 8
_OUTPUT, _NATIVE = 1, 3


def tap(dlc: Path, target: Path, names: Sequence[str]) -> None:
    """Write a copy of a DLC whose tensors `names` are outputs.

    Raises:
        DlcError: the file is damaged, or has no such tensor between its nodes.
    """
    with Container(dlc) as container:
        places = dict(_places(container))
    missing = [name for name in names if name not in places]
    if missing:
        raise DlcError(f"{dlc} has no tensor {missing[0]!r} between its nodes.")
    shutil.copyfile(dlc, target)
    with target.open("r+b") as stream:
        for name in names:
            stream.seek(places[name])
            stream.write(bytes([_OUTPUT]))


def _places(container: Container) -> Iterator[tuple[str, int]]:
    """File offset of the byte that says what each tensor between the nodes is."""
    buffer, start = Buffer(container.data("model")[HEADER:], "model"), container.records["model"].offset + HEADER
    for graph in buffer.root(0).tables(4):
        for tensor in graph.tables(_TENSORS):
            if tensor.scalar(_ROLE, "B") == _NATIVE:
                yield tensor.string(_NAME), start + _position(buffer, tensor)


def _position(buffer: Buffer, tensor: Table) -> int:
    vtable = tensor.position - buffer.unpack("i", tensor.position)
    return tensor.position + int(buffer.unpack("H", vtable + _ROLE))
