"""The seam between the toolkit and its tasks: nothing outside a task's folder knows what is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from snpe_tools.core.errors import UsageError
from snpe_tools.tasks import DEFAULT_TASK, Metric, find_task, task_names

PACKAGE = Path(__file__).parents[3] / "snpe_tools"
TASKS = PACKAGE / "tasks"
FOLDERS = sorted(folder.name for folder in TASKS.iterdir() if (folder / "__init__.py").is_file())
WORDS = {"f1", "em", "question", "questions", "answer", "answers", "span", "spans"}
"""Question answering's own."""
ALLOWED = {
    "cli": "options keep the names that users know, such as --questions and --max-answer-length",
    "devices": "a device answers; nothing of a task passes there",
}
"""Rooms where the words mean something else, or are a user's, and why."""


def _modules(*, outside: Path) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        if not file.is_relative_to(outside):
            yield file, ast.parse(file.read_bytes())


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_other_package_imports_the_inside_of_a_task(folder: str) -> None:
    inside = f"snpe_tools.tasks.{folder}"
    found = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file, tree in _modules(outside=TASKS / folder)
        for name in _imported(tree)
        if name == inside or name.startswith(f"{inside}.")
    ]
    assert not found, "ask `find_task` instead"


def _identifiers(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for kind, field in (
            (ast.Name, "id"), (ast.Attribute, "attr"), (ast.arg, "arg"), (ast.keyword, "arg"), (ast.alias, "asname"),
            (ast.FunctionDef, "name"), (ast.ClassDef, "name"), (ast.MatchAs, "name"),
        ):  # fmt: skip
            if isinstance(node, kind) and getattr(node, field):
                yield getattr(node, field)


def _words(identifier: str) -> set[str]:
    """Of a name in snake or camel case."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().split("_"))


def test_names_outside_question_answering_say_nothing_of_it() -> None:
    found = {
        f"{file.relative_to(PACKAGE)}: {name}"
        for file, tree in _modules(outside=TASKS / "question_answering")
        if file.relative_to(PACKAGE).parts[0] not in ALLOWED
        for name in _identifiers(tree)
        if _words(name) & WORDS
    }
    assert not found, "say score, example, prediction, metric"


def test_a_task_is_a_folder_found_by_its_name() -> None:
    assert DEFAULT_TASK in task_names()
    assert {name.replace("-", "_") for name in task_names()} == set(FOLDERS)
    with pytest.raises(UsageError, match="no task 'chess'") as refusal:
        find_task("chess")
    assert DEFAULT_TASK in refusal.value.hint


@pytest.mark.parametrize("name", task_names())
def test_every_task_says_what_the_toolkit_asks_of_it(name: str) -> None:
    task = find_task(name)
    assert task.name == name
    assert isinstance(task.metric, Metric)
    assert task.outputs
    assert all(file.is_file() for file in (task.evaluation, task.calibration, task.practice))
    examples = task.load(task.calibration)
    assert len({example.id for example in examples}) == len(examples)
    assert all(task.group(example) and example.text for example in examples)
    assert not task.blank_sheet(examples[:3]).runners
