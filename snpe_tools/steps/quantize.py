"""ONNX + input list → QDQ ONNX + encodings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.core.errors import TensorError, UsageError
from snpe_tools.core.files import whole_files
from snpe_tools.core.precision import NARROW_BITS
from snpe_tools.core.progress import progress, say
from snpe_tools.core.raw_files import InputList, check_list, named, read_inputs, read_list
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.fingerprint import weights_fingerprint
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import constant_tensors, input_specs, load, save
from snpe_tools.graph.mask import find_mask_constants
from snpe_tools.graph.ranges import Ranges, collect_ranges
from snpe_tools.graph.ranges_file import warn_outside_fp16
from snpe_tools.graph.session import explained
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.project.provenance import recorded
from snpe_tools.quantization.mixing import lay_out, prepared, wide_tensors
from snpe_tools.quantization.norm_offsets import settle_norm_offsets
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.score_floor import score_floors
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator

if TYPE_CHECKING:
    import onnx

FLOOR_WINDOWS = 16

Calibrate = Callable[[Simulator, "onnx.ModelProto"], None]
"""Calibrates a simulator of a model."""


@dataclass(frozen=True)
class Quantized:
    """What quantization wrote.

    Attributes:
        qdq: the ONNX model with QuantizeLinear and DequantizeLinear nodes.
        encodings: the encodings, AIMET format 1.0.0.
        legacy_encodings: the same in format 0.6.1, the one that every SDK reads.
        windows: calibration windows seen.
        activations: activation tensors that got an encoding.
        wide: how many of these have 16 bits, of a mixed precision.
    """

    qdq: Path
    encodings: Path
    legacy_encodings: Path
    windows: int
    activations: int
    wide: int = 0


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
        UsageError: fp16, which needs no quantization; a plan without a mixed precision, or the reverse.
        RecipeError: the plan names operations that the model does not have.
        OnnxError, TensorError: the model or the list cannot be used.
        StorageError: no space.
    """
    if options.precision.is_float:
        raise UsageError("fp16 needs no quantization.", "Convert the float ONNX model directly.")
    plan = checked_plan(options)
    proto = use_int32_inputs(load(model))
    unshare_vectors(proto)
    _lint_constants(proto)
    warn_of_other_weights(proto, plan)
    if plan.changes_graph:
        proto, ranges = prepared(proto, plan), None
    calibration = Calibration(proto, read_list(input_list), native=native)
    sources = {"onnx": model, "list": input_list}
    settings = {**asdict(options), "precision": str(options.precision)}
    with recorded("quantize", sources, settings, {"qdq": target}) as notes, explained(model):
        simulator, settled = simulate(proto, options, _calibrator(options, calibration, ranges))
        changed = settled if options.precision.takes_plan else None
        made = write_quantized(simulator, target, len(calibration), changed)
        notes.update(windows=made.windows, activation_encodings=made.activations, wide=made.wide)
    return made


def checked_plan(options: QuantizationOptions) -> Plan:
    """The plan, an empty one where there is none.

    Raises:
        UsageError: it does not fit the precision or the method, or a mixed precision has none.
    """
    plan, precision = options.plan or Plan(), options.precision
    if precision.mixed and not options.plan:
        raise UsageError(f"{precision} needs a plan.", "Pass --plan FILE.")
    if options.plan and not precision.takes_plan:
        raise UsageError(f"{precision} takes no plan.", "Pass --plan with --precision w8a8 or w8a8-mixed.")
    if plan.wide and not precision.mixed:
        raise UsageError(
            f"The plan has operations in 16 bits; {precision} has none.", "Pass it with --precision w8a8-mixed."
        )
    if options.method != "min-max" and (plan.clip or plan.score_floor):
        raise UsageError(
            f"The plan sets ranges of its own, which the method {options.method!r} would not keep.",
            "Use METHOD=min-max (--method), or take clip and score_floor out of the plan.",
        )
    return plan


def simulate(
    model: onnx.ModelProto, options: QuantizationOptions, calibrate: Calibrate
) -> tuple[Simulator, onnx.ModelProto]:
    """A calibrated simulator, and the float graph that it quantizes: the model, with offsets as the HTP adds them.

    Where none is changed, the graph is the model itself; else both are calibrated.
    """
    simulator = Simulator(model, options)
    calibrate(simulator, model)
    settled = type(model)()
    settled.CopyFrom(model)
    if not settle_norm_offsets(settled, simulator.steps(NARROW_BITS)):
        return simulator, model
    simulator = Simulator(settled, options)
    calibrate(simulator, settled)
    return simulator, settled


def _calibrator(options: QuantizationOptions, calibration: Calibration, ranges: Ranges | None) -> Calibrate:
    """How to calibrate by the options' method; for min-max all is observed once, however many are calibrated."""
    plan = options.plan or Plan()
    if options.method != "min-max":
        return partial(_calibrate_on, calibration, plan)

    @cache
    def observed() -> tuple[Ranges, Mapping[str, float]]:
        found = ranges or calibration.observe()
        if ranges is None:
            warn_outside_fp16(found)
        return found, calibration.score_floors() if plan.score_floor else {}

    def calibrate(simulator: Simulator, model: onnx.ModelProto) -> None:
        lay_out(simulator.operations, plan, *observed()).apply(simulator, constants(model))

    return calibrate


def _calibrate_on(calibration: Calibration, plan: Plan, simulator: Simulator, _: onnx.ModelProto) -> None:
    """By AIMET's own pass."""
    simulator.widen(wide_tensors(simulator.operations, plan))
    with progress(f"calibrating ({simulator.options.method})", len(calibration)) as advance:
        simulator.calibrate(calibration.windows(), advance)


def observe(model: Path, input_list: Path, *, native: bool = False) -> Ranges:
    """The range of every float tensor over the list's inferences.

    Raises:
        OnnxError, TensorError: the model or the list cannot be used, or a tensor is NaN or infinite.
    """
    proto = use_int32_inputs(load(model))
    with explained(model):
        found = Calibration(proto, read_list(input_list), native=native).observe()
    _lint_constants(proto)
    return found


def _lint_constants(model: onnx.ModelProto) -> None:
    for constant in find_mask_constants(model):
        say(f"  warning: {constant}: such a constant ruins 8- and 16-bit ranges; `snpe-tools export` replaces it.")


def warn_of_other_weights(model: onnx.ModelProto, plan: Plan) -> None:
    """Say so where a plan's ranges were found for other weights than the model's."""
    if plan.clip and plan.weights and plan.weights != weights_fingerprint(model):
        say("  warning: the plan's ranges were found for other weights; `snpe-tools tune` finds those of these.")


class Calibration:
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

    def score_floors(self) -> dict[str, float]:
        """Where the ranges of attention scores may end, from the first inferences."""
        count = min(len(self), FLOOR_WINDOWS)
        with progress("observing attention scores", count) as advance:
            return score_floors(self._model, islice(self.windows(), count), advance)


def _require_finite(array: Array, file: Path) -> None:
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise TensorError(f"{file}: {bad} numbers are NaN or infinite.", "Nothing can be calibrated on such inputs.")


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Float constants of the graph by tensor name."""
    from onnx import numpy_helper

    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in constant_tensors(model)}
    return {name: array for name, array in arrays.items() if array.dtype == np.float32}


def write_quantized(
    simulator: Simulator, target: Path, windows: int, changed: onnx.ModelProto | None = None
) -> Quantized:
    """Write the QDQ model and both encodings files of a calibrated simulator, together.

    Args:
        changed: the float graph that a plan or training made, to be written with them.
    """
    current, legacy = encoding_paths(target)
    others = [float_path(target)] if changed else []
    with whole_files(target, current, legacy, *others) as (new_model, new_current, new_legacy, *new_float):
        for file in new_float:
            save(changed, file)
        new_current.write_text(_json(simulator.encodings("1.0.0")), encoding="utf-8")
        new_legacy.write_text(_json(simulator.encodings("0.6.1")), encoding="utf-8")
        save(simulator.qdq_model(), new_model)
    wide = sum(simulator.sim.qc_quantize_op_dict[name].bitwidth > NARROW_BITS for name in simulator.activations)
    return Quantized(target, current, legacy, windows, len(simulator.activations), wide)


def float_path(target: Path) -> Path:
    """Where the float graph stands that a plan or training made, beside the QDQ model: encodings for it fit no other.

    Never the name of the exported model, which often stands there, too.
    """
    return target.with_name(f"{target.name.removesuffix('.onnx').removesuffix('.qdq')}.float.onnx")


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
