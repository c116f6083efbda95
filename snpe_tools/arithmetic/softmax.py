"""Softmax of 8 bits over the last axis.

Powers of two instead of e: the step of the exponent is cut to 8 significant bits, each power to 15 bits behind the
point; the sum is exact. The scale of the output is a whole number of 2^-16.
"""

from __future__ import annotations

import math

import numpy as np

from snpe_tools.arithmetic.grid import LEVELS, Codes, Grid, NoRule, saturated

_STEP_BITS = 8
_POWER_BITS = 15
_OUTPUT_BITS = 16


class Softmax:
    """One Softmax.

    Raises:
        NoRule: the output has a zero point, or steps below 2^-16.
    """

    def __init__(self, source: Grid, target: Grid) -> None:
        units = round(target.scale * 2**_OUTPUT_BITS)
        if target.zero or units < 1:
            raise NoRule("its output has a zero point or steps below 2^-16, which was not measured")
        self._powers = powers(source.scale)
        self._scale = 2.0**_OUTPUT_BITS / units

    def __call__(self, codes: Codes) -> Codes:
        """Output codes of (..., n)."""
        below = codes.max(-1, keepdims=True) - codes
        parts = self._powers[below]
        parts *= np.float32(self._scale) / parts.sum(-1, keepdims=True, dtype=np.float64)
        parts += 0.5
        return saturated(parts)


def powers(scale: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What a code that lies 0 to 255 below the largest of its row counts, of 1."""
    step = scale * math.log2(math.e)
    bits = _STEP_BITS - 1 - math.floor(math.log2(step))
    cut = math.floor(step * 2.0**bits) / 2.0**bits
    exact = 2.0 ** (-cut * np.arange(LEVELS))
    result: np.ndarray[tuple[int], np.dtype[np.float64]] = np.floor(exact * 2**_POWER_BITS) / 2**_POWER_BITS
    return result
