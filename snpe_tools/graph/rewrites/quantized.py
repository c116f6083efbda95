"""Repairs of QDQ models that others quantized: forms that ONNX Runtime computes right, and the HTP does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute, describe

if TYPE_CHECKING:
    import onnx

_WEIGHT, _BIAS = 1, 2
_PRODUCTS = {"Conv", "ConvTranspose", "Gemm"}
_SAME = 1e-4
_SIGNED_SHIFT = 128
_INT8_MAX, _INT32_MAX = 127, 2**31 - 1
_LOG_STEP = 2.0**-13
"""Measured: steps of 4 / 65535 and more are right, those of 3 / 65535 and less give 0 to -18 dB."""
_MAP = 4
_ODD_ROWS = range(9, 13)
_ODD_REASON = "16-bit products of maps of 9 to 12 rows turn small negatives into the maximum; one row is right"
_Wide = NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """A constant behind a DequantizeLinear: its integers, scale and zero point, and the axis of several scales."""

    integers: NDArray[np.generic]
    scale: NDArray[np.float32]
    zero: NDArray[np.generic]
    axis: int | None

    @property
    def real(self) -> _Wide:
        """The numbers that are meant."""
        return (self.integers.astype(np.float64) - self._along(self.zero)) * self._along(self.scale)

    def _along(self, values: NDArray[np.generic]) -> _Wide:
        wide = values.astype(np.float64)
        if self.axis is None:
            return wide.reshape(())
        return wide.reshape([-1 if axis == self.axis else 1 for axis in range(self.integers.ndim)])


def stored(graph: Graph, name: str) -> Stored | None:
    """What a tensor holds, where a DequantizeLinear reads it from constants alone."""
    node = graph.writer.get(name)
    if node is None or node.op_type != "DequantizeLinear" or attribute(node, "block_size", 0):
        return None
    integers, scale = graph.value(node.input[0]), graph.value(node.input[1])
    if integers is None or scale is None:
        return None
    zero = graph.value(node.input[2]) if len(node.input) > 2 and node.input[2] else None  # noqa: PLR2004
    axis = attribute(node, "axis", 1) % integers.ndim if scale.size > 1 else None
    return Stored(
        integers, scale.astype(np.float32), np.zeros_like(integers, shape=scale.shape) if zero is None else zero, axis
    )


def _scale(graph: Graph, name: str) -> float | None:
    """The one scale of an activation that a DequantizeLinear writes."""
    node = graph.writer.get(name)
    return graph.scalar(node.input[1]) if node is not None and node.op_type == "DequantizeLinear" else None


def _rewritten(graph: Graph, node: onnx.NodeProto, index: int, kind: str, new: Stored) -> list[onnx.NodeProto]:
    """The node, reading a constant stored anew in the place of one of its inputs."""
    stem = node.input[index]
    names = [graph.constant(f"{stem}_{part}", array) for part, array in
             (("integers", new.integers), ("scale", new.scale), ("zero", new.zero))]  # fmt: skip
    read = graph.fresh(f"{stem}_{kind}")
    axis = {} if new.axis is None else {"axis": new.axis}
    made = type(node)()
    made.CopyFrom(node)
    made.input[index] = read
    return [graph.node("DequantizeLinear", names, [read], node, **axis), made]


def summed_axis(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """A product whose weight has one scale for each row that is summed: quantized anew, one for each output."""
    if node.op_type not in {"MatMul", "Gemm"}:
        return None
    held = stored(graph, node.input[_WEIGHT])
    if held is None or held.axis is None or held.integers.ndim < 2:  # noqa: PLR2004
        return None
    transposed = node.op_type == "Gemm" and bool(attribute(node, "transB", 0))
    rank = held.integers.ndim
    summed = rank - 1 if transposed else rank - 2
    if held.axis != summed:
        return None
    new = _per_output(held.real, rank - 2 if transposed else rank - 1)
    lost = sqnr_db(held.real, new.real)
    reason = (
        f"scales along the summed axis are read wrong; its weight is quantized anew by output ({lost or 99:.0f} dB)"
    )
    return Replacement(node, _rewritten(graph, node, _WEIGHT, "by_output", new), reason)


def _per_output(real: _Wide, axis: int) -> Stored:
    others = tuple(one for one in range(real.ndim) if one != axis)
    scale = np.maximum(np.abs(real).max(others), np.finfo(np.float32).tiny * _INT8_MAX) / _INT8_MAX
    shaped = scale.reshape([-1 if one == axis else 1 for one in range(real.ndim)])
    integers = np.clip(np.rint(real / shaped), -_INT8_MAX, _INT8_MAX).astype(np.int8)
    return Stored(integers, scale.astype(np.float32), np.zeros(scale.shape, np.int8), axis)


def bias_scale(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """A bias whose scale is not that of input times weight: stored anew with that, as the HTP takes it to be."""
    if node.op_type not in _PRODUCTS or len(node.input) <= _BIAS:
        return None
    weight, bias = stored(graph, node.input[_WEIGHT]), stored(graph, node.input[_BIAS])
    scale = _scale(graph, node.input[0])
    if (
        weight is None
        or bias is None
        or scale is None
        or bias.integers.ndim != 1
        or weight.scale.size not in {1, bias.integers.size}
    ):
        return None
    wanted = np.broadcast_to(weight.scale.ravel().astype(np.float64) * scale, bias.integers.shape)
    if np.allclose(np.broadcast_to(bias.scale.ravel(), wanted.shape), wanted, rtol=_SAME) and not bias.zero.any():
        return None
    integers = np.rint(bias.real / wanted)
    if np.abs(integers).max() > _INT32_MAX:
        return None
    one = weight.scale.size == 1
    new = Stored(integers.astype(np.int32), (wanted[:1].reshape(()) if one else wanted).astype(np.float32),
                 np.zeros(() if one else wanted.shape, np.int32), None if one else 0)  # fmt: skip
    reason = "the HTP takes the bias to have the scale of input times weight; stored anew with it"
    return Replacement(node, _rewritten(graph, node, _BIAS, "restored", new), reason)


def unsigned_gamma(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """LayerNormalization with a gamma in int8, which is refused: the same numbers in uint8."""
    held = stored(graph, node.input[1]) if node.op_type == "LayerNormalization" else None
    if held is None or held.integers.dtype != np.int8:
        return None
    integers = (held.integers.astype(np.int16) + _SIGNED_SHIFT).astype(np.uint8)
    zero = (held.zero.astype(np.int16) + _SIGNED_SHIFT).astype(np.uint8)
    new = Stored(integers, held.scale, zero.reshape(held.zero.shape), held.axis)
    reason = "a gamma in int8 is refused; the same numbers in uint8"
    return Replacement(node, _rewritten(graph, node, 1, "unsigned", new), reason)


def wide_log(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """The result of a 16-bit Log in steps so small that it spans less than 4: stored in wider ones."""
    quantize = graph.writer.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
    if quantize is None or quantize.op_type != "QuantizeLinear" or len(quantize.input) <= _BIAS:
        return None
    log = graph.writer.get(quantize.input[0])
    scale, zero = graph.scalar(quantize.input[1]), graph.value(quantize.input[2])
    if log is None or log.op_type != "Log" or scale is None or zero is None:
        return None
    if zero.dtype.itemsize != np.dtype(np.uint16).itemsize or scale >= _LOG_STEP / 2:
        return None
    low = (int(np.iinfo(zero.dtype.str).min) - int(zero.reshape(()))) * scale
    step = graph.constant(f"{node.output[0]}_step", np.array(_LOG_STEP, np.float32))
    middle = graph.constant(f"{node.output[0]}_zero", np.array(_centred(zero.dtype, low), zero.dtype))
    integers = graph.fresh(f"{node.output[0]}_integers")
    nodes = [
        graph.node("QuantizeLinear", [quantize.input[0], step, middle], [integers], node),
        graph.node("DequantizeLinear", [integers, step, middle], node.output, node),
    ]
    return Replacement(node, nodes, f"of {describe(log)}: 16-bit results that span less than 4 are wrong; wider steps")


def _centred(kind: np.dtype[np.generic], low: float) -> int:
    """The zero point with which wide steps reach from a little below `low`."""
    return int(np.iinfo(kind.str).min) + round(-(low - 1) / _LOG_STEP)


def _floor(graph: Graph, node: onnx.NodeProto) -> float:
    """Where a Relu or a Clip cuts off; infinity for others."""
    if node.op_type == "Clip" and len(node.input) > 1 and node.input[1]:
        floor = graph.scalar(node.input[1])
        return np.inf if floor is None else floor
    return 0.0 if node.op_type == "Relu" else np.inf


def spare_relu(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """A Relu, or a Clip at zero, of a tensor whose encoding has nothing below zero: left out."""
    given = graph.writer.get(node.input[0]) if _floor(graph, node) <= 0 else None
    if given is None or given.op_type != "DequantizeLinear":
        return None
    zero = graph.value(given.input[2]) if len(given.input) > _BIAS else None
    if zero is None or zero.size != 1 or int(zero.reshape(())) != int(np.iinfo(zero.dtype.str).min):
        return None
    if node.op_type == "Relu" or len(node.input) < 3 or not node.input[2]:  # noqa: PLR2004
        made = graph.node("Identity", [node.input[0]], node.output, node)
    else:
        made = graph.node("Min", [node.input[0], node.input[2]], node.output, node)
    return Replacement(
        node, [made], "its input is never negative; compiled, the bound that is needed gets lost with it"
    )


def flat_product(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """A 16-bit product of two maps of 9 to 12 rows, on one row."""
    quantize = graph.sole_reader(node.output[0]) if node.op_type == "Mul" else None
    if quantize is None or quantize.op_type != "QuantizeLinear" or len(quantize.input) <= _BIAS:
        return None
    shapes = [graph.shape(name) for name in node.input]
    shape, zero = shapes[0], graph.value(quantize.input[2])
    maps = shape is not None and len(shape) == _MAP and shapes[0] == shapes[1]
    if shape is None or not maps or shape[2] not in _ODD_ROWS or zero is None or zero.dtype.itemsize == 1:
        return None
    if any(graph.value(name) is not None or stored(graph, name) is not None for name in node.input):
        return None
    return Replacement(node, _on_one_row(graph, node, shape, list(quantize.input[1:])), _ODD_REASON)


def _on_one_row(
    graph: Graph, node: onnx.NodeProto, shape: tuple[int, ...], encoding: list[str]
) -> list[onnx.NodeProto]:
    flat = graph.constant(f"{node.output[0]}_row", np.array([*shape[:2], 1, shape[2] * shape[3]], np.int64))
    back = graph.constant(f"{node.output[0]}_map", np.array(shape, np.int64))
    one, other, product, integers, real = (
        graph.fresh(f"{node.output[0]}_{part}") for part in ("one", "other", "product", "integers", "real")
    )
    return [
        graph.node("Reshape", [node.input[0], flat], [one], node),
        graph.node("Reshape", [node.input[1], flat], [other], node),
        graph.node("Mul", [one, other], [product], node),
        graph.node("QuantizeLinear", [product, *encoding], [integers], node),
        graph.node("DequantizeLinear", [integers, *encoding], [real], node),
        graph.node("Reshape", [real, back], node.output, node),
    ]


def float_weight(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """A constant with several scales whose reader is computed in float: the numbers themselves.

    The converter reads several scales only together with a quantized operation: one whose other inputs come from
    DequantizeLinear, and whose output goes to QuantizeLinear.
    """
    held = stored(graph, node.output[0]) if node.op_type == "DequantizeLinear" else None
    readers = graph.readers.get(node.output[0], [])
    if held is None or held.axis is None or all(_is_quantized(graph, reader) for reader in readers):
        return None
    real = graph.constant(f"{node.output[0]}_real", held.real.astype(np.float32))
    made = graph.node("Identity", [real], node.output, node)
    return Replacement(node, [made], f"read by {describe(readers[0])}, which is not quantized: a float constant")


def _is_quantized(graph: Graph, node: onnx.NodeProto) -> bool:
    given = [graph.writer.get(name) for name in node.input if name and graph.value(name) is None]
    readers = [reader for name in node.output if name for reader in graph.readers.get(name, [])]
    if node.op_type in {"Relu", "Clip"} or not readers:
        return False
    if len(readers) == 1 and readers[0].op_type in {"Relu", "Clip"}:
        readers = [one for name in readers[0].output for one in graph.readers.get(name, [])]
    inputs = all(one is not None and one.op_type == "DequantizeLinear" for one in given)
    return inputs and bool(readers) and all(reader.op_type == "QuantizeLinear" for reader in readers)
