"""The inner tensors of an ONNX model, float or QDQ, on ONNX Runtime without graph optimizations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.raw_files import InputList, check_list, named, read_inputs
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import infer_types, input_specs, load
from snpe_tools.graph.quantized_io import real_inputs
from snpe_tools.graph.session import explained, plain_session
from snpe_tools.layerwise.layer import Grid, Layer, Reader

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort


class OnnxSource:
    """Reads tensors by making them outputs of a copy of the graph, cut off behind the last of them."""

    kind = "ONNX Runtime CPU, graph optimizations off"
    converted = False

    def __init__(self, model: Path, inputs: InputList, *, native: bool = False) -> None:
        self.name, self._model = model.name, use_int32_inputs(load(model))
        self._specs, self._inputs, self._native = real_inputs(self._model), inputs, native
        check_list(inputs, self._specs, native=native)
        self.layers: Mapping[str, Layer] = _Walk(self._model).layers

    @contextmanager
    def run(self, names: Sequence[str]) -> Iterator[Reader]:  # noqa: ARG002 - sessions are opened as they are read
        """Read any of `names`; a session is kept as long as the same ones are read."""
        opened: dict[tuple[str, ...], ort.InferenceSession] = {}

        def read(wanted: Sequence[str], index: int) -> Mapping[str, Array]:
            key = tuple(wanted)
            with explained(self.name):
                if key not in opened:
                    opened.clear()
                    opened[key] = plain_session(_cut(self._model, key))
                line = named(self._inputs.lines[index], self._specs, self._inputs.path, index)
                fed = read_inputs(line, self._specs, native=self._native)
                used = {value.name for value in opened[key].get_inputs()}
                arrays = opened[key].run(list(key), {name: fed[name] for name in used})
            return dict(zip(key, arrays, strict=True))

        yield read


def _cut(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The part of a model that computes `names`, with these as its outputs."""
    from onnx import helper

    needed, nodes = set(names), []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    graph = helper.make_graph(
        nodes[::-1],
        model.graph.name,
        [value for value in model.graph.input if value.name in needed],
        [helper.make_empty_tensor_value_info(name) for name in names],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


class _Walk:
    """Finds the layers of a graph: float tensors that depend on its inputs.

    QuantizeLinear and DequantizeLinear are no ops of the model: a tensor, its stored integers and its quantized value
    are one layer, whose key is the shorter of the two float names, since exporters append to the other.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._types = _float_shapes(model)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._inputs = {spec.name for spec in input_specs(model)}
        self._dynamic = set(self._inputs)
        self._key: dict[str, str] = {}
        self._weight_bits: dict[str, int] = {}
        self.layers: dict[str, Layer] = {}
        for node in model.graph.node:
            self._visit(node)

    def _visit(self, node: onnx.NodeProto) -> None:
        if self._dynamic.isdisjoint(node.input):
            if node.op_type == "DequantizeLinear":
                self._weight_bits[node.output[0]] = self._bits(node)
            return
        self._dynamic |= set(node.output)
        key = self._key.get(node.input[0], "")
        if node.op_type == "QuantizeLinear" and node.input[0] in self._inputs:
            self._key[node.output[0]] = node.input[0]
        elif node.op_type == "QuantizeLinear" and key:
            self._key[node.output[0]] = key
        elif node.op_type == "DequantizeLinear" and key:
            self._quantized(node, key)
        else:
            self._computed(node)

    def _computed(self, node: onnx.NodeProto) -> None:
        inputs = tuple(dict.fromkeys(self._key[name] for name in node.input if name in self._key))
        bits = min((self._weight_bits[name] for name in node.input if name in self._weight_bits), default=0)
        for name in node.output:
            if name in self._types:
                self._key[name] = name
                shape = self._types[name]
                perm = _perm(node, len(shape))
                self.layers[name] = Layer(name, name, node.op_type, node.name, shape, inputs, None, bits, perm)

    def _quantized(self, node: onnx.NodeProto, key: str) -> None:
        name = node.output[0]
        if key in self._inputs and key not in self.layers:  # an input of the model, from here on rounded
            self.layers[key] = Layer(key, name, "QuantizeLinear", node.name, self._types.get(name, ()))
        layer = self.layers[key]
        shorter = min(key, name, key=len)
        if shorter != key:
            self.layers = {shorter if known == key else known: value for known, value in self.layers.items()}
        self.layers[shorter] = replace(layer, key=shorter, name=name, grid=self._grid(node))
        for alias in [alias for alias, known in self._key.items() if known == key]:
            self._key[alias] = shorter
        self._key[name] = shorter

    def _grid(self, node: onnx.NodeProto) -> Grid | None:
        scale, zero = self._constant(node, 1), self._constant(node, 2)
        if scale is None or zero is None or scale.size != 1:
            return None
        limits, offset = np.iinfo(zero.dtype.str), int(zero.reshape(()))
        return Grid.of(float(scale.reshape(())), int(limits.min) - offset, int(limits.max) - offset, limits.bits)

    def _bits(self, node: onnx.NodeProto) -> int:
        zero = self._constant(node, 2)
        return 0 if zero is None else 8 * zero.dtype.itemsize

    def _constant(self, node: onnx.NodeProto, place: int) -> Array | None:
        from onnx import numpy_helper

        tensor = self._constants.get(node.input[place]) if place < len(node.input) else None
        return None if tensor is None else numpy_helper.to_array(tensor)


def _perm(node: onnx.NodeProto, rank: int) -> tuple[int, ...]:
    """Of a Transpose; without the attribute it reverses the axes."""
    if node.op_type != "Transpose":
        return ()
    return next((tuple(entry.ints) for entry in node.attribute if entry.name == "perm"), tuple(range(rank))[::-1])


def _float_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the float tensors whose shape is known."""
    import onnx

    graph = infer_types(model).graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
