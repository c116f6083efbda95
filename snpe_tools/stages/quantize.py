"""ONNX + input list → QDQ ONNX + encodings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.errors import TensorError, UsageError
from snpe_tools.files import whole_files
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import constant_tensors, input_specs, load, save
from snpe_tools.graph.mask import find_mask_constants
from snpe_tools.graph.ranges import Ranges, collect_ranges
from snpe_tools.graph.ranges_file import warn_outside_fp16
from snpe_tools.graph.session import explained
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.progress import progress, say
from snpe_tools.provenance import recorded
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator
from snpe_tools.spec import Array
from snpe_tools.tensors import InputList, check_list, named, read_inputs, read_list

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Quantized:
    """What quantization wrote.

    Attributes:
        qdq: the ONNX model with QuantizeLinear and DequantizeLinear nodes.
        encodings: the encodings, AIMET format 1.0.0.
        legacy_encodings: the same in format 0.6.1, the one that every SDK reads.
        windows: calibration windows seen.
        activations: activation tensors that got an encoding.
    """

    qdq: Path
    encodings: Path
    legacy_encodings: Path
    windows: int
    activations: int


def quantize(
    model: Path,
    input_list: Path,
    target: Path,
    options: QuantizationOptions,
    *,
    native: bool = False,
    ranges: Ranges | None = None,
) -> Quantized:
    """Quantize a fixed-shape float ONNX model.

    Args:
        model: the float model.
        input_list: calibration inputs.
        target: the QDQ ONNX file to write; the encodings go beside it.
        options: precision, calibration method, weight granularity.
        native: the raw files hold the model's own types instead of float32.
        ranges: of an earlier `observe`, for the min-max method; observed here when missing.

    Raises:
        UsageError: fp16, which needs no quantization.
        OnnxError, TensorError: the model or the list cannot be used.
        StorageError: no space.
    """
    if options.precision.is_float:
        raise UsageError("fp16 needs no quantization.", "Convert the float ONNX model directly.")
    proto = use_int32_inputs(load(model))
    unshare_vectors(proto)
    _lint_constants(proto)
    calibration = _Calibration(proto, read_list(input_list), native=native)
    sources = {"onnx": model, "list": input_list}
    settings = {**asdict(options), "precision": str(options.precision)}
    with recorded("quantize", sources, settings, {"qdq": target}) as notes, explained(model):
        simulator = Simulator(proto, options)
        _calibrate(simulator, proto, calibration, ranges)
        made = write_quantized(simulator, target, len(calibration))
        notes.update(windows=made.windows, activation_encodings=made.activations)
    return made


def _calibrate(simulator: Simulator, model: onnx.ModelProto, calibration: _Calibration, ranges: Ranges | None) -> None:
    method = simulator.options.method
    if method == "min-max":
        observed = ranges or calibration.observe()
        if ranges is None:
            warn_outside_fp16(observed)
        simulator.calibrate_from_ranges(observed, constants(model))
        return
    with progress(f"calibrating ({method})", len(calibration)) as advance:
        simulator.calibrate(calibration.windows(), advance)


def observe(model: Path, input_list: Path, *, native: bool = False) -> Ranges:
    """The range of every float tensor over the list's inferences.

    Raises:
        OnnxError, TensorError: the model or the list cannot be used, or a tensor is NaN or infinite.
    """
    proto = use_int32_inputs(load(model))
    with explained(model):
        found = _Calibration(proto, read_list(input_list), native=native).observe()
    _lint_constants(proto)
    return found


def _lint_constants(model: onnx.ModelProto) -> None:
    for constant in find_mask_constants(model):
        say(f"  warning: {constant}: such a constant ruins 8- and 16-bit ranges; `snpe-tools export` replaces it.")


class _Calibration:
    """The inferences of an input list, read one at a time."""

    def __init__(self, model: onnx.ModelProto, inputs: InputList, *, native: bool) -> None:
        self._model, self._inputs, self._native = model, inputs, native
        self._specs = input_specs(model)
        check_list(inputs, self._specs, native=native)

    def __len__(self) -> int:
        return len(self._inputs.lines)

    def windows(self) -> Iterator[Mapping[str, Array]]:
        """Inputs by name, in the model's own types."""
        for index, line in enumerate(self._inputs.lines):
            files = named(line, self._specs, self._inputs.path, index)
            arrays = read_inputs(files, self._specs, native=self._native)
            for name, array in arrays.items():
                _require_finite(array, files[name])
            yield arrays

    def observe(self) -> Ranges:
        """Ranges over all inferences."""
        with progress("observing ranges", len(self)) as advance:
            return collect_ranges(self._model, self.windows(), advance)


def _require_finite(array: Array, file: Path) -> None:
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise TensorError(f"{file}: {bad} numbers are NaN or infinite.", "Nothing can be calibrated on such inputs.")


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Float constants of the graph by tensor name."""
    from onnx import numpy_helper

    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in constant_tensors(model)}
    return {name: array for name, array in arrays.items() if array.dtype == np.float32}


def write_quantized(simulator: Simulator, target: Path, windows: int) -> Quantized:
    """Write the QDQ model and both encodings files of a calibrated simulator, together."""
    current, legacy = encoding_paths(target)
    with whole_files(target, current, legacy) as (new_model, new_current, new_legacy):
        new_current.write_text(_json(simulator.encodings("1.0.0")), encoding="utf-8")
        new_legacy.write_text(_json(simulator.encodings("0.6.1")), encoding="utf-8")
        save(simulator.qdq_model(), new_model)
    return Quantized(target, current, legacy, windows, len(simulator.activations))


def encoding_paths(target: Path) -> tuple[Path, Path]:
    """The encodings files of a QDQ model: formats 1.0.0 and 0.6.1."""
    stem = target.name.removesuffix(".onnx").removesuffix(".qdq")
    return target.with_name(f"{stem}.encodings"), target.with_name(f"{stem}.legacy.encodings")


def _json(content: Mapping[str, Any]) -> str:
    """One encoding per line: readable, and twenty times as fast to write as an indented document."""
    parts = [f'"{key}": {_lines(value)}' for key, value in content.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, list) and value:
        return "[\n " + ",\n ".join(json.dumps(item) for item in value) + "\n]"
    if isinstance(value, dict) and value:
        return "{\n " + ",\n ".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}"
    return json.dumps(value)
