"""answers.json of question answering: its keys are those that it always had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import AliasChoices, ConfigDict, Field

from snpe_tools.tasks.question_answering.squad import Question
from snpe_tools.tasks.sheet import ExampleRecord, PredictionRecord, Sheet


class AnswerRecord(PredictionRecord):
    """One answer.

    Attributes:
        start, end: its first and last+1 character in the passage; 0 and 0 for no answer.
        confidence: start logit + end logit.
        em: of this question, percent.

    The document says `score` for the confidence and `f1` for the score, so that a record is made from its keys alone.
    """

    model_config = ConfigDict(populate_by_name=False)

    start: int
    end: int
    confidence: float | None = Field(validation_alias="score", serialization_alias="score")
    score: float = Field(validation_alias="f1", serialization_alias="f1")
    em: float
    score_low: float = Field(validation_alias="f1_low", serialization_alias="f1_low")
    score_high: float = Field(validation_alias="f1_high", serialization_alias="f1_high")

    @property
    def others(self) -> dict[str, float]:
        """EM."""
        return {"em": self.em}


class QuestionRecord(ExampleRecord[AnswerRecord]):
    """One question; `passage` is an index into the sheet's passages."""

    passage: int
    predictions: dict[str, AnswerRecord] = Field(
        default={}, validation_alias=AliasChoices("answers", "predictions"), serialization_alias="answers"
    )


class AnswerSheet(Sheet[QuestionRecord]):
    """All questions and answers; each passage is kept once."""

    task: str = "question-answering"
    passages: list[str]
    examples: list[QuestionRecord] = Field(
        validation_alias=AliasChoices("questions", "examples"), serialization_alias="questions"
    )

    @property
    def noun(self) -> str:
        """What an example is."""
        return "question"

    def context(self, asked: QuestionRecord) -> str:
        """The passage of a question."""
        return self.passages[asked.passage]

    def fault(self) -> str:
        """What does not fit together."""
        for asked in self.examples:
            if not 0 <= asked.passage < len(self.passages):
                return f"the question {asked.id!r} has no passage"
            length = len(self.context(asked))
            if any(not 0 <= record.start <= record.end <= length for record in asked.predictions.values()):
                return f"an answer to {asked.id!r} lies outside its passage"
        return super().fault()

    def shown(self, example: QuestionRecord) -> str:
        """A question and its passage."""
        return f"{example.text}\n\n{self.context(example)}"

    def described(self, example: QuestionRecord) -> dict[str, Any]:
        """A question without its answers."""
        return {
            "id": example.id,
            "question": example.text,
            "passage": self.context(example),
            "gold": list(dict.fromkeys(example.gold)),
        }


def blank_sheet(questions: Sequence[Question]) -> AnswerSheet:
    """A sheet without answers."""
    passages = {question.context: None for question in questions}
    place = {context: index for index, context in enumerate(passages)}
    asked = [
        QuestionRecord(id=question.id, text=question.text, passage=place[question.context], gold=list(question.answers))
        for question in questions
    ]
    return AnswerSheet(runners=[], passages=list(passages), examples=asked)
