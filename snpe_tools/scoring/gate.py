"""What stages scored, and the gate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from snpe_tools.core.errors import AccuracyError, ExecutionError
from snpe_tools.scoring.answers_file import Sheet
from snpe_tools.scoring.significance import Pair
from snpe_tools.scoring.soc_differences import Contrast

DEFAULT_MAX_DROP = 1.0


@dataclass(frozen=True)
class Lost:
    """A stage that failed, and why."""

    stage: str
    runtime: str
    error: str
    hint: str


@dataclass(frozen=True)
class StageScore:
    """What a stage scored.

    Attributes:
        f1, em: percent, over `questions` questions.
        f1_interval: where F1 would lie with other questions of the kind: 95 %, bootstrap over questions.
        f1_ties: the smallest and largest F1 over all rules for equal scores of two spans.
        float_f1: F1 of the float model on the same questions.
        same: share of answers equal to the float model's, percent.
        sqnr_db: 10 log10 of float logits' energy over the difference's, real tokens only; None where nothing differs.
        not_finite: NaN and infinite logits of real tokens.
        seconds: of one inference. An emulator's seconds say nothing about a device.
        likely_change: by how much the F1 that answers are likely to have is above float's; see its module `likely`.
        likely_interval: where that would lie with other questions of the kind: 95 %, bootstrap over questions.
    """

    stage: str
    runtime: str
    questions: int
    f1: float
    em: float
    float_f1: float
    same: float
    sqnr_db: float | None
    not_finite: int
    seconds: float
    f1_interval: tuple[float, float] = (math.nan, math.nan)
    f1_ties: tuple[float, float] = (math.nan, math.nan)
    likely_change: float = math.nan
    likely_interval: tuple[float, float] = (math.nan, math.nan)

    @property
    def drop(self) -> float:
        """F1 lost against float on the same questions."""
        return self.float_f1 - self.f1


@dataclass(frozen=True)
class Scores:
    """The scores of all stages, and the gate's bound.

    Attributes:
        contrasts: how far the same model's stages on several SoCs are apart.
        sheet: every answer.
        pairs: every two stages, and whether their difference is more than luck.
        lost: stages that failed.
    """

    stages: tuple[StageScore, ...]
    max_drop: float
    contrasts: tuple[Contrast, ...] = ()
    sheet: Sheet | None = None
    pairs: tuple[Pair, ...] = ()
    lost: tuple[Lost, ...] = ()

    @property
    def failed(self) -> list[StageScore]:
        """Stages that the gate refuses: they lost more than `max_drop`, or computed NaN or infinite logits.

        A stage that was asked a sample only is not refused for a loss that may be luck: one question of 32 is 3 F1.
        """
        lost = [stage for stage in self.stages if stage.drop > self.max_drop]
        return [stage for stage in self.stages if stage.not_finite or (stage in lost and stage not in self.undecided)]

    @property
    def undecided(self) -> list[StageScore]:
        """Stages whose sample lost more than `max_drop`, though no more than chance would take."""
        reference = self.stages[0]
        lucky = {pair.second for pair in self.pairs if pair.first == reference.stage and not pair.is_news}
        return [
            stage
            for stage in self.stages
            if stage.drop > self.max_drop and stage.questions < reference.questions and stage.stage in lucky
        ]

    def check(self) -> None:
        """The gate.

        Raises:
            AccuracyError: a stage lost too much; each is named with its figures.
            ExecutionError: no stage did, but one could not be asked.
        """
        if self.failed:
            lines = "".join(f"\n    {_failure(stage)}" for stage in self.failed)
            raise AccuracyError(
                f"The gate allows {self.max_drop:g} F1 below float; "
                f"{len(self.failed)} of {len(self.stages)} stages fail.{lines}",
                "Try PRECISION=w8a16, more calibration or, for 8 bits, a plan (make tune); "
                "QUESTIONS=100 tells a bad model from a hard sample.",
            )
        if self.lost:
            lines = "".join(f"\n    {lost.error}" for lost in self.lost)
            raise ExecutionError(f"{len(self.lost)} stages have no score.{lines}", self.lost[0].hint)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Rows for accuracy.json, rounded to what they mean."""
        return [{key: _rounded(value) for key, value in asdict(stage).items()} for stage in self.stages]


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def _failure(stage: StageScore) -> str:
    if stage.not_finite:
        return f"{stage.stage}: {stage.not_finite} logits are NaN or infinite"
    return (
        f"{stage.stage}: F1 {stage.f1:.2f}, {stage.drop:.2f} below float ({stage.float_f1:.2f}) "
        f"on the same {stage.questions} questions"
    )
