"""Integer inputs and outputs of a quantized ONNX model as the real numbers that they stand for.

A DLC made of such a model has fixed-point inputs and outputs with an encoding, and float32 raw files of it hold real
numbers. With the same encodings, the ONNX model is fed and read alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.tensor_spec import Encoding, TensorSpec
from snpe_tools.graph.loading import constant_tensors, input_specs, node_by_output, nodes_by_input, output_specs

if TYPE_CHECKING:
    import onnx

_FIXED_POINT = {"uint8": 0x408, "uint16": 0x416, "int8": 0x308, "int16": 0x316}
_MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity"}


def real_inputs(model: onnx.ModelProto) -> list[TensorSpec]:
    """The graph's inputs; those that a DequantizeLinear alone reads have its encoding."""
    readers = nodes_by_input(model.graph.node)

    def behind(name: str) -> onnx.NodeProto | None:
        found = readers.get(name, [])
        if len(found) == 1 and found[0].op_type in _MOVES:
            return behind(found[0].output[0])
        return found[0] if len(found) == 1 and found[0].op_type == "DequantizeLinear" else None

    return [_with_encoding(spec, behind(spec.name), model) for spec in input_specs(model)]


def real_outputs(model: onnx.ModelProto) -> list[TensorSpec]:
    """The graph's outputs; those that a QuantizeLinear writes have its encoding."""
    writers = node_by_output(model.graph.node)

    def before(name: str) -> onnx.NodeProto | None:
        node = writers.get(name)
        if node is not None and node.op_type in _MOVES:
            return before(node.input[0])
        return node if node is not None and node.op_type == "QuantizeLinear" else None

    return [_with_encoding(spec, before(spec.name), model) for spec in output_specs(model)]


def _with_encoding(spec: TensorSpec, node: onnx.NodeProto | None, model: onnx.ModelProto) -> TensorSpec:
    from onnx import numpy_helper

    code = _FIXED_POINT.get(spec.dtype.numpy.name)
    if node is None or code is None:
        return spec
    constants = dict(constant_tensors(model))
    arrays = [numpy_helper.to_array(constants[name]) for name in node.input[1:3] if name in constants]
    if len(arrays) != len(node.input) - 1 or any(array.size != 1 for array in arrays):
        return spec
    scale, zero = float(arrays[0].reshape(-1)[0]), int(arrays[1].reshape(-1)[0]) if len(arrays) > 1 else 0
    return replace(spec, dtype=BY_CODE[code], encoding=Encoding(8 * spec.dtype.numpy.itemsize, (scale,), (-zero,)))
