"""Any ONNX model → the fixed-shape, simplified ONNX that the other steps take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.graph.mask import DEFAULT_VALUE, fold_mask, replace_mask_constants
from snpe_tools.graph.shapes import fix_shapes
from snpe_tools.project.provenance import recorded


@dataclass(frozen=True)
class Simplified:
    """The written model, its inputs, its nodes before and after, and the mask constants that were replaced."""

    onnx: Path
    inputs: tuple[TensorSpec, ...]
    nodes_before: int
    nodes: int
    mask_constants: tuple[str, ...]


def simplify(
    model: Path, target: Path, shapes: Mapping[str, Sequence[int]], *, mask_value: float = DEFAULT_VALUE
) -> Simplified:
    """Fix the shapes of an ONNX model, simplify it, give it int32 inputs, and replace constants that ruin quantization.

    Args:
        shapes: shape of each dynamic input.
        mask_value: what constants at or below -1e4 become.

    Raises:
        OnnxError: not an ONNX model, or a shape is still dynamic.
    """
    with recorded("simplify", {"onnx": model}, {"shapes": dict(shapes), "mask_value": mask_value}, {"onnx": target}):
        return _simplify(model, target, shapes, mask_value)


def _simplify(model: Path, target: Path, shapes: Mapping[str, Sequence[int]], mask_value: float) -> Simplified:
    original = load(model)
    proto = use_int32_inputs(fix_shapes(original, shapes))
    specs = tuple(input_specs(proto))
    replaced = replace_mask_constants(proto, mask_value)
    fold_mask(proto)
    save(proto, target)
    return Simplified(target, specs, len(original.graph.node), len(proto.graph.node), tuple(map(str, replaced)))
