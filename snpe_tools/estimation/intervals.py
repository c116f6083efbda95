"""How far off an estimate may be: from networks that the model was fitted without."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from snpe_tools.estimation.latency_model import LatencyModel
from snpe_tools.estimation.work import Width

COVERED = 0.8
"""Share of networks that an interval is made for."""
UNUSABLE = 3.0
"""Error factor above which there is no number."""


def error_factor(model: LatencyModel, chip: str, width: Width, *, far: bool) -> float:
    """The factor within which `COVERED` of the networks were estimated that the model did not see.

    Args:
        far: the graph resembles no measured network: errors of networks whose whole family was left out.
    """
    found = [(one.family_unseen if far else one.unseen).get(chip) for one in model.measured if one.width == width]
    return covering(error for error in found if error is not None)


def transfer_factor(model: LatencyModel, known: Sequence[str], chip: str, width: Width) -> float:
    """The same for an estimate that is scaled by measurements on other chips."""
    errors = []
    for one in model.measured:
        others = [one.unseen[other] for other in known if other in one.unseen]
        if one.width == width and chip in one.unseen and len(others) == len(known):
            errors.append(one.unseen[chip] - sum(others) / len(others))
    return covering(errors)


def covering(errors: Iterable[float]) -> float:
    """The factor that `COVERED` of these log errors stay within: the (n + 1)-th share, as conformal prediction has it.

    Infinite where there are too few errors for that share.
    """
    sizes = sorted(abs(error) for error in errors)
    rank = math.ceil((len(sizes) + 1) * COVERED)
    return math.exp(sizes[rank - 1]) if rank <= len(sizes) else math.inf
