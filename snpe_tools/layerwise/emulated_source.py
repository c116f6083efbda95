"""The inner tensors of a DLC on the emulator, in a temporary folder that lasts as long as they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import ExecutionError
from snpe_tools.core.files import scratch_folder, write_text
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import InputList, nested_name
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array
from snpe_tools.execution.net_run import NetRun, net_run
from snpe_tools.layerwise.dlc_source import DlcSource, Execute
from snpe_tools.layerwise.layer import Reader

_SPARE = 64 << 20


@contextmanager
def emulated_source(model: Path, inputs: InputList, soc: Soc, *, native: bool) -> Iterator[DlcSource]:
    """A DLC whose tensors are computed by the emulator of a SoC.

    Raises:
        StorageError: no space for a copy of the DLC and all its tensors.
    """
    with scratch_folder(_needed(model, len(inputs.lines))) as folder:
        listed = folder / "list.txt"
        write_text(listed, "".join(f"{_line(line)}\n" for line in inputs.lines))
        call = NetRun(model, listed, folder / "results", soc, use_native_input_files=native)
        yield DlcSource(model, _executor(call), kind=f"Hexagon emulator, {soc}")


def _line(files: Mapping[str, Path]) -> str:
    return " ".join(f"{name}:={file}" if name else str(file) for name, file in files.items())


def _needed(model: Path, inferences: int) -> int:
    """Bytes for a copy of the DLC and for float32 results of all its tensors."""
    with dlc_format.open(model) as dlc:
        tensors = [tensor for role in ("native", "output") for tensor in dlc.graph.with_role(role)]
    return model.stat().st_size + inferences * sum(tensor.spec.nbytes() for tensor in tensors) + _SPARE


def _executor(call: NetRun) -> Execute:
    def execute(shapes: Mapping[str, Sequence[int]]) -> Reader:
        say(f"  {call.container.name}: {len(shapes)} tensors of each inference are written to a temporary folder")
        done = net_run(replace(call, set_output_tensors=tuple(shapes)), lambda _: None)

        def read(wanted: Sequence[str], index: int) -> Mapping[str, Array]:
            folder = done.folder / f"Result_{index}"
            return {name: _read(folder / nested_name(name), shapes[name]) for name in wanted}

        return read

    return execute


def _read(file: Path, shape: Sequence[int]) -> Array:
    values = np.fromfile(file, np.float32)
    if values.size != np.prod(shape):
        raise ExecutionError(
            f"{file.name} holds {values.size} numbers, not {tuple(shape)}.", "Run the comparison again."
        )
    return values
