"""Fixes shapes and simplifies, with onnxsim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import OnnxError

if TYPE_CHECKING:
    import onnx


def fix_values(model: onnx.ModelProto, values: Mapping[str, Sequence[float]]) -> onnx.ModelProto:
    """A copy in which these inputs are constants.

    Raises:
        OnnxError: an input that does not exist, or whose shape the numbers do not fill.
    """
    from onnx import helper, numpy_helper

    result = type(model)()
    result.CopyFrom(model)
    for name, numbers in values.items():
        value = _input(result, name)
        tensor = value.type.tensor_type
        sizes = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in tensor.shape.dim]
        kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        array = np.asarray(numbers).astype(kind)
        if array.size not in {1, math.prod(sizes)} or not np.array_equal(
            array.astype(float), np.asarray(numbers, float)
        ):
            raise OnnxError(
                f"{list(numbers)[:4]}: {len(numbers)} numbers for the input {name!r}, {kind} of shape {tuple(sizes)}.",
                "Give one number for all of it, or one for each element.",
            )
        full = (
            np.broadcast_to(array if array.size == 1 else array.reshape(sizes), sizes) if sizes else array.reshape(())
        )
        result.graph.input.remove(value)
        result.graph.initializer.append(numpy_helper.from_array(np.array(full), name))
    return result


def _input(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    for value in model.graph.input:
        if value.name == name:
            return value
    known = ", ".join(value.name for value in model.graph.input)
    raise OnnxError(f"The model has no input {name!r}.", f"Its inputs: {known}.")


def fix_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """The model simplified, with the given input shapes; constants are folded, and results compared on random inputs.

    Raises:
        OnnxError: an input that does not exist, or the simplified model computes something else.
    """
    import onnxsim

    for name in shapes:
        _input(model, name)
    try:
        simplified, same = onnxsim.simplify(
            model, overwrite_input_shapes={name: list(shape) for name, shape in shapes.items()}
        )
    except Exception as problem:  # onnxsim raises what its C++ core throws
        raise OnnxError(
            f"onnxsim cannot simplify the model: {problem}", "Check the shapes given for its inputs."
        ) from problem
    if not same:
        raise OnnxError(
            "The simplified model does not compute what the original does.", "Please report the model to onnxsim."
        )
    result: onnx.ModelProto = simplified
    return result
