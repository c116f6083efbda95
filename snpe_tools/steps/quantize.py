"""ONNX + input list → QDQ ONNX + encodings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import check_target
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import read_list
from snpe_tools.graph.finite import require_finite_weights
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.lint import findings
from snpe_tools.graph.loading import load
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.rewrites import prepare_for_htp
from snpe_tools.graph.session import explained
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.project.provenance import recorded
from snpe_tools.quantization.calibration import (
    Calibration,
    calibrator,
    checked_plan,
    lint_constants,
    simulate,
    warn_of_other_weights,
)
from snpe_tools.quantization.forms import settle_forms
from snpe_tools.quantization.mixing import prepared
from snpe_tools.quantization.names import make_room
from snpe_tools.quantization.proof import prove
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.quantization.writing import Quantized, write_quantized

if TYPE_CHECKING:
    import onnx


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
    check_target(target, model, input_list)
    sources = {"onnx": model, "list": input_list}
    settings = {**asdict(options), "precision": str(options.precision)}
    with recorded("quantize", sources, settings, {"qdq": target}) as notes, explained(model):
        proto, rewritten = _prepared(model)
        for change in rewritten:
            say(f"  {change}")
        for finding in findings(proto, str(options.precision)):
            say(f"  warning: {finding}")
        unshare_vectors(proto)
        lint_constants(proto)
        warn_of_other_weights(proto, plan)
        if plan.changes_graph:
            proto, ranges = prepared(proto, plan), None
        aliases = make_room(proto)
        calibration = Calibration(proto, read_list(input_list), native=native, aliases=aliases)
        ranges = None if aliases else ranges
        simulator, settled = simulate(proto, options, calibrator(options, calibration, ranges))
        changed = settled if options.precision.takes_plan or rewritten else None
        first = next(iter(calibration.windows()))
        made = write_quantized(
            simulator, target, len(calibration), changed, aliases=aliases, prove=lambda qdq: prove(qdq, settled, first)
        )
        notes.update(windows=made.windows, activation_encodings=made.activations, wide=made.wide, native=native)
        notes["sqnr_db"] = made.sqnr_db
    return made


def _prepared(model: Path) -> tuple[onnx.ModelProto, list[str]]:
    """The float graph as it is quantized, and what was changed in it, in words."""
    proto = use_int32_inputs(load(model))
    require_finite_weights(proto, model)  # by the names that the user knows
    proto, rewritten = prepare_for_htp(proto)
    return proto, [*map(str, rewritten), *settle_forms(proto)]


def observe(model: Path, input_list: Path, *, native: bool = False) -> Ranges:
    """The range of every float tensor over the list's inferences.

    Raises:
        OnnxError, TensorError: the model or the list cannot be used, or a tensor is NaN or infinite.
    """
    proto, _ = _prepared(model)
    with explained(model):
        found = Calibration(proto, read_list(input_list), native=native).observe()
    lint_constants(proto)
    return found
