"""How large the numbers of a channel are after a BatchNormalization, and after a Relu behind it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_RARE = 0.02
"""A channel counts for at least this share of its deviation, however seldom a Relu lets it through."""


def expected_size(gain: NDArray[np.float64], offset: NDArray[np.float64], *, rectified: bool) -> NDArray[np.float64]:
    """Root mean square of each channel, of normally distributed numbers; behind a Relu of those above 0 alone."""
    wide = np.abs(gain) + 1e-12
    if not rectified:
        return np.hypot(wide, offset)
    at = offset / wide
    above = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in at])
    square = (offset**2 + wide**2) * above + offset * wide * np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi)
    floor: NDArray[np.float64] = np.maximum(np.sqrt(np.maximum(square, 0)), _RARE * wide)
    return floor
