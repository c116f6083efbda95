"""The calibration list of a quantized model, which its provenance names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import InputError
from snpe_tools.core.raw_files import LIST_NAME, InputList, check_list, read_list
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import load
from snpe_tools.graph.quantized_io import real_inputs


@dataclass(frozen=True)
class CalibrationList:
    """An input list, and whether its raw files hold the model's own types instead of float32."""

    inputs: InputList
    native: bool = False


def calibration_list(model: Path) -> CalibrationList | None:
    """The list that `quantize` or `build` calibrated a model on; None where that is not known, gone, or another's."""
    try:
        known = json.loads(model.with_name(f"{model.name}.provenance.json").read_bytes())
        inputs, native = known["inputs"], bool(known["notes"].get("native"))
        path = Path(inputs["list"]["path"]) if "list" in inputs else Path(inputs["raws"]["path"]) / LIST_NAME
        given = CalibrationList(read_list(path), native)
        check_list(given.inputs, real_inputs(use_int32_inputs(load(model))), native=native)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
        return None
    return given
