"""The two outputs of an extractive model: logits of each token to be the first, and to be the last of the answer."""

from __future__ import annotations

import math

import numpy as np

from snpe_tools.tasks.batch import FloatArray, Outputs

LOGITS = ("start_logits", "end_logits")


def as_outputs(start: FloatArray, end: FloatArray, seconds: float = math.nan) -> Outputs:
    """Start and end logits, float32 (windows, length) each, as outputs of a model."""
    return Outputs(dict(zip(LOGITS, (start, end), strict=True)), seconds)


def both_logits(outputs: Outputs) -> tuple[FloatArray, FloatArray]:
    """Start and end logits, (windows, length) each."""
    start, end = (np.asarray(outputs.arrays[name]) for name in LOGITS)
    return start, end
