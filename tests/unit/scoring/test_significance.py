"""Intervals, the paired test, and answers that tie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.core.errors import DataError, UsageError
from snpe_tools.scoring.evaluate import Runner, compare
from snpe_tools.scoring.predictions_file import load_sheet, save_sheet
from snpe_tools.scoring.significance import interval, paired
from snpe_tools.tasks import Batch, Outputs
from snpe_tools.tasks.question_answering.answers import find_answers
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.logits import as_outputs
from snpe_tools.tasks.question_answering.sheet import AnswerRecord, AnswerSheet, QuestionRecord
from snpe_tools.tasks.question_answering.squad import Question
from snpe_tools.tasks.question_answering.task import TASK
from snpe_tools.tasks.question_answering.ties import tied_texts

LENGTH = 6


def _windows(questions: int, windows_each: int = 1) -> Windows:
    """Token i of the context is word i of "a b c d e f"."""
    offsets = np.stack([2 * np.arange(LENGTH), 2 * np.arange(LENGTH) + 1], axis=1).astype(np.int32)
    count = questions * windows_each
    ids = np.zeros((count, LENGTH), np.int32)
    asked = tuple(Question(f"q{index}", "?", "u v w x y z", ("w",)) for index in range(questions))
    owner = np.repeat(np.arange(questions, dtype=np.int32), windows_each)
    return Windows(ids, ids + 1, ids, np.repeat(offsets[None], count, 0), owner, asked)


def test_the_interval_is_that_of_a_binomial() -> None:
    each = np.array([100.0] * 80 + [0.0] * 20)
    low, high = interval(each)
    assert low == pytest.approx(80 - 1.96 * 4, abs=1)
    assert high == pytest.approx(80 + 1.96 * 4, abs=1)
    assert interval(each) == (low, high), "the same every time"
    assert interval([70.0]) == interval([70.0, 70.0]) == (70, 70)


def test_a_difference_on_one_question_is_no_news_and_one_on_many_is() -> None:
    float_f1 = [100.0] * 70 + [0.0] * 30
    one = paired("float", "dlc", float_f1, [0.0, *float_f1[1:]])
    assert (one.difference, one.changed, one.p_value, one.is_news) == (-1, 1, 1, False)
    many = paired("float", "dlc", float_f1, [0.0] * 10 + float_f1[10:])
    assert (many.changed, many.is_news) == (10, True)
    assert many.p_value == pytest.approx(2 / 2**10), "ten losses and no gain: exact"
    assert many.low < many.difference == -10 < many.high < 0
    mixed = paired("float", "dlc", float_f1, [0.0] * 5 + float_f1[5:95] + [100.0] * 5)
    assert (mixed.difference, mixed.changed, mixed.p_value) == (0, 10, 1)
    assert paired("a", "b", float_f1, float_f1).p_value == 1


def _all_best(start: np.ndarray, end: np.ndarray, windows: Windows, index: int) -> set[str]:
    """By trying every span."""
    spans = {
        (float(start[row, first] + end[row, last]), windows.questions[index].context[2 * first : 2 * last + 1])
        for row in np.flatnonzero(windows.question == index)
        for first in range(LENGTH)
        for last in range(first, min(LENGTH, first + 3))
    }
    best = max(score for score, _ in spans)
    return {text for score, text in spans if score == best}


@given(st.lists(st.integers(-2, 2), min_size=8 * LENGTH, max_size=8 * LENGTH))
def test_every_tied_answer_is_found(numbers: list[int]) -> None:
    start, end = np.array(numbers, np.float32).reshape(2, 4, LENGTH)
    windows = _windows(2, windows_each=2)
    answers = find_answers(start, end, windows, max_answer_length=3)
    tied = tied_texts(start, end, windows, answers, max_answer_length=3)
    for index, answer in enumerate(answers):
        assert tied[index][0] == answer.text
        assert set(tied[index]) == _all_best(start, end, windows, index)


def _stage(name: str, best: list[tuple[int, ...]]) -> Runner:
    def compute(windows: Batch) -> Outputs:
        logits = np.full((len(windows), LENGTH), -5, np.float32)
        for row, question in enumerate(windows.examples):
            logits[row, list(best[int(question.id[1:])])] = 5
        return as_outputs(logits, logits.copy(), 1.0)

    return Runner(name, "test", compute)


def test_scores_hold_the_range_over_ties_and_every_answer(tmp_path: Path) -> None:
    runners = [_stage("float", [(2,)] * 4), _stage("quantized", [(2,), (2,), (1, 2), (0,)])]
    scores = compare(runners, _windows(4), TASK)
    row = scores.runners[1]
    assert row.score == 50, "of a tie the earlier start wins, and it is wrong here"
    assert row.ties == pytest.approx((50, 75))
    assert scores.runners[0].ties == pytest.approx((100, 100))
    assert row.interval[0] < 50 < row.interval[1]
    [pair] = scores.pairs
    assert (pair.first, pair.second, pair.difference, pair.changed) == ("float", "quantized", -50, 2)

    assert isinstance(scores.sheet, AnswerSheet)
    save_sheet(scores.sheet, tmp_path / "answers.json")
    sheet = load_sheet(tmp_path / "answers.json")
    assert sheet == scores.sheet
    assert isinstance(sheet, AnswerSheet)
    assert sheet.passages == ["u v w x y z"]
    tied = sheet.find("q2").predictions["quantized"]
    assert (tied.text, tied.start, tied.end, tied.confidence) == ("v", 2, 3, 10)
    assert (sorted(tied.tied), tied.score_low, tied.score_high) == (["v w", "w"], 0, 100)
    assert [asked.id for asked in sheet.changed()] == ["q2", "q3"]
    with pytest.raises(UsageError, match="No question 'x' was scored"):
        sheet.find("x")


def _broken(**changes: object) -> AnswerSheet:
    record = AnswerRecord.model_validate(
        {"text": "u", "start": 0, "end": 1, "score": 1, "f1": 0, "em": 0, "f1_low": 0, "f1_high": 0}
    )
    asked = QuestionRecord(
        id="q", text="?", passage=0, gold=[], predictions={"float": record.model_copy(update=changes)}
    )
    return AnswerSheet(runners=["float"], passages=["u v"], examples=[asked])


def test_a_damaged_sheet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    save_sheet(_broken(), file)
    assert load_sheet(file).examples[0].predictions["float"].text == "u"
    for changes in ({"end": 9}, {"start": -1}, {"start": 2}):
        save_sheet(_broken(**changes), file)
        with pytest.raises(DataError, match="outside its passage"):
            load_sheet(file)
    for content in ("{}", "[", '{"stages": ["a"], "passages": [], "questions": [{"id": 1}]}'):
        file.write_text(content)
        with pytest.raises(DataError, match=r"answers\.json"):
            load_sheet(file)
    sheet = _broken()
    sheet.examples[0].passage = 3
    save_sheet(sheet, file)
    with pytest.raises(DataError, match="no passage"):
        load_sheet(file)
