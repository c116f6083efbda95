"""Looks at the values of weights, a block at a time, so that memory stays small whatever the file's size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.tensor_spec import Array
from snpe_tools.dlc.model import Tensor

_BLOCK = 1 << 18
_FP16_LARGEST = 65504.0
_MOSTLY = 0.95
_SMALLEST = 64
"""Elements below which "mostly zero" says nothing."""
_IMPLAUSIBLE = (1e-30, 1e30)
_IMPLAUSIBLE_FP16 = (0.0, 4096.0)
"""Of fp16 numbers made of random bytes, one in eight is beyond it."""
_IMPLAUSIBLE_SHARE = 0.05
_SMALL_WEIGHT, _LARGE_WEIGHT = 1e-12, 1e6

Release = Callable[[memoryview], None]


class Complaint(NamedTuple):
    """One thing that is wrong with a weight."""

    level: Literal["error", "warning"]
    check: str
    what: str


class WeightStatistics(NamedTuple):
    """What was seen in a weight: counts of elements, and the ends of the stored values."""

    elements: int
    zero: int
    not_finite: int
    implausible: int
    low: float
    high: float


def check_weights(tensor: Tensor, release: Release) -> list[Complaint]:
    """What is wrong with the values of a static tensor; every value is looked at.

    Args:
        tensor: static, with all its bytes.
        release: told each block of bytes that is done with, so that it need not stay in memory.
    """
    if not tensor.spec.elements or not (tensor.dtype.is_float or tensor.dtype.is_fixed_point):
        return []
    seen = _look(tensor, release)
    of_values = _float(tensor, seen) if tensor.dtype.is_float else _fixed(tensor, seen)
    return [*of_values, *_zero(tensor, seen)]


def check_surplus(tensor: Tensor) -> list[Complaint]:
    """Bytes beyond those that the shape needs; it is told what they are, where they say so."""
    wanted, stored = tensor.spec.nbytes(native=True), len(tensor.data) if tensor.data is not None else 0
    if stored <= wanted or not wanted:
        return []
    if tensor.dtype.numpy == np.float16 and stored == 2 * wanted and _is_float32(tensor):
        return [Complaint("error", "implausible", f"is {tensor.dtype}, and its {stored} bytes are float32 numbers")]
    times = f", {stored // wanted} times as many" if stored % wanted == 0 else ""
    rest = memoryview(tensor.data or b"")[wanted:]
    zero = " (the others are zero)" if not np.frombuffer(rest, np.uint8).any() else " (the others are not read)"
    return [Complaint("warning", "surplus", f"needs {wanted} bytes, and the file has {stored}{times}{zero}")]


def _is_float32(tensor: Tensor) -> bool:
    """Whether the bytes make ordinary weights as float32, and none as fp16."""
    data = tensor.data or memoryview(b"")
    wide = np.abs(np.frombuffer(data, np.float32))
    half = np.abs(np.frombuffer(data, np.float16).astype(np.float32))
    ordinary = (wide == 0) | ((wide > _SMALL_WEIGHT) & (wide < _LARGE_WEIGHT))
    strange = ~(half < _IMPLAUSIBLE_FP16[1])
    return bool(ordinary.all() and strange.mean() > _IMPLAUSIBLE_SHARE)


def _zero(tensor: Tensor, seen: WeightStatistics) -> Iterator[Complaint]:
    """A vector of zeros is an ordinary bias; a matrix of zeros is not."""
    matrix = sum(size > 1 for size in tensor.shape) > 1
    if matrix and seen.elements >= _SMALLEST and seen.zero > _MOSTLY * seen.elements:
        yield Complaint("warning", "mostly zero", f"is zero in {seen.zero} of its {seen.elements} elements")


def _float(tensor: Tensor, seen: WeightStatistics) -> Iterator[Complaint]:
    if seen.not_finite:
        yield Complaint("error", "not finite", f"holds {seen.not_finite} NaN or infinite values")
    strange = seen.implausible > _IMPLAUSIBLE_SHARE * seen.elements
    if tensor.dtype.numpy == np.float16:
        if strange and seen.elements >= _SMALLEST:
            yield Complaint("error", "implausible", f"holds {seen.implausible} fp16 values beyond "
                            f"{_IMPLAUSIBLE_FP16[1]:.0f}, as bytes do that are no fp16 weights")  # fmt: skip
    elif strange:
        yield Complaint("error", "implausible", f"holds {seen.implausible} values below 1e-30 or above 1e30, as fp16 "
                        "weights do that were read as float32")  # fmt: skip
    elif max(-seen.low, seen.high) > _FP16_LARGEST:
        yield Complaint("warning", "fp16", f"spans {seen.low:.4g} to {seen.high:.4g}: infinite in fp16 on the HTP")


def _fixed(tensor: Tensor, seen: WeightStatistics) -> Iterator[Complaint]:
    encoding, limits = tensor.encoding, tensor.limits
    if encoding is None:
        return
    low = -(1 << encoding.bits - 1) if tensor.dtype.name.startswith("s") else 0
    high = low + (1 << encoding.bits) - 1
    if seen.low < low or seen.high > high:
        yield Complaint("error", "outside", f"holds {seen.low:.0f} to {seen.high:.0f}, outside its {encoding.bits}-bit "
                        f"encoding ({low} to {high})")  # fmt: skip
    if limits and limits.minima and len(encoding.scales) == 1:
        yield from _outside_stated(encoding.scales[0], encoding.offsets[0], limits.minima[0], limits.maxima[0], seen)


def _outside_stated(scale: float, offset: int, low: float, high: float, seen: WeightStatistics) -> Iterator[Complaint]:
    """Real values beyond the stated range by more than one step."""
    real = ((seen.low + offset) * scale, (seen.high + offset) * scale)
    if real[0] < low - abs(scale) or real[1] > high + abs(scale):
        yield Complaint("error", "outside", f"spans {real[0]:.4g} to {real[1]:.4g}, outside its stated range "
                        f"{low:.4g} to {high:.4g}")  # fmt: skip


def _look(tensor: Tensor, release: Release) -> WeightStatistics:
    data = tensor.data or memoryview(b"")
    width = tensor.dtype.numpy.itemsize
    size = tensor.spec.elements * width
    zeros, ends = _zero_points(tensor), _may_leave_its_range(tensor)
    parts = []
    for start in range(0, size, _BLOCK):
        block = data[start : min(start + _BLOCK, size)]
        values = np.frombuffer(block, tensor.dtype.numpy)
        if tensor.dtype.is_float:
            parts.append(_floats(values))
        else:
            parts.append(_integers(values, zeros, start // width, ends=ends))
        del values
        release(block)
    table = np.array(parts, np.float64)
    elements, zero, lost, strange = (int(number) for number in table[:, :4].sum(axis=0))
    return WeightStatistics(elements, zero, lost, strange, float(table[:, 4].min()), float(table[:, 5].max()))


def _may_leave_its_range(tensor: Tensor) -> bool:
    """Whether the stored type can hold integers that the encoding, or the range stated beside it, does not."""
    encoding, limits = tensor.encoding, tensor.limits
    return encoding is not None and (encoding.bits < 8 * tensor.dtype.numpy.itemsize or bool(limits and limits.minima))


class _Zeros(NamedTuple):
    """The stored integers that mean zero, one per channel, and how many elements in a row share a channel."""

    stored: NDArray[np.int64]
    inner: int

    def of(self, elements: range) -> NDArray[np.int64]:
        """The integer that means zero for each of these elements."""
        if len(self.stored) == 1:
            return self.stored
        return self.stored[np.arange(elements.start, elements.stop) // self.inner % len(self.stored)]


def _zero_points(tensor: Tensor) -> _Zeros | None:
    """None where the integer 0 means zero for all elements."""
    encoding = tensor.encoding
    if encoding is None or not any(encoding.offsets) or tensor.encoding_problem():
        return None
    stored = -np.asarray(encoding.offsets, np.int64)
    if encoding.axis is None or (stored == stored[0]).all():
        return _Zeros(stored[:1], 1)
    return _Zeros(stored, math.prod(tensor.shape[encoding.axis + 1 :]))


def _integers(values: Array, zeros: _Zeros | None, start: int, *, ends: bool) -> tuple[float, ...]:
    if zeros is None:
        zero = len(values) - int(np.count_nonzero(values))
    else:
        zero = int(np.count_nonzero(values == zeros.of(range(start, start + len(values)))))
    return len(values), zero, 0, 0, *((float(values.min()), float(values.max())) if ends else (0.0, 0.0))


def _floats(values: Array) -> tuple[float, ...]:
    """NaN and infinity reach the ends, and numbers near zero are rare: the common case takes three passes."""
    smallest, largest = _IMPLAUSIBLE
    if values.dtype == np.float16:
        smallest, largest = _IMPLAUSIBLE_FP16
        with np.errstate(invalid="ignore"):
            values = values.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    sizes = np.abs(values)
    small = int(np.count_nonzero(sizes < smallest)) if smallest else len(values) - int(np.count_nonzero(values))
    zero = len(values) - int(np.count_nonzero(values)) if small else 0
    if np.isfinite(low) and np.isfinite(high):
        large = int(np.count_nonzero(sizes > largest)) if max(-low, high) > largest else 0
        return len(values), zero, 0, small - zero + large, low, high
    finite = np.isfinite(values)
    kept = values[finite]
    large = int(np.count_nonzero(np.abs(kept) > largest))
    ends = (float(kept.min()), float(kept.max())) if len(kept) else (0.0, 0.0)
    return len(values), zero, len(values) - len(kept), small - zero + large, *ends
