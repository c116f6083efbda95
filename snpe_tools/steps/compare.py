"""Two models on the same inputs: how far their outputs are apart. Any of them may be ONNX or DLC."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import progress
from snpe_tools.core.raw_files import check_list, named, read_inputs, read_list
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.core.tensor_spec import Array
from snpe_tools.execution.emulator import read_results, run
from snpe_tools.execution.on_device import run_on_device
from snpe_tools.execution.targets import HERE, Place, Places, check_places, kept_log
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import load
from snpe_tools.graph.quantized_io import real_inputs, real_outputs
from snpe_tools.graph.session import explained, plain_session

Outputs = Mapping[str, Array]


@dataclass(frozen=True)
class OutputDifference:
    """How far one output of B is from A's, over all inferences.

    Attributes:
        cosine: of the two as flat vectors; NaN when one is all zero.
        sqnr_db: energy of A over the energy of the difference, in dB; None where both are equal.
        largest, mean: absolute error.
        equal: share of equal numbers, percent.
        not_finite: NaN and infinite numbers of A and B; they are left out of the other figures.
    """

    output: str
    cosine: float
    sqnr_db: float | None
    largest: float
    mean: float
    equal: float
    not_finite: tuple[int, int]


def compare(
    first: Path,
    second: Path,
    input_list: Path,
    *,
    soc: Soc = DEFAULT,
    native: bool = False,
    places: Places = HERE,
) -> list[OutputDifference]:
    """Run two models on an input list and compare each output they share.

    Args:
        first, second: ONNX (run on ONNX Runtime, graph optimizations off) or DLC (run on the emulator or a device).
        soc: the SoC to emulate here.
        places: devices that run DLC files instead of the emulator.

    Raises:
        UsageError: they share no output, or a device has nothing to run.
    """
    models = first, second
    check_places(models, places)
    one, other = (
        _outputs(path, input_list, soc, place, native=native) for path, place in zip(models, places, strict=True)
    )
    shared = [name for name in one if name in other]
    if not shared:
        raise UsageError(
            f"{first.name} writes {sorted(one)}, {second.name} writes {sorted(other)}: no output in common."
        )
    return [difference(name, one[name], other[name]) for name in shared]


def _outputs(model: Path, input_list: Path, soc: Soc, place: Place | None, *, native: bool) -> Outputs:
    return (
        _run_dlc(model, input_list, soc, place, native=native)
        if model.suffix == ".dlc"
        else onnx_outputs(model, input_list, native=native)
    )


def _run_dlc(model: Path, input_list: Path, soc: Soc, place: Place | None, *, native: bool) -> Outputs:
    with dlc_format.open(model) as dlc:
        shapes = {tensor.name: tensor.shape for tensor in dlc.graph.outputs}
    with tempfile.TemporaryDirectory() as scratch:
        folder, names = Path(scratch) / "results", tuple(shapes)
        if place:
            count = _run_there(place, model, input_list, folder, names, native=native)
        else:
            count = run(model, input_list, folder, soc=soc, outputs=names, native_inputs=native).inferences
        return {name: read_results(folder, name, shape, count) for name, shape in shapes.items()}


def _run_there(
    place: Place, model: Path, input_list: Path, folder: Path, outputs: Sequence[str], *, native: bool
) -> int:
    """Gives how many inferences were run."""
    with kept_log() as log:
        done = run_on_device(
            place.address, model, input_list, folder, outputs=outputs, native=native, options=place.options, log=log
        )
        return done.inferences


def onnx_outputs(model: Path, input_list: Path, *, native: bool) -> Outputs:
    """Outputs of an ONNX model for every line of a list, on ONNX Runtime's CPU without graph optimizations.

    Raises:
        OnnxError: not a usable fixed-shape ONNX model.
        TensorError: the list does not fit it.
    """
    proto, lines = use_int32_inputs(load(model)), read_list(input_list)
    specs, outputs = real_inputs(proto), real_outputs(proto)
    names = [spec.name for spec in outputs]
    check_list(lines, specs, native=native)
    rows = []
    with explained(model), progress(model.name, len(lines.lines)) as advance:
        session = plain_session(proto)
        for index, line in enumerate(lines.lines):
            rows.append(session.run(names, read_inputs(named(line, specs, lines.path, index), specs, native=native)))
            advance()
    columns = zip(*rows, strict=True)
    return {spec.name: spec.to_real(np.stack(column)) for spec, column in zip(outputs, columns, strict=True)}


def difference(name: str, wanted: Array, got: Array) -> OutputDifference:
    """Compare two arrays; numbers that are not finite are counted and left out.

    Raises:
        UsageError: they do not have the same number of elements.
    """
    if wanted.size != got.size:
        raise UsageError(f"Output {name!r} has the shapes {wanted.shape} and {got.shape}: they cannot be compared.")
    a, b = wanted.ravel().astype(np.float64), got.ravel().astype(np.float64)
    bad = int((~np.isfinite(a)).sum()), int((~np.isfinite(b)).sum())
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if not a.size:
        return OutputDifference(name, float("nan"), float("nan"), float("nan"), float("nan"), 0.0, bad)
    error = np.abs(a - b)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return OutputDifference(
        output=name,
        cosine=float(a @ b) / lengths if lengths else float("nan"),
        sqnr_db=sqnr_db(a, b),
        largest=float(error.max()),
        mean=float(error.mean()),
        equal=100 * float(np.mean(a == b)),
        not_finite=bad,
    )
