"""What a task is judged by, and the words for what it asks and what it gets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A measure of how well predictions fit their examples.

    Attributes:
        key: in accuracy.json, such as "f1".
        label: for people, such as "F1".
        unit: of its values.
        higher_is_better: whether a lower value is the loss.
        max_drop: bound of the gate, unless told otherwise: how much a quantized model may lose against float.
    """

    key: str
    label: str
    unit: str = "percent"
    higher_is_better: bool = True
    max_drop: float = 1.0

    def loss(self, wanted: float, got: float) -> float:
        """How much worse `got` is than `wanted`; negative where it is better."""
        return wanted - got if self.higher_is_better else got - wanted


@dataclass(frozen=True)
class Score:
    """What predictions score.

    Attributes:
        value: of all examples together, in the metric's unit.
        each: of each example, float64 (examples,), on which every statistic is made.
        low, high: of each example, over all predictions that tie with the one that was chosen.
        others: by key, what further metrics say, each example's too.
    """

    value: float
    each: Floats
    low: Floats
    high: Floats
    others: dict[str, Score] = field(default_factory=dict)

    @classmethod
    def mean(cls, each: Floats) -> Score:
        """Where the metric of all examples is the mean over them, and nothing ties."""
        return cls(float(np.mean(each)), each, each, each)


@dataclass(frozen=True)
class Words:
    """A task's own words, in tables, messages and keys of documents.

    Attributes:
        example, examples: what a model is asked.
        prediction, predictions: what it gives.
        choice: what a prediction is one of, such as "span".
        confidence, logits: the number that stands beside a prediction, and what heads a column of them.
        ties: predictions of equal confidence; `tie_rule` which of them is taken.
        differs, agrees: between a runner's name and the reference's, of a prediction.
        changed: after a number of examples, "by some runner" follows; `unchanged`, of every runner.
        heading: of the report.
    """

    example: str = "example"
    examples: str = "examples"
    prediction: str = "prediction"
    predictions: str = "predictions"
    choice: str = "prediction"
    confidence: str = "logit"
    logits: str = "logit"
    ties: str = "predictions of equal confidence"
    tie_rule: str = "the first one"
    differs: str = "predict otherwise than"
    agrees: str = "predicts as"
    changed: str = "are predicted otherwise"
    unchanged: str = "predicts as the float model"
    heading: str = "Does it still predict as it did?"
