"""Answers that others predicted: the JSON file that the official SQuAD scripts take, question ids to texts."""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import require_file
from snpe_tools.tasks.question_answering.metrics import evaluate, has_unanswerable
from snpe_tools.tasks.question_answering.squad import Question

_LARGEST = 1 << 30


@dataclass(frozen=True)
class PredictionScore:
    """EM and F1 of a prediction file, in percent.

    Attributes:
        f1_each, em_each: of each question, float64, 0 to 100.
        missing: ids of questions without a prediction; each counts 0.
        unknown: ids of predictions without a question; they count nothing.
        v2: by the rules of SQuAD v2.0.
    """

    f1: float
    em: float
    f1_each: NDArray[np.float64]
    em_each: NDArray[np.float64]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    v2: bool


def load_predictions(file: Path) -> dict[str, str]:
    """Predicted texts by question id.

    Raises:
        DataError: it is no JSON object of texts, or has an id twice.
    """
    if require_file(file, "predictions").stat().st_size > _LARGEST:
        raise DataError(f"{file} is larger than any prediction file.")
    try:
        content = json.loads(file.read_bytes().removeprefix(codecs.BOM_UTF8), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{file} is not a prediction file: {problem}.", _FORM) from problem
    if not isinstance(content, dict):
        raise DataError(f"{file} is not a prediction file: it holds a {type(content).__name__}.", _FORM)
    for key, text in content.items():
        if not isinstance(text, str):
            raise DataError(f"{file}: the prediction of {key!r} is {text!r:.40}, not a text.", _FORM)
    return content


_FORM = 'The form is {"question id": "predicted text", …}; the empty text predicts that there is no answer.'


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"it has the id {twice!r} twice")
    return found


def score_predictions(questions: Sequence[Question], predictions: dict[str, str]) -> PredictionScore:
    """As the official scripts score: evaluate-v1.1.py counts a missing prediction 0.

    evaluate-v2.0.py stops at a missing prediction; here it counts 0, too.

    Raises:
        DataError: no question has a prediction, so that the two files cannot belong together.
    """
    missing = tuple(question.id for question in questions if question.id not in predictions)
    if len(missing) == len(questions):
        raise DataError(
            f"None of the {len(questions)} questions has a prediction.", "Pass the data that was predicted: --data."
        )
    known = {question.id for question in questions}
    v2 = has_unanswerable(questions)
    answers = [predictions.get(question.id, "") for question in questions]
    found = evaluate(questions, answers, v2=v2)
    there = np.array([question.id in predictions for question in questions])
    f1_each, em_each = found.f1_each * there, found.em_each * there
    unknown = tuple(key for key in predictions if key not in known)
    return PredictionScore(float(f1_each.mean()), float(em_each.mean()), f1_each, em_each, missing, unknown, v2)
