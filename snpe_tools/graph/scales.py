"""Constant factors behind a matrix product, multiplied into its weights: one quantized tensor less for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.graph.loading import constant_tensors, node_by_output, nodes_by_input

if TYPE_CHECKING:
    import onnx

_MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity"}


def fold_scales(model: onnx.ModelProto) -> int:
    """Fold `Mul` and `Div` by a constant number into the `Gemm` before them, in place.

    Attention divides its scores by the square root of the head's size; exporters scale queries and keys by its root
    each. Weights that several products share are folded only where all of them are scaled alike. What the graph
    outputs keeps its name and its values.

    Returns:
        How many operations were removed.
    """
    return _Folder(model).fold()


class _Folder:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._constants = dict(constant_tensors(model))
        self._writer = node_by_output(model.graph.node)
        self._readers = nodes_by_input(model.graph.node)
        self._outputs = {value.name for value in model.graph.output}

    def fold(self) -> int:
        found = [(node, factor, product) for node in self._graph.node for factor, product in self._folds(node)]
        factors: dict[str, dict[int, float]] = {}
        for _, factor, product in found:
            for name in product.input[1:3]:
                factors.setdefault(name, {})[id(product)] = factor
        good = {name for name, of in factors.items() if len(set(of.values())) == 1 and len(of) == self._reads(name)}
        done = [(node, product) for node, _, product in found if set(product.input[1:3]) <= good]
        for name in {name for _, product in done for name in product.input[1:3]}:
            self._scale(name, next(iter(factors[name].values())))
        for node, _ in done:
            self._remove(node)
        self._drop_unread()
        return len(done)

    def _folds(self, node: onnx.NodeProto) -> list[tuple[float, onnx.NodeProto]]:
        """The factor that a node multiplies by, and the product that can take it; empty where there is none."""
        if node.op_type not in {"Mul", "Div"} or node.output[0] in self._outputs:
            return []
        factor = self._number(node.input[1])
        place = 0
        if factor is None and node.op_type == "Mul":
            factor, place = self._number(node.input[0]), 1
        product = self._product(node.input[place])
        if not factor or product is None:
            return []
        return [(1 / factor if node.op_type == "Div" else factor, product)]

    def _number(self, name: str) -> float | None:
        from onnx import numpy_helper

        tensor = self._constants.get(name)
        array = None if tensor is None else numpy_helper.to_array(tensor)
        return float(array.reshape(())) if array is not None and array.size == 1 else None

    def _product(self, name: str) -> onnx.NodeProto | None:
        """The Gemm whose result, moved at most, is `name`, where nobody else reads it."""
        writer = self._writer.get(name)
        if writer is None or self._reads(name) != 1:
            return None
        if writer.op_type in _MOVES | {"MatMul"}:  # a product of activations is scaled as its left side is
            return self._product(writer.input[0])
        fixed = writer.op_type == "Gemm" and set(writer.input[1:]) <= set(self._constants)
        return writer if fixed else None

    def _reads(self, name: str) -> int:
        """How often a tensor is read; by whoever gets the graph's outputs, too."""
        return len(self._readers.get(name, ())) + (name in self._outputs)

    def _scale(self, name: str, factor: float) -> None:
        from onnx import numpy_helper

        tensor = self._constants[name]
        scaled = numpy_helper.to_array(tensor) * np.float32(factor)
        tensor.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), tensor.name))

    def _remove(self, node: onnx.NodeProto) -> None:
        read = next(name for name in node.input if name not in self._constants)
        for reader in self._readers.get(node.output[0], ()):
            for place, name in enumerate(reader.input):
                if name == node.output[0]:
                    reader.input[place] = read
        self._graph.node.remove(node)

    def _drop_unread(self) -> None:
        read = {name for node in self._graph.node for name in node.input}
        for node in [one for one in self._graph.node if one.op_type == "Constant" and one.output[0] not in read]:
            self._graph.node.remove(node)
        for tensor in [one for one in self._graph.initializer if one.name not in read]:
            self._graph.initializer.remove(tensor)
