"""Prediction files of others, scored as the official SQuAD scripts score them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.errors import DataError
from snpe_tools.tasks.question_answering.prediction_file import load_predictions, score_predictions
from snpe_tools.tasks.question_answering.squad import load_questions

TIE = Path(__file__).parents[4] / "shared" / "data" / "mlperf_tie" / "question.json"


def _document(path: Path, *answers: list[str], version: str = "1.1") -> Path:
    items = [{"id": str(index), "question": "?", "answers": [{"text": text} for text in texts]}
             for index, texts in enumerate(answers)]  # fmt: skip
    document = {"version": version, "data": [{"paragraphs": [{"context": "c", "qas": items}]}]}
    path.write_text(json.dumps(document))
    return path


def _score(tmp_path: Path, predictions: dict[str, str], *answers: list[str]) -> Any:
    return score_predictions(load_questions(_document(tmp_path / "dev.json", *answers)), predictions)


def test_a_missing_prediction_counts_nothing_and_is_named(tmp_path: Path) -> None:
    found = _score(tmp_path, {"0": "the Cat.", "9": "x"}, ["cat", "a dog"], ["dog"])
    assert (found.f1, found.em) == (50, 50)
    assert (found.missing, found.unknown) == (("1",), ("9",))


def test_a_missing_prediction_is_no_right_answer_to_an_unanswerable_question(tmp_path: Path) -> None:
    found = _score(tmp_path, {"0": ""}, [], [], ["dog"])
    assert found.v2
    assert found.f1_each.tolist() == [100, 0, 0]


def test_words_are_counted_as_the_official_script_counts_them(tmp_path: Path) -> None:
    """Two of three predicted words are right, and two of four true ones: 2 * 2 / (3 + 4)."""
    found = _score(tmp_path, {"0": "the big, red cat"}, ["red cat sat down"])
    assert found.f1 == pytest.approx(100 * 4 / 7)


@pytest.mark.parametrize(
    ("answer", "f1"), [("Levi's Stadium in the San Francisco Bay Area at Santa Clara, California", 300 / 7),
                       ("Santa Clara, California", 100)]
)  # fmt: skip
def test_the_tie_of_mlperf_has_the_official_figures(answer: str, f1: float) -> None:
    """MLPerf's app gives 40.0 for the first."""
    if not TIE.is_file():
        pytest.skip(f"{TIE} is not here")
    (question,) = load_questions(TIE)
    assert score_predictions([question], {question.id: answer}).f1 == pytest.approx(f1)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="None of the 1 questions has a prediction"):
        _score(tmp_path, {"a": "b"}, ["dog"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "holds a list"),
        ("{", "not a prediction file"),
        ('{"a": 3}', "the prediction of 'a' is 3"),
        ('{"a": "x", "a": "y"}', "the id 'a' twice"),
        ("[" * 100_000, "not a prediction file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        load_predictions(tmp_path / "p.json")
    assert "p.json" in str(caught.value)


def test_the_command_prints_one_document(tmp_path: Path) -> None:
    _document(tmp_path / "dev.json", ["cat"], ["dog"])
    (tmp_path / "p.json").write_text(json.dumps({"0": "cat"}))
    command = ["score", "--predictions", str(tmp_path / "p.json"), "--data", str(tmp_path / "dev.json")]
    shown = CliRunner().invoke(app, [*command, "--json"])
    document = json.loads(shown.stdout)
    assert (document["f1"], document["missing"], document["rules"]) == (50, ["1"], "1.1")
    assert "1 questions have no prediction and count 0: 1." in shown.stderr
    both = CliRunner().invoke(app, [*command, "--logits", str(tmp_path)])
    assert both.exit_code != 0
