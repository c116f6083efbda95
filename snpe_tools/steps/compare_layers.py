"""Two models and an input list → every tensor that both have, compared. Any of them may be ONNX, QDQ ONNX or DLC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from snpe_tools.core.raw_files import InputList, read_list
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.execution.targets import HERE, Place, Places, check_places
from snpe_tools.layerwise.comparison import DEFAULT_THRESHOLD_DB, LayerComparison, compare_sources
from snpe_tools.layerwise.device_source import device_source
from snpe_tools.layerwise.emulated_source import emulated_source
from snpe_tools.layerwise.layer import Source
from snpe_tools.layerwise.onnx_source import OnnxSource

DEFAULT_LIMIT = 4


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
        with emulated_source(model, inputs, soc, native=native) as source:
            yield source
