"""Which measured networks a graph resembles: how their milliseconds are made up, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snpe_tools.estimation.chips import REFERENCE
from snpe_tools.estimation.features import Array
from snpe_tools.estimation.latency_model import LatencyModel, Measured

FAR = 0.2
"""Unlikeness to the nearest measured network, beyond which errors are those of whole families left out."""
_SIZE = 0.1
"""What a factor of e in milliseconds counts beside the make-up, which differs by 1 at most."""
_SHOWN = 3
_NAMES = {"fp16": "fp16", "a16": "w8a16", "a8": "w8a8"}


@dataclass(frozen=True)
class Witness:
    """A measured network that resembles the graph.

    Attributes:
        milliseconds: as published, on `soc`.
        estimate: what the model says of it when it was fitted without it.
    """

    network: str
    precision: str
    soc: str
    milliseconds: float
    estimate: float


def is_far(model: LatencyModel, amounts: Array) -> bool:
    """Whether no measured network is made up like this graph, whose amounts (3, 9) `features` gave."""
    nearest = min((unlike for unlike, _ in _ranked(model, amounts, size=0.0)), default=np.inf)
    return bool(nearest > FAR)


def witnesses(model: LatencyModel, amounts: Array, chip: str) -> Iterator[Witness]:
    """The measured networks most like this graph, in make-up and size, that were measured on a chip."""
    ranked = sorted(_ranked(model, amounts, size=_SIZE), key=lambda pair: pair[0])
    usable = [one for _, one in ranked if chip in one.unseen]
    for one in usable[:_SHOWN]:
        milliseconds = one.milliseconds[chip]
        estimate = milliseconds * float(np.exp(one.unseen[chip]))
        yield Witness(one.network.split("/")[0], _NAMES[one.width], chip, milliseconds, estimate)


def _ranked(model: LatencyModel, amounts: Array, size: float) -> Iterator[tuple[float, Measured]]:
    """Each measured network with how unlike it is: half the difference of shares, and the ratio of milliseconds."""
    parts = _on_reference(model, amounts)
    for one in model.measured:
        other = np.array(one.amounts) * model.prices_on(REFERENCE, one.width)
        ratio = abs(float(np.log(other.sum() / parts.sum())))
        yield float(np.abs(parts / parts.sum() - other / other.sum()).sum()) / 2 + size * ratio, one


def _on_reference(model: LatencyModel, amounts: Array) -> Array:
    return np.asarray(model.parts(amounts, REFERENCE).sum(0))
