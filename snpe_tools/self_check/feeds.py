"""What a model is fed where nobody gave it inputs: seeded random numbers that each input can take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.tensor_spec import Array, TensorSpec
from snpe_tools.graph.loading import constant_tensors, infer_types, input_specs, nodes_by_input

if TYPE_CHECKING:
    import onnx

_SEED = 17
_PASSING = {"Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose", "Slice", "Expand", "Concat",
            "QuantizeLinear", "DequantizeLinear", "Clip", "Tile"}  # fmt: skip
"""Operations behind which an integer still is the same token id, or the same index."""
_INDEXED = {"Gather": 1, "GatherElements": 1, "GatherND": 1, "ScatterElements": 1, "ScatterND": 1}
"""Operations that look something up, and which of their inputs says where."""
_BYTE = 8
_PAIR = 2
_POSITIVE, _OUTSIDE = 0.05, 0.1
"""Shares of a range: where positive numbers begin, and how far others go beyond its lower end."""


def random_feeds(model: onnx.ModelProto) -> Iterator[dict[str, Array]]:
    """Inputs by name, in the model's own types: at first of both signs, then positive numbers alone.

    Integers stay below the length of what they index, masks are all ones, and a quantized input spans its encoding.

    Args:
        model: fixed shapes, float or QDQ.
    """
    walk = _Walk(model)
    for positive in (False, True):
        numbers = np.random.default_rng(_SEED)
        yield {spec.name: _values(spec, walk, numbers, positive=positive) for spec in input_specs(model)}


def _values(spec: TensorSpec, walk: _Walk, numbers: np.random.Generator, *, positive: bool) -> Array:
    if "mask" in spec.name.lower() and not spec.dtype.is_float:
        return np.ones(spec.shape, spec.dtype.numpy)
    if spec.dtype.is_float:
        low, high = walk.width(spec.name) or (-2.0, 2.0)
        if positive:
            low, high = (max(low, high * _POSITIVE), high) if high > 0 else (_POSITIVE, 1.0)
        else:
            low -= _OUTSIDE * (high - low)  # clipping must be right as well
        return numbers.uniform(low, high, spec.shape).astype(spec.dtype.numpy)
    return numbers.integers(0, walk.count(spec), spec.shape).astype(spec.dtype.numpy)


class _Walk:
    """What the graph says about the numbers that its inputs may hold."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._readers = nodes_by_input(model.graph.node)
        self._constants = dict(constant_tensors(model))
        typed = infer_types(model).graph
        self._shapes: dict[str, tuple[int, ...]] = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in (*typed.input, *typed.value_info, *typed.output)
        } | {name: tuple(tensor.dims) for name, tensor in self._constants.items()}

    def width(self, name: str) -> tuple[float, float] | None:
        """The range of a float input's encoding; None where it has none for the whole tensor."""
        from onnx import numpy_helper

        for node in self._readers.get(name, ()):
            if node.op_type == "QuantizeLinear" and len(node.input) > _PAIR and node.input[1] in self._constants:
                scale, zero = (numpy_helper.to_array(self._constants[part]) for part in node.input[1:3])
                if scale.size == 1 and np.issubdtype(zero.dtype, np.integer):
                    limits, offset = np.iinfo(zero.dtype), int(zero.reshape(-1)[0])
                    step = float(scale.reshape(-1)[0])
                    return (int(limits.min) - offset) * step, (int(limits.max) - offset) * step
        return None

    def count(self, spec: TensorSpec) -> int:
        """How many different numbers an integer input takes, from 0 on."""
        found = self._indexed(spec.name, set())
        if found:
            return min(found)
        bits = 8 * spec.dtype.numpy.itemsize
        return 1 << _BYTE - (spec.dtype.numpy.kind == "i") if bits == _BYTE and spec.dtype.numpy.kind != "b" else _PAIR

    def _indexed(self, name: str, seen: set[str]) -> list[int]:
        """Lengths of the axes that a tensor's numbers index."""
        found: list[int] = []
        if name in seen:
            return found
        seen.add(name)
        for node in self._readers.get(name, ()):
            place = _INDEXED.get(node.op_type)
            if place is not None and len(node.input) > place and node.input[place] == name:
                shape = self._shapes.get(node.input[0], ())
                axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 0)
                found += [shape[axis]] if shape and shape[axis] > 0 else []
            elif node.op_type == "Equal":
                found += [max(self._shapes.get(other, (0,))) for other in node.input if other in self._constants]
            elif node.op_type in _PASSING and node.input[0] == name:
                found += self._indexed(node.output[0], seen)
        return [count for count in found if count > 0]


def fits(feed: Mapping[str, Array]) -> bool:
    """Whether all numbers are finite."""
    return all(bool(np.isfinite(array).all()) for array in feed.values() if array.dtype.kind == "f")
