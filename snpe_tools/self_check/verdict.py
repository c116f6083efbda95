"""How far a DLC may be from the model that it was made of.

The bounds are measured (docs/conversion-check.md): right DLCs of 48 small models kept 37 dB and more in fp16, 43 dB and
more with 16-bit activations, 26 dB and more with 8 bits, where w8a8 transformers lie at 20 to 25 dB. What the compiler
gets wrong mostly falls below 10 dB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.core.tensor_spec import Array, TensorSpec

Judgement = Literal["right", "doubtful", "wrong"]

_STEPS = 2.5
"""Steps of an output's encoding that no result may be blamed for: the last rounding, on both sides."""
_EQUAL = (50.0, 95.0)
"""Percent of equal numbers below which an integer output is wrong, and doubtful."""


@dataclass(frozen=True)
class Bounds:
    """SQNR in dB below which an output is wrong, and below which it is doubtful."""

    wrong: float
    doubtful: float


FLOAT, WIDE, NARROW = Bounds(20.0, 30.0), Bounds(20.0, 30.0), Bounds(10.0, 15.0)
_LOOSER = 2.0
_NARROW_BITS = 8


def bounds_for(bits: int, *, against_float: bool = False) -> Bounds:
    """The bounds of a DLC by the bits of its narrowest activations, 0 for float.

    Args:
        against_float: a quantized DLC stands beside a float model: the loss of quantizing itself comes on top.
    """
    if not bits:
        return FLOAT
    bounds = NARROW if bits <= _NARROW_BITS else WIDE
    return Bounds(bounds.wrong / _LOOSER, bounds.doubtful) if against_float else bounds


@dataclass(frozen=True)
class Output:
    """How far one output of the DLC is from the model's.

    Attributes:
        sqnr_db: None where both are equal, NaN for integers and where no number is finite.
        equal: share of equal numbers, percent.
        steps: largest error in steps of the output's encoding; infinite without one.
        not_finite: NaN and infinite numbers of the model and of the DLC.
    """

    name: str
    sqnr_db: float | None
    equal: float
    steps: float
    not_finite: tuple[int, int]

    def judged(self, bounds: Bounds) -> Judgement:
        """What the figures say."""
        if self.not_finite[1] > self.not_finite[0]:
            return "wrong"
        if self.sqnr_db is None or self.steps <= _STEPS:
            return "right"
        found, limits = (self.sqnr_db, (bounds.wrong, bounds.doubtful))
        if math.isnan(found):
            found, limits = self.equal, _EQUAL
        if found < limits[0]:
            return "wrong"
        return "doubtful" if found < limits[1] else "right"

    def __str__(self) -> str:
        if self.not_finite[1] > self.not_finite[0]:
            return f"{self.not_finite[1]} NaN or infinite numbers"
        if self.sqnr_db is None:
            return "equal"
        if math.isnan(self.sqnr_db):
            return f"{self.equal:.0f} % equal"
        return f"{self.sqnr_db:.1f} dB"


def compare_outputs(wanted: Mapping[str, Array], got: Mapping[str, Array], specs: Sequence[TensorSpec]) -> list[Output]:
    """Compare what a DLC computed with what its model computed.

    Args:
        wanted, got: real numbers by output.
        specs: the DLC's outputs.
    """
    return [_compare(spec, np.asarray(wanted[spec.name]), np.asarray(got[spec.name])) for spec in specs]


def _compare(spec: TensorSpec, wanted: Array, got: Array) -> Output:
    real = np.issubdtype(wanted.dtype, np.floating) or spec.encoding is not None
    a, b = wanted.reshape(-1).astype(np.float64), got.reshape(-1).astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    largest = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    step = spec.encoding.scales[0] if spec.encoding and spec.dtype.is_fixed_point else 0.0
    equal = 100 * float(np.mean(a == b)) if a.size else 100.0
    figure = sqnr_db(a, b) if real or equal == 100 else math.nan  # noqa: PLR2004 - percent
    bad = int((~np.isfinite(a)).sum()), int((~np.isfinite(b)).sum())
    return Output(spec.name, figure, equal, largest / step if step else math.inf, bad)
