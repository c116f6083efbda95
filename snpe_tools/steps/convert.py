"""ONNX → DLC."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import ConversionError
from snpe_tools.core.files import require_file, scratch_folder, whole_file
from snpe_tools.core.progress import say
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.dlc.edit.rename import graph_identifier
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import input_specs, load, output_specs, save
from snpe_tools.graph.rewrites import repair_for_conversion
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.project.provenance import recorded
from snpe_tools.toolchains import Conversion, Quantization, Toolchain
from snpe_tools.toolchains.pypi import PyPI

_FOLDER_FACTOR = 3
"""Free space wanted for each byte of the model: a copy of it, and its DLC."""


@dataclass(frozen=True)
class Converted:
    """A written DLC: its graph's name, how many operations of each type it holds, and how the toolchain made it."""

    dlc: Path
    graph: str
    operations: dict[str, int]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def float_steps(self) -> int:
        """Quantize and Dequantize operations: each is a border between integers and float."""
        return self.operations.get("Quantize", 0) + self.operations.get("Dequantize", 0)


def convert(
    model: Path,
    target: Path,
    *,
    name: str = "",
    soc: Soc = DEFAULT,
    toolchain: Toolchain | None = None,
    quantization: Quantization | None = None,
) -> Converted:
    """Convert a fixed-shape ONNX model, float or QDQ, to a DLC.

    A float model becomes a float DLC, which the HTP computes in fp16.

    Args:
        model: the ONNX file.
        target: the DLC to write.
        name: name of the graph inside, from the file's name by default.
        soc: the SoC whose HTP decides which operations are supported.
        toolchain: who converts; ONNX Runtime QNN by default, which reads QDQ models.
        quantization: for the SDK, which quantizes a float model itself.

    Raises:
        ConversionError: operations are refused, or the DLC does not have the model's inputs and outputs.
        OnnxError: not a fixed-shape ONNX model.
        StorageError: no space.
    """
    size, maker = require_file(model, "an ONNX model").stat().st_size, toolchain or PyPI()
    graph = graph_identifier(name or target.name.split(".")[0])
    settings = {"graph": graph, "soc": soc.name, "toolchain": maker.label}
    with (
        recorded("convert", {"onnx": model}, settings, {"dlc": target}) as notes,
        scratch_folder(_FOLDER_FACTOR * size) as folder,
    ):
        job = conversion(model, folder, target, graph, soc, quantization)
        made = maker.convert(job, folder)
        converted = _check(made.dlc, {spec.name for spec in job.inputs}, {spec.name for spec in job.outputs})
        with whole_file(target) as temporary:
            shutil.copyfile(made.dlc, temporary)
        notes.update(operations=converted[1], **made.notes)
    return Converted(target, *converted, made.notes)


def conversion(
    model: Path, folder: Path, target: Path, graph: str, soc: Soc, quantization: Quantization | None
) -> Conversion:
    """What a toolchain is asked to convert: a copy of the model in `folder`, as its encodings name its tensors.

    Raises:
        OnnxError: not a fixed-shape ONNX model.
    """
    proto = use_int32_inputs(load(model))
    if quantization:
        unshare_vectors(proto)
    else:
        proto, changes = repair_for_conversion(proto)
        for change in changes:
            say(f"  {change}")
    ready = folder / f"{graph}.onnx"
    job = Conversion(ready, model, graph, input_specs(proto), output_specs(proto), soc, target, quantization)
    save(proto, ready)
    return job


def _check(path: Path, inputs: set[str], outputs: set[str]) -> tuple[str, dict[str, int]]:
    """The DLC's graph name and operations, once its inputs and outputs are known to be the model's."""
    with dlc_format.open(path) as dlc:
        found_inputs = {tensor.name for tensor in dlc.graph.inputs}
        found_outputs = {tensor.name for tensor in dlc.graph.outputs}
        if (found_inputs, found_outputs) != (inputs, outputs):
            raise ConversionError(
                f"The DLC has inputs {sorted(found_inputs)} and outputs {sorted(found_outputs)}, not the model's."
            )
        return dlc.graph.name, dict(dlc.graph.op_types().most_common())
