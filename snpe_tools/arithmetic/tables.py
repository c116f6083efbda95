"""What the HTP makes of every code, or of every pair of codes, read from the emulator once and kept.

An operation of one 8-bit input is a table of 256 codes, one of two inputs a table of 65,536, whatever its rule is.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.arithmetic.grid import LEVELS, Codes, Grid, NoRule
from snpe_tools.arithmetic.probes import Probe, convert, emulate
from snpe_tools.core.files import cache_folder, whole_file
from snpe_tools.core.progress import say
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array
from snpe_tools.dlc import Node
from snpe_tools.qnn.library import QAIRT_BUILD

_ONE = {
    ("Neuron", 0): "Elu",
    ("Neuron", 1): "Gelu",
    ("Neuron", 3): "HardSwish",
    ("Neuron", 4): "Relu",
    ("Neuron", 6): "Sigmoid",
    ("Neuron", 8): "Tanh",
}
_TWO = {("Eltwise_Binary", 13): "Mul"}
"""ONNX operations that become the DLC operation of this type and number; what is read back is checked."""


@dataclass(frozen=True)
class Lookup:
    """A table that is needed.

    Attributes:
        operation: of ONNX.
        kind: type of the DLC operation, and its number.
        sources: grids of the inputs, one or two.
        target: grid of the output.
    """

    operation: str
    kind: tuple[str, int]
    sources: tuple[Grid, ...]
    target: Grid

    @classmethod
    def of(cls, node: Node, sources: Sequence[Grid], target: Grid) -> Lookup:
        """The table of a node.

        Raises:
            NoRule: the operation is not one of those whose tables can be read.
        """
        kind = node.type, int(str(node.attributes.get("operation", -1)))
        operation = (_ONE if len(sources) == 1 else _TWO).get(kind)
        if operation is None or set(node.attributes) - {"operation", "packageName"}:
            raise NoRule(f"{node.type} number {kind[1]} with the attributes {', '.join(node.attributes)} has no table")
        return cls(operation, kind, tuple(sources), target)

    def name(self, soc: Soc) -> str:
        """File name of the table: what it depends on, hashed."""
        return hashlib.sha256(f"{self} {soc} {QAIRT_BUILD}".encode()).hexdigest()[:32]


def read_tables(wanted: Sequence[Lookup], soc: Soc) -> dict[Lookup, Codes]:
    """Tables of shape (256,) or (256, 256); those that were never read come from the emulator, all in one run.

    Raises:
        NoRule: the converter makes another operation of it.
        ConversionError, QnnError, ExecutionError: the emulator cannot be asked.
    """
    folder = cache_folder() / "arithmetic"
    found = {lookup: table for lookup in wanted if (table := _kept(folder / lookup.name(soc), lookup)) is not None}
    missing = [lookup for lookup in dict.fromkeys(wanted) if lookup not in found]
    if missing:
        say(f"Reading {len(missing)} tables of operations from the emulator ({soc}); they are kept in {folder}.")
        for lookup, table in _ask(missing, soc).items():
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(folder / lookup.name(soc)) as file:
                file.write_bytes(table.tobytes())
            found[lookup] = table
    return found


def _kept(file: Path, lookup: Lookup) -> Codes | None:
    shape = (LEVELS,) * len(lookup.sources)
    if not file.is_file() or file.stat().st_size != LEVELS ** len(shape):
        return None
    return np.frombuffer(file.read_bytes(), np.uint8).reshape(shape)


def _ask(wanted: Sequence[Lookup], soc: Soc) -> dict[Lookup, Codes]:
    probe, feed = Probe(), dict[str, Array]()
    for index, lookup in enumerate(wanted):
        shape = (1, LEVELS ** len(lookup.sources))
        names = [f"in_{index}_{place}" for place in range(len(lookup.sources))]
        codes = np.indices((LEVELS,) * len(names)).reshape(len(names), *shape).astype(np.uint8)
        feed |= dict(zip(names, codes, strict=True))
        reals = [probe.add_input(name, shape, grid) for name, grid in zip(names, lookup.sources, strict=True)]
        probe.add(lookup.operation, reals, f"out_{index}", lookup.target)
    with tempfile.TemporaryDirectory() as scratch:
        dlc = convert(probe, Path(scratch), soc)
        _check(dlc, {f"out_{index}": lookup for index, lookup in enumerate(wanted)})
        outputs = emulate(dlc, soc, [feed])[0]
    shapes = {lookup: (LEVELS,) * len(lookup.sources) for lookup in wanted}
    return {lookup: outputs[f"out_{index}"].reshape(shapes[lookup]) for index, lookup in enumerate(wanted)}  # type: ignore[misc]


def _check(dlc: Path, wanted: Mapping[str, Lookup]) -> None:
    with dlc_format.open(dlc) as file:
        writers = {name: node for node in file.graph.nodes for name in node.outputs}
    for name, lookup in wanted.items():
        node = writers[name]
        kind = node.type, int(str(node.attributes.get("operation", -1)))
        if kind != lookup.kind:
            raise NoRule(f"the converter makes {kind[0]} number {kind[1]} of {lookup.operation}")
