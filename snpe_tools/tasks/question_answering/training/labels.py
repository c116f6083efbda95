"""Windows with the first and last token of their answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snpe_tools.tasks.batch import IntArray
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.squad import Question


@dataclass(frozen=True)
class Labelled:
    """Windows to learn from.

    Attributes:
        windows: the windows.
        start, end: int32 (windows,), token of the answer's start and end; 0, the first token, where the window does
            not hold the whole answer.
    """

    windows: Windows
    start: IntArray
    end: IntArray

    @property
    def lengths(self) -> IntArray:
        """Tokens of each window, without padding."""
        return np.asarray(self.windows.attention_mask.sum(axis=1), np.int32)

    def take(self, rows: NDArray[np.intp]) -> Labelled:
        """Some of the windows."""
        return Labelled(self.windows.take(rows), self.start[rows], self.end[rows])


def label(windows: Windows) -> Labelled:
    """Find each window's answer: the first one of its question."""
    first, last = _spans(windows.questions)
    begin = windows.offsets[:, :, 0]
    until = windows.offsets[:, :, 1]
    wanted_first, wanted_last = first[windows.question][:, None], last[windows.question][:, None]
    starts = (begin >= 0) & (begin <= wanted_first) & (wanted_first < until)
    ends = (begin >= 0) & (begin < wanted_last) & (wanted_last <= until)
    whole = starts.any(axis=1) & ends.any(axis=1) & (wanted_first[:, 0] >= 0)
    start = np.where(whole, starts.argmax(axis=1), 0).astype(np.int32)
    return Labelled(windows, start, np.where(whole, ends.argmax(axis=1), 0).astype(np.int32))


def _spans(questions: Sequence[Question]) -> tuple[IntArray, IntArray]:
    """First and last+1 character of each question's first answer, -1 where there is none."""
    first = [question.starts[0] if question.answers else -1 for question in questions]
    last = [
        start + len(question.answers[0]) if question.answers else -1
        for start, question in zip(first, questions, strict=True)
    ]
    return np.array(first, np.int32), np.array(last, np.int32)


def with_answer(labelled: Labelled) -> Labelled:
    """For each question the window that holds its answer with most text on both sides; others are dropped."""
    room = np.minimum(labelled.start, labelled.lengths - 1 - labelled.end)
    order = np.argsort(-room, kind="stable")
    order = order[labelled.end[order] > 0]
    _, best = np.unique(labelled.windows.question[order], return_index=True)
    return labelled.take(np.sort(order[best]))
