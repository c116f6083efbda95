"""ONNX → DLC."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import ConversionError
from snpe_tools.core.files import check_target, require_file, scratch_folder, whole_file
from snpe_tools.core.progress import say, warn
from snpe_tools.core.raw_files import read_list
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.dlc.edit.rename import graph_identifier
from snpe_tools.graph.finite import require_finite_weights, warn_beyond_fp16
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.lint import require_right
from snpe_tools.graph.loading import input_specs, load, output_specs, save
from snpe_tools.graph.rewrites import is_quantized, prepare_for_htp, repair_for_conversion
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.project.provenance import recorded
from snpe_tools.quantization.forms import settle_forms
from snpe_tools.self_check.check import Checked, Subject
from snpe_tools.self_check.check import check as check_inference
from snpe_tools.self_check.fault import find_fault
from snpe_tools.self_check.listed import CalibrationList, calibration_list
from snpe_tools.toolchains import Conversion, Quantization, Toolchain
from snpe_tools.toolchains.pypi import PyPI

if TYPE_CHECKING:
    import onnx

_FOLDER_FACTOR = 3
"""Free space wanted for each byte of the model: a copy of it, and its DLC."""


@dataclass(frozen=True)
class Converted:
    """A written DLC: its graph's name, how many operations of each type it holds, and how the toolchain made it.

    `check` says how far it is from its model; None where that was not asked for.
    """

    dlc: Path
    graph: str
    operations: dict[str, int]
    notes: dict[str, Any] = field(default_factory=dict)
    check: Checked | None = None

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
    inputs: Path | None = None,
    check: bool = True,
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
        inputs: list whose first inference the DLC is checked on; by default the one that the model was calibrated on,
            else seeded random numbers.
        check: run one inference on the emulator beside the ONNX model, and refuse a DLC that is far off.

    Raises:
        DivergenceError: the DLC computes something else than the model.
        ConversionError: operations are refused, or the DLC does not have the model's inputs and outputs.
        OnnxError: not a fixed-shape ONNX model.
        StorageError: no space.
    """
    check_target(target, model)
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
        checked = _proved(job, made.dlc, inputs) if check else None
        with whole_file(target) as temporary:
            shutil.copyfile(made.dlc, temporary)
        made.notes["check"] = checked.notes() if checked else {"result": "NOT checked: left out (--no-check, CHECK=0)"}
        notes.update(operations=converted[1], **made.notes)
    return Converted(target, *converted, made.notes, checked)


def _proved(job: Conversion, dlc: Path, inputs: Path | None) -> Checked:
    """How far the DLC is from the model it was made of.

    Raises:
        DivergenceError: too far.
    """
    quantization, given = (
        job.quantization,
        CalibrationList(read_list(inputs)) if inputs else calibration_list(job.source),
    )
    if quantization and not inputs:
        given = CalibrationList(read_list(quantization.input_list))
    bits = quantization.options.precision.activations if quantization else 0
    subject = Subject(use_int32_inputs(load(job.source)), job.source, dlc, job.soc, bits)
    checked = check_inference(subject, given, lambda feed: find_fault(job.onnx, dlc, job.soc, feed))
    for words in checked.warnings:
        warn(f"{words}; `snpe-tools compare --layers` shows where it comes from.")
    return checked


def conversion(
    model: Path, folder: Path, target: Path, graph: str, soc: Soc, quantization: Quantization | None
) -> Conversion:
    """What a toolchain is asked to convert: a copy of the model in `folder`, as its encodings name its tensors.

    Raises:
        OnnxError: not a fixed-shape ONNX model.
    """
    proto = use_int32_inputs(load(model))
    require_finite_weights(proto, model)
    if quantization:
        if quantization.encodings:  # they name the tensors of the graph that was quantized
            proto, _ = prepare_for_htp(proto)
            settle_forms(proto)
        unshare_vectors(proto)
    else:
        proto, changes = repair_for_conversion(proto)
        for change in changes:
            say(f"  {change}")
        require_right(proto, model)
    if not quantization and not is_quantized(proto):
        warn_beyond_fp16(proto)
    _drop_unread_inputs(proto)
    ready = folder / f"{graph}.onnx"
    job = Conversion(ready, model, graph, input_specs(proto), output_specs(proto), soc, target, quantization)
    save(proto, ready)
    return job


def _drop_unread_inputs(model: onnx.ModelProto) -> None:
    """Take inputs that no node reads out of the graph: the converter leaves them out."""
    read = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    for value in [value for value in model.graph.input if value.name not in read]:
        say(f"  input {value.name!r} is read by nothing: the DLC does not have it.")
        model.graph.input.remove(value)


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
