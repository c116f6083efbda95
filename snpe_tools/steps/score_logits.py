"""examples + outputs that others dumped → the task's score, and the gate between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import UsageError
from snpe_tools.scoring.evaluate import Runner, compare
from snpe_tools.scoring.gate import Scores
from snpe_tools.tasks import DEFAULT_TASK, Batch, Outputs, find_task
from snpe_tools.tasks.dumps import Dumps


def score_logits(
    folders: Sequence[Path],
    preprocessing: Path | None,
    *,
    task: str = DEFAULT_TASK,
    layout: Path | None = None,
    length: int = 384,
    data: str = "",
    examples: int = 0,
    max_drop: float | None = None,
) -> Scores:
    """Score folders of logits on the same examples; the first is the reference of the others.

    Args:
        folders: each with a layout.toml; without one, as `net-run` leaves results.
        preprocessing: a tokenizer, for layouts that name none; None where there is none.
        task: what the examples are for.
        layout: for all folders, instead of their own.
        length: of the inputs, for folders without a layout.
        data: a file of examples, or "" for the shipped ones.
        examples: the first so many, 0 for all.
        max_drop: bound of the gate; None is the metric's own.

    Raises:
        UsageError: the folders' examples are encoded in different ways, two have one name, or no tokenizer is known.
        TensorError: a file is missing or does not fit.
        RecipeError: a layout with an unknown or wrong key.
        DataError: examples that cannot be read.
    """
    chosen = find_task(task)
    dumps = chosen.dumps()
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("A folder of logits is named twice.", "Name each folder once.")
    layouts = dumps.layouts(folders, layout, length)
    asked = chosen.load(chosen.find(data))[: examples or None]
    batch = dumps.batch(asked, layouts, preprocessing)
    runners = [_runner(dumps, folder, found) for folder, found in zip(folders, layouts, strict=True)]
    return compare(runners, batch, chosen, max_drop=max_drop)


def _runner(dumps: Dumps, folder: Path, layout: Any) -> Runner:  # noqa: ANN401 - the task's own
    def compute(batch: Batch) -> Outputs:
        return dumps.read(folder, layout, batch)

    return Runner(str(folder), "logits as dumped", compute)
