"""What runners scored, and the gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snpe_tools.core.errors import AccuracyError, ExecutionError
from snpe_tools.scoring.significance import Pair
from snpe_tools.scoring.soc_differences import SocDifference
from snpe_tools.tasks import Metric, Sheet, Words

_NOT_TOLD = (math.nan, math.nan)


@dataclass(frozen=True)
class FailedRunner:
    """A runner that failed, and why."""

    runner: str
    runtime: str
    error: str
    hint: str

    def as_dict(self) -> dict[str, Any]:
        """A row of accuracy.json."""
        return {"stage": self.runner, "runtime": self.runtime, "error": self.error, "hint": self.hint}


@dataclass(frozen=True)
class RunnerScore:
    """What a runner scored.

    Attributes:
        examples: how many it was asked.
        score: of all of them, in the metric's unit.
        float_score: of the float model on the same examples.
        same: share of predictions equal to the float model's, percent.
        sqnr_db: 10 log10 of float outputs' energy over the difference's, without padding; None where nothing differs.
        not_finite: NaN and infinite outputs, without padding.
        seconds: of one inference. An emulator's seconds say nothing about a device.
        others: what further metrics say, by key.
        interval: where the score would lie with other examples of the kind: 95 %, bootstrap over examples.
        ties: the smallest and largest score over all rules for predictions of equal confidence.
        likely_change: by how much the expected score is above float's; NaN where the task has none.
        likely_interval: where that would lie with other examples of the kind: 95 %, bootstrap over examples.
    """

    runner: str
    runtime: str
    examples: int
    score: float
    float_score: float
    same: float
    sqnr_db: float | None
    not_finite: int
    seconds: float
    others: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] = _NOT_TOLD
    ties: tuple[float, float] = _NOT_TOLD
    likely_change: float = math.nan
    likely_interval: tuple[float, float] = _NOT_TOLD

    def as_dict(self, metric: Metric, words: Words) -> dict[str, Any]:
        """A row of accuracy.json, rounded to what it means; each metric stands under its own key, too."""
        row = {
            "stage": self.runner,
            "runtime": self.runtime,
            words.examples: self.examples,
            metric.key: self.score,
            **self.others,
            f"float_{metric.key}": self.float_score,
            "same": self.same,
            "sqnr_db": self.sqnr_db,
            "not_finite": self.not_finite,
            "seconds": self.seconds,
            f"{metric.key}_interval": self.interval,
            f"{metric.key}_ties": self.ties,
            "likely_change": self.likely_change,
            "likely_interval": self.likely_interval,
            "examples": self.examples,
            "score": self.score,
            "others": dict(self.others),
            "float_score": self.float_score,
            "interval": self.interval,
            "ties": self.ties,
        }
        return {key: _rounded(value) for key, value in row.items()}


@dataclass(frozen=True)
class Scores:
    """The scores of all runners, and the gate's bound.

    Attributes:
        runners: those that did not fail, the float model first.
        max_drop: how much of the metric a runner may lose.
        metric, words: the task's.
        soc_differences: how far the same model's runners on several SoCs are apart.
        sheet: every prediction.
        pairs: every two runners, and whether their difference is significant.
        failed_runners: those that have no score.
    """

    runners: tuple[RunnerScore, ...]
    max_drop: float
    metric: Metric
    words: Words = field(default_factory=Words)
    soc_differences: tuple[SocDifference, ...] = ()
    sheet: Sheet[Any] | None = None
    pairs: tuple[Pair, ...] = ()
    failed_runners: tuple[FailedRunner, ...] = ()

    def drop(self, row: RunnerScore) -> float:
        """How much worse than float a runner is, on the same examples."""
        return self.metric.loss(row.float_score, row.score)

    @property
    def failed(self) -> list[RunnerScore]:
        """Runners that the gate refuses: they lost more than `max_drop`, or computed NaN or infinite outputs.

        A runner that was asked a sample only is not refused for a loss that may be chance: one example of 32 is 3 %.
        """
        lost = [row for row in self.runners if self.drop(row) > self.max_drop]
        return [row for row in self.runners if row.not_finite or (row in lost and row not in self.undecided)]

    @property
    def undecided(self) -> list[RunnerScore]:
        """Runners whose sample lost more than `max_drop`, though no more than chance would take."""
        reference = self.runners[0]
        by_chance = {pair.second for pair in self.pairs if pair.first == reference.runner and not pair.is_news}
        return [
            row
            for row in self.runners
            if self.drop(row) > self.max_drop and row.examples < reference.examples and row.runner in by_chance
        ]

    def check(self) -> None:
        """The gate.

        Raises:
            AccuracyError: a runner lost too much; each is named with its figures.
            ExecutionError: none did, but one could not be asked.
        """
        if self.failed:
            lines = "".join(f"\n    {self._failure(row)}" for row in self.failed)
            raise AccuracyError(
                f"The gate allows {self.max_drop:g} {self.metric.label} below float; "
                f"{len(self.failed)} of {len(self.runners)} stages fail.{lines}",
                "Try PRECISION=w8a16, more calibration or, for 8 bits, a plan (make tune); "
                f"{self.words.examples.upper()}=100 tells a bad model from a hard sample.",
            )
        if self.failed_runners:
            lines = "".join(f"\n    {failed.error}" for failed in self.failed_runners)
            raise ExecutionError(
                f"{len(self.failed_runners)} stages have no score.{lines}", self.failed_runners[0].hint
            )

    def _failure(self, row: RunnerScore) -> str:
        if row.not_finite:
            return f"{row.runner}: {row.not_finite} logits are NaN or infinite"
        return (
            f"{row.runner}: {self.metric.label} {row.score:.2f}, {self.drop(row):.2f} below float "
            f"({row.float_score:.2f}) on the same {row.examples} {self.words.examples}"
        )

    def as_dicts(self) -> list[dict[str, Any]]:
        """Rows for accuracy.json."""
        return [row.as_dict(self.metric, self.words) for row in self.runners]


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value
