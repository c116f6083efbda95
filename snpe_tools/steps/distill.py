"""Checkpoint of any shape + text + examples → a small model that predicts as it does, its log and its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snpe_tools.tasks import DEFAULT_TASK, find_task


def distill(
    settings: Any,  # noqa: ANN401 - the task's own
    data: Path,
    text: Path,
    output: Path,
    *,
    task: str = DEFAULT_TASK,
    evaluation: Path | None = None,
    restart: bool = False,
) -> Any:  # noqa: ANN401 - the task's own dataclass; see `tasks.trainer.Trained`
    """Train a small model to predict as a larger one does.

    A run that was killed goes on, with the same result, when it is called again; its state is kept beside `output`.

    Args:
        settings: teacher and student; what the task's `trainer().distill_settings` gives.
        data: examples to learn from.
        text: unlabelled text: a .txt file, a folder of them, or a tar archive, which is not unpacked.
        output: folder of the new checkpoint; replaced.
        task: what is learned.
        evaluation: examples to score student and teacher on, the shipped ones by default; no passage may be in both.
        restart: forget the state of an earlier run.

    Raises:
        DataError: examples or text that cannot be read, or examples that leak.
        CheckpointError: the teacher is of another family, or has no head of the task.
        RecipeError: settings that do not fit the teacher.
        UsageError: the task has no trainer, the state of a run with other settings or data is there, or `output` holds
            something else.
        ExecutionError: the loss is not a number any more.
        StorageError: no space.
    """
    chosen = find_task(task)
    return chosen.trainer().distill(settings, data, text, output, evaluation or chosen.evaluation, restart=restart)
