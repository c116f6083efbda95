"""What every task has to do: load examples, encode them, and predict and score what a model computes of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.errors import CheckpointError, DataError
from snpe_tools.tasks.batch import Batch, Outputs
from snpe_tools.tasks.registry import find_task
from snpe_tools.tasks.sheet import Prediction
from snpe_tools.tasks.task import Task
from snpe_tools.testing.refusal import refuses

_SOME = 6


class TaskSuite:
    """Inherit this, define the fixtures `task`, `preprocessing` and `shape`, and `compute`.

    `preprocessing` is a file as `Task.save_preprocessing` writes it, `shape` the one of a model's first input.
    """

    @abstractmethod
    def compute(self, task: Task, batch: Batch, generator: np.random.Generator) -> Outputs:
        """What some model computes of a batch: any numbers, of the shapes that a real one has."""

    def test_it_is_found_by_its_name(self, task: Task) -> None:
        """Its folder has its name, and metric and words are filled in."""
        assert find_task(task.name) is task
        assert task.metric.key.isidentifier()
        assert task.metric.label
        assert task.metric.max_drop > 0
        assert all(vars(task.words).values())
        assert task.outputs

    def test_shipped_examples_are_whole_and_apart(self, task: Task) -> None:
        """What a model is calibrated and trained on is never evaluated."""
        assert task.find("") == task.evaluation
        evaluation = task.load(task.evaluation)
        assert len({example.id for example in evaluation}) == len(evaluation) > _SOME
        assert all(example.text for example in evaluation)
        task.check_disjoint(evaluation, task.load(task.calibration))
        task.check_disjoint(evaluation, task.load_practice(task.practice), what="practice")
        with refuses(DataError):
            task.check_disjoint(evaluation, evaluation[:1])

    def test_a_file_of_something_else_is_refused(self, task: Task, tmp_path: Path) -> None:
        """With its name in the message."""
        (tmp_path / "other.json").write_text('{"nothing": [1, 2]}')
        with refuses(DataError, words="other.json"):
            task.load(tmp_path / "other.json")

    def test_every_example_is_encoded(self, task: Task, preprocessing: Path, shape: Sequence[int]) -> None:
        """In order, in at least one row each; every input has all the rows."""
        examples, batch = self._encoded(task, preprocessing, shape)
        assert [example.id for example in batch.examples] == [example.id for example in examples]
        assert np.array_equal(np.unique(batch.owners), np.arange(len(examples)))
        assert {len(array) for array in batch.arrays.values()} == {len(batch)}
        first = next(iter(batch.arrays.values()))
        assert first.shape[1:] == tuple(shape[1:])
        again = task.encode(examples, preprocessing, shape)
        assert all(np.array_equal(array, again.arrays[name]) for name, array in batch.arrays.items())

    def test_some_examples_are_those_examples(self, task: Task, preprocessing: Path, shape: Sequence[int]) -> None:
        """Samples and shards are taken from a whole batch."""
        examples, batch = self._encoded(task, preprocessing, shape)
        part, alone = batch.of_examples([3, 1]), task.encode([examples[3], examples[1]], preprocessing, shape)
        assert [example.id for example in part.examples] == [examples[3].id, examples[1].id]
        assert np.array_equal(part.owners, alone.owners)
        assert all(np.array_equal(array, alone.arrays[name]) for name, array in part.arrays.items())
        with refuses(CheckpointError, words="no_such_input"):
            batch.inputs(slice(None), ["no_such_input"])

    def test_predictions_are_scored_one_by_one(self, task: Task, preprocessing: Path, shape: Sequence[int]) -> None:
        """Every statistic is made on one number for each example."""
        examples, batch = self._encoded(task, preprocessing, shape)
        outputs = self._outputs(task, batch)
        predictions = task.predict(outputs, batch)
        assert len(predictions) == len(examples)
        assert task.predict(outputs, batch) == predictions
        score = task.score(batch, predictions)
        for each in (score, *score.others.values()):
            assert each.each.shape == each.low.shape == each.high.shape == (len(examples),)
            assert np.all((each.low <= each.each) & (each.each <= each.high))
            assert np.isfinite(each.value)
        expected = task.expected_score(outputs, batch)
        assert expected is None or (expected.shape == (len(examples),) and np.isfinite(expected).all())

    def test_an_example_scores_by_itself(self, task: Task, preprocessing: Path, shape: Sequence[int]) -> None:
        """Whichever others are scored with it."""
        _, batch = self._encoded(task, preprocessing, shape)
        outputs = self._outputs(task, batch)
        whole = task.score(batch, task.predict(outputs, batch)).each
        for index in range(_SOME):
            part, alone = batch.of_examples([index]), outputs.take(batch.rows_of([index]))
            assert task.score(part, task.predict(alone, part)).each[0] == whole[index]

    def test_divergence_is_zero_from_itself_alone(self, task: Task, preprocessing: Path, shape: Sequence[int]) -> None:
        """And never negative."""
        _, batch = self._encoded(task, preprocessing, shape)
        first, second = self._outputs(task, batch), self._outputs(task, batch, seed=1)
        assert abs(task.divergence(first, first, batch)) < 1e-6
        assert task.divergence(first, second, batch) > 0

    def test_predictions_are_kept_and_read_again(self, task: Task, preprocessing: Path, shape: Sequence[int]) -> None:
        """As `answers.json`; what one runner predicts like another is told apart from what it does not."""
        examples, batch = self._encoded(task, preprocessing, shape)
        sheet = task.blank_sheet(examples)
        for seed, runner in enumerate(("float", "dlc")):
            predictions = task.predict(self._outputs(task, batch, seed), batch)
            self._keep(task, batch, sheet, runner, predictions)
        again = task.sheet.model_validate_json(sheet.model_dump_json(by_alias=True))
        assert again == sheet
        assert not again.fault()
        for example in again.changed():
            pieces = task.explain(again, example, example.predictions["float"], example.predictions["dlc"])
            assert pieces
            assert all(piece.text for piece in pieces)

    def _keep(self, task: Task, batch: Batch, sheet: Any, runner: str, predictions: Sequence[Prediction]) -> None:  # noqa: ANN401
        score = task.score(batch, predictions)
        sheet.runners.append(runner)
        for place, prediction in enumerate(predictions):
            sheet.examples[place].predictions[runner] = task.record(prediction, score, place)

    def _encoded(self, task: Task, preprocessing: Path, shape: Sequence[int]) -> tuple[Sequence[Any], Batch]:
        examples = task.load(task.evaluation)[:_SOME]
        return examples, task.encode(examples, preprocessing, shape)

    def _outputs(self, task: Task, batch: Batch, seed: int = 0) -> Outputs:
        return self.compute(task, batch, np.random.default_rng(seed))
