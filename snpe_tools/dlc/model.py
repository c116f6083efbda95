"""What a DLC holds, whatever its version: graphs of nodes and tensors, metadata, compiled caches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Self

import numpy as np

from snpe_tools.core.dtypes import DataType
from snpe_tools.core.errors import DlcError
from snpe_tools.core.tensor_spec import Array, Encoding, TensorSpec
from snpe_tools.dlc.container import Container, Record

Role = Literal["input", "output", "native", "static"]


@dataclass(frozen=True)
class Limits:
    """What the file states beside an encoding.

    Attributes:
        minima, maxima: the real values of both ends, one per scale; empty where the writer states none.
        symmetric: whether the encoding is marked symmetric.
    """

    minima: tuple[float, ...]
    maxima: tuple[float, ...]
    symmetric: bool = False


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    Attributes:
        role: input or output of the model, between nodes (native), or constant (static).
        encoding: how its stored integers become real numbers.
        limits: what else is stated with the encoding; None without one.
        data: the stored bytes of a static tensor, None where the file has none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DataType
    role: Role
    encoding: Encoding | None = None
    limits: Limits | None = None
    data: memoryview | None = field(default=None, repr=False, compare=False)

    @property
    def spec(self) -> TensorSpec:
        """Name, shape, type and encoding, as the runtime wants them."""
        return TensorSpec(self.name, self.shape, self.dtype, self.encoding)

    @property
    def is_complete(self) -> bool:
        """Whether the file has all the bytes that the shape needs."""
        return self.data is not None and len(self.data) >= self.spec.nbytes(native=True)

    def values(self) -> Array:
        """The stored values, a read-only view of the file, in `shape`.

        Raises:
            DlcError: the tensor is not static, or has fewer bytes than its shape needs.
        """
        wanted = self.spec.nbytes(native=True)
        if self.data is None or not self.is_complete:
            has = "no data" if self.data is None else f"{len(self.data)} bytes"
            raise DlcError(f"Tensor {self.name!r} {self.shape} {self.dtype} needs {wanted} bytes and has {has}.")
        return np.frombuffer(self.data[:wanted], self.dtype.numpy).reshape(self.shape)

    def real_values(self) -> Array:
        """The stored values as float32, dequantized where there is an encoding.

        Raises:
            DlcError: there are no values, or the encoding does not fit the shape.
        """
        if problem := self.encoding_problem():
            raise DlcError(f"Tensor {self.name!r} {self.shape} {problem}.")
        return self.spec.to_real(self.values())

    def encoding_problem(self) -> str:
        """Why the encoding cannot belong to this shape, "" when it can."""
        encoding = self.encoding
        if encoding is None:
            return ""
        if encoding.axis is None:
            return "" if len(encoding.scales) == 1 else f"has {len(encoding.scales)} scales for the whole tensor"
        if not 0 <= encoding.axis < len(self.shape):
            return f"has an encoding along axis {encoding.axis}"
        channels = self.shape[encoding.axis]
        if len(encoding.scales) == channels:
            return ""
        return f"has {len(encoding.scales)} scales for the {channels} channels of axis {encoding.axis}"


Attribute = int | float | str | bool | Tensor | list["Attribute"] | dict[str, "Attribute"]


@dataclass(frozen=True)
class Node:
    """One operation: its type, the names it reads and writes, its parameters."""

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def tensors(self) -> Iterator[Tensor]:
        """Parameters that are tensors, such as the permutation of a Transpose."""
        return (value for value in self.attributes.values() if isinstance(value, Tensor))


@dataclass(frozen=True)
class Graph:
    """One graph, nodes in order of execution.

    Attributes:
        unread: what the file holds about this graph and this reader does not understand, a line each.
        strays: weights in the file that belong to nothing in the graph.
    """

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    unread: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()

    def with_role(self, role: Role) -> list[Tensor]:
        """Tensors of one role, in file order."""
        return [tensor for tensor in self.tensors.values() if tensor.role == role]

    @cached_property
    def inputs(self) -> list[Tensor]:
        """The model's inputs."""
        return self.with_role("input")

    @cached_property
    def outputs(self) -> list[Tensor]:
        """The model's outputs."""
        return self.with_role("output")

    def op_types(self) -> Counter[str]:
        """How many nodes of each type."""
        return Counter(node.type for node in self.nodes)


@dataclass(frozen=True)
class Cache:
    """A compiled context inside the DLC, and what the file's own list of caches says of it.

    Attributes:
        soc: the SoC it was compiled for, "" where the file does not say.
        record: where it is.
        details: the entry of the metadata's `cacheList`, empty in files that have no such list.
    """

    soc: str
    record: Record
    details: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass
class Dlc:
    """An open DLC. Use as a context manager, or close it.

    Attributes:
        version: (major, minor) of the container's model record.
        graphs: in file order.
        metadata: who wrote the file, with what; the writer's own keys.
        caches: compiled contexts.
    """

    container: Container
    version: tuple[int, int]
    graphs: tuple[Graph, ...]
    metadata: Mapping[str, object]
    caches: tuple[Cache, ...]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the file; views of its weights must not be used afterwards."""
        self.container.close()

    def cache_record(self, soc_name: str) -> str:
        """The name of the record that was compiled for a SoC, `htp.cache.<soc>.<n>`; "" when there is none.

        The emulator executes such a record as the device would, with the same bits as a graph compiled on the spot for
        that SoC. It does not check for which SoC a record was compiled; `snpe_tools.qnn.graph` does.
        """
        return next((cache.record.name for cache in self.caches if cache.soc == soc_name), "")

    @property
    def is_quantized(self) -> bool:
        """Whether some tensor between the nodes is fixed-point."""
        tensors = (tensor for graph in self.graphs for tensor in graph.tensors.values())
        return any(tensor.role == "native" and tensor.dtype.is_fixed_point for tensor in tensors)

    @property
    def graph(self) -> Graph:
        """The only graph.

        Raises:
            DlcError: there are several.
        """
        if len(self.graphs) != 1:
            raise DlcError(f"{self.container.path} holds {len(self.graphs)} graphs: name one.")
        return self.graphs[0]
