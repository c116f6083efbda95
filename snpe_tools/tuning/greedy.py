"""In which order operations are raised to 16 bits.

Rounding errors of different tensors are taken as independent, so the divergences that they add to the predictions add
up. What one tensor adds comes from all of its readers together, since they read the same error. An operation computes
in one width: a reader gets 16 bits only where both it and the operation that wrote the tensor have 16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Effects = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""By tensor and reader ("" for the model's own outputs): changes of log-probabilities, one for each window."""


@dataclass(frozen=True)
class Step:
    """Tensors that are raised together, and the noise that is left afterwards: a divergence in nats."""

    raised: tuple[str, ...]
    noise: float


def noise_of(effects: Effects, tensor: str, wide: Collection[str]) -> float:
    """The divergence, in nats, that rounding one tensor to 8 bits adds where its readers do not get 16."""
    narrow = [
        effect for reader, effect in effects[tensor].items() if tensor not in wide or (reader and reader not in wide)
    ]
    return float(np.mean(np.square(np.sum(narrow, axis=0)))) / 2 if narrow else 0.0


def total_noise(effects: Effects, wide: Collection[str]) -> float:
    """Of all tensors."""
    return sum(noise_of(effects, tensor, wide) for tensor in effects)


def raise_in_order(effects: Effects) -> list[Step]:
    """Raise operations, each time those that take away most noise for each tensor raised, until all are."""
    wide: set[str] = set()
    steps: list[Step] = []
    left = total_noise(effects, wide)
    while moves := _moves(effects, wide):
        gains = {move: (left - total_noise(effects, wide | set(move))) / len(move) for move in moves}
        best = max(moves, key=lambda move: (gains[move], -len(move)))
        wide |= set(best)
        left = total_noise(effects, wide)
        steps.append(Step(best, left))
    return steps


def _moves(effects: Effects, wide: Collection[str]) -> list[tuple[str, ...]]:
    """What could be raised next: both ends of a connection, or an operation alone."""
    found: set[tuple[str, ...]] = {(tensor,) for tensor in effects if tensor not in wide}
    for tensor, readers in effects.items():
        for reader in readers:
            missing = tuple(name for name in (tensor, reader) if name in effects and name not in wide)
            if missing:
                found.add(missing)
    return sorted(found)
