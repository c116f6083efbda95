"""What the vendor's own reader finds in a DLC: `composeGraphs` is given a backend that writes down what it is told.

`composeGraphs` calls two functions of the interface it is given, `tensorCreateGraphTensor` and `graphAddNode`, once for
each tensor and operation of the file. Both are replaced here by ones that note their arguments and call the originals.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from snpe_tools.core.socs import Soc
from snpe_tools.qnn import abi, handles, library
from snpe_tools.qnn.session import Session

_GRAPH_ADD_NODE, _TENSOR_CREATE = 18, 24
"""Indices in `QnnInterface_t`, as in `abi.CORE`."""
_SCALAR = 0
_UNPACK: dict[int, Any] = {0x232: c.c_float, 0x264: c.c_double, 0x508: c.c_bool, 0x32: c.c_int32, 0x132: c.c_uint32}


class _Param(c.Structure):
    """`Qnn_Param_t`: a scalar (its type, then 8 bytes) or a tensor."""

    _fields_ = (("type", c.c_uint32), ("name", c.c_char_p), ("content", c.c_uint8 * 144))


class _OpConfig(c.Structure):
    """`Qnn_OpConfig_t` of version 1."""

    _fields_ = (
        ("version", c.c_uint32),
        ("name", c.c_char_p),
        ("package", c.c_char_p),
        ("kind", c.c_char_p),
        ("param_count", c.c_uint32),
        ("params", c.POINTER(_Param)),
        ("input_count", c.c_uint32),
        ("inputs", c.POINTER(abi.Tensor)),
        ("output_count", c.c_uint32),
        ("outputs", c.POINTER(abi.Tensor)),
    )


@dataclass(frozen=True)
class ComposedTensor:
    """A tensor as the runtime was told of it; `encoding` is (axis, scales, offsets)."""

    name: str
    shape: tuple[int, ...]
    dtype: int
    kind: int
    encoding: tuple[int | None, tuple[float, ...], tuple[int, ...]] | None
    data: bytes | None


@dataclass(frozen=True)
class ComposedNode:
    """An operation as the runtime was told of it."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scalars: dict[str, Any]
    tensors: dict[str, ComposedTensor]


@dataclass
class Composed:
    """Everything that `composeGraphs` told, in its order."""

    nodes: list[ComposedNode] = field(default_factory=list)
    tensors: dict[str, ComposedTensor] = field(default_factory=dict)


@contextmanager
def composed(dlc: Path, soc: Soc, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Composed, Session]]:
    """A session on `dlc`, and what its composition told."""
    seen = Composed()
    kept: list[Any] = []
    original = library.htp_interface

    def watched() -> tuple[Any, c.Structure]:
        functions, interface = original()
        copy = type(interface).from_buffer_copy(interface)
        pointers: Any = copy.functions
        for index, wrap in ((_GRAPH_ADD_NODE, _watch_nodes), (_TENSOR_CREATE, _watch_tensors)):
            callback = wrap(pointers[index], seen)
            kept.append(callback)
            pointers[index] = c.cast(callback, c.c_void_p).value
        return functions, copy

    monkeypatch.setattr(handles, "htp_interface", watched)
    with Session(dlc, soc) as opened:
        yield seen, opened


def _watch_nodes(address: int, seen: Composed) -> Any:
    prototype = c.CFUNCTYPE(c.c_uint64, c.c_void_p, _OpConfig)
    add: Callable[..., int] = prototype(address)

    def noted(graph: int, config: _OpConfig) -> int:
        seen.nodes.append(_node(config))
        return add(graph, config)

    return prototype(noted)


def _watch_tensors(address: int, seen: Composed) -> Any:
    prototype = c.CFUNCTYPE(c.c_uint64, c.c_void_p, c.POINTER(abi.Tensor))
    create: Callable[..., int] = prototype(address)

    def noted(graph: int, tensor: Any) -> int:
        found = _tensor(tensor[0])
        seen.tensors[found.name] = found
        return create(graph, tensor)

    return prototype(noted)


def _node(config: _OpConfig) -> ComposedNode:
    params = [config.params[index] for index in range(config.param_count)]
    return ComposedNode(
        config.name.decode(),
        config.kind.decode(),
        tuple(config.inputs[index].name.decode() for index in range(config.input_count)),
        tuple(config.outputs[index].name.decode() for index in range(config.output_count)),
        {param.name.decode(): _scalar(param) for param in params if param.type == _SCALAR},
        {
            param.name.decode(): _tensor(abi.Tensor.from_buffer_copy(param.content))
            for param in params
            if param.type != _SCALAR
        },
    )


def _scalar(param: _Param) -> Any:
    kind = c.c_uint32.from_buffer_copy(param.content).value
    return _UNPACK[kind].from_buffer_copy(param.content, 8).value


def _tensor(tensor: abi.Tensor) -> ComposedTensor:
    held = tensor.buffer
    return ComposedTensor(
        tensor.name.decode(),
        tuple(tensor.dimensions[axis] for axis in range(tensor.rank)),
        tensor.data_type,
        tensor.type,
        _encoding(tensor.quantize),
        c.string_at(held.data, held.size) if held.data and held.size else None,
    )


def _encoding(params: abi.QuantizeParams) -> tuple[int | None, tuple[float, ...], tuple[int, ...]] | None:
    if params.definition != abi.ENCODING_DEFINED:
        return None
    if params.kind == abi.AXIS_SCALE_OFFSET:
        entries = [params.value.axis.values[index] for index in range(params.value.axis.count)]
        return params.value.axis.axis, tuple(e.scale for e in entries), tuple(e.offset for e in entries)
    assert params.kind == abi.SCALE_OFFSET
    return None, (params.value.tensor.scale,), (params.value.tensor.offset,)
