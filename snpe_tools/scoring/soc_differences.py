"""Where two SoCs' NPUs answer differently: the same model, the same questions, other bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snpe_tools.tasks.question_answering.answers import FloatArray
from snpe_tools.tasks.question_answering.features import Windows

_SHOWN = 3


@dataclass(frozen=True)
class Contrast:
    """Two stages on the same questions.

    Attributes:
        equal_logits: share of real tokens' logits that are equal bit for bit, percent.
        largest: difference of two logits.
        equal_answers: share of equal answers, percent.
        differing: each question that they answer differently, with both answers.
    """

    first: str
    second: str
    questions: int
    equal_logits: float
    largest: float
    equal_answers: float
    differing: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        others = "".join(f"\n    {question} {one!r} / {other!r}" for question, one, other in self.differing[:_SHOWN])
        return (
            f"{self.first} / {self.second}: {self.equal_answers:.1f} % of {self.questions} answers equal, "
            f"{self.equal_logits:.1f} % of logits equal, largest difference {self.largest:.2g}{others}"
        )


@dataclass(frozen=True)
class Told:
    """What a stage said: logits (start, end) of each window, and the answer to each question."""

    stage: str
    logits: Sequence[FloatArray]
    answers: Sequence[str]


def contrast(first: Told, second: Told, windows: Windows) -> Contrast:
    """Compare two stages that were asked the questions of `windows`."""
    real = windows.attention_mask > 0
    one, other = (np.stack(list(told.logits))[:, real] for told in (first, second))
    asked = zip(windows.questions, first.answers, second.answers, strict=True)
    differing = tuple((question.text, mine, yours) for question, mine, yours in asked if mine != yours)
    count = len(windows.questions)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        largest = float(np.nanmax(np.abs(one.astype(np.float64) - other), initial=0))
    return Contrast(
        first=first.stage,
        second=second.stage,
        questions=count,
        equal_logits=100 * float(np.mean(one == other)),
        largest=largest,
        equal_answers=100 * (count - len(differing)) / count,
        differing=differing,
    )
