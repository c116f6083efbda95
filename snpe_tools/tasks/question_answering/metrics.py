"""EM and F1 as the official SQuAD v1.1 and v2.0 evaluation defines them (Rajpurkar et al., 2016 and 2018)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snpe_tools.tasks.question_answering.squad import Question

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class QaScore:
    """EM and F1 in percent, each question's own (float64, 0 to 100), and whether by the rules of v2.0."""

    em: float
    f1: float
    em_each: NDArray[np.float64]
    f1_each: NDArray[np.float64]
    v2: bool = False


def normalize(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and repeated white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, truth: str) -> float:
    """1.0 when both are equal once normalized."""
    return float(normalize(prediction) == normalize(truth))


def f1(prediction: str, truth: str, *, v2: bool = False) -> float:
    """Harmonic mean of precision and recall over normalized words.

    Two texts without words score 0.0 in v1.1 and 1.0 in v2.0 (both unanswerable), as in the two official scripts.
    """
    predicted, true = normalize(prediction).split(), normalize(truth).split()
    if v2 and not (predicted and true):
        return float(predicted == true)
    common = sum((Counter(predicted) & Counter(true)).values())
    return 2 * common / (len(predicted) + len(true)) if common else 0.0


def has_unanswerable(questions: Sequence[Question]) -> bool:
    """Whether the v2.0 rules hold: some question of their document has no answer, though maybe none of these."""
    return any(question.v2 or not question.answers for question in questions)


def evaluate(questions: Sequence[Question], answers: Sequence[str], *, v2: bool | None = None) -> QaScore:
    """Score one answer per question; several gold answers give the best of their scores.

    Args:
        v2: the rules of v2.0; None asks the questions.
    """
    v2 = has_unanswerable(questions) if v2 is None else v2
    pairs = [(answer, _gold(question, v2=v2)) for question, answer in zip(questions, answers, strict=True)]
    em_each = np.array([max(exact_match(answer, text) for text in gold) for answer, gold in pairs])
    f1_each = np.array([max(f1(answer, text, v2=v2) for text in gold) for answer, gold in pairs])
    return QaScore(100 * float(em_each.mean()), 100 * float(f1_each.mean()), 100 * em_each, 100 * f1_each, v2)


def _gold(question: Question, *, v2: bool) -> Sequence[str]:
    """v2.0 drops gold answers that normalize to nothing; with none left, only the empty answer is right."""
    return [text for text in question.answers if normalize(text)] or [""] if v2 else question.answers
