"""What a context binary says of itself: graphs, inputs, outputs and the SoC, read by the QNN system library.

The library checks little of a damaged file, so `read_context` is called through `qnn.isolation`.
"""

from __future__ import annotations

import ctypes as c
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import DlcError, QnnError
from snpe_tools.core.socs import BY_ID
from snpe_tools.qnn import abi
from snpe_tools.qnn.library import system_interface

_MOST = 10_000
_HIGHEST_RANK = 16


@dataclass(frozen=True)
class ContextTensor:
    """An input or output: its name, shape and the name of its data type ("unknown" where we do not know it)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class ContextGraph:
    """One compiled graph."""

    name: str
    inputs: tuple[ContextTensor, ...]
    outputs: tuple[ContextTensor, ...]


@dataclass(frozen=True)
class ContextInfo:
    """A context binary.

    Attributes:
        bytes: of the file; blob_bytes: of the compiled part of it.
        soc: "unknown" where our table has not its number.
        built_by: version of the compiler.
    """

    file: Path
    bytes: int
    blob_bytes: int
    soc: str
    soc_id: int
    built_by: str
    core_api: str
    blob_version: str
    graphs: tuple[ContextGraph, ...]


def read_context(file: Path) -> ContextInfo:
    """Read `file`.

    Raises:
        DlcError: the library does not take it for a context binary.
        SetupError: the runtime is not installed.
    """
    data = file.read_bytes()
    memory = c.create_string_buffer(data, len(data))
    system, reader, found = system_interface(), c.c_void_p(), c.POINTER(abi.BinaryInfo)()
    with ExitStack() as stack:
        system("systemContextCreate", c.byref(reader))
        stack.callback(system, "systemContextFree", reader)
        try:
            address = c.c_void_p(c.addressof(memory))
            system("systemContextGetMetaData", reader, address, c.c_uint64(len(data)), c.byref(found))
        except QnnError as problem:
            raise DlcError(f"{file} is not a readable context binary: {problem.message}", "Copy it again.") from problem
        info = found.contents
        if info.version != abi.BINARY_INFO_VERSION_3 or info.graph_count > _MOST:
            raise DlcError(f"{file}: its description has the unknown version {info.version}.")
        return _described(file, len(data), info)


def _described(file: Path, size: int, info: abi.BinaryInfo) -> ContextInfo:
    soc = BY_ID.get(info.soc_model)
    graphs = tuple(_graph(info.graphs[index]) for index in range(info.graph_count))
    return ContextInfo(file, size, info.blob_size, soc.name if soc else "unknown", info.soc_model,
                       (info.build_id or b"").decode(errors="replace"), str(info.core_version),
                       str(info.blob_version), graphs)  # fmt: skip


def _graph(graph: abi.GraphInfo) -> ContextGraph:
    inputs = tuple(_tensor(graph.inputs[index]) for index in range(min(graph.input_count, _MOST)))
    outputs = tuple(_tensor(graph.outputs[index]) for index in range(min(graph.output_count, _MOST)))
    return ContextGraph(graph.name.decode(errors="replace"), inputs, outputs)


def _tensor(tensor: abi.Tensor) -> ContextTensor:
    dtype = BY_CODE.get(tensor.data_type)
    shape = tuple(tensor.dimensions[axis] for axis in range(min(tensor.rank, _HIGHEST_RANK)))
    return ContextTensor(tensor.name.decode(errors="replace"), shape, dtype.name if dtype else "unknown")
