"""One question through all stages, from what `score` kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.answers_file import Given, load_sheet


@dataclass(frozen=True)
class StageAnswer:
    """A stage's answer; `shift` is its score less the float model's, None where one has none."""

    stage: str
    given: Given
    shift: float | None


@dataclass(frozen=True)
class Explained:
    """A question, its passage and accepted answers, and every stage's answer, the float model's first."""

    id: str
    question: str
    passage: str
    gold: list[str]
    rows: list[StageAnswer]

    @property
    def verdict(self) -> str:
        """Which stage is the first to answer with other words."""
        known = self.rows[0]
        for row in self.rows[1:]:
            if row.given.text != known.given.text:
                tie = ", one of several spans of equal score" if row.given.tied else ""
                return f"{row.stage} is the first to answer with other words than {known.stage}{tie}."
        return f"Every stage that was asked answers with the words of {known.stage}."

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        answers = {row.stage: row.given.model_dump() for row in self.rows}
        return {"id": self.id, "question": self.question, "passage": self.passage, "gold": self.gold,
                "answers": answers, "verdict": self.verdict}  # fmt: skip


def explain(question: str, model: str, root: Path = Path()) -> Explained:
    """What every stage answered to a question in a model's last scores.

    Args:
        question: its id.
        model: a folder below Models/.
        root: folder that holds Models/.

    Raises:
        UsageError: it was not asked.
        InputError: the model was not scored, or what was kept is damaged.
    """
    sheet = load_sheet(Workspace(root, model).answers)
    asked = sheet.find(question)
    known = asked.answers[sheet.stages[0]]
    rows = [
        StageAnswer(stage, asked.answers[stage], _shift(asked.answers[stage], known))
        for stage in sheet.stages
        if stage in asked.answers
    ]
    return Explained(asked.id, asked.text, sheet.context(asked), list(dict.fromkeys(asked.gold)), rows)


def _shift(given: Given, known: Given) -> float | None:
    return None if given.score is None or known.score is None or given is known else given.score - known.score
