"""Our tasks pass the suite that ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from snpe_tools.tasks.batch import Batch, Outputs
from snpe_tools.tasks.registry import find_task, task_names
from snpe_tools.tasks.task import Task
from snpe_tools.testing import TaskSuite


class TestQuestionAnswering(TaskSuite):
    @pytest.fixture
    def task(self) -> Task:
        return find_task("question-answering")

    @pytest.fixture
    def preprocessing(self, tokenizer_file: Path) -> Path:
        return tokenizer_file

    @pytest.fixture
    def shape(self) -> Sequence[int]:
        return (1, 128)

    def compute(self, task: Task, batch: Batch, generator: np.random.Generator) -> Outputs:
        real = batch.real
        assert real is not None
        return Outputs(
            {name: np.where(real, generator.normal(0, 3, real.shape), 0).astype(np.float32) for name in task.outputs}
        )


def test_every_task_is_tested_here() -> None:
    assert {f"Test{name.title().replace('-', '')}" for name in task_names()} <= globals().keys()
