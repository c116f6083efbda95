"""A tensor between the nodes of a model, under the name that survives conversion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from snpe_tools.core.tensor_spec import Array


@dataclass(frozen=True)
class Grid:
    """The real numbers that a fixed-point tensor can hold: from `low` to `high` in steps of `step`."""

    low: float
    high: float
    step: float
    bits: int

    @classmethod
    def of(cls, scale: float, smallest: int, largest: int, bits: int) -> Grid:
        """Of integers `smallest` to `largest`, zero point already taken off, times `scale`."""
        return cls(smallest * scale, largest * scale, scale, bits)


@dataclass(frozen=True)
class Layer:
    """One tensor that depends on the model's inputs.

    Attributes:
        key: the name it has in the float model, whatever a converter appended.
        name: its name in this model; where it is quantized, of the value after quantization.
        op, node: type and name of the node that writes it.
        inputs: keys of the tensors that this node reads, constants left out.
        grid: its encoding, None for floats and for encodings per channel.
        weight_bits: of the node's narrowest quantized constant, 0 without one.
        perm: of a Transpose, which axis it reads for each that it writes; empty of all other ops.
        dropped: axes that a Reduce or Squeeze takes away.
    """

    key: str
    name: str
    op: str
    node: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...] = ()
    grid: Grid | None = None
    weight_bits: int = 0
    perm: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


Reader = Callable[[Sequence[str], int], Mapping[str, Array]]
"""Tensors by name for one inference, real values: (names, index of the inference) → arrays."""


class Source(Protocol):
    """A model whose inner tensors can be read.

    Attributes:
        name: the file's name.
        kind: what computes, in words.
        converted: whether a converter wrote it, which may have moved axes.
        layers: in order of execution, by key.
    """

    name: str
    kind: str
    converted: bool
    layers: Mapping[str, Layer]

    def run(self, names: Sequence[str]) -> AbstractContextManager[Reader]:
        """Make some tensors readable; what that needs is gone when the block ends."""
