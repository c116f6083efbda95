"""The F1 that answers are likely to have, against what the definition gives by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.tasks.question_answering.answers import find_answers
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.likely import likely_f1
from snpe_tools.tasks.question_answering.metrics import evaluate
from snpe_tools.tasks.question_answering.squad import SHIPPED_PRACTICE, Question, load_questions

TOKENIZER = Path(__file__).parents[3] / "Models" / "minilm-qa" / "checkpoint" / "tokenizer.json"
ASKED = Question("1", "when did snow fall", "rain on monday snow on tuesday", ("tuesday",))


@pytest.fixture(scope="module")
def windows() -> Windows:
    return make_windows([ASKED], load_tokenizer(TOKENIZER), 32)


def logits_for(windows: Windows, *words: tuple[str, float]) -> np.ndarray:
    """Start and end logits that like single words of the passage so much, and nothing else."""
    found = np.full((2, *windows.input_ids.shape), -50.0, np.float32)
    for word, logit in words:
        first = ASKED.context.index(word)
        (token,) = np.flatnonzero(windows.offsets[0, :, 0] == first)
        found[:, 0, token] = logit
    return found


def test_spans_count_by_their_probability(windows: Windows) -> None:
    start, end = logits_for(windows, ("monday", 1.0), ("tuesday", 1.5))
    both = "monday snow on tuesday"
    sums = {"monday": 2.0, "tuesday": 3.0, both: 2.5}
    weights = {text: np.exp(value) for text, value in sums.items()}
    scores = {text: evaluate([ASKED], [text]).f1 for text in sums}
    wanted = sum(weights[text] * scores[text] for text in sums) / sum(weights.values())
    assert likely_f1(start, end, windows)[0] == pytest.approx(wanted, rel=1e-6)


def test_a_sure_model_scores_as_its_answer_does(windows: Windows) -> None:
    start, end = logits_for(windows, ("tuesday", 40.0))
    assert likely_f1(start, end, windows)[0] == pytest.approx(100)
    start, end = logits_for(windows, ("monday", 40.0))
    assert likely_f1(start, end, windows)[0] == pytest.approx(0)


def test_a_coin_s_toss_moves_it_little_where_f1_jumps(windows: Windows) -> None:
    def scored(start: np.ndarray, end: np.ndarray) -> tuple[float, float]:
        texts = [answer.text for answer in find_answers(start, end, windows)]
        return evaluate([ASKED], texts).f1, float(likely_f1(start, end, windows)[0])

    one = scored(*logits_for(windows, ("monday", 5.0), ("tuesday", 5.01)))
    other = scored(*logits_for(windows, ("monday", 5.01), ("tuesday", 5.0)))
    assert (one[0], other[0]) == (100, 0)
    assert abs(one[1] - other[1]) < 1


def test_where_there_may_be_no_answer_none_is_one_of_them() -> None:
    question = replace(ASKED, answers=(), v2=True)
    cut = make_windows([question], load_tokenizer(TOKENIZER), 32)
    start, end = logits_for(cut, ("tuesday", 1.0))
    start[:, 0], end[:, 0] = 1.0, 1.5
    found = likely_f1(start, end, cut, may_be_empty=True)[0]
    assert found == pytest.approx(100 / (1 + np.exp(2.0 - 2.5)), rel=1e-6)
    assert likely_f1(start, end, cut)[0] == 0


def test_logits_without_any_number_score_nothing(windows: Windows) -> None:
    nothing = np.full(windows.input_ids.shape, np.nan, np.float32)
    assert likely_f1(nothing, nothing, windows).tolist() == [0]


@given(st.integers(0, 10_000))
def test_all_windows_of_a_question_count(seed: int) -> None:
    """Passages that need several windows: shares stay between 0 and 100, and each question has one."""
    questions = load_questions(SHIPPED_PRACTICE)[:3]
    cut = make_windows(questions, load_tokenizer(TOKENIZER), 96)
    assert len(cut) > len(questions)
    start, end = np.random.default_rng(seed).normal(size=(2, *cut.input_ids.shape)).astype(np.float32)
    found = likely_f1(start, end, cut)
    assert found.shape == (len(questions),)
    assert ((found >= 0) & (found <= 100)).all()
