"""An ONNX graph as a trainable PyTorch module: the very graph that is quantized and converted, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.core.errors import OnnxError
from snpe_tools.graph.loading import constant_tensors, infer_types
from snpe_tools.graph.onnx_ops import operations

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

Hook = Callable[[str, Any, str], Any]
"""Called with the name and the value of each float tensor that a node reads, and with the name of what that node
writes ("" for the model's outputs); returns what the node gets.
"""


class GraphFunction:
    """A float ONNX model that PyTorch computes and differentiates.

    The model has fixed shapes for one inference; a batch of them is computed at once, along the first axis of every
    tensor.

    Args:
        model: opset 20.

    Attributes:
        inputs, outputs: names.
        computed: names of what the nodes write, in order.
        reads: by how many nodes a tensor is read; the model's own outputs count as well.
        weights: float constants by name, float32 tensors.

    Raises:
        OnnxError: an operation is not known here.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import helper

        known, shapes = operations(), _shapes(model)
        self._steps = []
        for node in model.graph.node:
            if node.op_type == "Constant":
                continue
            if node.op_type not in known:
                raise OnnxError(
                    f"Node {node.name!r}: {node.op_type} cannot be trained here.", f"Known: {', '.join(sorted(known))}."
                )
            attributes = {entry.name: _plain(helper.get_attribute_value(entry)) for entry in node.attribute}
            attributes["shape"] = shapes[node.output[0]]
            self._steps.append((known[node.op_type], attributes, list(node.input), list(node.output)))
        self.inputs = [value.name for value in model.graph.input]
        self.outputs = [value.name for value in model.graph.output]
        self.computed = [name for _, _, _, written in self._steps for name in written]
        self.reads = Counter([*(name for _, _, read, _ in self._steps for name in read), *self.outputs])
        self.weights, self._constants = _constants(model)

    def __call__(
        self, inputs: Mapping[str, Tensor], weights: Mapping[str, Tensor], hook: Hook | None = None
    ) -> dict[str, Tensor]:
        """The outputs by name.

        Args:
            inputs: by name, batch first.
            weights: values for the float constants.
            hook: may change each float tensor that a node reads.
        """
        values: dict[str, Any] = {**self._constants, **weights, **inputs}
        for operation, attributes, read, written in self._steps:
            given = [_read(values, name, hook, written[0]) for name in read]
            made = operation(attributes, *given)
            values.update(zip(written, made if len(written) > 1 else [made], strict=True))
        return {name: _read(values, name, hook, "") for name in self.outputs}


def _read(values: Mapping[str, Any], name: str, hook: Hook | None, reader: str) -> Any:  # noqa: ANN401
    value = values[name] if name else None
    is_float = value is not None and not isinstance(value, np.ndarray) and value.is_floating_point()
    return hook(name, value, reader) if hook and is_float else value


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    graph = infer_types(model).graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.output)
    }


def _plain(value: Any) -> Any:  # noqa: ANN401
    return value.decode() if isinstance(value, bytes) else value


def _constants(model: onnx.ModelProto) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Float constants as tensors; shapes, axes and indices as NumPy arrays."""
    import torch
    from onnx import numpy_helper

    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in constant_tensors(model)}
    weights = {name: torch.from_numpy(array.copy()) for name, array in arrays.items() if array.dtype == np.float32}
    return weights, {name: array for name, array in arrays.items() if name not in weights}


def with_weights(model: onnx.ModelProto, weights: Mapping[str, Tensor]) -> onnx.ModelProto:
    """A copy of the model with other values for its float constants."""
    from onnx import numpy_helper

    copy = type(model)()
    copy.CopyFrom(model)
    for name, tensor in constant_tensors(copy):
        if name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[name].detach().cpu().numpy(), tensor.name))
    return copy
