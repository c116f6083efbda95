"""Training data, labels, the order of batches and the schedule; nothing here needs PyTorch."""

from __future__ import annotations

import json
import lzma
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.core.errors import DataError, RecipeError, UsageError
from snpe_tools.steps.distill import distill
from snpe_tools.steps.train import train
from snpe_tools.tasks.question_answering.features import load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import (
    SHIPPED_CALIBRATION,
    SHIPPED_PRACTICE,
    SHIPPED_QUESTIONS,
    Question,
    load_questions,
)
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings, load_settings
from snpe_tools.tasks.question_answering.training.corpus import choose, load_corpus
from snpe_tools.tasks.question_answering.training.distill_settings import AnswerSettings, DistillSettings
from snpe_tools.tasks.question_answering.training.labels import label, with_answer
from snpe_tools.training.batches import plan

RECIPES = Path(__file__).parents[3] / "generating_model"


def row(**changes: Any) -> dict[str, Any]:
    context = "Rain fell on Monday. Snow fell on Tuesday."
    given = {"id": "1", "context": context, "question": "When did snow fall?", "answer": "Tuesday", "answer_start": 34}
    return {**given, "source": "weather", **changes}


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(item) + "\n" for item in rows)
    file.write_bytes(lzma.compress(text.encode()) if file.suffix == ".xz" else text.encode())
    return file


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.xz"])
def test_rows_are_read_with_their_source(tmp_path: Path, name: str) -> None:
    corpus = load_corpus(write_rows(tmp_path / name, [row(), row(source="", answer="Monday", answer_start=13)]))
    assert [question.answers for question in corpus.questions] == [("Tuesday",), ("Monday",)]
    assert len({question.id for question in corpus.questions}) == 2
    assert corpus.counts() == {"weather": 1, "": 1}


def test_a_wrong_offset_is_mended_and_an_absent_answer_left_out(tmp_path: Path, capfd: Any) -> None:
    rows = [row(answer_start=3), row(answer_start=-5), row(answer="Friday"), row(answer=" ")]
    corpus = load_corpus(write_rows(tmp_path / "rows.jsonl", rows))
    assert [question.starts for question in corpus.questions] == [(34,), (34,)]
    assert "2 of 4 questions are left out" in capfd.readouterr().err


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", [row(), {"id": "2"}])
    with pytest.raises(DataError, match=r"line 2: context"):
        load_corpus(file)


@pytest.mark.parametrize("lesson", ["train", "distill"])
def test_an_output_that_holds_something_else_is_refused_before_anything_is_read(lesson: str, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis").write_text("years of work")
    data, output = tmp_path / "none.jsonl", tmp_path / "precious"
    with pytest.raises(UsageError, match="holds something else"):
        if lesson == "train":
            train(TrainingSettings(base="none"), data, output)
        else:
            distill(DistillSettings(teacher="none", answers=AnswerSettings(base="none")), data, data, output)
    assert (output / "thesis").is_file()


def test_a_cut_archive_is_named(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl.xz", [row()] * 50)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged or cut off"):
        load_corpus(file)


def test_nothing_left_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no question whose answer"):
        load_corpus(write_rows(tmp_path / "rows.jsonl", [row(answer="Friday")]))


def test_unanswerable_questions_are_kept_and_labelled_with_the_first_token(
    tmp_path: Path, tokenizer_file: Path
) -> None:
    question = {"id": "1", "question": "When did hail fall?", "answers": [], "is_impossible": True}
    paragraph = {"context": "Rain fell on Monday.", "qas": [question]}
    file = tmp_path / "v2.json"
    file.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    windows = make_windows(load_corpus(file).questions, load_tokenizer(tokenizer_file), 32)
    found = label(windows)
    assert found.start.tolist() == found.end.tolist() == [0]


def test_labels_stand_on_the_answer_in_every_window_that_holds_it(tokenizer_file: Path) -> None:
    questions = load_questions(SHIPPED_QUESTIONS)
    found = label(make_windows(questions, load_tokenizer(tokenizer_file), 128, 32))
    windows = found.windows
    answered = {int(windows.question[place]) for place in np.flatnonzero(found.end)}
    for place in np.flatnonzero(found.end):
        question = windows.questions[windows.question[place]]
        first = windows.offsets[place, found.start[place], 0]
        last = windows.offsets[place, found.end[place], 1]
        assert first <= question.starts[0]
        assert question.answers[0] in question.context[first:last]
    assert len(answered) > 0.95 * len(questions)
    assert 0 < np.count_nonzero(found.end) < len(windows)


def test_of_several_windows_the_one_with_most_text_around_the_answer_is_kept(tokenizer_file: Path) -> None:
    questions = load_questions(SHIPPED_QUESTIONS)
    every = label(make_windows(questions, load_tokenizer(tokenizer_file), 128, 32))
    kept = with_answer(every)
    assert len(set(kept.windows.question.tolist())) == len(kept.windows)
    assert set(kept.windows.question.tolist()) == set(every.windows.question[every.end > 0].tolist())
    room = np.minimum(every.start, every.lengths - 1 - every.end)
    for place, owner in enumerate(kept.windows.question):
        rivals = room[(every.windows.question == owner) & (every.end > 0)]
        assert min(kept.start[place], kept.lengths[place] - 1 - kept.end[place]) == rivals.max()


@given(st.lists(st.integers(10, 384), min_size=1, max_size=400), st.integers(1, 40), st.integers(0, 5))
def test_every_window_of_a_pass_is_learnt_once(lengths: list[int], batch: int, seed: int) -> None:
    rows = np.arange(len(lengths))
    sizes = np.array(lengths, np.int32)
    steps = plan(sizes, [rows, rows[::2]], batch, seed)
    assert all(1 <= len(step) <= batch for step in steps)
    first = steps[: -(-len(rows) // batch)] if len(rows) <= 50 * batch else None
    if first:
        assert sorted(np.concatenate(first)) == rows.tolist()
    assert sorted(np.concatenate(steps)) == sorted([*rows, *rows[::2]])
    again = plan(sizes, [rows, rows[::2]], batch, seed)
    assert all(np.array_equal(one, other) for one, other in zip(steps, again, strict=True))


def test_batches_hold_windows_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(30, 384, 4000).astype(np.int32)
    steps = plan(lengths, [np.arange(4000)], 20, 0)
    padding = sum(int((lengths[step].max() - lengths[step]).sum()) for step in steps)
    assert padding < 0.05 * lengths.sum()


def test_passes_take_shares_of_sources(tmp_path: Path) -> None:
    rows = [row(source=name) for name in ("a", "b") for _ in range(100)]
    corpus = load_corpus(write_rows(tmp_path / "rows.jsonl", rows))
    settings = TrainingSettings(base="x", passes=({"a": 1.0, "b": 0.25}, {"a": 0.5}), epochs=2)
    chosen = choose(corpus, settings)
    assert [len(part) for part in chosen] == [125, 50, 125, 50]
    assert set(chosen[1]) < set(range(100))
    assert [len(part) for part in choose(corpus, settings.model_copy(update={"share": 0.1}))] == [12, 5, 12, 5]
    assert [len(part) for part in choose(corpus, TrainingSettings(base="x", epochs=1))] == [200]


def test_few_questions_are_gone_through_several_times(tmp_path: Path) -> None:
    corpus = load_corpus(write_rows(tmp_path / "rows.jsonl", [row() for _ in range(20)]))
    wanted = {
        number: [len(part) for part in choose(corpus, TrainingSettings(base="x", epochs=1, questions=number))]
        for number in (5, 20, 70)
    }
    assert wanted == {5: [5], 20: [20], 70: [20, 20, 20, 20]}


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    corpus = load_corpus(write_rows(tmp_path / "rows.jsonl", [row()]))
    with pytest.raises(DataError, match="no source 'squad'") as caught:
        choose(corpus, TrainingSettings(base="x", passes=({"squad": 1.0},)))
    assert "weather" in caught.value.hint


def test_the_published_defaults() -> None:
    settings = TrainingSettings(base="x")
    assert (settings.max_seq_length, settings.doc_stride, settings.max_query_length) == (384, 128, 64)
    assert (settings.max_answer_length, settings.learning_rate, settings.epochs) == (30, 4e-5, 5)


@given(st.integers(1, 500), st.integers(0, 400))
def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing(steps: int, warmup: int) -> None:
    settings = TrainingSettings(base="x", warmup_steps=min(warmup, steps - 1), learning_rate=1.0)
    rates = [settings.learning_rate_at(step, steps) for step in range(steps)]
    peak = int(np.argmax(rates))
    assert max(rates) == pytest.approx(1.0)
    assert all(earlier < later for earlier, later in pairwise(rates[: peak + 1]))
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[-1] == min(rates[peak:])


@pytest.mark.parametrize("file", sorted(RECIPES.glob("minilm*.toml")), ids=lambda file: file.stem)
def test_shipped_recipes_are_valid(file: Path) -> None:
    assert load_settings(file, {"epochs": 3}).epochs == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base = 'x'\nlr = 1", "lr"),
        ("base = 'x'\n[[passes]]\na = 2.0", "passes"),
        ("epochs = 1", "base"),
        ("=", "TOML"),
    ],
)
def test_a_wrong_recipe_names_the_key(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=words):
        load_settings(file, {})


def test_a_base_folder_is_relative_to_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "recipe.toml").write_text('base = "mine"')
    assert load_settings(tmp_path / "recipe.toml", {}).base == str(tmp_path / "mine")


def test_shipped_answers_stand_at_their_offsets() -> None:
    for file in (SHIPPED_QUESTIONS, SHIPPED_CALIBRATION, SHIPPED_PRACTICE):
        for question in load_questions(file):
            _assert_placed(question)


def test_shipped_sets_share_no_passage() -> None:
    sets = [
        {question.context for question in load_questions(file)}
        for file in (SHIPPED_QUESTIONS, SHIPPED_CALIBRATION, SHIPPED_PRACTICE)
    ]
    assert len(set[str]().union(*sets)) == sum(map(len, sets))


def _assert_placed(question: Question) -> None:
    for text, start in zip(question.answers, question.starts, strict=True):
        assert question.context[start : start + len(text)] == text
