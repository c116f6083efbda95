"""Integer inputs as the SNPE converter makes them: Int_32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snpe_tools.graph.loading import drop_stale, infer_types

if TYPE_CHECKING:
    import onnx


def use_int32_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose int64 inputs are int32, and so those of 8 and 16 bits that are cast to float.

    Where the graph takes int32 as well (Gather, Cast, Unsqueeze, ... do), only the type changes; otherwise a Cast to
    int64 is put behind each input. A Cast of 8 or 16 bits to float is computed wrong by the HTP: of a uint8 input every
    value above 0 becomes 1.
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    drop_stale(result)
    wide = [value for value in result.graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.INT64]
    for value in wide:
        value.type.tensor_type.elem_type = onnx.TensorProto.INT32
    for value in result.graph.input:
        if value.type.tensor_type.elem_type in _narrow() and _is_cast_to_float(result, value.name):
            value.type.tensor_type.elem_type = onnx.TensorProto.INT32
    if not _types_agree(result):
        for value in wide:
            _cast_behind(result, value.name)
    return result


def _narrow() -> set[int]:
    from onnx import TensorProto

    return {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16}


def _is_cast_to_float(model: onnx.ModelProto, name: str) -> bool:
    """Whether a tensor is read, and by Casts to float types alone."""
    from onnx import TensorProto

    floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
    readers = [node for node in model.graph.node if name in node.input]
    casts = [one.i for node in readers if node.op_type == "Cast" for one in node.attribute if one.name == "to"]
    output = any(value.name == name for value in model.graph.output)
    return bool(readers) and len(casts) == len(readers) and set(casts) <= floats and not output


def _types_agree(model: onnx.ModelProto) -> bool:
    import onnx

    try:
        infer_types(model, strict=True)
    except onnx.shape_inference.InferenceError:
        return False
    return True


def _cast_behind(model: onnx.ModelProto, name: str) -> None:
    import onnx

    wide = f"{name}_int64"
    for node in model.graph.node:
        for index, used in enumerate(node.input):
            if used == name:
                node.input[index] = wide
    cast = onnx.helper.make_node("Cast", [name], [wide], name=f"{name}_to_int64", to=onnx.TensorProto.INT64)
    model.graph.node.insert(0, cast)
