"""One graph on the HTP: composed from a DLC, or loaded from a compiled cache; buffers in, buffers out.

Standard library only: a Linux board without numpy runs this, too (`snpe_tools.board`).
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from snpe_tools.core.errors import DlcError, QnnError
from snpe_tools.qnn import abi
from snpe_tools.qnn.handles import Handles


class Buffer(NamedTuple):
    """Memory of the caller's."""

    address: int
    size: int


class OpenContext(NamedTuple):
    """A context, and descriptions of its graphs that are valid as long as what they were read from."""

    context: c.c_void_p
    graphs: list[abi.GraphInfo]
    compiled: bool


class Graph:
    """One graph of a context, ready to execute.

    Attributes:
        name: the library's name of it.
        inputs, outputs: as the library describes them.

    Raises:
        DlcError: there is no such graph.
        QnnError: the HTP of this SoC refused it.
    """

    def __init__(self, handles: Handles, opened: OpenContext, name: str | None = None) -> None:
        self._handles = handles
        info = _choose(opened.graphs, name, handles.label)
        self.name = info.name.decode()
        self.inputs = [_own(info.inputs[index]) for index in range(info.input_count)]
        self.outputs = [_own(info.outputs[index]) for index in range(info.output_count)]
        self._graph = c.c_void_p()
        handles.core("graphRetrieve", opened.context, c.c_char_p(info.name), c.byref(self._graph))
        if not opened.compiled:
            handles.checked("finalize", lambda: handles.core("graphFinalize", self._graph, None, None))

    def execute(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer], profile: c.c_void_p | None = None) -> None:
        """One inference.

        Args:
            inputs, outputs: stored (native) values, in the order of `self.inputs` and `self.outputs`.

        Raises:
            QnnError: it failed.
        """
        bound_in, bound_out = _bind(self.inputs, inputs), _bind(self.outputs, outputs)
        counts = c.c_uint32(len(inputs)), c.c_uint32(len(outputs))
        arguments = (self._graph, bound_in, counts[0], bound_out, counts[1], profile, None)
        self._handles.checked("execute", lambda: self._handles.core("graphExecute", *arguments))


def read_dlc(handles: Handles, source: ExitStack) -> c.c_void_p:
    """The library's handle of the DLC `handles.label`; `source` frees it.

    Raises:
        DlcError: the library cannot read the file.
    """
    handle = c.c_void_p()
    try:
        handles.system("dlcCreateFromFile", handles.log, c.c_char_p(handles.label.encode()), c.byref(handle))
    except QnnError as problem:
        raise DlcError(
            f"{handles.label}: the QNN library cannot read it.\n    {problem.message}{handles.log_lines.tail()}"
        ) from problem
    source.callback(handles.system, "dlcFree", handle)
    return handle


def compose(handles: Handles, names: Sequence[str], source: ExitStack) -> OpenContext:
    """A context with the DLC's graphs. `source` frees the DLC, and with it what describes them.

    Args:
        names: of the file's graphs.

    Raises:
        DlcError: the library cannot read the file.
        QnnError: the HTP refuses an operation.
    """
    context = c.c_void_p()
    create = (handles.backend, handles.device, None, c.byref(context))
    handles.checked("create context", lambda: handles.core("contextCreate", *create))
    handles.stack.callback(handles.core, "contextFree", context, None)
    opened = read_dlc(handles, source)
    configs = [_graph_config(handles, name) for name in names]
    pointers = (c.POINTER(abi.DlcGraphConfig) * len(configs))(*map(c.pointer, configs))
    handles.keep(configs, pointers)
    graphs, count = c.POINTER(abi.GraphInfo)(), c.c_uint32()
    arguments = (
        opened,
        c.cast(pointers, c.c_void_p),
        c.c_uint32(len(configs)),
        handles.backend,
        context,
        handles.interface,
        c.c_uint32(abi.GRAPH_INFO_VERSION_3),
        c.byref(graphs),
        c.byref(count),
    )
    handles.checked("compose", lambda: handles.system("composeGraphs", *arguments))
    return OpenContext(context, [graphs[index] for index in range(count.value)], compiled=False)


def load_cache(handles: Handles, record: Buffer) -> OpenContext:
    """A context from a compiled record; its memory must stay valid as long as the handles.

    Raises:
        QnnError: the library refuses the record, or it was compiled for another SoC.
    """
    address, size = c.c_void_p(record.address), c.c_uint64(record.size)
    graphs = _described(handles, address, size)
    context = c.c_void_p()
    arguments = (handles.backend, handles.device, None, address, size, c.byref(context), None)
    handles.checked("load cache", lambda: handles.core("contextCreateFromBinary", *arguments))
    handles.stack.callback(handles.core, "contextFree", context, None)
    return OpenContext(context, graphs, compiled=True)


def _described(handles: Handles, address: c.c_void_p, size: c.c_uint64) -> list[abi.GraphInfo]:
    reader, found = c.c_void_p(), c.POINTER(abi.BinaryInfo)()
    handles.system("systemContextCreate", c.byref(reader))
    handles.stack.callback(handles.system, "systemContextFree", reader)
    arguments = (reader, address, size, c.byref(found))
    handles.checked("read cache", lambda: handles.system("systemContextGetMetaData", *arguments))
    info = found.contents
    if info.version != abi.BINARY_INFO_VERSION_3:
        raise QnnError(f"{handles.label}: its cache has the unknown description version {info.version}.")
    if handles.soc and info.soc_model != handles.soc.id:
        raise QnnError(f"{handles.label}: its cache was compiled for SoC {info.soc_model}, not for {handles.soc}.")
    return [info.graphs[index] for index in range(info.graph_count)]


def _graph_config(handles: Handles, name: str) -> abi.DlcGraphConfig:
    float16 = handles.custom(abi.HtpConfig(option=abi.HTP_GRAPH_PRECISION, value=abi.PRECISION_FLOAT16))
    configs = c.cast(float16, c.POINTER(c.POINTER(abi.CustomConfig)))
    return abi.DlcGraphConfig(version=1, graph_name=name.encode(), configs=configs, config_count=1)


def _choose(graphs: list[abi.GraphInfo], name: str | None, label: str) -> abi.GraphInfo:
    names = [graph.name.decode() for graph in graphs]
    if name is None and len(graphs) == 1:
        return graphs[0]
    if name in names:
        return graphs[names.index(name)]
    raise DlcError(f"{label} holds the graphs {', '.join(names)}.", "Name one of them with --graph.")


def _bind(tensors: Sequence[abi.Tensor], buffers: Sequence[Buffer]) -> c.Array[abi.Tensor]:
    bound = (abi.Tensor * len(tensors))(*tensors)
    for tensor, buffer in zip(bound, buffers, strict=True):
        tensor.memory = abi.MEMORY_RAW
        tensor.buffer = abi.ClientBuffer(buffer.address, buffer.size)
    return bound


def _own(tensor: abi.Tensor) -> abi.Tensor:
    """A copy that needs none of the library's memory; encodings per channel, which inputs and outputs have not, go."""
    copy = abi.Tensor.from_buffer_copy(tensor)
    copy.name = bytes(tensor.name)
    copy.dimensions = (c.c_uint32 * tensor.rank)(*tensor.dimensions[: tensor.rank])
    if tensor.quantize.kind not in {abi.SCALE_OFFSET, abi.BW_SCALE_OFFSET}:
        copy.quantize = abi.QuantizeParams(definition=abi.ENCODING_UNDEFINED, kind=abi.ENCODING_UNDEFINED)
    return copy
