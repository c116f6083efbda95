"""Logits to answers: the best span over all windows of a question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snpe_tools.tasks.batch import FloatArray
from snpe_tools.tasks.question_answering.features import Windows

MAX_ANSWER_LENGTH = 30
_BATCH = 64


@dataclass(frozen=True)
class Answer:
    """One predicted answer.

    Attributes:
        text: the span's text, "" for no answer.
        score: start logit + end logit of the span.
        start, end: its first and last+1 character in the passage, 0 and 0 for no answer.
    """

    text: str
    score: float
    start: int
    end: int


def find_answers(
    start: FloatArray,
    end: FloatArray,
    windows: Windows,
    *,
    may_be_empty: bool = False,
    null_threshold: float = 0.0,
    max_answer_length: int = MAX_ANSWER_LENGTH,
) -> list[Answer]:
    """The best answer to each question.

    All spans of up to `max_answer_length` context tokens are searched, which no `n_best_size` can better. Equal sums,
    which quantized logits do produce, go to the earlier window, then to the earlier start, then to the shorter span.

    Args:
        start, end: logits, shape (windows, length).
        may_be_empty: SQuAD v2.0: answer "" when the null score (start + end at the first token, smallest over the
            windows) exceeds the best span's score by more than `null_threshold`.
    """
    best: list[Answer | None] = [None] * len(windows.questions)
    null = null_scores(start, end, windows)
    scores, firsts, lasts = _best_spans(start, end, windows, max_answer_length)
    for row, index in enumerate(windows.question):
        previous = best[index]
        if np.isfinite(scores[row]) and (previous is None or scores[row] > previous.score):
            span = row, firsts[row], lasts[row]
            best[index] = Answer(windows.text(*span), float(scores[row]), *windows.characters(*span))
    chosen = [answer or Answer("", float("-inf"), 0, 0) for answer in best]
    if not may_be_empty:
        return chosen
    return [
        Answer("", float(none), 0, 0) if none - answer.score > null_threshold else answer
        for answer, none in zip(chosen, null, strict=True)
    ]


def null_scores(start: FloatArray, end: FloatArray, windows: Windows) -> NDArray[np.float64]:
    """Score of no answer to each question: start + end logit of the first token, smallest over its windows."""
    found = np.full(len(windows.questions), np.inf)
    np.fmin.at(found, windows.question, start[:, 0].astype(np.float64) + end[:, 0])
    return found


def _best_spans(
    start: FloatArray, end: FloatArray, windows: Windows, longest: int
) -> tuple[FloatArray, NDArray[np.intp], NDArray[np.intp]]:
    """Score, first and last token of each window's best span; the score is -inf where there is none."""
    parts = [_best_of_batch(sums) for _, sums in span_sums(start, end, windows, longest)]
    scores, firsts, lasts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return scores, firsts, lasts


def span_sums(start: FloatArray, end: FloatArray, windows: Windows, longest: int) -> Iterator[tuple[int, FloatArray]]:
    """Start logit + end logit of every span, some windows at a time: their first row, and the sums.

    Sums have the shape (rows, first token, further tokens), and are -inf where there is no span. NaN and infinite
    logits never win; the gate counts them.
    """
    for first in range(0, len(windows), _BATCH):
        rows = slice(first, first + _BATCH)
        yield first, _sums(start[rows], end[rows], windows.offsets[rows, :, 0] >= 0, longest)


def _sums(start: FloatArray, end: FloatArray, context: NDArray[np.bool_], longest: int) -> FloatArray:
    start = np.where(context & np.isfinite(start), start, -np.inf).astype(np.float32)
    end = np.where(context & np.isfinite(end), end, -np.inf).astype(np.float32)
    rows, length = start.shape
    longest = min(longest, length)
    sums = np.full((rows, length, longest), -np.inf, np.float32)
    for extra in range(longest):
        sums[:, : length - extra, extra] = start[:, : length - extra] + end[:, extra:]
    return sums


def _best_of_batch(sums: FloatArray) -> tuple[FloatArray, NDArray[np.intp], NDArray[np.intp]]:
    rows = len(sums)
    flat = sums.reshape(rows, -1)
    place = flat.argmax(axis=1)
    firsts, extras = np.divmod(place, sums.shape[2])
    return flat[np.arange(rows), place], firsts, firsts + extras
