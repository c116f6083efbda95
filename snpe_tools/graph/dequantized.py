"""Stored integers of a QDQ model as the floats they stand for: the same numbers, computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def dequantize_constants(model: onnx.ModelProto) -> int:
    """Replace each DequantizeLinear of a constant by a float constant, in place; activations stay as they are.

    Without graph optimizations ONNX Runtime dequantizes all weights in every inference.

    Returns:
        How many were replaced.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    for node in found:
        stored, scale, zero = (numpy_helper.to_array(constants[name]) for name in node.input)
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
        if scale.size > 1:
            shape = [-1 if place == axis % stored.ndim else 1 for place in range(stored.ndim)]
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        real = (stored.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale
        model.graph.initializer.append(numpy_helper.from_array(real.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    read = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in read]:
        model.graph.initializer.remove(tensor)
    return len(found)
