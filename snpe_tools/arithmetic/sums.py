"""Add and Sub of two activations of 8 bits: multipliers of 14 bits that share an exponent, and one constant.

The constant, which holds the zero points and the half that rounds, is a whole number of 256 units.
"""

from __future__ import annotations

import math

import numpy as np

from snpe_tools.arithmetic.grid import Codes, Grid, NoRule, saturated

_BITS = 13
_MOST_BITS = 22
_UNIT = 256


class Sum:
    """`left + sign * right`.

    Args:
        sign: 1, or -1 for a difference.

    Raises:
        NoRule: one input is so much coarser than the output that int32 overflows.
    """

    def __init__(self, left: Grid, right: Grid, target: Grid, sign: int = 1) -> None:
        ratios = left.scale / target.scale, sign * right.scale / target.scale
        largest = max(abs(ratios[0]), abs(ratios[1]), abs(ratios[0] + ratios[1]))
        self._shift = bits = _BITS - math.floor(math.log2(largest))
        if not 0 < bits <= _MOST_BITS:
            raise NoRule(f"the inputs are {largest:.3g} times as coarse as the output, which was not measured")
        self._left, self._right = (math.floor(ratio * 2.0**bits + 0.5) for ratio in ratios)
        wanted = (2 * target.zero + 1) * 2 ** (bits - 1) - left.zero * self._left - right.zero * self._right
        self._constant = (wanted + _UNIT // 2 - 1) // _UNIT * _UNIT

    def __call__(self, left: Codes, right: Codes) -> Codes:
        """Output codes; shapes broadcast."""
        total = left.astype(np.int32) * self._left + (right.astype(np.int32) * self._right + self._constant)
        total >>= self._shift
        return saturated(total)
