"""Exact rewrites of ONNX graphs, for what the HTP, its converter or the quantizer get wrong or refuse.

Two entry points: `prepare_for_htp` for a float model (`simplify`, `quantize`), `repair_for_conversion` for the file
that is converted, float or QDQ. Both leave the model they are given alone, and tell every change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from snpe_tools.graph.rewrites.activations import GELU_OPSET, gelu, reciprocal
from snpe_tools.graph.rewrites.batch_norm import depthwise, fold, level
from snpe_tools.graph.rewrites.contrib import fused_product, gelus, simple_norm, skip_norm, skip_simple_norm
from snpe_tools.graph.rewrites.editing import Change, Graph, Match, replace_all
from snpe_tools.graph.rewrites.linear import gemm, norm_vectors, vector_weight
from snpe_tools.graph.rewrites.moving import nearest, pad
from snpe_tools.graph.rewrites.normalize import LOWEST_OPSET, inline_functions, normalize, raise_opset
from snpe_tools.graph.rewrites.norms import RMS_OPSET, layer_norm, rms_norm
from snpe_tools.graph.rewrites.outputs import parts_apart
from snpe_tools.graph.rewrites.quantized import (
    bias_scale,
    flat_product,
    float_weight,
    spare_relu,
    summed_axis,
    unsigned_gamma,
    wide_log,
)
from snpe_tools.graph.rewrites.recurrent import unrolled

if TYPE_CHECKING:
    import onnx

_Rewrite = tuple[str, int, Match]
"""A name, the opset that it needs, and what it matches."""

_CONTRIB: tuple[_Rewrite, ...] = (
    ("contrib-gelu", GELU_OPSET, gelus),
    ("contrib-norm", LOWEST_OPSET, skip_norm),
    ("contrib-norm", RMS_OPSET, skip_simple_norm),
    ("contrib-norm", RMS_OPSET, simple_norm),
    ("contrib-product", LOWEST_OPSET, fused_product),
)
_FUSIONS: tuple[_Rewrite, ...] = (
    ("layer-norm", LOWEST_OPSET, layer_norm),
    ("rms-norm", RMS_OPSET, rms_norm),
    ("gelu", GELU_OPSET, gelu),
    ("gemm", LOWEST_OPSET, gemm),
    ("batch-norm", LOWEST_OPSET, fold),
    ("level-channels", LOWEST_OPSET, level),
    ("depthwise", LOWEST_OPSET, depthwise),
)
_REPAIRS: tuple[_Rewrite, ...] = (
    ("unroll", LOWEST_OPSET, unrolled),
    ("weight-by-output", LOWEST_OPSET, summed_axis),
    ("bias-scale", LOWEST_OPSET, bias_scale),
    ("float-weight", LOWEST_OPSET, float_weight),
    ("unsigned-gamma", LOWEST_OPSET, unsigned_gamma),
    ("flat-product", LOWEST_OPSET, flat_product),
    ("parts-apart", LOWEST_OPSET, parts_apart),
    ("wide-log", LOWEST_OPSET, wide_log),
    ("spare-relu", LOWEST_OPSET, spare_relu),
    ("pad", LOWEST_OPSET, pad),
    ("resize-nearest", LOWEST_OPSET, nearest),
    ("reciprocal", LOWEST_OPSET, reciprocal),
    ("matrix-weight", LOWEST_OPSET, vector_weight),
    ("norm-vectors", LOWEST_OPSET, norm_vectors),
)


def prepare_for_htp(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[Change, ...]]:
    """A copy of a float model as the quantizer and the HTP compute it best, and all that was changed.

    Local functions are inlined, constants are initializers, the opset is at least 17, floats are float32, norms and
    activations in parts are fused, and what is known to go wrong on the HTP is replaced by what is right. Inputs and
    outputs keep their names and shapes. A model that is quantized already gets its repairs only.

    Raises:
        OnnxError: the opset is too old to be converted.
    """
    result = _copied(model)
    if is_quantized(result):
        return repair_for_conversion(result)
    changes = [*normalize(result), *_applied(result, (*_CONTRIB, *_FUSIONS, *_REPAIRS))]
    return result, tuple(changes)


def repair_for_conversion(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[Change, ...]]:
    """A copy of a float or QDQ model in which known faults of the converter and the HTP are gone, and the changes."""
    result = _copied(model)
    inlined = inline_functions(result)
    return result, (*inlined, *_applied(result, (*_CONTRIB, *_REPAIRS)))


def keep_parts_apart(model: onnx.ModelProto) -> tuple[Change, ...]:
    """Let outputs of a QDQ model that join parts of different ranges keep the encoding of each part, in place."""
    return tuple(replace_all(model, "parts-apart", parts_apart))


def is_quantized(model: onnx.ModelProto) -> bool:
    """Whether the graph holds QuantizeLinear or DequantizeLinear nodes."""
    return any(node.op_type in {"QuantizeLinear", "DequantizeLinear"} for node in model.graph.node)


def _applied(model: onnx.ModelProto, rewrites: Iterable[_Rewrite]) -> list[Change]:
    changes: list[Change] = []
    for name, opset, match in rewrites:
        graph = Graph(model)
        if any(match(graph, node) for node in graph.nodes):
            changes += [*raise_opset(model, opset, f"{name} needs it"), *replace_all(model, name, match)]
    return changes


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    result = type(model)()
    result.CopyFrom(model)
    return result


__all__ = ["Change", "is_quantized", "keep_parts_apart", "prepare_for_htp", "repair_for_conversion"]
