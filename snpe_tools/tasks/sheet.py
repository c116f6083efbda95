"""What every runner predicted for every example, as answers.json keeps it.

A task's own classes add what only it knows, and may keep their own words as keys of the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from snpe_tools.core.errors import UsageError


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for an example.

    Attributes:
        text: in words; two predictions are the same where their words are.
        confidence: a number of the model's own beside it; not finite where there is none.
        ties: other predictions with the same confidence, in words.
    """

    text: str
    confidence: float = float("nan")
    ties: tuple[str, ...] = ()


class PredictionRecord(BaseModel):
    """One prediction, and its score.

    Attributes:
        text: in words.
        confidence: the model's own number; None where it had no finite one.
        tied: other predictions with the same confidence.
        score: of this example, in the metric's unit.
        score_low, score_high: over all predictions that tie.
    """

    model_config = ConfigDict(populate_by_name=True)

    text: str
    confidence: float | None
    score: float
    tied: list[str] = []
    score_low: float
    score_high: float

    @property
    def others(self) -> dict[str, float]:
        """What further metrics say of it, by key."""
        return {}


Record = TypeVar("Record", bound=PredictionRecord)


class ExampleRecord(BaseModel, Generic[Record]):
    """One example: what is asked, the predictions that are accepted, and those of each runner by its name."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    text: str
    gold: list[str]
    predictions: dict[str, Record] = {}

    def loss(self, reference: str) -> float:
        """The largest loss of score against the reference."""
        known = self.predictions[reference].score
        return max(known - record.score for record in self.predictions.values())


ExampleKept = TypeVar("ExampleKept", bound=ExampleRecord[Any])


class Sheet(BaseModel, Generic[ExampleKept]):
    """All examples and predictions; `runners` in the order of scoring, the float model first."""

    model_config = ConfigDict(populate_by_name=True)

    model: str = ""
    task: str = ""
    runners: list[str] = Field(validation_alias=AliasChoices("stages", "runners"), serialization_alias="stages")
    examples: list[ExampleKept]

    def find(self, identity: str) -> ExampleKept:
        """An example by its id.

        Raises:
            UsageError: there is none.
        """
        for example in self.examples:
            if example.id == identity:
                return example
        known = ", ".join(example.id for example in self.examples[:5])
        raise UsageError(
            f"No {self.noun} {identity!r} was scored.", f"Known: {known}, … ({len(self.examples)} in all)."
        )

    @property
    def noun(self) -> str:
        """The task's word for an example."""
        return "example"

    @property
    def reference(self) -> str:
        """The runner that the others are compared with."""
        return self.runners[0]

    def changed(self) -> list[ExampleKept]:
        """Examples for which some runner predicts something else than the float model, the largest loss first."""
        found = [
            example for example in self.examples if len({record.text for record in example.predictions.values()}) > 1
        ]
        return sorted(found, key=lambda example: -example.loss(self.reference))

    def fault(self) -> str:
        """What does not fit together, in words; "" where everything does."""
        for example in self.examples:
            if not self.runners or self.reference not in example.predictions:
                return f"the {self.noun} {example.id!r} has no prediction of the float model"
        return ""

    def shown(self, example: ExampleKept) -> str:
        """An example for people."""
        return example.text

    def described(self, example: ExampleKept) -> dict[str, Any]:
        """An example without its predictions, for JSON."""
        return {"id": example.id, "text": example.text, "gold": list(dict.fromkeys(example.gold))}


@dataclass(frozen=True)
class Piece:
    """A part of an example's text, and whether it is in the float model's prediction and in the other's."""

    text: str
    in_float: bool = False
    in_other: bool = False
