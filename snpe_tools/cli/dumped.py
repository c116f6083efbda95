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
        examples=questions,
        max_drop=max_drop,
    )
    _show(scores)
    pairs = [pair.as_dict(scores.words.examples) for pair in scores.pairs]
    finish({"dataset": data or "shipped", "stages": scores.as_dicts(), "pairs": pairs}, as_json=as_json)
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
    from snpe_tools.tasks import find_task

    task = find_task()
    asked = task.load(task.find(data))[: questions or None]
    found = task.dumps().score_predictions(asked, file)
    metric, words, others = task.metric, task.words, found.score.others
    ends = interval(found.score.each)
    counts = str(len(found.missing)), str(len(found.unknown))
    values = [f"{score.value:.3f}" for score in (found.score, *others.values())]
    row = (str(len(asked)), values[0], "{:.1f} … {:.1f}".format(*ends), *values[1:], *counts)
    columns = (words.examples, metric.label, "95 % interval", *(key.upper() for key in others), "without prediction",
               f"of other {words.examples}")  # fmt: skip
    table(columns, [row])
    say(f"By the rules of {found.rules}.{_missing(found.missing, words.examples)}")
    finish(
        {
            "dataset": data or "shipped",
            "predictions": file,
            words.examples: len(asked),
            metric.key: found.score.value,
            f"{metric.key}_interval": ends,
            **{key: other.value for key, other in others.items()},
            "missing": found.missing,
            "unknown": found.unknown,
            "rules": found.rules.rpartition("v")[2],
        },
        as_json=as_json,
    )


def _missing(ids: Sequence[str], examples: str) -> str:
    if not ids:
        return ""
    more = f" and {len(ids) - _NAMED} more (--json lists all)" if len(ids) > _NAMED else ""
    return f" {len(ids)} {examples} have no prediction and count 0: {', '.join(ids[:_NAMED])}{more}."


def _show(scores: Scores) -> None:
    first, label, words = scores.runners[0].runner, scores.metric.label, scores.words
    others = [key.upper() for key in scores.runners[0].others]
    columns = ("logits", words.examples, label, "95 % interval", "over ties", *others, f"same {words.predictions}", "p",
               "SQNR dB", "NaN/Inf")  # fmt: skip
    chance = {pair.second: f"{pair.p_value:.2f}" for pair in scores.pairs if pair.first == first}
    rows = [
        (
            row.runner,
            str(row.examples),
            f"{row.score:.2f}",
            "{:.1f} … {:.1f}".format(*row.interval),
            "{:.2f} … {:.2f}".format(*row.ties),
            *(f"{value:.2f}" for value in row.others.values()),
            f"{row.same:.1f} %",
            chance.get(row.runner, ""),
            decibel(row.sqnr_db),
            str(row.not_finite),
        )
        for row in scores.runners
    ]
    table(columns, rows)
    if len(rows) > 1:
        what = f"Same {words.predictions}, SQNR and p (chance of as large a difference of {label} by luck)"
        say(f"{what}: against {first}.")
