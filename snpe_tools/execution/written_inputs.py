"""A batch as raw files and an input list, proved by reading one back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snpe_tools.core.errors import TensorError
from snpe_tools.core.raw_files import named, read_inputs, read_list, write_inputs
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.graph.loading import input_specs, load, output_specs
from snpe_tools.graph.session import explained, open_session
from snpe_tools.project.provenance import recorded
from snpe_tools.tasks import Batch


@dataclass(frozen=True)
class WrittenInputs:
    """An input list, the batch in it, and its number of raw bytes."""

    list_file: Path
    batch: Batch
    bytes: int


def write_batch(
    model: Path, batch: Batch, folder: Path, *, for_calibration: bool = False, native: bool = False
) -> WrittenInputs:
    """Write examples that are encoded already; everything else as for `inputs`."""
    proto = load(model)
    specs = input_specs(proto)
    arrays = batch.inputs(slice(None), [spec.name for spec in specs])
    outputs = () if for_calibration else [spec.name for spec in output_specs(proto)]

    def prove(list_file: Path) -> None:
        _prove(model, list_file, batch, specs, native=native)

    sources = {"onnx": model}
    settings = {"windows": len(batch), "native": native, "for_calibration": for_calibration}
    with recorded("inputs", sources, settings, {"folder": folder}):
        list_file = write_inputs(folder, arrays, specs, outputs, native=native, prove=prove)
    return WrittenInputs(list_file, batch, len(batch) * sum(spec.nbytes(native=native) for spec in specs))


def _prove(model: Path, list_file: Path, batch: Batch, specs: Sequence[TensorSpec], *, native: bool) -> None:
    """Read the last line back from disk, run it, and compare with the arrays it was written from."""
    parsed = read_list(list_file)
    row = len(parsed.lines) - 1
    files = named(parsed.lines[row], specs, list_file, row)
    session = open_session(model)
    with explained(model):
        read_back = session.run(None, read_inputs(files, specs, native=native))
        direct = session.run(None, batch.inputs(slice(row, row + 1), [spec.name for spec in specs]))
    if not all(np.array_equal(one, other) for one, other in zip(read_back, direct, strict=True)):
        raise TensorError(f"{list_file}: raw files read back give other logits than the arrays they were written from.")
