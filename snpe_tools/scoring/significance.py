"""Whether a difference of two F1 is more than luck with the questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """Two stages on the questions that both were asked.

    Attributes:
        difference: F1 of `second` less that of `first`.
        low, high: its 95 % interval, by bootstrap over questions.
        changed: questions whose F1 differs.
        p_value: probability of a difference at least as large if neither stage were better, by flipping the sign of
            each question's difference (paired permutation test, two-sided).
    """

    first: str
    second: str
    questions: int
    difference: float
    low: float
    high: float
    changed: int
    p_value: float

    @property
    def is_news(self) -> bool:
        """Whether luck is an unlikely explanation."""
        return self.p_value < LUCK


def interval(each: ArrayLike) -> tuple[float, float]:
    """95 % interval of the mean, by bootstrap (percentiles of 2,000 resamples, the same ones every time).

    Args:
        each: one number per question.
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
    """Compare two stages.

    Args:
        one, other: F1 of each question, in the same order.
    """
    differences = np.asarray(other, np.float64) - np.asarray(one, np.float64)
    low, high = interval(differences)
    return Pair(
        first=first,
        second=second,
        questions=len(differences),
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
