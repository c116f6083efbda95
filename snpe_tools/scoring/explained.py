"""One example through all runners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snpe_tools.tasks import ExampleRecord, Metric, PredictionRecord, Sheet, Words


@dataclass(frozen=True)
class RunnerPrediction:
    """A runner's prediction; `shift` is its confidence less the float model's, None where one has none."""

    runner: str
    record: PredictionRecord
    shift: float | None


@dataclass(frozen=True)
class Explained:
    """An example, and every runner's prediction, the float model's first.

    Attributes:
        described, shown: the example as its task describes it, for JSON and for people.
        gold: the predictions that are accepted.
    """

    described: dict[str, Any]
    shown: str
    gold: list[str]
    rows: list[RunnerPrediction]
    metric: Metric
    words: Words

    @property
    def verdict(self) -> str:
        """Which runner is the first to predict something else."""
        known = self.rows[0]
        for row in self.rows[1:]:
            if row.record.text != known.record.text:
                tie = f", one of several {self.words.ties}" if row.record.tied else ""
                return f"{row.runner} is the first to {self.words.differs} {known.runner}{tie}."
        return f"Every stage that was asked {self.words.agrees} {known.runner}."

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        predictions = {row.runner: row.record.model_dump(by_alias=True) for row in self.rows}
        return {**self.described, self.words.predictions: predictions, "verdict": self.verdict}


def explained(sheet: Sheet[Any], example: ExampleRecord[Any], metric: Metric, words: Words) -> Explained:
    """An example of a sheet."""
    known = example.predictions[sheet.reference]
    rows = [
        RunnerPrediction(runner, example.predictions[runner], _shift(example.predictions[runner], known))
        for runner in sheet.runners
        if runner in example.predictions
    ]
    gold = list(dict.fromkeys(example.gold))
    return Explained(sheet.described(example), sheet.shown(example), gold, rows, metric, words)


def _shift(record: PredictionRecord, known: PredictionRecord) -> float | None:
    if record.confidence is None or known.confidence is None or record is known:
        return None
    return record.confidence - known.confidence
