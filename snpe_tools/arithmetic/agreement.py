"""How far the rules answer as the emulator does, measured on a few inferences of the very DLC."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snpe_tools.arithmetic.network import Network
from snpe_tools.arithmetic.probes import emulate
from snpe_tools.core.errors import DivergenceError, UsageError
from snpe_tools.core.progress import progress
from snpe_tools.core.socs import Soc
from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.core.tensor_spec import Array

DEFAULT_BOUND_DB = 20.0
"""Below this SQNR of an output the rules do not speak for a DLC."""


@dataclass(frozen=True)
class Agreement:
    """What a comparison with the emulator found.

    Attributes:
        inferences: how many were compared.
        equal: share of all output values that are the same bits.
        sqnr_db: of the worst output, the emulator being right; infinite where all are equal.
        peaks: share of outputs, inference by inference, whose largest value stands at the same place.
    """

    inferences: int
    equal: float
    sqnr_db: float
    peaks: float

    def __str__(self) -> str:
        far = "all equal" if math.isinf(self.sqnr_db) else f"SQNR {self.sqnr_db:.1f} dB in the worst output"
        return (
            f"{self.inferences} inferences compared with the emulator: {100 * self.equal:.2f} % of the output values "
            f"are the same bits, {far}, the largest value at the same place in {100 * self.peaks:.0f} %"
        )

    def require(self, bound_db: float, dlc: Path) -> None:
        """Refuse rules that are not true enough.

        Raises:
            DivergenceError: an output is further off than `bound_db`.
        """
        if self.sqnr_db < bound_db or math.isnan(self.sqnr_db):
            raise DivergenceError(
                f"{dlc}: the integer rules do not speak for this DLC: {self} (bound {bound_db:g} dB).",
                "Run it on the emulator: leave out --fast.",
            )


def agree(network: Network, dlc: Path, soc: Soc, feeds: Sequence[Mapping[str, Array]]) -> Agreement:
    """Compare a network with the emulator.

    Args:
        feeds: inputs of each inference, at least one.

    Raises:
        UsageError: there are none.
        QnnError, ExecutionError: the emulator failed.
    """
    if not feeds:
        raise UsageError("At least one inference must be compared with the emulator.")
    with progress(f"comparing with the emulator ({soc})", len(feeds)) as advance:
        wanted = emulate(dlc, soc, feeds)
        got = [network.execute(feed) for feed in feeds]
        advance(len(feeds))
    return compare(wanted, got)


def compare(wanted: Sequence[Mapping[str, Array]], got: Sequence[Mapping[str, Array]]) -> Agreement:
    """The agreement of outputs, inference by inference."""
    pairs = [(one[name], other[name]) for one, other in zip(wanted, got, strict=True) for name in one]
    equal = _mean(np.array_equal(one, other) if one.ndim == 0 else np.mean(one == other) for one, other in pairs)
    peaks = _mean(float(one.argmax() == other.argmax()) for one, other in pairs)
    worst = min(_sqnr([one[name] for one in wanted], [one[name] for one in got]) for name in wanted[0])
    return Agreement(len(wanted), equal, worst, peaks)


def _mean(values: Iterable[float | np.floating]) -> float:
    return float(np.mean(list(values)))


def _sqnr(wanted: Sequence[Array], got: Sequence[Array]) -> float:
    found = sqnr_db(np.stack(wanted), np.stack(got))
    return math.inf if found is None else found
