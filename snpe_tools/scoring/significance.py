"""Whether a difference of two scores is more than chance in the choice of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_CONFIDENCE = 0.95
_RESAMPLES = 2000
_BATCH = 100
_SEED = 20
LUCK = 0.05
"""A difference with a larger p-value is not taken for news."""


@dataclass(frozen=True)
class Pair:
    """Two runners on the examples that both were asked.

    Attributes:
        difference: score of `second` less that of `first`.
        low, high: its 95 % interval, by bootstrap over examples.
        changed: examples whose score differs.
        p_value: probability of a difference at least as large if neither runner were better, by flipping the sign of
            each example's difference (paired permutation test, two-sided).
    """

    first: str
    second: str
    examples: int
    difference: float
    low: float
    high: float
    changed: int
    p_value: float

    @property
    def is_news(self) -> bool:
        """Whether chance is an unlikely explanation."""
        return self.p_value < LUCK

    def as_dict(self, examples: str) -> dict[str, Any]:
        """An entry of accuracy.json.

        Args:
            examples: the task's word for them.
        """
        return asdict(self) | {examples: self.examples}


def interval(each: ArrayLike) -> tuple[float, float]:
    """95 % interval of the mean, by bootstrap (percentiles of 2,000 resamples, the same ones every time).

    Args:
        each: one number per example.
    """
    from scipy.stats import bootstrap

    values = np.asarray(each, np.float64)
    if len(values) <= 1 or not np.ptp(values):
        return float(values.mean()), float(values.mean())
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def paired(first: str, second: str, one: Sequence[float], other: Sequence[float]) -> Pair:
    """Compare two runners.

    Args:
        one, other: score of each example, in the same order.
    """
    differences = np.asarray(other, np.float64) - np.asarray(one, np.float64)
    low, high = interval(differences)
    return Pair(
        first=first,
        second=second,
        examples=len(differences),
        difference=float(differences.mean()),
        low=low,
        high=high,
        changed=int(np.count_nonzero(differences)),
        p_value=_p_value(differences[differences != 0]),
    )


def _p_value(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Of differences that are not 0; the others change no sum. Exact up to ten of them."""
    from scipy.stats import permutation_test

    if len(differences) <= 1:
        return 1.0
    return float(
        permutation_test(
            (differences,),
            np.sum,
            permutation_type="samples",
            n_resamples=_RESAMPLES,
            batch=_BATCH,
            rng=np.random.default_rng(_SEED),
        ).pvalue
    )
