"""LayerNormalization of 8 bits over the last axis.

The mean is cut to 1/64 of a code; scale and standard deviation become one multiplier per row, cut to 2^-16; the offset
(beta) is rounded to whole codes of the output before it is added.
"""

from __future__ import annotations

import numpy as np

from snpe_tools.arithmetic.grid import Codes, Grid, Real, Whole, saturated

_MEAN_BITS = 6
_ROW_BITS = 16


class LayerNorm:
    """One LayerNormalization.

    Args:
        source, target: grids of input and output.
        gains: (channels,), whole numbers in units of `gain_scale`.
        offsets: (channels,), real.
        epsilon: added to the variance, real.
    """

    def __init__(
        self, source: Grid, target: Grid, gains: Whole, gain_scale: float, offsets: Real, epsilon: float
    ) -> None:
        self._gains = gains
        self._ratio = gain_scale / target.scale * 2**_ROW_BITS
        self._epsilon = epsilon / source.scale**2
        self._added = np.rint(offsets / target.scale).astype(np.int64) + target.zero

    def __call__(self, codes: Codes) -> Codes:
        """Output codes of (..., channels)."""
        count = codes.shape[-1]
        wide = codes.astype(np.int64)
        totals = wide.sum(-1, keepdims=True)
        squares = (wide * wide).sum(-1, keepdims=True)
        centred = (wide << _MEAN_BITS) - (totals << _MEAN_BITS) // count
        variance = (squares * count - totals * totals) / float(count) ** 2 + self._epsilon
        rows = np.floor(self._ratio / np.sqrt(np.maximum(variance, 1e-30))).astype(np.int64)
        scaled = centred * rows * self._gains
        scaled += 1 << (_ROW_BITS + _MEAN_BITS - 1)
        scaled >>= _ROW_BITS + _MEAN_BITS
        scaled += self._added
        return saturated(scaled)
