"""Pre-trained checkpoint + examples → a checkpoint of a task, its log, its curve and its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snpe_tools.tasks import DEFAULT_TASK, find_task
from snpe_tools.training.settings import SequenceSettings


def train(
    settings: SequenceSettings,
    data: Path,
    output: Path,
    *,
    task: str = DEFAULT_TASK,
    evaluation: Path | None = None,
    restart: bool = False,
) -> Any:  # noqa: ANN401 - the task's own dataclass; see `tasks.trainer.Trained`
    """Fine-tune a pre-trained checkpoint for a task.

    A run that was killed goes on, with the same result, when it is called again; its state is kept beside `output`.

    Args:
        settings: base checkpoint, schedule, encoding; what the task's `trainer().settings` gives.
        data: examples to learn from.
        output: folder of the new checkpoint; replaced.
        task: what is learned.
        evaluation: examples to score the result on, the shipped ones by default; no passage or image may be in both.
        restart: forget the state of an earlier run.

    Raises:
        DataError: examples that cannot be read, or that leak.
        CheckpointError: the base cannot be fine-tuned.
        UsageError: the task has no trainer, the state of a run with other settings or data is there, or `output` holds
            something else.
        ExecutionError: the loss is not a number any more.
        StorageError: no space.
    """
    chosen = find_task(task)
    return chosen.trainer().train(settings, data, output, evaluation or chosen.evaluation, restart=restart)
