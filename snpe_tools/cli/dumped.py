"""`score --logits` and `score --predictions`: logits and answers that others computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.cli.output import decibel, finish, table
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.cli.recipe_options import Chosen
    from snpe_tools.scoring.gate import Scores

_TOKENIZER = "tokenizer.json"
_NAMED = 5
"""Ids that are shown."""


def score_dumped(
    folders: list[Path],
    chosen: Chosen,
    layout: Path | None,
    data: str,
    questions: int,
    max_drop: float,
    *,
    as_json: bool,
) -> None:
    """Score folders of logits; the recipe, if there is one, gives the tokenizer and the length where no layout does."""
    from snpe_tools.steps.score_logits import score_logits

    tokenizer, length = _tokenizer_and_length(chosen)
    scores = score_logits(
        folders,
        tokenizer,
        layout=layout,
        length=length,
        data=data,
        questions=questions,
        max_drop=max_drop,
    )
    _show(scores)
    finish({"dataset": data or "shipped", "stages": scores.as_dicts(), "pairs": scores.pairs}, as_json=as_json)
    scores.check()


def _tokenizer_and_length(chosen: Chosen) -> tuple[Path | None, int]:
    """What the options say; outside a clone there may be no recipe."""
    from snpe_tools.core.errors import RecipeError
    from snpe_tools.project.recipe import Recipe
    from snpe_tools.project.workspace import Workspace

    length = chosen.settings.get("sequence_length") or Recipe.model_fields["sequence_length"].default
    tokenizer = Path(chosen.settings.get("checkpoint", "")) / _TOKENIZER
    if "checkpoint" in chosen.settings and tokenizer.is_file():
        return tokenizer, length
    try:
        recipe = chosen.recipe()
    except RecipeError:
        return None, length
    workspace = Workspace(chosen.root, recipe.name)
    places = (workspace.tokenizer, workspace.folder / "checkpoint" / _TOKENIZER)
    return next((place for place in places if place.is_file()), None), recipe.sequence_length


def score_predicted(file: Path, data: str, questions: int, *, as_json: bool) -> None:
    """Score a prediction file as the official SQuAD script does."""
    from snpe_tools.scoring.significance import interval
    from snpe_tools.tasks.question_answering.prediction_file import load_predictions, score_predictions
    from snpe_tools.tasks.question_answering.squad import evaluation_file, load_questions

    asked = load_questions(evaluation_file(data))[: questions or None]
    found = score_predictions(asked, load_predictions(file))
    ends = interval(found.f1_each)
    row = (str(len(asked)), f"{found.f1:.3f}", "{:.1f} … {:.1f}".format(*ends), f"{found.em:.3f}",
           str(len(found.missing)), str(len(found.unknown)))  # fmt: skip
    table(("questions", "F1", "95 % interval", "EM", "without prediction", "of other questions"), [row])
    say(f"By the rules of SQuAD {'v2.0' if found.v2 else 'v1.1'}.{_missing(found.missing)}")
    finish(
        {
            "dataset": data or "shipped",
            "predictions": file,
            "questions": len(asked),
            "f1": found.f1,
            "f1_interval": ends,
            "em": found.em,
            "missing": found.missing,
            "unknown": found.unknown,
            "rules": "2.0" if found.v2 else "1.1",
        },
        as_json=as_json,
    )


def _missing(ids: Sequence[str]) -> str:
    if not ids:
        return ""
    more = f" and {len(ids) - _NAMED} more (--json lists all)" if len(ids) > _NAMED else ""
    return f" {len(ids)} questions have no prediction and count 0: {', '.join(ids[:_NAMED])}{more}."


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
