"""Other answers with the same score: quantized logits tie, and a rule must choose (see `find_answers`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from snpe_tools.tasks.batch import FloatArray
from snpe_tools.tasks.question_answering.answers import MAX_ANSWER_LENGTH, Answer, span_sums
from snpe_tools.tasks.question_answering.features import Windows


def tied_texts(
    start: FloatArray,
    end: FloatArray,
    windows: Windows,
    answers: Sequence[Answer],
    *,
    max_answer_length: int = MAX_ANSWER_LENGTH,
) -> list[tuple[str, ...]]:
    """Every text that another rule for ties could have answered, the given answer's first.

    Args:
        start, end: logits, shape (windows, length).
        answers: what `find_answers` chose, one per question.
    """
    found = [{answer.text: None} for answer in answers]
    spans = np.array([answer.score if answer.end else np.nan for answer in answers], np.float32)
    wanted = spans[windows.question]
    for row, first, last in _spans_with(start, end, windows, wanted, max_answer_length):
        found[windows.question[row]][windows.text(row, first, last)] = None
    return [tuple(texts) for texts in found]


def _spans_with(
    start: FloatArray, end: FloatArray, windows: Windows, wanted: FloatArray, longest: int
) -> Iterator[tuple[int, int, int]]:
    """Row, first and last token of each span that scores what is wanted of its row; NaN wants none."""
    for top, sums in span_sums(start, end, windows, longest):
        places = np.flatnonzero(sums == wanted[top : top + len(sums), None, None])
        for row, first, extra in zip(*np.unravel_index(places, sums.shape), strict=True):
            yield top + int(row), int(first), int(first + extra)
