"""answers.json: what every runner predicted for every example, for the report, `explain` and the notebooks."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import require_file, write_text
from snpe_tools.core.validation import validated_json
from snpe_tools.scoring.significance import Pair, paired
from snpe_tools.tasks import DEFAULT_TASK, Sheet, find_task

_HINT = "Score the model again: make accuracy."


def runner_pairs(sheet: Sheet[Any]) -> list[Pair]:
    """Every two runners, compared on the examples that both were asked."""
    return [_pair(sheet, one, other) for one, other in combinations(sheet.runners, 2)]


def _pair(sheet: Sheet[Any], one: str, other: str) -> Pair:
    both = [example.predictions for example in sheet.examples if {one, other} <= set(example.predictions)]
    return paired(one, other, [known[one].score for known in both], [known[other].score for known in both])


def save_sheet(sheet: Sheet[Any], target: Path) -> None:
    """Write it, whole or not at all."""
    write_text(target, sheet.model_dump_json(indent=1, by_alias=True) + "\n")


class _Kind(BaseModel):
    """What says of which task a sheet is."""

    task: str = DEFAULT_TASK


def load_sheet(path: Path) -> Sheet[Any]:
    """The sheet in `path`, of whatever task it is.

    Raises:
        DataError: it is none, or its parts do not fit each other.
    """
    content = require_file(path, "what `score` writes").read_bytes()
    task = find_task(validated_json(_Kind, content, str(path), _HINT).task or DEFAULT_TASK)
    sheet: Sheet[Any] = validated_json(task.sheet, content, str(path), _HINT)
    if fault := sheet.fault():
        raise DataError(f"{path}: {fault}.", _HINT)
    return sheet
