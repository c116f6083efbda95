"""The tasks that there are: a folder each, imported when it is first asked for."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from snpe_tools.core.errors import UsageError
from snpe_tools.project.recipe import DEFAULT_TASK
from snpe_tools.tasks.task import SHIPPED, Task


@cache
def task_names() -> tuple[str, ...]:
    """Their names, sorted."""
    folders = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.ispkg)
    return tuple(sorted(folder.replace("_", "-") for folder in folders))


def find_task(name: str = DEFAULT_TASK) -> Task:
    """The task of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in task_names():
        raise UsageError(f"There is no task {name!r}.", f"Known: {', '.join(task_names())}.")
    module = importlib.import_module(f"snpe_tools.tasks.{name.replace('-', '_')}.task")
    found: Task = module.TASK
    return found


def practice_file(task: Task, source: str) -> Path:
    """The file of examples to train with that a recipe names: a path, or "shipped"."""
    return task.practice if source == SHIPPED else Path(source)
