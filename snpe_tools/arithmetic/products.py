"""FullyConnected and MatMul: an exact integer sum, and how the HTP brings it to 8 bits.

The sum of products, zero points and bias included, is exact. It is shifted right, without rounding, until its step lies
between 1/16 and 1/8 of a step of the output; half of such a step is added back; the rest of the multiplier is rounded
to 12 bits; the result is rounded to the nearest code. A bias loses a little on its way, see `effective_bias`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snpe_tools.arithmetic.grid import LEVELS, Codes, Grid, NoRule, Real, Whole, Wide, saturated
from snpe_tools.core.tensor_spec import Array

_MANTISSA = 15
"""Bits behind the point of the multiplier that is left after the shift: 12 significant ones."""
_FINEST = -4
"""The shift leaves multipliers from 2^-4 to 2^-3."""
_BIAS_BITS = 28
_EXACT = 1 << 24
"""Whole numbers below this are exact in float32, in which the products are summed."""
_SIGNED = 128
_DIVISOR_BITS = 11
_CEILING = (1 << 17) - 1
"""Shifted sums beyond this saturate whatever the multiplier is, and would overflow int32."""


@dataclass(frozen=True)
class Requantizer:
    """From sums to codes, per tensor or per column.

    Attributes:
        shift: bits that each column's sums lose.
        mantissa: what multiplies them then, in units of 2^-15.
        zero: of the output.
    """

    shift: Wide
    mantissa: Wide
    zero: int

    @classmethod
    def of(cls, multiplier: Real, zero: int) -> Requantizer:
        """For `multiplier` = scale of the sums / scale of the output.

        Raises:
            NoRule: a multiplier of 1/8 or more, which was not measured.
        """
        if not multiplier.size or multiplier.min() <= 0 or multiplier.max() >= 2.0 ** (_FINEST + 1):
            raise NoRule("a sum is multiplied by 1/8 or more, which was not measured")
        shift = (_FINEST - np.floor(np.log2(multiplier))).astype(np.int64)
        mantissa = np.floor(multiplier * 2.0 ** (shift + _MANTISSA) + 0.5)
        return cls(shift.astype(np.int32), mantissa.astype(np.int32), zero)

    def __call__(self, sums: Wide) -> Codes:
        """Codes of sums; columns are the last axis. `sums` is used as working memory."""
        np.right_shift(sums, self.shift, out=sums)
        np.clip(sums, -_CEILING, _CEILING, out=sums)
        scaled = sums * self.mantissa
        scaled *= 2
        scaled += self.mantissa + (1 << _MANTISSA)
        scaled >>= _MANTISSA + 1
        scaled += self.zero
        return saturated(scaled)


def multiplier(source: Grid, scales: Real, target: Grid) -> Real:
    """Scale of the sums over that of the output, by float32 operations in the order of the HTP."""
    product = np.float32(source.scale) * scales.astype(np.float32)
    return (product / np.float32(target.scale)).astype(np.float64)


def effective_bias(bias: Array, input_scale: float, weight_scales: Real) -> Wide:
    """The bias that the HTP adds: now and then one less than the stored one, towards zero.

    Stored biases (int32, in steps of input times weight) pass through fixed point whose step is the largest of them
    over 2^28, by float32 operations in the order below, in steps of the channel with the largest weight scale.
    """
    stored, one = bias.astype(np.float32), np.float32(1)
    largest = float(np.abs(stored).max(initial=0.0))
    if not largest:
        return bias.astype(np.int32)
    unit = np.float32(input_scale) * np.float32(weight_scales.max())
    real = stored * unit
    step = np.abs(real).max() / np.float32(2**_BIAS_BITS)
    fixed = np.rint(real * (one / step)).astype(np.float32)
    effective: Wide = np.trunc((fixed * step) / unit).astype(np.int32)
    return effective


def exact_sums(left: NDArray[np.float32], right: NDArray[np.float32], largest: int) -> Wide:
    """`left @ right` of whole numbers, exactly, by float32 products over parts of the summed axis.

    Args:
        left: (..., rows, K).
        right: (..., K, columns).
        largest: bound of the magnitude of one product.
    """
    depth = left.shape[-1]
    part = max(_EXACT // max(largest, 1), 1)
    sums = (left[..., :part] @ right[..., :part, :]).astype(np.int32)
    for start in range(part, depth, part):
        sums += (left[..., start : start + part] @ right[..., start : start + part, :]).astype(np.int32)
    return sums


class FullyConnected:
    """One FullyConnected with constant weights.

    Args:
        source, target: grids of input and output.
        weights: (columns, K), stored.
        zeros: zero point of the weights, one or one per column.
        scales: of the weights, likewise.
        bias: (columns,), stored int32, or None.
    """

    def __init__(
        self, source: Grid, target: Grid, weights: Array, zeros: Whole, scales: Real, bias: Array | None
    ) -> None:
        centred = weights.astype(np.int64) - zeros.reshape(-1, 1)
        if centred.min(initial=0) < -_SIGNED or centred.max(initial=0) >= _SIGNED:
            raise NoRule("weights lie further than 127 from their zero point, which was not measured")
        self._weights = np.ascontiguousarray(centred.T.astype(np.float32))
        self._largest = (LEVELS - 1) * int(np.abs(centred).max(initial=0))
        columns = np.broadcast_to(scales, len(weights))
        self._requantize = Requantizer.of(multiplier(source, columns, target), target.zero)
        added = 0 if bias is None else effective_bias(bias, source.scale, scales)
        self._offset = (added - source.zero * centred.sum(1)).astype(np.int32)

    def __call__(self, codes: Codes) -> Codes:
        """Output codes (rows, columns) of input codes (rows, K)."""
        sums = exact_sums(codes.reshape(-1, len(self._weights)).astype(np.float32), self._weights, self._largest)
        sums += self._offset
        return self._requantize(sums)


class MatMul:
    """A product of two activations of 8 bits.

    The right one becomes signed around its zero point. A column with codes further than -128 or 127 from it is divided
    first by what makes it fit, rounded to 11 bits behind the point: so its products lose accuracy.
    """

    def __init__(self, left: Grid, right: Grid, target: Grid) -> None:
        self._zeros = np.float32(left.zero), np.float32(right.zero)
        self._largest = max(abs(left.zero), abs(LEVELS - 1 - left.zero)) * _SIGNED
        self._multiplier, self._zero = multiplier(left, np.array([right.scale]), target), target.zero
        self._requantize = Requantizer.of(self._multiplier, target.zero)

    def __call__(self, left: Codes, right: Codes) -> Codes:
        """Output codes of (..., rows, K) and (..., K, columns)."""
        signed, divisors = _fitted(right - self._zeros[1])
        sums = exact_sums(left - self._zeros[0], signed, self._largest)
        if divisors is None:
            return self._requantize(sums)
        return Requantizer.of(self._multiplier * divisors, self._zero)(sums)


def _fitted(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], Real | None]:
    """Columns that fit into -128 to 127, and what each was divided by; None where all fitted already."""
    lowest, highest = values.min(-2, keepdims=True), values.max(-2, keepdims=True)
    wanted = np.maximum(np.maximum(lowest / -_SIGNED, highest / (_SIGNED - 1)).astype(np.float64), 1)
    if wanted.max(initial=1) <= 1:
        return values, None
    divisors = np.floor(wanted * 2**_DIVISOR_BITS + 0.5) / 2**_DIVISOR_BITS
    fitted = np.clip(np.rint(values / divisors), -_SIGNED, _SIGNED - 1)
    return fitted.astype(np.float32), divisors
