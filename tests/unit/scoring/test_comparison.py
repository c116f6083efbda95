"""Scores of stages, and the gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snpe_tools.core.errors import AccuracyError
from snpe_tools.scoring.evaluate import Runner, compare, spread_sample
from snpe_tools.scoring.gate import RunnerScore, Scores
from snpe_tools.scoring.significance import Pair
from snpe_tools.tasks import Batch, Outputs
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.logits import as_outputs
from snpe_tools.tasks.question_answering.squad import Question
from snpe_tools.tasks.question_answering.task import TASK

COUNT, LENGTH = 10, 6


@pytest.fixture
def windows() -> Windows:
    """Ten questions of one window each; token i of the context is character i of "abcdef"."""
    offsets = np.stack([np.arange(LENGTH), np.arange(LENGTH) + 1], axis=1).astype(np.int32)
    ids = np.zeros((COUNT, LENGTH), np.int32)
    questions = tuple(Question(f"q{index}", "?", "bcdefg", ("c",)) for index in range(COUNT))
    return Windows(ids, ids + 1, ids, np.repeat(offsets[None], COUNT, 0), np.arange(COUNT, dtype=np.int32), questions)


def _pointing_at(places: list[int]) -> Runner:
    def compute(windows: Batch) -> Outputs:
        logits = np.full((len(windows), LENGTH), -5, np.float32)
        for row, question in enumerate(windows.examples):
            logits[row, places[int(question.id[1:])]] = 5
        return as_outputs(logits, logits.copy(), 1.0 * len(windows))

    return Runner("stage", "test", compute)


def test_stages_are_compared_with_float_on_the_same_questions(windows: Windows) -> None:
    float_stage = _pointing_at([1] * 8 + [2] * 2)
    other = Runner("other", "test", _pointing_at([1] * 7 + [2] * 3).compute)
    sampled = Runner("sampled", "test", _pointing_at([1] * 10).compute, examples=2)
    scores = compare([float_stage, other, sampled], windows, TASK)
    rows = [(row.examples, row.score, row.float_score, row.same, row.seconds) for row in scores.runners]
    assert rows == [(10, 80, 80, 100, 1), (10, 70, 80, 90, 1), (2, 100, 50, 50, 1)]
    assert scores.runners[0].sqnr_db is None
    assert scores.runners[1].sqnr_db == pytest.approx(10 * np.log10(25 * 60 / 200))


def _row(**changes: Any) -> RunnerScore:
    values = {"score": 80.0, "float_score": 80.0, "same": 100.0, "sqnr_db": 40.0, "not_finite": 0, "seconds": 1.0}
    return RunnerScore("dlc-w8a8@host", "test", 100, **{**values, **changes})


def test_the_gate_passes_up_to_its_bound() -> None:
    Scores((_row(score=79.0), _row(score=85.0)), 1.0, TASK.metric, TASK.words).check()


def test_the_gate_refuses_a_loss_with_its_figures() -> None:
    with pytest.raises(AccuracyError, match=r"dlc-w8a8@host: F1 78\.50, 1\.50 below float \(80\.00\) on the same 100"):
        Scores((_row(), _row(score=78.5)), 1.0, TASK.metric, TASK.words).check()


def test_the_gate_refuses_nan_however_good_the_f1() -> None:
    with pytest.raises(AccuracyError, match="3 logits are NaN or infinite"):
        Scores((_row(not_finite=3),), 1.0, TASK.metric, TASK.words).check()


def test_nan_logits_are_counted(windows: Windows) -> None:
    def compute(part: Batch) -> Outputs:
        logits = np.zeros((len(part), LENGTH), np.float32)
        logits[0, 2] = np.nan
        logits[1, 3] = np.inf
        return as_outputs(logits, logits.copy(), 1.0)

    scores = compare([_pointing_at([1] * 10), Runner("bad", "test", compute)], windows, TASK)
    assert scores.runners[1].not_finite == 4
    assert [row.runner for row in scores.failed] == ["bad"]


def test_the_sample_is_even_and_fixed() -> None:
    assert spread_sample(10, 4) == [0, 3, 6, 9]
    assert spread_sample(3, 4) == [0, 1, 2]
    assert len(set(spread_sample(150, 32))) == 32


def _pair(stage: str, p_value: float) -> Pair:
    return Pair("onnx-float", stage, 32, -2.0, -5.0, 0.0, 1, p_value)


def test_a_loss_on_a_sample_that_may_be_luck_is_undecided() -> None:
    whole = RunnerScore("onnx-float", "", 200, 80.0, 80.0, 100.0, None, 0, 0.1)
    sampled = RunnerScore("dlc-w8a16@host", "", 32, 78.0, 80.0, 97.0, 40.0, 0, 0.1)
    lucky, real = _pair(sampled.runner, 1.0), _pair(sampled.runner, 0.01)
    assert Scores((whole, sampled), 1.0, TASK.metric, pairs=(lucky,)).failed == []
    assert Scores((whole, sampled), 1.0, TASK.metric, pairs=(lucky,)).undecided == [sampled]
    assert Scores((whole, sampled), 1.0, TASK.metric, pairs=(real,)).failed == [sampled]
    asked_all = replace(sampled, examples=200)
    assert Scores((whole, asked_all), 1.0, TASK.metric, pairs=(lucky,)).failed == [asked_all]
    infinite = replace(sampled, not_finite=1)
    assert Scores((whole, infinite), 1.0, TASK.metric, pairs=(lucky,)).failed == [infinite]
