"""The same examples to several runners: the task's metric, and how far each is from float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from snpe_tools.core.errors import SnpeToolsError
from snpe_tools.core.progress import say
from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.scoring.gate import FailedRunner, RunnerScore, Scores
from snpe_tools.scoring.predictions_file import runner_pairs
from snpe_tools.scoring.significance import interval
from snpe_tools.scoring.soc_differences import RunnerOutputs, SocDifference, soc_difference
from snpe_tools.tasks import Batch, Outputs, Sheet, Task

FLOAT_RUNNER = "onnx-float"


@dataclass(frozen=True)
class Runner:
    """One way to compute outputs: a row of the table.

    Attributes:
        name: such as "onnx-float" or "dlc-w8a16@host".
        runtime: what computes, for the record.
        compute: outputs of a batch.
        examples: how many examples it is asked, evenly spread; 0 for all.
        group: runners of the same group run the same model on other SoCs, and are compared with each other.
        may_fail: a failure is this runner's alone, as of one device among several; the others are asked all the same.
    """

    name: str
    runtime: str
    compute: Callable[[Batch], Outputs]
    examples: int = 0
    group: str = ""
    may_fail: bool = False


def compare(runners: Sequence[Runner], batch: Batch, task: Task, *, max_drop: float | None = None) -> Scores:
    """Ask every runner its examples.

    Args:
        runners: the float model first; the others are compared with it.
        batch: of all examples.
        task: what they are for.
        max_drop: bound of the gate, in the task's metric; None is the metric's own.

    Raises:
        SnpeToolsError: of the runner that failed.
    """
    bound = task.metric.max_drop if max_drop is None else max_drop
    return _Comparison(runners, batch, task).scores(bound)


class _Computed:
    """A runner's outputs, and what they predict."""

    def __init__(self, task: Task, outputs: Outputs, batch: Batch) -> None:
        self.outputs, self._task, self._batch = outputs, task, batch
        self.predictions = task.predict(outputs, batch)
        self.expected = task.expected_score(outputs, batch)
        self.texts = [prediction.text for prediction in self.predictions]
        self.score = task.score(batch, self.predictions)

    def enter(self, sheet: Sheet[Any], runner: str, indices: Sequence[int]) -> None:
        """Write the predictions for the examples `indices` into a sheet."""
        sheet.runners.append(runner)
        for place, index in enumerate(indices):
            record = self._task.record(self.predictions[place], self.score, place)
            sheet.examples[index].predictions[runner] = record

    def of_examples(self, indices: Sequence[int]) -> _Computed:
        """The same for some of the examples."""
        if len(indices) == len(self._batch.examples):
            return self
        rows = self._batch.rows_of(indices)
        return _Computed(self._task, self.outputs.take(rows), self._batch.of_examples(indices))


@dataclass
class _Comparison:
    """The runners, one after another."""

    runners: Sequence[Runner]
    batch: Batch
    task: Task
    _rows: list[RunnerScore] = field(default_factory=list)
    _failed: list[FailedRunner] = field(default_factory=list)
    _differences: list[SocDifference] = field(default_factory=list)
    _firsts: dict[str, RunnerOutputs] = field(default_factory=dict)

    @cached_property
    def _reference(self) -> _Computed:
        return _Computed(self.task, self.runners[0].compute(self.batch), self.batch)

    @cached_property
    def _sheet(self) -> Sheet[Any]:
        return self.task.blank_sheet(self.batch.examples)

    def scores(self, max_drop: float) -> Scores:
        """Of all of them; the reference first, since nothing can be compared without it."""
        assert self._reference is not None  # noqa: S101 - computed here
        for runner in self.runners:
            try:
                self._ask(runner)
            except SnpeToolsError as problem:
                if not runner.may_fail:
                    raise
                self._failed.append(FailedRunner(runner.name, runner.runtime, problem.message, problem.hint))
                say(f"  {runner.name}: failed: {problem.message}")
        return Scores(
            runners=tuple(self._rows),
            max_drop=max_drop,
            metric=self.task.metric,
            words=self.task.words,
            soc_differences=tuple(self._differences),
            sheet=self._sheet,
            pairs=tuple(runner_pairs(self._sheet)),
            failed_runners=tuple(self._failed),
        )

    def _ask(self, runner: Runner) -> None:
        metric, count = self.task.metric, len(self.batch.examples)
        indices = spread_sample(count, runner.examples or count)
        part, known = self.batch.of_examples(indices), self._reference.of_examples(indices)
        first = runner is self.runners[0]
        computed = known if first else _Computed(self.task, runner.compute(part), part)
        self._rows.append(_row(runner, computed, known, part))
        computed.enter(self._sheet, runner.name, indices)
        say(f"  {runner.name}: {metric.label} {computed.score.value:.2f} on {len(indices)} {self.task.words.examples}")
        self._compare_socs(runner, RunnerOutputs(runner.name, computed.outputs, computed.texts), part)

    def _compare_socs(self, runner: Runner, computed: RunnerOutputs, batch: Batch) -> None:
        if not runner.group or self._firsts.setdefault(runner.group, computed) is computed:
            return
        found = soc_difference(self._firsts[runner.group], computed, batch, self.task.words.predictions)
        self._differences.append(found)
        say(f"  {found}")


def _row(runner: Runner, computed: _Computed, known: _Computed, batch: Batch) -> RunnerScore:
    score, expected, wanted = computed.score, computed.expected, known.expected
    change = np.array([np.nan]) if expected is None or wanted is None else expected - wanted
    same = np.mean([one == other for one, other in zip(computed.texts, known.texts, strict=True)])
    return RunnerScore(
        runner=runner.name,
        runtime=runner.runtime,
        examples=len(batch.examples),
        score=score.value,
        others={key: other.value for key, other in score.others.items()},
        float_score=known.score.value,
        same=100 * float(same),
        sqnr_db=sqnr_db(known.outputs.values(batch), computed.outputs.values(batch)),
        not_finite=computed.outputs.not_finite(batch),
        seconds=computed.outputs.seconds / len(batch),
        interval=interval(score.each),
        ties=(float(np.mean(score.low)), float(np.mean(score.high))),
        likely_change=float(change.mean()),
        likely_interval=interval(change),
    )


def spread_sample(count: int, size: int) -> list[int]:
    """`size` of `count` examples at even distances: the same ones every time."""
    if size >= count:
        return list(range(count))
    return [int(index) for index in np.linspace(0, count - 1, size)]
