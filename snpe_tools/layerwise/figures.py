"""How far two tensors are apart, added up block by block: memory does not grow with tensors or inferences."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.tensor_spec import Array
from snpe_tools.layerwise.layer import Grid

_BLOCK = 1 << 13
"""Elements at once: what fits a core's cache, and few enough that BLAS starts no threads for them."""

_Block = NDArray[np.float64]


class Figures:
    """Sums over all numbers of a tensor in two models, A and B, and over all inferences.

    Numbers that are not finite in A or in B are counted and left out of everything else.
    """

    def __init__(self, grid: Grid | None) -> None:
        self.grid = grid
        self.count = self.equal = self.outside = self.vanished = 0
        self.not_finite = (0, 0)
        self.signal = self.other = self.product = self.noise = self.absolute = self.largest = 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, first: Array, second: Array) -> None:
        """Add the tensor of one inference."""
        a, b = first.reshape(-1), second.reshape(-1)
        for start in range(0, len(a), _BLOCK):
            part = slice(start, start + _BLOCK)
            self._add(a[part].astype(np.float64), b[part].astype(np.float64))

    def _add(self, a: _Block, b: _Block) -> None:
        with np.errstate(invalid="ignore"):
            all_finite = math.isfinite(float(a.sum() + b.sum()))
        if not all_finite:
            a, b = self._finite(a, b)
        if not a.size:
            return
        error = a - b
        self.count += a.size
        self.equal += a.size - int(np.count_nonzero(error))
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.product += float(a @ b)
        self.noise += float(error @ error)
        np.abs(error, out=error)
        self.absolute += float(error.sum())
        self.largest = max(self.largest, float(error.max()))
        self._widen(a)
        self.vanished += int(np.count_nonzero((a != 0) & (b == 0)))
        if self.grid:
            self.outside += _outside(a, self.grid)

    def _finite(self, a: _Block, b: _Block) -> tuple[_Block, _Block]:
        good_a, good_b = np.isfinite(a), np.isfinite(b)
        self.not_finite = (
            self.not_finite[0] + int(np.count_nonzero(~good_a)),
            self.not_finite[1] + int(np.count_nonzero(~good_b)),
        )
        self._widen(a[good_a])
        both = good_a & good_b
        return a[both], b[both]

    def _widen(self, a: _Block) -> None:
        self.low = min(self.low, float(a.min(initial=math.inf)))
        self.high = max(self.high, float(a.max(initial=-math.inf)))

    @property
    def cosine(self) -> float:
        """Of the two as flat vectors; NaN when one is all zero."""
        lengths = math.sqrt(self.signal) * math.sqrt(self.other)
        return self.product / lengths if lengths else math.nan

    @property
    def sqnr_db(self) -> float | None:
        """Energy of A over energy of the difference, dB; as `snpe_tools.core.sqnr.sqnr_db` defines the edges."""
        if not self.count:
            return math.nan
        if not self.noise:
            return None
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf

    @property
    def rms(self) -> float:
        """Root mean square of A."""
        return math.sqrt(self.signal / self.count) if self.count else math.nan

    def share(self, count: float) -> float:
        """Percent of all finite numbers."""
        return 100 * count / self.count if self.count else 0.0


def _outside(values: _Block, grid: Grid) -> int:
    """How many values lie more than half a step beyond the grid's ends."""
    if values.min() >= grid.low - grid.step / 2 and values.max() <= grid.high + grid.step / 2:
        return 0
    return int(np.count_nonzero((values < grid.low - grid.step / 2) | (values > grid.high + grid.step / 2)))
