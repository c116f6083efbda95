"""Constants that several nodes share, and must not once the model is quantized."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def unshare_vectors(model: onnx.ModelProto) -> None:
    """Give every reader of a shared 1-D float constant a copy of its own, in place.

    A bias is stored as int32 with the scale of its own layer's input times weight. Equal biases (all zero, say)
    leave the exporter as one constant, which cannot have two scales. Shared matrices stay shared.
    """
    import onnx

    vectors = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if len(tensor.dims) == 1 and tensor.data_type == onnx.TensorProto.FLOAT
    }
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        for index, name in enumerate(node.input):
            if name in taken:
                copy = onnx.TensorProto()
                copy.CopyFrom(vectors[name])
                copy.name = f"{name}_copy_{number}_{index}"
                model.graph.initializer.append(copy)
                node.input[index] = copy.name
            elif name in vectors:
                taken.add(name)
