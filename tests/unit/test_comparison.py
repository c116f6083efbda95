"""Scores of stages, and the gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snpe_tools.core.errors import AccuracyError
from snpe_tools.scoring.evaluate import Stage, compare, spread_sample
from snpe_tools.scoring.gate import Scores, StageScore
from snpe_tools.scoring.significance import Pair
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.inference import Logits
from snpe_tools.tasks.question_answering.squad import Question

COUNT, LENGTH = 10, 6


@pytest.fixture
def windows() -> Windows:
    """Ten questions of one window each; token i of the context is character i of "abcdef"."""
    offsets = np.stack([np.arange(LENGTH), np.arange(LENGTH) + 1], axis=1).astype(np.int32)
    ids = np.zeros((COUNT, LENGTH), np.int32)
    questions = tuple(Question(f"q{index}", "?", "bcdefg", ("c",)) for index in range(COUNT))
    return Windows(ids, ids + 1, ids, np.repeat(offsets[None], COUNT, 0), np.arange(COUNT, dtype=np.int32), questions)


def _pointing_at(places: list[int]) -> Stage:
    def compute(windows: Windows) -> Logits:
        logits = np.full((len(windows), LENGTH), -5, np.float32)
        for row, question in enumerate(windows.questions):
            logits[row, places[int(question.id[1:])]] = 5
        return Logits(logits, logits.copy(), 1.0 * len(windows))

    return Stage("stage", "test", compute)


def test_stages_are_compared_with_float_on_the_same_questions(windows: Windows) -> None:
    float_stage = _pointing_at([1] * 8 + [2] * 2)
    other = Stage("other", "test", _pointing_at([1] * 7 + [2] * 3).compute)
    sampled = Stage("sampled", "test", _pointing_at([1] * 10).compute, questions=2)
    scores = compare([float_stage, other, sampled], windows)
    rows = [(row.questions, row.f1, row.float_f1, row.same, row.seconds) for row in scores.stages]
    assert rows == [(10, 80, 80, 100, 1), (10, 70, 80, 90, 1), (2, 100, 50, 50, 1)]
    assert scores.stages[0].sqnr_db is None
    assert scores.stages[1].sqnr_db == pytest.approx(10 * np.log10(25 * 60 / 200))


def _row(**changes: float) -> StageScore:
    values = {"f1": 80.0, "em": 70.0, "float_f1": 80.0, "same": 100.0, "sqnr_db": 40.0, "not_finite": 0, "seconds": 1.0}
    return StageScore("dlc-w8a8@host", "test", 100, **{**values, **changes})  # type: ignore[arg-type]


def test_the_gate_passes_up_to_its_bound() -> None:
    Scores((_row(f1=79.0), _row(f1=85.0)), 1.0).check()


def test_the_gate_refuses_a_loss_with_its_figures() -> None:
    with pytest.raises(AccuracyError, match=r"dlc-w8a8@host: F1 78\.50, 1\.50 below float \(80\.00\) on the same 100"):
        Scores((_row(), _row(f1=78.5)), 1.0).check()


def test_the_gate_refuses_nan_however_good_the_f1() -> None:
    with pytest.raises(AccuracyError, match="3 logits are NaN or infinite"):
        Scores((_row(not_finite=3),), 1.0).check()


def test_nan_logits_are_counted(windows: Windows) -> None:
    def compute(part: Windows) -> Logits:
        logits = np.zeros((len(part), LENGTH), np.float32)
        logits[0, 2] = np.nan
        logits[1, 3] = np.inf
        return Logits(logits, logits.copy(), 1.0)

    scores = compare([_pointing_at([1] * 10), Stage("bad", "test", compute)], windows)
    assert scores.stages[1].not_finite == 4
    assert [row.stage for row in scores.failed] == ["bad"]


def test_the_sample_is_even_and_fixed() -> None:
    assert spread_sample(10, 4) == [0, 3, 6, 9]
    assert spread_sample(3, 4) == [0, 1, 2]
    assert len(set(spread_sample(150, 32))) == 32


def _pair(stage: str, p_value: float) -> Pair:
    return Pair("onnx-float", stage, 32, -2.0, -5.0, 0.0, 1, p_value)


def test_a_loss_on_a_sample_that_may_be_luck_is_undecided() -> None:
    whole = StageScore("onnx-float", "", 200, 80.0, 70.0, 80.0, 100.0, None, 0, 0.1)
    sampled = StageScore("dlc-w8a16@host", "", 32, 78.0, 70.0, 80.0, 97.0, 40.0, 0, 0.1)
    lucky, real = _pair(sampled.stage, 1.0), _pair(sampled.stage, 0.01)
    assert Scores((whole, sampled), 1.0, pairs=(lucky,)).failed == []
    assert Scores((whole, sampled), 1.0, pairs=(lucky,)).undecided == [sampled]
    assert Scores((whole, sampled), 1.0, pairs=(real,)).failed == [sampled]
    asked_all = replace(sampled, questions=200)
    assert Scores((whole, asked_all), 1.0, pairs=(lucky,)).failed == [asked_all]
    infinite = replace(sampled, not_finite=1)
    assert Scores((whole, infinite), 1.0, pairs=(lucky,)).failed == [infinite]
