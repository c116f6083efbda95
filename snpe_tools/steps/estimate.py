"""How long one inference takes on a SoC: estimated, without a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import DlcError, UsageError
from snpe_tools.core.files import require_file, scratch_folder
from snpe_tools.core.precision import Precision
from snpe_tools.core.socs import BY_NAME, Soc
from snpe_tools.dlc.model import Dlc
from snpe_tools.estimation.chips import REFERENCE, measured_as, measured_socs
from snpe_tools.estimation.estimate import Estimates, estimate
from snpe_tools.estimation.latency_model import load_model
from snpe_tools.estimation.work import Work, work_of

_FOLDER_FACTOR = 5
"""Free space wanted for each byte of an ONNX model: its fixed copy, what is converted, and the DLC."""


def estimate_latency(
    model: Path,
    socs: Sequence[Soc] = (),
    precisions: Sequence[Precision] = (),
    *,
    lengths: Sequence[int] = (),
    measured: Mapping[Soc, float] | None = None,
) -> dict[int | None, Estimates]:
    """Estimates of a model, by length of its dynamic dimensions; None is the length that it has.

    Args:
        model: a DLC or an ONNX model, which is converted for this.
        socs: by default those that the DLC was compiled for; without any, or with a measurement, all with figures.
        precisions: to compare; by default the file's own.
        lengths: for an ONNX model with dynamic dimensions.
        measured: milliseconds of this model on some SoC.

    Raises:
        UsageError: a SoC without published figures, or lengths for a model of fixed shape.
        DlcError, OnnxError, ConversionError: the model cannot be read or converted.
    """
    found = {}
    for length in lengths or (None,):
        with open_model(model, length) as dlc:
            wanted = socs or (() if measured else _compiled_for(dlc)) or measured_socs()
            found[length] = estimate(works_of(dlc), load_model(), wanted, precisions or (None,), measured)
    return found


def estimate_open(dlc: Dlc, socs: Sequence[Soc] = ()) -> Estimates:
    """Estimates of an open DLC as it is; by default on the SoCs that it was compiled for, otherwise on the reference.

    Raises:
        UsageError: a SoC without published figures, or nothing to estimate.
        DlcError: there are several graphs, or no shapes.
    """
    wanted = socs or _compiled_for(dlc) or [BY_NAME[REFERENCE]]
    return estimate(works_of(dlc), load_model(), wanted)


def works_of(dlc: Dlc) -> list[Work]:
    """The work of the only graph of a DLC.

    Raises:
        DlcError: there are several graphs, or the file does not state the shapes of its tensors.
    """
    graph = dlc.graph
    shapeless = [name for node in graph.nodes for name in node.outputs
                 if name in graph.tensors and not graph.tensors[name].shape]  # fmt: skip
    if len(shapeless) > len(graph.nodes) / 2:
        raise DlcError(
            f"{dlc.container.path} states no shape for {len(shapeless)} tensors, such as {shapeless[0]!r}: "
            "what its operations ask for cannot be told.",
            "Convert the model again, or estimate from its ONNX file.",
        )
    return work_of(graph)


def _compiled_for(dlc: Dlc) -> list[Soc]:
    names = [BY_NAME[cache.soc] for cache in dlc.caches if cache.soc in BY_NAME]
    return [soc for soc in dict.fromkeys(names) if measured_as(soc)]


@contextmanager
def open_model(model: Path, length: int | None = None) -> Iterator[Dlc]:
    """The DLC at `model`, or one that is made of an ONNX model.

    Raises:
        UsageError: a length for a DLC.
        DlcError, OnnxError, ConversionError: the model cannot be read or converted.
    """
    if model.suffix.lower() != ".onnx":
        if length:
            raise UsageError(f"{model}: the shapes of a DLC are fixed.", "Pass the ONNX model that it was made of.")
        with dlc_format.open(model) as dlc:
            yield dlc
        return
    size = require_file(model, "an ONNX model").stat().st_size
    with scratch_folder(_FOLDER_FACTOR * size) as folder, dlc_format.open(_converted(model, length, folder)) as dlc:
        yield dlc


def _converted(model: Path, length: int | None, folder: Path) -> Path:
    """A DLC of an ONNX model, with nothing but its graph in mind: it is not run."""
    from snpe_tools.graph.loading import load
    from snpe_tools.steps.convert import convert

    ready = folder / "fixed.onnx" if length else model
    if length:
        from snpe_tools.steps.simplify import simplify

        simplify(model, ready, _shapes(load(model), length, model))
    return convert(ready, folder / "model.dlc", check=False).dlc


def _shapes(proto: object, length: int, model: Path) -> dict[str, list[int]]:
    """Shapes of the dynamic inputs: one example, every other dynamic dimension of this length."""
    constants = {tensor.name for tensor in proto.graph.initializer}  # type: ignore[attr-defined]
    shapes = {}
    for value in proto.graph.input:  # type: ignore[attr-defined]
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if value.name not in constants and 0 in sizes:
            shapes[value.name] = [size or (length if place else 1) for place, size in enumerate(sizes)]
    if not any(len(shape) > 1 for shape in shapes.values()):
        raise UsageError(
            f"{model}: its inputs have fixed shapes, so there is nothing to give the length {length}.",
            "Pass an ONNX model with dynamic shapes, such as the .dynamic.onnx that `export` writes.",
        )
    return shapes
