"""Whether logits in one tensor look transposed: (2, length) read as (length, 2), or the reverse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snpe_tools.tasks.batch import FloatArray
from snpe_tools.tasks.question_answering.features import Windows

_LONGEST_SPAN = 30
_CLEARLY = 0.5
Pair = tuple[FloatArray, FloatArray]


def shares_of_answers(given: Pair, other: Pair, windows: Windows) -> tuple[float, float]:
    """Share of windows whose two highest logits make an answer, for two readings of the same numbers.

    An answer is in the passage, in order, and not too long; or it is the first token twice, by which a model says that
    the window has none. Windows that say so in both readings tell nothing and are left out; (1, 1) when none is left.

    Args:
        given, other: start and end logits, float32 (windows, length) each.
        windows: what was asked.
    """
    readings = [_spans(*logits, windows) for logits in (given, other)]
    telling = ~(readings[0][1] & readings[1][1])
    if not telling.any():
        return 1.0, 1.0
    first, second = (float(np.mean((answer | nothing)[telling])) for answer, nothing in readings)
    return first, second


def looks_transposed(given: float, other: float) -> bool:
    """Whether the other axis makes clearly more answers than the given one."""
    return other - given >= _CLEARLY


def _spans(start: FloatArray, end: FloatArray, windows: Windows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which windows have an answer, and which say that they have none."""
    first, last = np.argmax(start, axis=1), np.argmax(end, axis=1)
    rows = np.arange(len(windows))
    inside = (windows.offsets[rows, first, 0] >= 0) & (windows.offsets[rows, last, 0] >= 0)
    ordered = (first <= last) & (last - first < _LONGEST_SPAN)
    return inside & ordered, (first == 0) & (last == 0)
