"""What a graph asks for in total, by how its operations compute: the columns of the latency model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from snpe_tools.core.precision import Precision
from snpe_tools.estimation.work import Kind, Width, Work

Array = npt.NDArray[np.float64]
Feature = Literal[
    "start", "operations", "matrix", "depthwise", "weights", "elementwise", "normalization", "movement", "overflow"
]
FEATURES: tuple[Feature, ...] = get_args(Feature)
"""Columns of the model. start: 1. operations: how many. matrix, depthwise: 10^9 multiply-accumulates in whole blocks.
weights: 10^6 bytes of constants. elementwise, normalization, movement: 10^6 bytes of activations read and written by
such operations. overflow: 10^6 bytes of activations beyond what fits into the fast memory beside the units.
"""
WIDTHS: tuple[Width, ...] = get_args(Width)
_COLUMN = {name: index for index, name in enumerate(FEATURES)}
_OF_KIND: dict[Kind, Feature] = {
    "elementwise": "elementwise", "normalization": "normalization", "movement": "movement", "unknown": "elementwise",
}  # fmt: skip
_FAST_MEMORY = 4.0
"""10^6 bytes: about half of the 8 MB that recent SoCs have; the other half holds weights on their way."""


def width_of(precision: Precision) -> Width:
    """How the operations of a model in this precision compute."""
    return "fp16" if precision.is_float else "a8" if precision.takes_plan else "a16"


def features(works: Sequence[Work], precision: Precision | None = None) -> Array:
    """Totals of a graph, (3, 9) float64: a row for each of `WIDTHS`, a column for each of `FEATURES`.

    Args:
        precision: what to compute in; as the file is by default.
    """
    total = np.zeros((len(WIDTHS), len(FEATURES)))
    for work in works:
        total[WIDTHS.index(_width(work, precision))] += vector(work, precision)
    count = total[:, _COLUMN["operations"]]
    total[:, _COLUMN["start"]] = count / max(1.0, float(count.sum()))
    return total


def vector(work: Work, precision: Precision | None = None) -> Array:
    """One operation's part, (9,) float64, in the units of `FEATURES`; its start is 0."""
    part = np.zeros(len(FEATURES))
    per_element = 1e-6 if _width(work, precision) == "a8" else 2e-6
    part[_COLUMN["operations"]] = 1
    part[_COLUMN["weights"]] = 1e-6 * work.weights * _weight_bytes(work, precision)
    part[_COLUMN["overflow"]] = max(0.0, work.plain_elements * per_element - _FAST_MEMORY)
    if work.kind in {"matrix", "depthwise"}:
        part[_COLUMN[work.kind]] = 1e-9 * work.blocks
    else:
        part[_COLUMN[_OF_KIND[work.kind]]] = work.elements * per_element
    return part


def _width(work: Work, precision: Precision | None) -> Width:
    return work.width if precision is None else width_of(precision)


def _weight_bytes(work: Work, precision: Precision | None) -> float:
    bits = work.weight_bits if precision is None else precision.weights or 16
    return bits / 8
