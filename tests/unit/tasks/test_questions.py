"""The question sets that ship: what the documentation says of them holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snpe_tools.tasks.question_answering.features import load_tokenizer
from snpe_tools.tasks.question_answering.squad import (
    SHIPPED_CALIBRATION,
    SHIPPED_QUESTIONS,
    check_disjoint,
    load_questions,
)

TOKENIZER = Path(__file__).parents[3] / "Models" / "minilm-qa" / "checkpoint" / "tokenizer.json"


@pytest.mark.parametrize(
    ("file", "passages", "questions"), [(SHIPPED_QUESTIONS, 24, 120), (SHIPPED_CALIBRATION, 16, 60)]
)
def test_every_answer_stands_where_it_says(file: Path, passages: int, questions: int) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    paragraphs = [paragraph for article in document["data"] for paragraph in article["paragraphs"]]
    asked = [(paragraph["context"], item) for paragraph in paragraphs for item in paragraph["qas"]]
    assert len(paragraphs) >= passages
    assert len(asked) >= questions
    for context, item in asked:
        assert item["question"].endswith("?")
        assert item["answers"]
        for answer in item["answers"]:
            start = answer["answer_start"]
            assert context[start : start + len(answer["text"])] == answer["text"]
            assert answer["text"] == answer["text"].strip() != ""


def test_the_two_sets_share_no_passage() -> None:
    check_disjoint(load_questions(SHIPPED_QUESTIONS), load_questions(SHIPPED_CALIBRATION))


def test_several_passages_need_more_than_one_window() -> None:
    tokenizer = load_tokenizer(TOKENIZER)
    tokenizer.no_truncation()
    contexts = {question.context for question in load_questions(SHIPPED_QUESTIONS)}
    assert sum(len(tokenizer.encode(context)) > 384 for context in contexts) >= 4


def test_many_questions_have_several_gold_answers() -> None:
    assert sum(len(question.answers) > 1 for question in load_questions(SHIPPED_QUESTIONS)) >= 60
