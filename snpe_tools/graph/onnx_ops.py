"""ONNX operations in PyTorch: those that exporters of BERT-like models write.

Each function takes the node's attributes and its inputs: tensors, or NumPy arrays where the graph has constants
(shapes, axes, indices), which PyTorch wants as Python numbers. Semantics: https://onnx.ai/onnx/operators, opset 20, for
a batch of inferences where the graph was written for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Attributes = Mapping[str, Any]
Operation = Callable[..., Any]


def operations() -> dict[str, Operation]:
    """Operations by ONNX type. Reshape takes its shape from the attribute `shape`."""
    import torch
    from torch.nn import functional

    simple: dict[str, Operation] = {
        "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Pow": torch.pow,
        "MatMul": torch.matmul, "Relu": torch.relu, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "Erf": torch.erf,
        "Sqrt": torch.sqrt, "Where": torch.where, "Identity": _identity,
    }  # fmt: skip
    special: dict[str, Operation] = {
        "Gelu": lambda attributes, x: functional.gelu(x, approximate=attributes.get("approximate", "none")),
        "Softmax": lambda attributes, x: torch.softmax(x, attributes.get("axis", -1)),
        "LayerNormalization": _layer_norm,
        "Gemm": _gemm,
        "Gather": lambda attributes, x, indices: _gather(x, indices, attributes.get("axis", 0)),
        "Reshape": _reshape,
        "Transpose": lambda attributes, x: x.permute(*attributes.get("perm", reversed(range(x.ndim)))),
        "Concat": lambda attributes, *parts: torch.cat(parts, attributes["axis"]),
        "Squeeze": lambda _, x, axes: x.squeeze(tuple(_numbers(axes))),
        "Unsqueeze": _unsqueeze,
        "Split": lambda attributes, x, sizes: torch.split(x, _numbers(sizes), attributes.get("axis", 0)),
        "Slice": _slice,
        "Pad": _pad,
        "ReduceMean": lambda attributes, x, axes: x.mean(_numbers(axes), keepdim=bool(attributes.get("keepdims", 1))),
    }
    return {name: _without_attributes(function) for name, function in simple.items()} | special


def _without_attributes(function: Operation) -> Operation:
    return lambda _, *inputs: function(*inputs)


def _identity(x: Any) -> Any:  # noqa: ANN401 - tensors; PyTorch is imported late
    return x


def _numbers(values: Any) -> list[int]:  # noqa: ANN401
    return [int(value) for value in np.asarray(values).reshape(-1)]


def _reshape(attributes: Attributes, x: Any, _: Any) -> Any:  # noqa: ANN401
    """To the shape of one inference, `shape`, its first axis as many times as long as there are inferences."""
    shape = attributes["shape"]
    return x.reshape(x.numel() // math.prod(shape[1:]), *shape[1:])


def _layer_norm(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:  # noqa: ANN401
    from torch.nn import functional

    shape = x.shape[attributes.get("axis", -1) :]
    return functional.layer_norm(x, shape, weight, bias, attributes.get("epsilon", 1e-5))


def _gemm(attributes: Attributes, a: Any, b: Any, c: Any = None) -> Any:  # noqa: ANN401
    left = a.T if attributes.get("transA") else a
    right = b.T if attributes.get("transB") else b
    product = attributes.get("alpha", 1.0) * (left @ right)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _gather(x: Any, indices: Any, axis: int) -> Any:  # noqa: ANN401
    import torch

    places = torch.as_tensor(np.asarray(indices)) if isinstance(indices, np.ndarray) else indices
    taken = x.index_select(axis, places.reshape(-1).long().to(x.device))
    return taken.reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


def _unsqueeze(_: Attributes, x: Any, axes: Any) -> Any:  # noqa: ANN401
    places = _numbers(axes)
    for axis in sorted(place % (x.ndim + len(places)) for place in places):
        x = x.unsqueeze(axis)
    return x


def _slice(_: Attributes, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:  # noqa: ANN401
    first, last = _numbers(starts), _numbers(ends)
    places = _numbers(axes) if axes is not None else list(range(len(first)))
    strides = _numbers(steps) if steps is not None else [1] * len(first)
    window = [slice(None)] * x.ndim
    for axis, begin, end, stride in zip(places, first, last, strides, strict=True):
        window[axis] = slice(begin, end, stride)
    return x[tuple(window)]


def _pad(attributes: Attributes, x: Any, pads: Any, value: Any = None) -> Any:  # noqa: ANN401
    """ONNX lists all beginnings, then all ends; PyTorch pairs, from the last axis on."""
    from torch.nn import functional

    sizes = _numbers(pads)
    half = len(sizes) // 2
    pairs = [size for axis in reversed(range(half)) for size in (sizes[axis], sizes[axis + half])]
    return functional.pad(x, pairs, attributes.get("mode", "constant"), float(value) if value is not None else 0.0)
