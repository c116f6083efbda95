"""Forms of a float graph that a quantizer gets right: what AIMET would quantize to nothing is written otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.errors import OnnxError
from snpe_tools.graph.channel_size import expected_size
from snpe_tools.graph.loading import constant_tensors, infer_types, nodes_by_input

if TYPE_CHECKING:
    import onnx

_STANDARD = {"", "ai.onnx"}
_FLAT = 2
_BOUNDED = 3
_SPREAD = 8.0
"""Channels that differ by less need no balance."""
_STRIPPED = {"Clip", "Resize", "Pad", "Conv", "Gemm"}


def settle_forms(model: onnx.ModelProto) -> list[str]:
    """Write a float graph, in place, so that it is quantized right; it computes the same.

    Returns:
        What was changed, in words.

    Raises:
        OnnxError: an operation that only one runtime knows.
    """
    require_standard_operations(model)
    outputs = separate_outputs(model)
    balanced = balance_batch_norms(model)
    norms = spread_batch_norms(model)
    changed = [f"{balanced} BatchNormalization were balanced with the convolution behind them"] if balanced else []
    changed += [f"{outputs} outputs that are read inside were given an Identity of their own"] if outputs else []
    changed += [f"{norms} BatchNormalization became depthwise: a scale for each channel"] if norms else []
    clips = settle_clips(model)
    copies = unshare_across_types(model)
    changed += [f"{clips} Clip without a lower bound became Min"] if clips else []
    return changed + ([f"{copies} constants that operations of several types read were copied"] if copies else [])


def separate_outputs(model: onnx.ModelProto) -> int:
    """Give outputs that nodes read as well a copy of their own, in place.

    The quantizer does not count a graph's output as a reader: a Relu behind such a tensor would pass its range, and
    its lack of negative numbers, on to the output.
    """
    from onnx import helper as onnx_helper

    outputs = {value.name for value in model.graph.output}
    read = {name for node in model.graph.node for name in node.input} & outputs
    written = {name for node in model.graph.node for name in node.output} & read
    for node in model.graph.node:
        for group in (node.input, node.output):
            for place, name in enumerate(group):
                group[place] = f"{name}.inner" if name in written else name
    for name in sorted(written):
        model.graph.node.append(onnx_helper.make_node("Identity", [f"{name}.inner"], [name], name=f"{name}.output"))
    return len(written)


def settle_clips(model: onnx.ModelProto) -> int:
    """Leave out empty inputs at the end, and make a Clip without a lower bound a Min, in place.

    AIMET takes an input that is left out for a tensor called "".
    """
    count = 0
    for node in model.graph.node:
        while node.input and not node.input[-1] and node.op_type in _STRIPPED:
            node.input.pop()
        if node.op_type == "Clip" and len(node.input) == _BOUNDED and not node.input[1]:
            node.op_type = "Min"
            del node.input[1]
            count += 1
    return count


def unshare_across_types(model: onnx.ModelProto) -> int:
    """Give each type of operation its own copy of a float constant, in place: a tied embedding, say.

    A table that is looked up and a matrix that is multiplied by have encodings of different kinds.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == 1 and tensor.dims}
    owner: dict[str, str] = {}
    copies: dict[tuple[str, str], str] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name not in constants or owner.setdefault(name, node.op_type) == node.op_type:
                continue
            key = name, node.op_type
            if key not in copies:
                copies[key] = f"{name}.of.{node.op_type}"
                copy = type(constants[name])()
                copy.CopyFrom(constants[name])
                copy.name = copies[key]
                model.graph.initializer.append(copy)
            node.input[place] = copies[key]
    return len(copies)


def require_standard_operations(model: onnx.ModelProto) -> None:
    """Refuse operations that only one runtime knows.

    Raises:
        OnnxError: there is one, named.
    """
    for node in model.graph.node:
        if node.domain not in _STANDARD:
            raise OnnxError(
                f"{node.op_type} {node.name or node.output[0]!r} is an operation of {node.domain}, which neither the "
                "HTP nor the quantizer knows.",
                "Export the model without the optimizations of ONNX Runtime (optimum: no -O1, -O2 or -O3).",
            )


def balance_batch_norms(model: onnx.ModelProto) -> int:
    """Move what differs between the channels of a BatchNormalization into the convolution that reads it, in place.

    With gains from 0.02 to 50 neither one range for all channels nor one scale for all of a filter's weights holds
    them. A Relu between the two changes nothing: it lets positive factors through.

    Returns:
        How many were balanced.
    """
    constants = dict(constant_tensors(model))
    readers = nodes_by_input(model.graph.node)
    outputs = {value.name for value in model.graph.output}
    found = 0
    for norm in [node for node in model.graph.node if node.op_type == "BatchNormalization"]:
        reader = _only_reader(norm, readers, outputs)
        rectified = reader is not None and reader.op_type == "Relu"
        if reader is not None and reader.op_type in {"Relu", "LeakyRelu"}:
            reader = _only_reader(reader, readers, outputs)
        if reader is None or reader.op_type != "Conv" or not {*norm.input[1:3], reader.input[1]} <= set(constants):
            continue
        if any(len(readers[name]) > 1 for name in (*norm.input[1:3], reader.input[1])):
            continue
        found += _balance(norm, reader, constants, rectified=rectified)
    return found


def _only_reader(
    node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]], outputs: set[str]
) -> onnx.NodeProto | None:
    found = readers.get(node.output[0], [])
    return found[0] if len(found) == 1 and node.output[0] not in outputs else None


def _balance(
    norm: onnx.NodeProto, conv: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], *, rectified: bool
) -> bool:
    from onnx import numpy_helper

    tensors = [constants[name] for name in (*norm.input[1:3], conv.input[1])]
    gain, offset, weight = (numpy_helper.to_array(tensor).astype(np.float64) for tensor in tensors)
    size = expected_size(gain, offset, rectified=rectified)
    if size.max() < _SPREAD * size.min():
        return False
    groups = next((entry.i for entry in conv.attribute if entry.name == "group"), 1)
    parts = weight.reshape(groups, -1, *weight.shape[1:]) * size.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    for tensor, array in zip(tensors, (gain / size, offset / size, parts.reshape(weight.shape)), strict=True):
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), tensor.name))
    return True


def spread_batch_norms(model: onnx.ModelProto) -> int:
    """Write each BatchNormalization as a depthwise convolution, in place, which has a scale for each channel.

    AIMET gives all its gains one scale: of gains between 0.02 and 50 the small ones become 0. Rows of numbers, which
    have no positions to convolve over, get a Mul and an Add.

    Returns:
        How many were written so.
    """
    from onnx import numpy_helper

    constants = dict(constant_tensors(model))
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for graph in (infer_types(model).graph,)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    found = [
        (place, node)
        for place, node in enumerate(model.graph.node)
        if node.op_type == "BatchNormalization"
        and set(node.input[1:]) <= set(constants)
        and ranks.get(node.input[0], 0) >= _FLAT
        and len([name for name in node.output if name]) == 1
    ]
    for place, node in reversed(found):
        arrays = [numpy_helper.to_array(constants[name]).astype(np.float64) for name in node.input[1:]]
        epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), 1e-5)
        gain = arrays[0] / np.sqrt(arrays[3] + epsilon)
        _replace(model, place, node, gain, arrays[1] - arrays[2] * gain, ranks[node.input[0]])
    read = {name for node in model.graph.node for name in node.input}
    for tensor in [one for one in model.graph.initializer if one.name not in read]:
        model.graph.initializer.remove(tensor)
    return len(found)


def _replace(
    model: onnx.ModelProto,
    place: int,
    node: onnx.NodeProto,
    gain: NDArray[np.float64],
    offset: NDArray[np.float64],
    rank: int,
) -> None:
    from onnx import helper, numpy_helper

    read, written, name = node.input[0], node.output[0], node.name or node.output[0]
    weight, bias = f"{written}.gain", f"{written}.offset"
    if rank > _FLAT:
        gain = gain.reshape(-1, *[1] * (rank - 1))
        new = [helper.make_node("Conv", [read, weight, bias], [written], name=name, group=len(gain))]
    else:
        new = [
            helper.make_node("Mul", [read, weight], [f"{written}.scaled"], name=f"{name}.gain"),
            helper.make_node("Add", [f"{written}.scaled", bias], [written], name=f"{name}.offset"),
        ]
    for tensor, array in ((weight, gain), (bias, offset)):
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), tensor))
    del model.graph.node[place]
    for node_ in reversed(new):
        model.graph.node.insert(place, node_)
