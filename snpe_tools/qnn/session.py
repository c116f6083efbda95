"""A DLC on the Hexagon emulator: compose, finalize, execute, and add compiled caches.

The file itself is executed, as `snpe-net-run` would on the device; nothing falls back to a CPU.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from snpe_tools.dtypes import BY_CODE
from snpe_tools.errors import DlcError, QnnError, TensorError
from snpe_tools.qnn import abi
from snpe_tools.qnn.library import htp_interface, system_interface
from snpe_tools.qnn.log import LogLines
from snpe_tools.socs import Soc
from snpe_tools.spec import Array, Encoding, TensorSpec


class Session:
    """One graph of a DLC, ready to execute. Use as a context manager.

    Args:
        dlc: the DLC file.
        soc: the SoC whose HTP is emulated or compiled for.
        graph: the graph's name, the only one by default.

    Raises:
        DlcError: the library cannot read the file.
        QnnError: the HTP of this SoC refused the graph.
    """

    def __init__(self, dlc: Path, soc: Soc, graph: str | None = None) -> None:
        self.dlc, self.soc = dlc, soc
        self._stack = ExitStack()
        self._log = LogLines()
        self._core, self._interface = htp_interface()
        self._system = system_interface()
        try:
            self._open(graph)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free every handle, newest first. Calling it twice is harmless."""
        self._stack.close()

    def _open(self, graph: str | None) -> None:
        log = self._handle("logCreate", self._log.callback, c.c_uint32(abi.LOG_LEVEL_WARN), free="logFree")
        backend = self._handle("backendCreate", log, None, free="backendFree")
        device = self._handle("deviceCreate", log, self._device_config(), free="deviceFree")
        self._context = self._handle("contextCreate", backend, device, None, free="")
        self._stack.callback(self._core, "contextFree", self._context, None)
        self._dlc_handle = self._read_dlc(log)
        info = self._compose(backend, graph)
        self.graph_name = info.name.decode()
        self.inputs = [_spec(info.inputs[index]) for index in range(info.input_count)]
        self.outputs = [_spec(info.outputs[index]) for index in range(info.output_count)]
        self._info = info
        self._graph = c.c_void_p()
        self._core("graphRetrieve", self._context, c.c_char_p(info.name), c.byref(self._graph))
        self._with_log(lambda: self._core("graphFinalize", self._graph, None, None), "finalize")

    def _handle(self, create: str, *arguments: object, free: str) -> c.c_void_p:
        handle = c.c_void_p()
        self._with_log(lambda: self._core(create, *arguments, c.byref(handle)), create)
        if free:
            self._stack.callback(self._core, free, handle)
        return handle

    def _with_log(self, call: Callable[[], None], step: str) -> None:
        try:
            call()
        except QnnError as problem:
            message = f"{self.dlc}: {step} for {self.soc} failed.\n    {problem.message}{self._log.tail()}"
            raise QnnError(message, problem.hint, code=problem.code) from problem

    def _device_config(self) -> c.c_void_p:
        return self._custom(abi.HtpConfig(option=abi.HTP_DEVICE_SOC, value=self.soc.id))

    def _custom(self, htp: abi.HtpConfig) -> c.c_void_p:
        """A null-terminated list of one custom configuration, kept alive with the session."""
        config = abi.CustomConfig(option=0, custom=c.cast(c.pointer(htp), c.c_void_p))
        array = (c.POINTER(abi.CustomConfig) * 2)(c.pointer(config))
        self._stack.callback(_keep, htp, config, array)
        return c.cast(array, c.c_void_p)

    def _read_dlc(self, log: c.c_void_p) -> c.c_void_p:
        handle = c.c_void_p()
        try:
            self._system("dlcCreateFromFile", log, c.c_char_p(str(self.dlc).encode()), c.byref(handle))
        except QnnError as problem:
            raise DlcError(
                f"{self.dlc}: the QNN library cannot read it.\n    {problem.message}{self._log.tail()}"
            ) from problem
        self._stack.callback(self._system, "dlcFree", handle)
        return handle

    def _compose(self, backend: c.c_void_p, graph: str | None) -> abi.GraphInfo:
        from snpe_tools import dlc

        with dlc.open(self.dlc) as file:
            names = [found.name for found in file.graphs]
        configs = [self._graph_config(name) for name in names]
        pointers = (c.POINTER(abi.DlcGraphConfig) * len(configs))(*map(c.pointer, configs))
        self._stack.callback(_keep, configs, pointers)
        graphs, count = c.POINTER(abi.GraphInfo)(), c.c_uint32()
        arguments = (
            self._dlc_handle,
            c.cast(pointers, c.c_void_p),
            c.c_uint32(len(configs)),
            backend,
            self._context,
            self._interface,
            c.c_uint32(abi.GRAPH_INFO_VERSION_3),
            c.byref(graphs),
            c.byref(count),
        )
        self._with_log(lambda: self._system("composeGraphs", *arguments), "compose")
        return _choose([graphs[index] for index in range(count.value)], graph, self.dlc)

    def _graph_config(self, name: str) -> abi.DlcGraphConfig:
        float16 = self._custom(abi.HtpConfig(option=abi.HTP_GRAPH_PRECISION, value=abi.PRECISION_FLOAT16))
        configs = c.cast(float16, c.POINTER(c.POINTER(abi.CustomConfig)))
        return abi.DlcGraphConfig(version=1, graph_name=name.encode(), configs=configs, config_count=1)

    def execute(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference.

        Args:
            inputs: real or native values of every input by name, any shape with the right number of elements.

        Returns:
            The stored (native) values of every output by name; `TensorSpec.to_real` makes them float32.
        """
        _check_names(inputs, self.inputs)
        given = [spec.to_native(inputs[spec.name]) for spec in self.inputs]
        results: list[Array] = [np.zeros(spec.shape, spec.dtype.numpy) for spec in self.outputs]
        tensors_in = _bind(self._info.inputs, given)
        tensors_out = _bind(self._info.outputs, results)
        arguments = (tensors_in, c.c_uint32(len(given)), tensors_out, c.c_uint32(len(results)), None, None)
        self._with_log(lambda: self._core("graphExecute", self._graph, *arguments), "execute")
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}

    def add_cache(self, output: Path) -> None:
        """Write a copy of the DLC, with the compiled context for `soc` added, to `output`."""
        self._with_log(lambda: self._core("contextAddToDlc", self._context, self._dlc_handle), "prepare")
        self._with_log(lambda: self._system("dlcSave", self._dlc_handle, c.c_char_p(str(output).encode())), "save")


def _keep(*_objects: object) -> None:
    """Holds its arguments alive until the session's stack is unwound."""


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


def _bind(tensors: c.Array[abi.Tensor] | c._Pointer[abi.Tensor], arrays: list[Array]) -> c.Array[abi.Tensor]:
    bound = (abi.Tensor * len(arrays))(*(tensors[index] for index in range(len(arrays))))
    for tensor, array in zip(bound, arrays, strict=True):
        tensor.memory = abi.MEMORY_RAW
        tensor.buffer = abi.ClientBuffer(array.ctypes.data, array.nbytes)
    return bound


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
