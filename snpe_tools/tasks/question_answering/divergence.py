"""How far the answers' distributions of two models are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snpe_tools.tasks.batch import FloatArray


def divergence(first: FloatArray, second: FloatArray, real: NDArray[np.bool_]) -> float:
    """Kullback-Leibler divergence, in nats, of the second logits' answers from the first's: mean over windows.

    That of the first and that of the last token are added.

    Args:
        first, second: logits (2, windows, tokens).
        real: (windows, tokens), what is no padding.
    """
    from scipy.special import log_softmax

    logs, others = (
        log_softmax(np.where(real, logits.astype(np.float64), -np.inf), axis=-1)[:, real] for logits in (first, second)
    )
    return float(np.sum(np.exp(logs) * (logs - others)) / len(real))
