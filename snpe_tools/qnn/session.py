"""A DLC on the Hexagon emulator: compose and finalize, or load a compiled cache; execute; add compiled caches.

The file itself is executed, as `snpe-net-run` would on the device; nothing falls back to a CPU.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.dtypes import BY_CODE
from snpe_tools.errors import DlcError, QnnError, TensorError
from snpe_tools.qnn import abi
from snpe_tools.qnn.cache import find_cache, open_cache
from snpe_tools.qnn.handles import Handles
from snpe_tools.qnn.names import library_name, restore_names
from snpe_tools.qnn.profile import Event, Level, recorded
from snpe_tools.socs import Soc
from snpe_tools.spec import Array, Encoding, TensorSpec


class Session:
    """One graph of a DLC, ready to execute. Use as a context manager.

    Args:
        dlc: the DLC file.
        soc: the SoC whose HTP is emulated or compiled for.
        graph: the graph's name, the only one by default.
        use_cache: start from the DLC's compiled cache for this SoC, where it has one.

    Attributes:
        inputs, outputs: of the graph.
        start: "cache", "compiled", or why the cache was not used: "compiled, since …".

    Raises:
        DlcError: the library cannot read the file.
        QnnError: the HTP of this SoC refused the graph.
    """

    def __init__(self, dlc: Path, soc: Soc, graph: str | None = None, *, use_cache: bool = False) -> None:
        self.dlc, self.soc = dlc, soc
        self.start = "compiled"
        self._file = dlc_format.open(dlc)
        self._handles = Handles(str(dlc), soc)
        self._handles.stack.callback(self._file.close)
        try:
            self._open(graph, use_cache=use_cache)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free every handle, newest first. Calling it twice is harmless."""
        self._handles.stack.close()

    def _open(self, graph: str | None, *, use_cache: bool) -> None:
        cached = self._load_cache() if use_cache else None
        with ExitStack() as source:
            self._context, graphs = cached or self._compose(source)
            info = _choose(graphs, graph, self.dlc)
            self.graph_name = info.name.decode()
            self._inputs = [_own(info.inputs[index]) for index in range(info.input_count)]
            self._outputs = [_own(info.outputs[index]) for index in range(info.output_count)]
            self._graph = c.c_void_p()
            self._handles.core("graphRetrieve", self._context, c.c_char_p(info.name), c.byref(self._graph))
            if not cached:
                self._call("finalize", "graphFinalize", self._graph, None, None)
        inputs, outputs = self._names()
        self.inputs = restore_names([_spec(tensor) for tensor in self._inputs], inputs)
        self.outputs = restore_names([_spec(tensor) for tensor in self._outputs], outputs)

    def _names(self) -> tuple[list[str], list[str]]:
        """Names of the graph's inputs and outputs in the file."""
        for graph in self._file.graphs:
            if library_name(graph.name) == library_name(self.graph_name):
                return [tensor.name for tensor in graph.inputs], [tensor.name for tensor in graph.outputs]
        return [], []

    def _call(self, step: str, function: str, *arguments: object) -> None:
        self._handles.checked(step, lambda: self._handles.core(function, *arguments))

    def _load_cache(self) -> tuple[c.c_void_p, list[abi.GraphInfo]] | None:
        record = find_cache(self._file, self.soc.name)
        if not record:
            return None
        try:
            opened = open_cache(self._handles, self._file.container.data(record))
        except QnnError as problem:
            self.start = f"compiled, since {record} cannot be used: {problem.message}"
            return None
        self.start = "cache"
        return opened

    def _compose(self, source: ExitStack) -> tuple[c.c_void_p, list[abi.GraphInfo]]:
        """A context with the DLC's graphs. `source` frees the DLC, and with it what describes them."""
        handles = self._handles
        context = c.c_void_p()
        self._call("create context", "contextCreate", handles.backend, handles.device, None, c.byref(context))
        handles.stack.callback(handles.core, "contextFree", context, None)
        opened = self._read_dlc(source)
        configs = [self._graph_config(found.name) for found in self._file.graphs]
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
        return context, [graphs[index] for index in range(count.value)]

    def _read_dlc(self, source: ExitStack) -> c.c_void_p:
        handles, handle = self._handles, c.c_void_p()
        try:
            handles.system("dlcCreateFromFile", handles.log, c.c_char_p(str(self.dlc).encode()), c.byref(handle))
        except QnnError as problem:
            raise DlcError(
                f"{self.dlc}: the QNN library cannot read it.\n    {problem.message}{handles.log_lines.tail()}"
            ) from problem
        source.callback(handles.system, "dlcFree", handle)
        return handle

    def _graph_config(self, name: str) -> abi.DlcGraphConfig:
        float16 = self._handles.custom(abi.HtpConfig(option=abi.HTP_GRAPH_PRECISION, value=abi.PRECISION_FLOAT16))
        configs = c.cast(float16, c.POINTER(c.POINTER(abi.CustomConfig)))
        return abi.DlcGraphConfig(version=1, graph_name=name.encode(), configs=configs, config_count=1)

    def execute(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference.

        Args:
            inputs: real or native values of every input by name, any shape with the right number of elements.

        Returns:
            The stored (native) values of every output by name; `TensorSpec.to_real` makes them float32.
        """
        return self.profiled(inputs, Level.OFF)[0]

    def profiled(self, inputs: Mapping[str, Array], level: Level) -> tuple[dict[str, Array], tuple[Event, ...]]:
        """One inference, and what the profiling API recorded of it."""
        _check_names(inputs, self.inputs)
        given = [spec.to_native(inputs[spec.name]) for spec in self.inputs]
        results: list[Array] = [np.zeros(spec.shape, spec.dtype.numpy) for spec in self.outputs]
        tensors_in, tensors_out = _bind(self._inputs, given), _bind(self._outputs, results)
        counts = c.c_uint32(len(given)), c.c_uint32(len(results))
        with recorded(self._handles, level) as recording:
            arguments = (tensors_in, counts[0], tensors_out, counts[1], recording.handle, None)
            self._call("execute", "graphExecute", self._graph, *arguments)
        outputs = {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}
        return outputs, recording.events

    def add_cache(self, output: Path) -> None:
        """Write a copy of the DLC, with the compiled context for `soc` added, to `output`."""
        with ExitStack() as source:
            opened = self._read_dlc(source)
            self._call("prepare", "contextAddToDlc", self._context, opened)
            save = (opened, c.c_char_p(str(output).encode()))
            self._handles.checked("save", lambda: self._handles.system("dlcSave", *save))


def _choose(graphs: list[abi.GraphInfo], name: str | None, dlc: Path) -> abi.GraphInfo:
    names = [graph.name.decode() for graph in graphs]
    if name is None and len(graphs) == 1:
        return graphs[0]
    if name in names:
        return graphs[names.index(name)]
    raise DlcError(f"{dlc} holds the graphs {', '.join(names)}.", "Name one of them with --graph.")


def _check_names(given: Mapping[str, Array], specs: list[TensorSpec]) -> None:
    wanted = {spec.name for spec in specs}
    if set(given) != wanted:
        raise TensorError(f"The model takes the inputs {sorted(wanted)}, and was given {sorted(given)}.")


def _bind(tensors: list[abi.Tensor], arrays: list[Array]) -> c.Array[abi.Tensor]:
    bound = (abi.Tensor * len(arrays))(*tensors)
    for tensor, array in zip(bound, arrays, strict=True):
        tensor.memory = abi.MEMORY_RAW
        tensor.buffer = abi.ClientBuffer(array.ctypes.data, array.nbytes)
    return bound


def _own(tensor: abi.Tensor) -> abi.Tensor:
    """A copy that needs none of the library's memory; encodings per channel, which inputs and outputs have not, go."""
    copy = abi.Tensor.from_buffer_copy(tensor)
    copy.name = bytes(tensor.name)
    copy.dimensions = (c.c_uint32 * tensor.rank)(*tensor.dimensions[: tensor.rank])
    if tensor.quantize.kind not in {abi.SCALE_OFFSET, abi.BW_SCALE_OFFSET}:
        copy.quantize = abi.QuantizeParams(definition=abi.ENCODING_UNDEFINED, kind=abi.ENCODING_UNDEFINED)
    return copy


def _spec(tensor: abi.Tensor) -> TensorSpec:
    dtype = BY_CODE.get(tensor.data_type)
    if dtype is None:
        raise DlcError(f"Tensor {tensor.name.decode()!r} has the unknown data type {tensor.data_type:#x}.")
    shape = tuple(tensor.dimensions[axis] for axis in range(tensor.rank))
    return TensorSpec(tensor.name.decode(), shape, dtype, _encoding(tensor.quantize, dtype.bits))


def _encoding(params: abi.QuantizeParams, bits: int) -> Encoding | None:
    if params.definition != abi.ENCODING_DEFINED:
        return None
    if params.kind == abi.SCALE_OFFSET:
        return Encoding(bits, (params.value.tensor.scale,), (params.value.tensor.offset,))
    if params.kind == abi.BW_SCALE_OFFSET:
        return Encoding(params.value.bw.bitwidth, (params.value.bw.scale,), (params.value.bw.offset,))
    return None
