"""What a tensor is: name, shape, data type and encoding. Shared by DLC files, the runtime and raw files."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.dtypes import DataType
from snpe_tools.core.errors import TensorError

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Encoding:
    """How stored integers `q` become real numbers: `real = (q + offset) * scale` (QNN's convention).

    Attributes:
        bits: width of the integers.
        scales, offsets: one value per tensor, or one per channel of `axis`.
        axis: the channel axis, None for per-tensor encodings.
    """

    bits: int
    scales: tuple[float, ...]
    offsets: tuple[int, ...]
    axis: int | None = None

    def _along(self, values: tuple[float, ...] | tuple[int, ...], rank: int) -> NDArray[np.float64]:
        array = np.asarray(values, np.float64)
        if self.axis is None:
            return array.reshape(())
        return array.reshape([-1 if axis == self.axis else 1 for axis in range(rank)])

    def dequantize(self, stored: Array) -> NDArray[np.float32]:
        """Real values of stored integers, same shape, float32."""
        scale, offset = self._along(self.scales, stored.ndim), self._along(self.offsets, stored.ndim)
        return ((stored.astype(np.float64) + offset) * scale).astype(np.float32)

    def quantize(self, real: Array, dtype: np.dtype[np.generic]) -> Array:
        """The nearest stored integers of real values, saturated to `dtype`; half rounds to even."""
        scale, offset = self._along(self.scales, real.ndim), self._along(self.offsets, real.ndim)
        limits = np.iinfo(dtype.str)
        stored = np.rint(real.astype(np.float64) / scale) - offset
        return np.clip(stored, limits.min, limits.max).astype(dtype)


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    shape: tuple[int, ...]
    dtype: DataType
    encoding: Encoding | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def nbytes(self, *, native: bool = False) -> int:
        """Bytes of one raw file of this tensor: float32, or the tensor's own type when `native`."""
        return self.elements * (self.dtype.numpy.itemsize if native else 4)

    def to_native(self, values: Array) -> Array:
        """Values as the runtime takes them: this spec's shape and stored type.

        Real numbers are quantized with the encoding; integer types take whole numbers only.

        Raises:
            TensorError: another number of elements, or numbers that the type cannot hold.
        """
        if values.size != self.elements:
            raise TensorError(
                f"Tensor {self.name!r} has {values.size} values, but its shape {self.shape} needs {self.elements}."
            )
        shaped = np.ascontiguousarray(values.reshape(self.shape))
        if shaped.dtype == self.dtype.numpy:
            return shaped
        if self.dtype.is_fixed_point and self.encoding:
            return self.encoding.quantize(shaped, self.dtype.numpy)
        return self._cast(shaped)

    def _cast(self, values: Array) -> Array:
        cast = values.astype(self.dtype.numpy)
        if not self.dtype.is_float and not np.array_equal(cast, values):
            raise TensorError(
                f"Tensor {self.name!r} is {self.dtype}, but it was given numbers that are not {self.dtype}.",
                "Raw files hold float32 by default; pass --native only for files in the model's own types.",
            )
        return cast

    def to_real(self, stored: Array) -> NDArray[np.float32]:
        """Stored values as float32, the type of result files."""
        if self.dtype.is_fixed_point and self.encoding:
            return self.encoding.dequantize(stored)
        return stored.astype(np.float32)
