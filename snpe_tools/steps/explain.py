"""One example through all runners, from what `score` kept."""

from __future__ import annotations

from pathlib import Path

from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.explained import Explained, explained
from snpe_tools.scoring.predictions_file import load_sheet
from snpe_tools.tasks import DEFAULT_TASK, find_task


def explain(example: str, model: str, root: Path = Path()) -> Explained:
    """What every runner predicted for an example in a model's last scores.

    Args:
        example: its id.
        model: a folder below Models/.
        root: folder that holds Models/.

    Raises:
        UsageError: it was not asked.
        InputError: the model was not scored, or what was kept is damaged.
    """
    sheet = load_sheet(Workspace(root, model).predictions)
    task = find_task(sheet.task or DEFAULT_TASK)
    return explained(sheet, sheet.find(example), task.metric, task.words)
