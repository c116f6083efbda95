"""The order of training: batches of windows of similar length, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BATCHES_PER_BUCKET = 50

IntArray = NDArray[np.int32]
Batches = list[NDArray[np.intp]]


def plan(lengths: IntArray, passes: Sequence[NDArray[np.intp]], batch_size: int, seed: int) -> Batches:
    """The rows of every step, pass after pass.

    A pass is shuffled and cut into buckets of 50 batches; each bucket is sorted by length and cut into batches, whose
    order is shuffled again. Padding nearly vanishes, and the order still looks random to the optimizer.

    Args:
        lengths: tokens of every window.
        passes: windows of each pass.
        batch_size: windows per step; the last of a pass may have fewer.
        seed: of the shuffles.
    """
    steps: Batches = []
    for number, rows in enumerate(passes):
        generator = np.random.default_rng((seed, number))
        shuffled = generator.permutation(rows)
        bucket = batch_size * _BATCHES_PER_BUCKET
        for first in range(0, len(shuffled), bucket):
            part = shuffled[first : first + bucket]
            ordered = part[np.argsort(lengths[part], kind="stable")]
            cut = [ordered[place : place + batch_size] for place in range(0, len(ordered), batch_size)]
            steps += [cut[place] for place in generator.permutation(len(cut))]
    return steps
