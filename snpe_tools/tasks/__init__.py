"""What a model is for: `Task` is the seam, `find_task` finds one; a folder each holds what only that task knows."""

from snpe_tools.project.recipe import DEFAULT_TASK
from snpe_tools.tasks.batch import Batch, Outputs
from snpe_tools.tasks.metric import Metric, Score, Words
from snpe_tools.tasks.registry import find_task, practice_file, task_names
from snpe_tools.tasks.sheet import ExampleRecord, Piece, Prediction, PredictionRecord, Sheet
from snpe_tools.tasks.task import SHIPPED, Example, Task

__all__ = [
    "DEFAULT_TASK",
    "SHIPPED",
    "Batch",
    "Example",
    "ExampleRecord",
    "Metric",
    "Outputs",
    "Piece",
    "Prediction",
    "PredictionRecord",
    "Score",
    "Sheet",
    "Task",
    "Words",
    "find_task",
    "practice_file",
    "task_names",
]  # fmt: skip
