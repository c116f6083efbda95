"""Two models and an input list → every tensor that both have, compared. Any of them may be ONNX, QDQ ONNX or DLC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import ExecutionError
from snpe_tools.core.files import scratch_folder, write_text
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import InputList, nested_name, read_list
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.core.tensor_spec import Array
from snpe_tools.execution.net_run import NetRun, net_run
from snpe_tools.execution.targets import HERE, Place, Places, check_places
from snpe_tools.layerwise.comparison import DEFAULT_THRESHOLD_DB, LayerComparison, compare_sources
from snpe_tools.layerwise.device_source import device_source
from snpe_tools.layerwise.dlc_source import DlcSource, Execute
from snpe_tools.layerwise.layer import Reader, Source
from snpe_tools.layerwise.onnx_source import OnnxSource

DEFAULT_LIMIT = 4
_SPARE = 64 << 20


def compare_layers(
    first: Path,
    second: Path,
    input_list: Path,
    *,
    soc: Soc = DEFAULT,
    native: bool = False,
    limit: int = DEFAULT_LIMIT,
    threshold_db: float = DEFAULT_THRESHOLD_DB,
    places: Places = HERE,
) -> LayerComparison:
    """Compare two models tensor by tensor on the first inferences of an input list.

    Memory holds one group of tensors (`GROUP_BYTES`) of each model at a time. The emulator's tensors stand in a
    temporary folder until the comparison ends, a device's until the next group is read.

    Args:
        first, second: ONNX (run on ONNX Runtime, graph optimizations off) or DLC (run on the emulator or a device).
        soc: the SoC to emulate here.
        limit: inferences; 0 takes all of the list.
        threshold_db: SQNR below which a tensor is said to diverge.
        places: devices that run DLC files instead of the emulator.

    Raises:
        UsageError: the models have no tensor in common, or a device has nothing to run.
        InputError: a model or the list cannot be used.
        SetupError, DeviceError: see `snpe_tools.execution.on_device.run_on_device`.
        StorageError: no space for a DLC's tensors.
    """
    check_places((first, second), places)
    parsed = read_list(input_list)
    lines = parsed.lines[: limit or len(parsed.lines)]
    parsed = replace(parsed, lines=tuple({name: file.absolute() for name, file in line.items()} for line in lines))
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(_source(model, parsed, soc, place, native=native))
            for model, place in zip((first, second), places, strict=True)
        )
        return compare_sources(one, other, len(parsed.lines), threshold_db=threshold_db)


@contextmanager
def _source(model: Path, inputs: InputList, soc: Soc, place: Place | None, *, native: bool) -> Iterator[Source]:
    if model.suffix != ".dlc":
        yield OnnxSource(model, inputs, native=native)
    elif place:
        with device_source(model, inputs, place, native=native) as source:
            yield source
    else:
        with _emulated(model, inputs, soc, native=native) as source:
            yield source


@contextmanager
def _emulated(model: Path, inputs: InputList, soc: Soc, *, native: bool) -> Iterator[Source]:
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
