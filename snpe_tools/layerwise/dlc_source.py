"""The inner tensors of a DLC: executed, wherever it is, from a copy whose inner tensors are outputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.core.dtypes import DataType
from snpe_tools.dlc import Graph, Node, Tensor
from snpe_tools.inspection.aimet import plain_name
from snpe_tools.layerwise.layer import Grid, Layer, Reader

_KEPT = re.compile(r"_token_\d+$")
"""What the converter appends where it keeps a name apart."""
_DROPPING = {"Reduce", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "Squeeze"}

Execute = Callable[[Mapping[str, Sequence[int]]], Reader]
"""Makes tensors readable, given by name and shape: by executing the DLC with them as outputs, now or when asked."""


class DlcSource:
    """Which tensors the DLC has; `execute` computes them."""

    converted = True

    def __init__(self, model: Path, execute: Execute, *, kind: str) -> None:
        self.name, self.kind, self._execute = model.name, kind, execute
        with dlc_format.open(model) as dlc:
            self.layers: Mapping[str, Layer] = _layers(dlc.graph)

    @contextmanager
    def run(self, names: Sequence[str]) -> Iterator[Reader]:
        """Make `names` readable."""
        shapes = {layer.name: layer.shape for layer in self.layers.values()}
        yield self._execute({name: shapes[name] for name in names})


def _layers(graph: Graph) -> dict[str, Layer]:
    dynamic = {tensor.name for tensor in graph.inputs}
    layers: dict[str, Layer] = {}
    for node in graph.nodes:
        if dynamic.isdisjoint(node.inputs):
            continue
        dynamic |= set(node.outputs)
        for name in node.outputs:
            tensor = graph.tensors[name]
            if tensor.role in {"native", "output"} and (tensor.dtype.is_float or tensor.dtype.is_fixed_point):
                layer = _layer(graph, node, tensor, dynamic)
                if layer.key in layers and _KEPT.search(tensor.name):
                    layer = replace(layer, key=tensor.name)
                layers[layer.key] = layer
    return layers


def _layer(graph: Graph, node: Node, tensor: Tensor, dynamic: set[str]) -> Layer:
    constants = [graph.tensors[name].dtype for name in node.inputs if name in graph.tensors and name not in dynamic]
    return Layer(
        key=_key(tensor.name),
        name=tensor.name,
        op=node.type,
        node=node.name,
        shape=tensor.shape,
        inputs=tuple(dict.fromkeys(_key(name) for name in node.inputs if name in dynamic)),
        grid=_grid(tensor),
        weight_bits=min((8 * dtype.numpy.itemsize for dtype in constants if dtype.is_fixed_point), default=0),
        perm=_numbers(node, "perm") if node.type == "Transpose" else (),
        dropped=_numbers(node, "axes") if node.type in _DROPPING and not node.attributes.get("keep_dims") else (),
    )


def _key(name: str) -> str:
    """The name in the ONNX model, without what QDQ export and the converter append."""
    return plain_name(_KEPT.sub("", name))


def _numbers(node: Node, attribute: str) -> tuple[int, ...]:
    value = node.attributes.get(attribute)
    return tuple(int(number) for number in value.values().reshape(-1)) if isinstance(value, Tensor) else ()


def _grid(tensor: Tensor) -> Grid | None:
    encoding = tensor.encoding
    if encoding is None or not tensor.dtype.is_fixed_point or encoding.axis is not None:
        return None
    low, high = _limits(tensor.dtype)
    return Grid.of(encoding.scales[0], low + encoding.offsets[0], high + encoding.offsets[0], encoding.bits)


def _limits(dtype: DataType) -> tuple[int, int]:
    limits = np.iinfo(dtype.numpy.str)
    return int(limits.min), int(limits.max)
