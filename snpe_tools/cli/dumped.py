"""`score --logits`: logits that others dumped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.cli.output import decibel, finish, table
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.project.recipe import Recipe
    from snpe_tools.scoring.gate import Scores


def score_dumped(
    folders: list[Path],
    recipe: Recipe,
    root: Path,
    layout: Path | None,
    data: str,
    questions: int,
    max_drop: float,
    *,
    as_json: bool,
) -> None:
    """Score folders of logits; the recipe gives the tokenizer and the length where no layout does."""
    from snpe_tools.project.workspace import Workspace
    from snpe_tools.steps.score_logits import score_logits

    scores = score_logits(
        folders,
        Workspace(root, recipe.name).tokenizer,
        layout=layout,
        length=recipe.sequence_length,
        data=data,
        questions=questions,
        max_drop=max_drop,
    )
    _show(scores)
    finish({"dataset": data or "shipped", "stages": scores.as_dicts(), "pairs": scores.pairs}, as_json=as_json)
    scores.check()


def _show(scores: Scores) -> None:
    first = scores.stages[0].stage
    columns = (
        "logits",
        "questions",
        "F1",
        "95 % interval",
        "over ties",
        "EM",
        "same answers",
        "p",
        "SQNR dB",
        "NaN/Inf",
    )
    chance = {pair.second: f"{pair.p_value:.2f}" for pair in scores.pairs if pair.first == first}
    rows = [
        (
            row.stage,
            str(row.questions),
            f"{row.f1:.2f}",
            "{:.1f} … {:.1f}".format(*row.f1_interval),
            "{:.2f} … {:.2f}".format(*row.f1_ties),
            f"{row.em:.2f}",
            f"{row.same:.1f} %",
            chance.get(row.stage, ""),
            decibel(row.sqnr_db),
            str(row.not_finite),
        )
        for row in scores.stages
    ]
    table(columns, rows)
    if len(rows) > 1:
        say(f"Same answers, SQNR and p (chance of as large a difference of F1 by luck): against {first}.")
