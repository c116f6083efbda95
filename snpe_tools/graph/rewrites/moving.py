"""Operations that only pick elements (Pad by edge or reflection, Resize nearest), as what the HTP picks alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute
from snpe_tools.graph.session import plain_session

if TYPE_CHECKING:
    import onnx

Indices = list[NDArray[np.int64]]
_MOVES = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


def pad(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """Pad by the edge of a graph input, or by wrapping, as one Gather for each padded axis."""
    mode = attribute(node, "mode", b"constant") if node.op_type == "Pad" else b""
    if mode == b"edge" and _comes_from_input(graph, node.input[0]):
        reason = "padding a graph input by its edge reads foreign memory (-90 dB); by Gather it is right"
    elif mode == b"wrap":
        reason = "the HTP does not wrap; by Gather it is right"
    else:
        return None
    picked = _indices(graph, node)
    return Replacement(node, _gathers(graph, node, picked), reason) if picked else None


def _comes_from_input(graph: Graph, name: str) -> bool:
    while (writer := graph.writer.get(name)) is not None and writer.op_type in _MOVES:
        name = writer.input[0]
    return name in graph.inputs


def nearest(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """Resize to the nearest element, in the one coordinate mode that the HTP computes, or as Gathers."""
    if node.op_type != "Resize" or attribute(node, "mode", b"nearest") != b"nearest" or _is_plain(node):
        return None
    picked, shape = _indices(graph, node), graph.shape(node.input[0])
    if picked is None or shape is None:
        return None
    if all(np.array_equal(one, _floor(size, len(one))) for one, size in zip(picked, shape, strict=True)):
        return Replacement(node, [_plain(graph, node, [len(one) for one in picked])],
                           "picks the same elements as mode asymmetric, floor, which the HTP computes")  # fmt: skip
    return Replacement(node, _gathers(graph, node, picked), "the HTP picks other elements; by Gather it is right")


def _is_plain(node: onnx.NodeProto) -> bool:
    mode = attribute(node, "coordinate_transformation_mode", b"half_pixel")
    return (mode, attribute(node, "nearest_mode", b"round_prefer_floor")) == (b"asymmetric", b"floor")


def _floor(size: int, wanted: int) -> NDArray[np.int64]:
    return np.arange(wanted) * size // wanted


def _plain(graph: Graph, node: onnx.NodeProto, sizes: list[int]) -> onnx.NodeProto:
    held = graph.constant(f"{node.output[0]}_sizes", np.array(sizes, np.int64))
    settings = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.node("Resize", [node.input[0], "", "", held], node.output, node, **settings)


def _indices(graph: Graph, node: onnx.NodeProto) -> Indices | None:
    """Along each axis, which element of the input each element of the output is; None where that is not constant."""
    shape = graph.shape(node.input[0])
    settings = {name: graph.value(name) for name in node.input[1:] if name}
    if not shape or any(value is None for value in settings.values()):
        return None
    picked = []
    for axis, size in enumerate(shape):
        line = np.arange(size, dtype=np.float32).reshape([-1 if one == axis else 1 for one in range(len(shape))])
        found = _computed(graph, node, np.broadcast_to(line, shape))
        along = np.moveaxis(found, axis, 0).reshape(found.shape[axis], -1)
        if (along != along[:, :1]).any() or (along != np.rint(along)).any():
            return None
        picked.append(along[:, 0].astype(np.int64))
    return picked


def _computed(graph: Graph, node: onnx.NodeProto, values: NDArray[np.float32]) -> NDArray[np.float32]:
    from onnx import TensorProto, helper

    held = [tensor for tensor in graph.model.graph.initializer if tensor.name in set(node.input[1:])]
    inputs = [helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, values.shape)]
    outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
    alone = helper.make_graph([node], "alone", inputs, outputs, held)
    model = helper.make_model(alone, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version)
    result: NDArray[np.float32] = plain_session(model, threads=1).run(
        None, {node.input[0]: np.ascontiguousarray(values)}
    )[0]
    return result


def _gathers(graph: Graph, node: onnx.NodeProto, picked: Indices) -> list[onnx.NodeProto]:
    shape = graph.shape(node.input[0]) or ()
    moving = [axis for axis, one in enumerate(picked) if not np.array_equal(one, np.arange(shape[axis]))]
    current, nodes = node.input[0], []
    for axis in moving or [0]:
        held = graph.constant(f"{node.output[0]}_axis{axis}", picked[axis].astype(np.int32))
        target = node.output[0] if axis == (moving or [0])[-1] else graph.fresh(f"{node.output[0]}_{axis}")
        nodes.append(graph.node("Gather", [current, held], [target], node, axis=axis))
        current = target
    return nodes
