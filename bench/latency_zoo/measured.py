"""The networks of the zoo beside what was published for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from latency_zoo.registry import NETWORKS, Network
from latency_zoo.skeletons import read_skeleton, skeleton_file
from snpe_tools.core.precision import Precision
from snpe_tools.estimation.chips import BY_DEVICE
from snpe_tools.estimation.features import WIDTHS, features, width_of
from snpe_tools.estimation.latency_model import Measured
from snpe_tools.estimation.published import PRECISIONS, Row
from snpe_tools.estimation.work import work_of

HELD_OUT = "mobile_bert_uncased_google/Mobile-Bert-Uncased-Google"
"""Used once, after everything else was decided."""


def measured(cache: Path, rows: Sequence[Row], *, held_out: bool = False) -> list[Measured]:
    """Every network that was built, in every width for which there are figures; or only the one held out."""
    built = [one for one in NETWORKS.values() if skeleton_file(cache, one.name).exists()]
    chosen = [one for one in built if (one.name == HELD_OUT) == held_out]
    return [entry for network in chosen for entry in _entries(network, cache, rows)]


def _entries(network: Network, cache: Path, rows: Sequence[Row]) -> Iterator[Measured]:
    works = work_of(read_skeleton(cache, network.name))
    for published, name in PRECISIONS.items():
        precision = Precision.parse(name)
        width = width_of(precision)
        figures = _figures({network.name, *network.also}, published, rows)
        if figures:
            amounts = features(works, precision)[WIDTHS.index(width)]
            yield Measured(
                network=network.name, also=list(network.also), family=network.family, width=width,
                amounts=[float(f"{amount:.5g}") for amount in amounts], milliseconds=figures,
            )  # fmt: skip


def _figures(names: set[str], precision: str, rows: Sequence[Row]) -> dict[str, float]:
    """Milliseconds by chip; the geometric mean where the same graph was measured under several names."""
    found = defaultdict[str, list[float]](list)
    for row in rows:
        if row.name in names and row.precision == precision and row.device in BY_DEVICE:
            found[BY_DEVICE[row.device]].append(row.milliseconds)
    return {chip: float(f"{np.exp(np.mean(np.log(several))):.4g}") for chip, several in found.items()}
