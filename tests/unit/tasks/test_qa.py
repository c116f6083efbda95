"""The task: SQuAD documents, windows, answers, EM and F1."""

from __future__ import annotations

import json
import re
import string
import urllib.error
from collections import Counter
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpe_tools.core.errors import DataError, InputError, SetupError
from snpe_tools.tasks.question_answering import squad
from snpe_tools.tasks.question_answering.answers import MAX_ANSWER_LENGTH, find_answers
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.metrics import evaluate, exact_match, f1, has_unanswerable
from snpe_tools.tasks.question_answering.squad import Question, check_disjoint, evaluation_file, load_questions


def _document(**changes: object) -> dict[str, object]:
    question = {"id": "q1", "question": " Who? ", "answers": [{"text": "Ann", "answer_start": 0}], **changes}
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": "Ann sings.", "qas": [question]}]}]}


def _load(folder: Path, document: object) -> list[Question]:
    file = folder / "questions.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return load_questions(file)


def test_a_document_is_read(tmp_path: Path) -> None:
    assert _load(tmp_path, _document()) == [Question("q1", "Who?", "Ann sings.", ("Ann",), "T", (0,))]


def test_unanswerable_questions_have_no_answers(tmp_path: Path) -> None:
    assert _load(tmp_path, _document(is_impossible=True))[0].answers == ()


def test_the_rules_of_v2_hold_for_a_sample_of_its_questions(tmp_path: Path) -> None:
    document: Any = _document()
    document["data"][0]["paragraphs"][0]["qas"].append({"id": "q2", "question": "Where?", "is_impossible": True})
    asked = _load(tmp_path, document)
    assert has_unanswerable(asked[:1])
    assert not has_unanswerable(_load(tmp_path, _document()))


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(_document()), encoding="utf-8-sig")
    assert len(load_questions(file)) == 1


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ("{", "Invalid JSON"),
        ([], "Input should be an object"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, r"data\[0\]\.paragraphs\[0\]\.context"),
        (_document(answers=[{"answer_start": 0}]), r"data\[0\]\.paragraphs\[0\]\.qas\[0\]\.answers\[0\]\.text"),
        (_document(question=""), r"qas\[0\]\.question"),
        (_document(answers="Ann"), r"qas\[0\]\.answers"),
        ({"data": []}, "holds no questions"),
    ],
)
def test_a_malformed_document_names_the_place(tmp_path: Path, document: object, where: str) -> None:
    with pytest.raises(DataError, match=where):
        _load(tmp_path, document)


def test_an_id_that_appears_twice_is_refused(tmp_path: Path) -> None:
    document = _document()
    document["data"] = [*document["data"], *document["data"]]  # type: ignore[misc]
    with pytest.raises(DataError, match="'q1' appears twice"):
        _load(tmp_path, document)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        load_questions(tmp_path / "none.json")


def test_calibration_must_not_share_a_passage_with_the_evaluation() -> None:
    one, other = Question("a", "?", "The  same\nText", ("x",)), Question("b", "?", "the same text", ("x",))
    with pytest.raises(DataError, match=r"1 calibration questions use passages that are also evaluated(.|\n)*'b'"):
        check_disjoint([one], [other])
    check_disjoint([one], [Question("c", "?", "Another text", ("x",))])


def test_no_network_is_told_with_the_way_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise urllib.error.URLError("no route")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(SetupError, match=r"cannot be reached: no route(.|\n)*DATA=dev-v1\.1\.json"):
        evaluation_file("squad")
    assert not list(tmp_path.rglob("*.json"))


class _Answering:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> bytes:
        return self.body


def test_a_download_is_checked_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: _Answering(b"a login page"))
    with pytest.raises(DataError, match="did not send"):
        evaluation_file("squad")
    monkeypatch.setattr(squad, "_DEV_MD5", "8d777f385d3dfec8815d20f7496026dc")
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: _Answering(b"data"))
    assert evaluation_file("squad").read_bytes() == b"data"


LONG = " ".join(f"word{number} stands at place {number}." for number in range(120))


@pytest.fixture(scope="module")
def windows(tokenizer_file: Path) -> Windows:
    questions = [
        Question("short", "Where?", "It stands at place 7.", ("place 7",)),
        Question("long", "What?", LONG, ("x",)),
    ]
    return make_windows(questions, load_tokenizer(tokenizer_file), 64, 16)


def test_windows_cover_the_whole_passage_and_overlap(windows: Windows) -> None:
    rows = np.flatnonzero(windows.question == 1)
    assert len(rows) > 3
    covered = np.zeros(len(LONG), int)
    for row in rows:
        for first, last in windows.offsets[row][windows.offsets[row, :, 0] >= 0]:
            covered[first:last] += 1
    text = np.array([not character.isspace() for character in LONG])
    assert covered[text].min() >= 1
    assert covered.max() >= 2


def test_windows_are_padded_and_typed(windows: Windows) -> None:
    used = windows.attention_mask[0].sum()
    assert (windows.length, str(windows.input_ids.dtype)) == (64, "int32")
    assert windows.input_ids[0, used:].tolist() == [0] * (64 - used)
    assert windows.token_type_ids[0].max() == 1
    assert (windows.offsets[0, used:] == -1).all()


def test_long_questions_are_cut(tokenizer_file: Path) -> None:
    question = Question("q", "why " * 500, "Because it rained.", ("it rained",))
    cut = make_windows([question], load_tokenizer(tokenizer_file), 64)
    assert len(cut) == 1
    assert (cut.offsets[0, :, 0] >= 0).sum() >= 4


def test_too_short_windows_are_refused(tokenizer_file: Path) -> None:
    with pytest.raises(DataError, match="SEQ=32"):
        make_windows([Question("q", "?", "text", ())], load_tokenizer(tokenizer_file), 31)


def test_a_part_of_the_questions_keeps_its_windows(windows: Windows) -> None:
    part = windows.of_examples([1])
    assert (len(part), set(part.question)) == (len(windows) - 1, {0})
    assert part.questions[0].id == "long"


def _windows(context: str, tokens: list[tuple[int, int]], rows: int = 1, padding: int = 2) -> Windows:
    """Windows whose context tokens have the given offsets, after one special token and before some padding."""
    length = 1 + len(tokens) + padding
    offsets = np.full((rows, length, 2), -1, np.int32)
    offsets[:, 1 : 1 + len(tokens)] = tokens
    empty = np.zeros((rows, length), np.int32)
    question = Question("q", "?", context, ("a",))
    return Windows(empty, empty + 1, empty, offsets, np.zeros(rows, np.int32), (question,))


CONTEXT = "ab cd ef gh"
TOKENS = [(0, 2), (3, 5), (6, 8), (9, 11)]
logits = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, float("nan"), float("inf")]), min_size=7, max_size=7)


@settings(max_examples=300)
@given(logits, logits)
def test_the_best_span_equals_a_plain_search(start: list[float], end: list[float]) -> None:
    best, wanted = -np.inf, ""
    for first in range(1, 5):
        for last in range(first, 5):
            total = start[first] + end[last]
            if np.isfinite(total) and total > best:
                best, wanted = total, CONTEXT[TOKENS[first - 1][0] : TOKENS[last - 1][1]]
    arrays = (np.array([start], np.float32), np.array([end], np.float32))
    assert find_answers(*arrays, _windows(CONTEXT, TOKENS))[0].text == wanted


def test_answers_are_thirty_tokens_at_most() -> None:
    tokens = [(index, index + 1) for index in range(40)]
    start, end = np.zeros((1, 43), np.float32), np.zeros((1, 43), np.float32)
    start[0, 1], end[0, 40], end[0, 30] = 9, 9, 5
    answer = find_answers(start, end, _windows("x" * 40, tokens))[0]
    assert (answer.start, answer.end) == (0, MAX_ANSWER_LENGTH)


def test_ties_go_to_the_earlier_window_the_earlier_start_and_the_shorter_span() -> None:
    zeros = np.zeros((2, 7), np.float32)
    assert find_answers(zeros, zeros, _windows(CONTEXT, TOKENS, rows=2))[0].text == "ab"


def test_no_answer_wins_only_above_the_threshold() -> None:
    start, end = np.zeros((1, 7), np.float32), np.zeros((1, 7), np.float32)
    start[0, 0] = 1
    one = _windows(CONTEXT, TOKENS)
    assert find_answers(start, end, one)[0].text == "ab"
    assert find_answers(start, end, one, may_be_empty=True)[0].text == ""
    assert find_answers(start, end, one, may_be_empty=True, null_threshold=1.0)[0].text == "ab"


def _official_normalize(text: str) -> str:
    text = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text, flags=re.UNICODE).split())


def _official_f1(prediction: str, truth: str) -> float:
    """The v1.1 definition, written down step by step."""
    predicted, true = _official_normalize(prediction).split(), _official_normalize(truth).split()
    same = sum((Counter(predicted) & Counter(true)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(true)
    return 2 * precision * recall / (precision + recall)


words = st.lists(
    st.sampled_from(["a", "The", "cat", "Cat!", "é", "—", "an", "don't", "U.S.", ""]) | st.text(max_size=5), max_size=6
)


@given(words.map(" ".join), words.map(" ".join))
def test_em_and_f1_equal_the_official_definition(prediction: str, truth: str) -> None:
    assert exact_match(prediction, truth) == float(_official_normalize(prediction) == _official_normalize(truth))
    assert f1(prediction, truth) == pytest.approx(_official_f1(prediction, truth))


def test_unanswerable_questions_follow_the_v2_rules() -> None:
    questions = [Question("a", "?", "c", ()), Question("b", "?", "c", ("the cat", "...")), Question("c", "?", "c", ())]
    scored = evaluate(questions, ["", "cat", "cat"])
    assert scored.f1_each.tolist() == [100, 100, 0]
    assert scored.em == pytest.approx(200 / 3)


def test_the_best_of_several_gold_answers_counts() -> None:
    assert evaluate([Question("a", "?", "c", ("red house", "house"))], ["a house"]).f1 == 100
