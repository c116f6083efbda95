"""Figures that took no part in fitting or choosing anything: MobileBERT of the same table, and MLPerf's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import latency_zoo.build  # noqa: F401 - enters the networks
from latency_zoo.measured import HELD_OUT, measured
from latency_zoo.skeletons import read_skeleton
from snpe_tools.core.precision import Precision
from snpe_tools.core.socs import BY_NAME
from snpe_tools.estimation.estimate import estimate
from snpe_tools.estimation.latency_model import LatencyModel
from snpe_tools.estimation.published import Row
from snpe_tools.estimation.work import work_of

_NAMES = {"fp16": "fp16", "a16": "w8a16", "a8": "w8a8"}
_MLPERF = {"sm8750": 1.506, "sm8650": 2.301, "sc8380xp": 3.285, "sm8550": 5.018}
"""Mean milliseconds of MobileBERT, sequence 384, w8a8: `mlcommons/mobile_results` v5.0, v4.0, v4.0, v3.0."""


def held_out(cache: Path, rows: Sequence[Row], model: LatencyModel) -> None:
    """Print estimate and measurement of MobileBERT."""
    works = work_of(read_skeleton(cache, HELD_OUT))
    figures = {_NAMES[one.width]: one.milliseconds for one in measured(cache, rows, held_out=True)}
    columns = ("figures of", "precision", "SoC", "measured", "estimate", "interval", "estimate / measured")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for source, table in (("AI Hub", figures), ("MLPerf", {"w8a8": _MLPERF})):
        for precision, by_chip in table.items():
            socs = [BY_NAME[chip] for chip in by_chip]
            for row in estimate(works, model, socs, [Precision.parse(precision)]).rows:
                taken = by_chip[row.soc]
                if row.milliseconds is None:
                    print(f"| {source} | {precision} | {row.soc} | {taken:.2f} | {row.refusal} | | |")
                    continue
                said = f"{row.milliseconds:.2f} | {row.low:.2f} to {row.high:.2f} | {row.milliseconds / taken:.2f}"
                print(f"| {source} | {precision} | {row.soc} | {taken:.2f} | {said} |")
