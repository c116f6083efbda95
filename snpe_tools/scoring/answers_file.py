"""answers.json: what every stage answered to every question, for the report, `explain` and the notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from pydantic import BaseModel

from snpe_tools.core.errors import DataError, UsageError
from snpe_tools.core.files import require_file, write_text
from snpe_tools.core.validation import validated_json
from snpe_tools.scoring.significance import Pair, paired
from snpe_tools.tasks.question_answering.squad import Question


class Given(BaseModel):
    """One answer.

    Attributes:
        start, end: its first and last+1 character in the passage; 0 and 0 for no answer.
        score: start logit + end logit; None where no span had a finite one.
        f1, em: of this question, percent.
        tied: other texts with the same score.
        f1_low, f1_high: over all rules for ties.
    """

    text: str
    start: int
    end: int
    score: float | None
    f1: float
    em: float
    tied: list[str] = []
    f1_low: float
    f1_high: float


class Asked(BaseModel):
    """One question; `passage` is an index into the sheet's passages, `answers` are by stage."""

    id: str
    text: str
    passage: int
    gold: list[str]
    answers: dict[str, Given] = {}


class Sheet(BaseModel):
    """All questions and answers; `stages` in the order of scoring, the float model first."""

    model: str = ""
    stages: list[str]
    passages: list[str]
    questions: list[Asked]

    def context(self, asked: Asked) -> str:
        """The passage of a question."""
        return self.passages[asked.passage]

    def find(self, identity: str) -> Asked:
        """A question by its id.

        Raises:
            UsageError: there is none.
        """
        for asked in self.questions:
            if asked.id == identity:
                return asked
        known = ", ".join(asked.id for asked in self.questions[:5])
        raise UsageError(f"No question {identity!r} was scored.", f"Known: {known}, … ({len(self.questions)} in all).")

    def changed(self) -> list[Asked]:
        """Questions that some stage answers with other words than the float model, the largest loss of F1 first."""
        found = [asked for asked in self.questions if len({given.text for given in asked.answers.values()}) > 1]
        return sorted(found, key=lambda asked: -max(self._loss(asked, stage) for stage in asked.answers))

    def _loss(self, asked: Asked, stage: str) -> float:
        return asked.answers[self.stages[0]].f1 - asked.answers[stage].f1

    def pairs(self) -> list[Pair]:
        """Every two stages, compared on the questions that both were asked."""
        return [self._pair(one, other) for one, other in combinations(self.stages, 2)]

    def _pair(self, one: str, other: str) -> Pair:
        both = [asked.answers for asked in self.questions if one in asked.answers and other in asked.answers]
        return paired(one, other, [given[one].f1 for given in both], [given[other].f1 for given in both])


def blank_sheet(questions: Sequence[Question]) -> Sheet:
    """A sheet without answers; each passage is kept once."""
    passages = {question.context: None for question in questions}
    place = {context: index for index, context in enumerate(passages)}
    asked = [
        Asked(id=question.id, text=question.text, passage=place[question.context], gold=list(question.answers))
        for question in questions
    ]
    return Sheet(stages=[], passages=list(passages), questions=asked)


def save_sheet(sheet: Sheet, target: Path) -> None:
    """Write it, whole or not at all."""
    write_text(target, sheet.model_dump_json(indent=1) + "\n")


def load_sheet(path: Path) -> Sheet:
    """The sheet in `path`.

    Raises:
        DataError: it is none, or its parts do not fit each other.
    """
    require_file(path, "what `score` writes")
    sheet = validated_json(Sheet, path.read_bytes(), str(path), "Score the model again: make accuracy.")
    for asked in sheet.questions:
        context = sheet.passages[asked.passage] if 0 <= asked.passage < len(sheet.passages) else None
        if context is None or not sheet.stages or sheet.stages[0] not in asked.answers:
            raise DataError(f"{path}: the question {asked.id!r} has no passage or no float answer.")
        if any(not 0 <= given.start <= given.end <= len(context) for given in asked.answers.values()):
            raise DataError(f"{path}: an answer to {asked.id!r} lies outside its passage.")
    return sheet
