"""ONNX files of unknown origin in, checked fixed-shape models out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.dtypes import BY_CODE, DataType
from snpe_tools.core.errors import OnnxError
from snpe_tools.core.files import require_file, whole_file
from snpe_tools.core.tensor_spec import TensorSpec

if TYPE_CHECKING:
    import onnx

_QNN_CODE = {
    1: 0x232,
    2: 0x108,
    3: 0x008,
    4: 0x116,
    5: 0x016,
    6: 0x032,
    7: 0x064,
    9: 0x508,
    10: 0x216,
    12: 0x132,
    13: 0x164,
}
"""QNN data type by ONNX `TensorProto.DataType`."""

_SMALL = 1024
_MAX_INLINE = 2**31 - 1


def load(path: Path) -> onnx.ModelProto:
    """The model in `path`, with its external data.

    Raises:
        OnnxError: not an ONNX model, or cut off.
    """
    import onnx

    require_file(path, "an ONNX model")
    _require_onnx(path)
    try:
        model = onnx.load(path)
        onnx.checker.check_model(path)
    except Exception as problem:
        raise OnnxError(
            f"{path} is not a valid ONNX model: {_first_line(problem)}", "Export it again; a copy may be cut off."
        ) from problem
    if not model.graph.node:
        raise OnnxError(f"{path} is not a valid ONNX model: its graph has no nodes.")
    return model


_OTHERS = {
    4: {b"TFL3": "a TensorFlow Lite model"},
    0: {b"PK\x03\x04": "an archive, such as a DLC or a PyTorch checkpoint"},
}
"""Other files, by the place and the bytes that say so."""


def _require_onnx(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(16)
    for place, kinds in _OTHERS.items():
        for mark, kind in kinds.items():
            if start[place:].startswith(mark):
                raise OnnxError(
                    f"{path} is {kind}, not an ONNX model.", "This command reads ONNX: export the model as that."
                )


def _first_line(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[0] if lines else type(problem).__name__


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write the model, whole or not at all.

    Raises:
        OnnxError: it is larger than one protobuf file can be (2 GiB).
        StorageError: no space.
    """
    if model.ByteSize() > _MAX_INLINE:
        raise OnnxError(
            f"{path.name} would be larger than 2 GiB, the limit of one ONNX file.", "Use a smaller checkpoint."
        )
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def input_specs(model: onnx.ModelProto) -> list[TensorSpec]:
    """The graph's inputs, without the initializers that old exporters list among them.

    Raises:
        OnnxError: a dimension is not fixed, or the type is none that QNN knows.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    return [_spec(value) for value in model.graph.input if value.name not in constants]


def output_specs(model: onnx.ModelProto) -> list[TensorSpec]:
    """The graph's outputs.

    Raises:
        OnnxError: a dimension is not fixed, or the type is none that QNN knows.
    """
    return [_spec(value) for value in model.graph.output]


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise OnnxError(f"{value.name!r} is not a tensor; QNN takes tensors only.")
    shape = tuple(dim.dim_value for dim in tensor.shape.dim)
    if not tensor.HasField("shape") or any(size < 1 for size in shape):
        shown = ",".join(str(dim.dim_value or dim.dim_param or "?") for dim in tensor.shape.dim)
        raise OnnxError(
            f"Tensor {value.name!r} has the dynamic shape ({shown}).",
            "The NPU needs fixed shapes: `snpe-tools simplify --shape NAME=1,384` sets them.",
        )
    return TensorSpec(value.name, shape, _data_type(value.name, tensor.elem_type))


def _data_type(name: str, element: int) -> DataType:
    if element not in _QNN_CODE:
        raise OnnxError(f"Tensor {name!r} has the ONNX type {element}, which QNN does not know.")
    return BY_CODE[_QNN_CODE[element]]


def drop_stale(model: onnx.ModelProto) -> None:
    """Remove what no longer holds after a change of the graph: inferred types, and exporter metadata."""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]


def infer_types(model: onnx.ModelProto, *, strict: bool = False) -> onnx.ModelProto:
    """The graph with the type and shape of every tensor, and without its large constants.

    Shape inference copies the model twice; without the weights that takes milliseconds.

    Raises:
        onnx.shape_inference.InferenceError: only when `strict`, for types that do not fit together.
    """
    import onnx

    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(_without_weights(model))
    return onnx.shape_inference.infer_shapes(skeleton, check_type=strict, strict_mode=strict)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnx import helper

    small = [tensor for tensor in model.graph.initializer if math.prod(tensor.dims) <= _SMALL]
    large = [tensor for tensor in model.graph.initializer if math.prod(tensor.dims) > _SMALL]
    declared = {value.name for value in model.graph.input}
    inputs = [
        helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in large if one.name not in declared
    ]
    graph = helper.make_graph(
        model.graph.node, model.graph.name, [*model.graph.input, *inputs], model.graph.output, small
    )
    graph.value_info.extend(model.graph.value_info)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def constant_tensors(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Name and stored tensor of every constant: initializers, and the values of Constant nodes."""
    for tensor in model.graph.initializer:
        yield tensor.name, tensor
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t


def node_by_output(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    """Each node by the names it writes."""
    return {name: node for node in nodes for name in node.output}


def nodes_by_input(nodes: Iterable[onnx.NodeProto]) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each name, once for each time that they do."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers
