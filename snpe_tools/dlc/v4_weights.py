"""Where the weights of a version 4 container are.

4.1: `model.params` (`NETP`) gives each tensor a place in the record `model.params.bin`.
4.0: `model.params` (`NR64`) holds a table of buffers and an inner `NETP`, which names a buffer for each tensor. The
buffers are `vector64`s, whose offset and length have 64 bits; the inner `NETP` is an ordinary vector of bytes.
Both may also hold the bytes inline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from snpe_tools.dlc.container import Container
from snpe_tools.dlc.flatbuffer import Buffer, Table

Weights = Mapping[str, memoryview]
_HEADER = 8
_SIGNATURE = b"\xd5\x0a"
_BUFFER_TABLE = b"NR64"
_INLINE, _BUFFER, _PLACE = 6, 8, 10


class WeightTable:
    """The bytes of static tensors, by graph: its own by name, its nodes' by node number and name.

    Raises:
        DlcError: a place in the file cannot be right.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._blob = self._record("model.params.bin", 0)
        self._buffers: list[memoryview] | None = None
        params = self._record("model.params", _HEADER)
        if params and bytes(params.data[4:8]) == _BUFFER_TABLE:
            params = self._inner(params)
        self._graphs = dict(self._read(params)) if params else {}

    def of_graph(self, name: str) -> tuple[Weights, list[Weights]]:
        """Weights of the graph's own tensors, and of each node's parameters."""
        return self._graphs.get(name, ({}, []))

    def other_graphs(self, known: Collection[str]) -> list[str]:
        """Names of graphs that have weights here and are not among `known`."""
        return [name for name in self._graphs if name not in known]

    def _record(self, name: str, header: int) -> Buffer | None:
        if name not in self._container.records:
            return None
        return Buffer(self._container.data(name)[header:], name, str(self._container.path), header)

    def _inner(self, outer: Buffer) -> Buffer:
        """The `NETP` inside an `NR64`; its buffers are kept by number."""
        root = outer.root(0)
        self._buffers = [table.long_bytes(4) for table in root.tables(4)]
        inner = root.bytes(6)
        header = _HEADER if bytes(inner[:2]) == _SIGNATURE else 0
        return Buffer(inner[header:], "model.params (inner NETP)", outer.path, header)

    def _read(self, params: Buffer) -> Iterator[tuple[str, tuple[Weights, list[Weights]]]]:
        for table in params.root(0).tables(4):
            nodes = [self._located(node, 4) for node in table.tables(8)]
            yield table.string(4), (self._located(table, 6), nodes)

    def _located(self, table: Table, field: int) -> Weights:
        return {entry.string(4): data for entry in table.tables(field) if (data := self._data(entry)) is not None}

    def _data(self, entry: Table) -> memoryview | None:
        if self._buffers is not None:
            number = int(entry.scalar(_BUFFER, "Q"))
            if number >= len(self._buffers):
                raise entry.buffer.error(f"names buffer {number} of {len(self._buffers)}", entry.position)
            return self._buffers[number]
        if entry.has(_INLINE):
            return entry.bytes(_INLINE)
        place = entry.table(_PLACE)
        if place is None or self._blob is None:
            return None
        return self._blob.slice(int(place.scalar(4, "Q")), int(place.scalar(6, "Q")))
