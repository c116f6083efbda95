"""Compares the content of two weights, a block at a time, so that memory stays small whatever their size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.tensor_spec import Array
from snpe_tools.dlc.model import Tensor

_BLOCK = 1 << 18
Release = Callable[[memoryview], None]


@dataclass(frozen=True)
class WeightChange:
    """A weight whose content differs.

    Attributes:
        elements, changed: stored values in all, and those that differ.
        largest: the largest difference of two real values; infinite where one of them is not finite, or where they
            cannot be compared.
    """

    name: str
    elements: int
    changed: int
    largest: float


def compare_weight(old: Tensor, new: Tensor, release: tuple[Release, Release]) -> WeightChange | None:
    """How the values of two tensors differ, None when they are equal.

    Stored values are compared where both have one type, real values otherwise.

    Args:
        old, new: static tensors with data.
        release: told each block of `old` and of `new` that is done with.
    """
    elements = old.spec.elements
    if not (old.shape == new.shape and old.is_complete and new.is_complete):
        same = bytes(old.data or b"") == bytes(new.data or b"")
        return None if same else WeightChange(old.name, elements, elements, float("inf"))
    changed, largest = 0, 0.0
    for start in range(0, elements, _BLOCK):
        count, apart = _compare_block(old, new, range(start, min(start + _BLOCK, elements)), release)
        changed, largest = changed + count, max(largest, apart)
    return WeightChange(old.name, elements, changed, largest) if changed else None


def _compare_block(old: Tensor, new: Tensor, elements: range, release: tuple[Release, Release]) -> tuple[int, float]:
    """Number of values that differ, and the largest difference of real values."""
    parts = [_bytes_of(tensor, elements) for tensor in (old, new)]
    ours, theirs = (np.frombuffer(part, tensor.dtype.numpy) for part, tensor in zip(parts, (old, new), strict=True))
    if old.dtype == new.dtype:
        bits = f"u{old.dtype.numpy.itemsize}"
        places = np.flatnonzero(ours.view(bits) != theirs.view(bits))
    else:
        places = np.arange(len(ours))
    numbers = places + elements.start
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(_real(old, ours[places], numbers) - _real(new, theirs[places], numbers))
    for part, done in zip(parts, release, strict=True):
        done(part)
    changed = len(places) if old.dtype == new.dtype else int(np.count_nonzero(apart))
    return changed, float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0))


def _bytes_of(tensor: Tensor, elements: range) -> memoryview:
    width = tensor.dtype.numpy.itemsize
    return (tensor.data or memoryview(b""))[elements.start * width : elements.stop * width]


def _real(tensor: Tensor, stored: Array, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Real values of the stored elements with these numbers."""
    encoding = tensor.encoding
    values: NDArray[np.float32] = stored.astype(np.float32)
    if encoding is None or not encoding.scales or tensor.encoding_problem():
        return values
    scales, offsets = np.asarray(encoding.scales, np.float32), np.asarray(encoding.offsets, np.float32)
    if encoding.axis is not None:
        inner = int(np.prod(tensor.shape[encoding.axis + 1 :], dtype=np.int64))
        channels = (places // max(inner, 1)) % len(scales)
        scales, offsets = scales[channels], offsets[channels]
    values += offsets
    values *= scales
    return values
