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
from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import DlcError, QnnError, TensorError
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array, Encoding, TensorSpec
from snpe_tools.qnn import abi
from snpe_tools.qnn.graph import Buffer, Graph, OpenContext, compose, load_cache, read_dlc
from snpe_tools.qnn.handles import Handles
from snpe_tools.qnn.names import library_name, restore_names
from snpe_tools.qnn.profile import Event, Level, profiled


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
        with ExitStack() as source:
            opened = self._load_cache() if use_cache else None
            opened = opened or compose(self._handles, [found.name for found in self._file.graphs], source)
            self._context = opened.context
            self._graph = Graph(self._handles, opened, graph)
        self.graph_name = self._graph.name
        inputs, outputs = self._names()
        self.inputs = restore_names([_spec(tensor) for tensor in self._graph.inputs], inputs)
        self.outputs = restore_names([_spec(tensor) for tensor in self._graph.outputs], outputs)

    def _names(self) -> tuple[list[str], list[str]]:
        """Names of the graph's inputs and outputs in the file."""
        for graph in self._file.graphs:
            if library_name(graph.name) == library_name(self.graph_name):
                return [tensor.name for tensor in graph.inputs], [tensor.name for tensor in graph.outputs]
        return [], []

    def _load_cache(self) -> OpenContext | None:
        record = self._file.cache_record(self.soc.name)
        if not record:
            return None
        data = np.frombuffer(self._file.container.data(record), np.uint8)
        self._handles.keep(data)
        try:
            opened = load_cache(self._handles, _buffer(data))
        except QnnError as problem:
            self.start = f"compiled, since {record} cannot be used: {problem.message}"
            return None
        self.start = "cache"
        return opened

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
        with profiled(self._handles, level) as recording:
            self._graph.execute([*map(_buffer, given)], [*map(_buffer, results)], recording.handle)
        outputs = {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}
        return outputs, recording.events

    def add_cache(self, output: Path) -> None:
        """Write a copy of the DLC, with the compiled context for `soc` added, to `output`."""
        with ExitStack() as source:
            opened = read_dlc(self._handles, source)
            add = (self._context, opened)
            self._handles.checked("prepare", lambda: self._handles.core("contextAddToDlc", *add))
            save = (opened, c.c_char_p(str(output).encode()))
            self._handles.checked("save", lambda: self._handles.system("dlcSave", *save))


def _check_names(given: Mapping[str, Array], specs: list[TensorSpec]) -> None:
    wanted = {spec.name for spec in specs}
    if set(given) != wanted:
        raise TensorError(f"The model takes the inputs {sorted(wanted)}, and was given {sorted(given)}.")


def _buffer(array: Array) -> Buffer:
    return Buffer(array.ctypes.data, array.nbytes)


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
