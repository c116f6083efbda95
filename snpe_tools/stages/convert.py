"""ONNX → DLC."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.dlc.rename import graph_identifier
from snpe_tools.errors import ConversionError
from snpe_tools.files import scratch_folder, whole_file
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import input_specs, load, output_specs, save
from snpe_tools.provenance import recorded
from snpe_tools.socs import DEFAULT, Soc
from snpe_tools.toolchains import pypi

_FOLDER_FACTOR = 3
"""Free space wanted for each byte of the model: a copy of it, and its DLC."""


@dataclass(frozen=True)
class Converted:
    """A written DLC: its graph's name, and how many operations of each type it holds."""

    dlc: Path
    graph: str
    operations: dict[str, int]

    @property
    def float_steps(self) -> int:
        """Quantize and Dequantize operations: each is a border between integers and float."""
        return self.operations.get("Quantize", 0) + self.operations.get("Dequantize", 0)


def convert(model: Path, target: Path, *, name: str = "", soc: Soc = DEFAULT) -> Converted:
    """Convert a fixed-shape ONNX model, float or QDQ, to a DLC.

    A float model becomes a float DLC, which the HTP computes in fp16.

    Args:
        model: the ONNX file.
        target: the DLC to write.
        name: name of the graph inside, from the file's name by default.
        soc: the SoC whose HTP decides which operations are supported.

    Raises:
        ConversionError: operations are refused, or the DLC does not have the model's inputs and outputs.
        OnnxError: not a fixed-shape ONNX model.
        StorageError: no space.
    """
    proto = use_int32_inputs(load(model))
    inputs, outputs = input_specs(proto), output_specs(proto)
    graph = graph_identifier(name or target.name.split(".")[0])
    with (
        recorded("convert", {"onnx": model}, {"graph": graph, "soc": soc.name}, {"dlc": target}) as notes,
        scratch_folder(_FOLDER_FACTOR * model.stat().st_size) as folder,
        whole_file(target) as temporary,
    ):
        ready = folder / model.name
        save(proto, ready)
        made = pypi.convert(ready, folder, graph, soc, model)
        converted = _check(made, {spec.name for spec in inputs}, {spec.name for spec in outputs})
        shutil.copyfile(made, temporary)
        notes["operations"] = converted[1]
    return Converted(target, *converted)


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
