"""Fixes shapes and simplifies, with onnxsim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from snpe_tools.core.errors import OnnxError

if TYPE_CHECKING:
    import onnx


def fix_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """The model simplified, with the given input shapes; constants are folded, and results compared on random inputs.

    Raises:
        OnnxError: an input that does not exist, or the simplified model computes something else.
    """
    import onnxsim

    known = [value.name for value in model.graph.input]
    unknown = [name for name in shapes if name not in known]
    if unknown:
        raise OnnxError(f"The model has no input {unknown[0]!r}.", f"Its inputs: {', '.join(known)}.")
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
