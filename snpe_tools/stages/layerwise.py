"""Two models and an input list → every tensor that both have, compared. Any of them may be ONNX, QDQ ONNX or DLC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.errors import ExecutionError
from snpe_tools.files import scratch_folder, write_text
from snpe_tools.layerwise.comparison import DEFAULT_THRESHOLD_DB, LayerComparison, compare_sources
from snpe_tools.layerwise.dlc_source import DlcSource
from snpe_tools.layerwise.layer import Source
from snpe_tools.layerwise.onnx_source import OnnxSource
from snpe_tools.progress import say
from snpe_tools.socs import DEFAULT, Soc
from snpe_tools.spec import Array
from snpe_tools.stages.net_run import NetRun, net_run
from snpe_tools.tensors import InputList, nested_name, read_list

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
) -> LayerComparison:
    """Compare two models tensor by tensor on the first inferences of an input list.

    Memory holds one group of tensors (`GROUP_BYTES`) of each model at a time. A DLC's tensors stand in a temporary
    folder until the comparison ends.

    Args:
        first, second: ONNX (run on ONNX Runtime, graph optimizations off) or DLC (run on the emulator).
        limit: inferences; 0 takes all of the list.
        threshold_db: SQNR below which a tensor is said to diverge.

    Raises:
        UsageError: the models have no tensor in common.
        InputError: a model or the list cannot be used.
        StorageError: no space for a DLC's tensors.
    """
    parsed = read_list(input_list)
    lines = parsed.lines[: limit or len(parsed.lines)]
    parsed = replace(parsed, lines=tuple({name: file.absolute() for name, file in line.items()} for line in lines))
    with ExitStack() as stack:
        one, other = (stack.enter_context(_source(model, parsed, soc, native=native)) for model in (first, second))
        return compare_sources(one, other, len(parsed.lines), threshold_db=threshold_db)


@contextmanager
def _source(model: Path, inputs: InputList, soc: Soc, *, native: bool) -> Iterator[Source]:
    if model.suffix != ".dlc":
        yield OnnxSource(model, inputs, native=native)
        return
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


def _executor(call: NetRun) -> Callable[[Sequence[str]], Callable[[str, Sequence[int], int], Array]]:
    def execute(names: Sequence[str]) -> Callable[[str, Sequence[int], int], Array]:
        say(f"  {call.container.name}: {len(names)} tensors of each inference are written to a temporary folder")
        done = net_run(replace(call, set_output_tensors=tuple(names)), lambda _: None)
        return lambda name, shape, index: _read(done.folder / f"Result_{index}" / nested_name(name), shape)

    return execute


def _read(file: Path, shape: Sequence[int]) -> Array:
    values = np.fromfile(file, np.float32)
    if values.size != np.prod(shape):
        raise ExecutionError(
            f"{file.name} holds {values.size} numbers, not {tuple(shape)}.", "Run the comparison again."
        )
    return values
