"""Any ONNX model → the fixed-shape, simplified ONNX that the other steps take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import OnnxError
from snpe_tools.core.files import check_target
from snpe_tools.core.progress import say
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.graph.equality import SAME_DB, agreement
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.lint import findings
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.graph.mask import DEFAULT_VALUE, fold_mask, replace_mask_constants
from snpe_tools.graph.rewrites import Change, is_quantized, prepare_for_htp
from snpe_tools.graph.shapes import fix_shapes, fix_values
from snpe_tools.project.provenance import recorded

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Simplified:
    """The written model.

    Attributes:
        onnx: the file.
        inputs: of the model.
        nodes_before, nodes: before and after.
        mask_constants: the mask constants that were replaced.
        changes: the rewrites that were applied.
        agreement_db: how close its outputs are to the original's on random inputs, in dB; None where they are equal.
    """

    onnx: Path
    inputs: tuple[TensorSpec, ...]
    nodes_before: int
    nodes: int
    mask_constants: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    agreement_db: float | None = None


def simplify(
    model: Path,
    target: Path,
    shapes: Mapping[str, Sequence[int]],
    *,
    mask_value: float = DEFAULT_VALUE,
    values: Mapping[str, Sequence[float]] | None = None,
) -> Simplified:
    """Fix the shapes of an ONNX model, simplify it, give it int32 inputs, and rewrite what the HTP computes wrong.

    Constants at or below -1e4 become `mask_value` where they mask what a Softmax reads. The outputs of the result are
    compared with the original's.

    Args:
        shapes: shape of each dynamic input.
        values: inputs that become constants; an If that depends on them is decided.

    Raises:
        OnnxError: not an ONNX model, a shape is still dynamic, or the result computes something else.
    """
    settings = {"shapes": dict(shapes), "mask_value": mask_value, "values": dict(values or {})}
    check_target(target, model)
    with recorded("simplify", {"onnx": model}, settings, {"onnx": target}):
        return _simplify(load(model), target, shapes, mask_value, values or {})


def _simplify(
    original: onnx.ModelProto,
    target: Path,
    shapes: Mapping[str, Sequence[int]],
    mask_value: float,
    values: Mapping[str, Sequence[float]],
) -> Simplified:
    proto = use_int32_inputs(fix_shapes(fix_values(original, values), shapes))
    specs = tuple(input_specs(proto))
    quantized = is_quantized(proto)
    replaced = [] if quantized else replace_mask_constants(proto, mask_value)
    fold_mask(proto)
    proto, changes = prepare_for_htp(proto)
    close = _require_same(original, proto, values)
    for finding in findings(proto):
        say(f"  warning: {finding}")
    save(proto, target)
    counts = len(original.graph.node), len(proto.graph.node)
    return Simplified(target, specs, *counts, tuple(map(str, replaced)), changes, close)


def _require_same(
    original: onnx.ModelProto, result: onnx.ModelProto, values: Mapping[str, Sequence[float]]
) -> float | None:
    found = agreement(original, result, values)
    if not found >= SAME_DB:
        raise OnnxError(
            f"The simplified model would not compute what the original does: {found:.1f} dB apart on random inputs.",
            "Nothing was written. This is a defect of snpe-tools or of onnxsim; convert the original instead.",
        )
    return None if math.isinf(found) else found
