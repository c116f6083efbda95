"""How far numbers are from those they should be."""

from __future__ import annotations

import numpy as np

from snpe_tools.core.tensor_spec import Array


def sqnr_db(wanted: Array, got: Array) -> float | None:
    """Signal to quantization noise ratio in dB: energy of `wanted` over energy of the difference.

    Numbers that are not finite are left out. None where nothing differs, -inf where all of `wanted` is zero, NaN where
    nothing is left.
    """
    signal, noisy = wanted.ravel().astype(np.float64), got.ravel().astype(np.float64)
    finite = np.isfinite(signal) & np.isfinite(noisy)
    if not finite.any():
        return float("nan")
    error = float(np.square(signal[finite] - noisy[finite]).sum())
    energy = float(np.square(signal[finite]).sum())
    if error == 0:
        return None
    return float(10 * np.log10(energy / error)) if energy else float("-inf")
