"""The same model for windows of another length: what is found on short windows serves long ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from snpe_tools.core.errors import OnnxError
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import constant_tensors, input_specs, load
from snpe_tools.graph.mask import fold_mask
from snpe_tools.graph.shapes import fix_shapes
from snpe_tools.graph.sharing import unshare_vectors

if TYPE_CHECKING:
    import onnx

_Value = TypeVar("_Value")


def shorter(dynamic: onnx.ModelProto, model: onnx.ModelProto, length: int) -> onnx.ModelProto:
    """The fixed graph `model` for windows of another length, from its dynamic twin.

    Raises:
        OnnxError: the two do not have the same operations.
    """
    short = use_int32_inputs(fix_shapes(dynamic, {value.name: (1, length) for value in dynamic.graph.input}))
    fold_mask(short)
    unshare_vectors(short)
    if [node.op_type for node in short.graph.node] != [node.op_type for node in model.graph.node]:
        raise OnnxError(f"The graph for {length} tokens has other operations than the model.")
    return short


def for_windows(model: onnx.ModelProto, dynamic: Path, length: int) -> onnx.ModelProto:
    """The fixed graph `model` for windows of a length: itself where its own are no longer, else from its dynamic twin.

    Raises:
        OnnxError: the file is not ONNX, or does not have the same operations.
    """
    return shorter(load(dynamic), model, length) if length < input_specs(model)[0].shape[-1] else model


def twin_names(source: onnx.ModelProto, target: onnx.ModelProto) -> dict[str, str]:
    """What each tensor of a graph is called in its twin, which has the same nodes in the same order."""
    names = dict(zip((value.name for value in source.graph.input), (value.name for value in target.graph.input),
                     strict=True))  # fmt: skip
    for one, other in zip(source.graph.node, target.graph.node, strict=True):
        names.update(zip(one.input, other.input, strict=True))
        names.update(zip(one.output, other.output, strict=True))
    return names


def carried_over(values: Mapping[str, _Value], source: onnx.ModelProto, target: onnx.ModelProto) -> dict[str, _Value]:
    """Values by tensor of one graph as values by tensor of its twin."""
    names = twin_names(source, target)
    return {names[name]: value for name, value in values.items() if name in names}


def of_other_shape(source: onnx.ModelProto, target: onnx.ModelProto) -> set[str]:
    """Constants of a graph that are as long as a window: those of its twin have another shape."""
    names = twin_names(source, target)
    theirs = {name: list(tensor.dims) for name, tensor in constant_tensors(target)}
    return {
        name
        for name, tensor in constant_tensors(source)
        if name in names and theirs.get(names[name]) != list(tensor.dims)
    }
