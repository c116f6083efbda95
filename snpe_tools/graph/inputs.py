"""Integer inputs as the SNPE converter makes them: Int_32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snpe_tools.graph.loading import drop_stale, infer_types

if TYPE_CHECKING:
    import onnx


def use_int32_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose int64 inputs are int32.

    Where the graph takes int32 as well (Gather, Cast, Unsqueeze, ... do), only the type changes; otherwise a Cast to
    int64 is put behind each input.
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    drop_stale(result)
    wide = [value for value in result.graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.INT64]
    for value in wide:
        value.type.tensor_type.elem_type = onnx.TensorProto.INT32
    if not _types_agree(result):
        for value in wide:
            _cast_behind(result, value.name)
    return result


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
