"""What a run learns: labelled windows, and the rows of every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.tasks.batch import Rows
from snpe_tools.tasks.question_answering.features import Windows, make_windows
from snpe_tools.tasks.question_answering.metrics import QaScore
from snpe_tools.tasks.question_answering.squad import Question, check_disjoint, load_questions
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings
from snpe_tools.tasks.question_answering.training.corpus import Corpus, choose, load_corpus
from snpe_tools.tasks.question_answering.training.distillation import imitation_loss
from snpe_tools.tasks.question_answering.training.evaluation import score_model
from snpe_tools.tasks.question_answering.training.labels import Labelled, label, with_answer
from snpe_tools.training.batches import Batches, plan

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor, nn

_LEAK = "Leave those passages out of the training questions, or evaluate on others."


@dataclass(frozen=True)
class AnswerLessons:
    """Labelled windows, the rows of every step in order, the questions used by their source; windows to score on."""

    labelled: Labelled
    steps: Batches
    sources: Mapping[str, int]
    evaluation: Windows
    max_answer_length: int

    @property
    def batch(self) -> Windows:
        """The windows that are learned from."""
        return self.labelled.windows

    @property
    def evaluated(self) -> int:
        """Questions of the score."""
        return len(self.evaluation.questions)

    def answer_score(self, model: nn.Module) -> QaScore:
        """EM and F1."""
        return score_model(model, self.evaluation, self.max_answer_length)

    def score(self, model: nn.Module) -> float:
        """F1 in percent."""
        return self.answer_score(model).f1

    def imitation_loss(self, student: nn.Module, teacher: nn.Module, rows: Rows) -> tuple[Tensor, int]:
        """Of both models' logits and of what they carry from layer to layer."""
        return imitation_loss(student, teacher, self.batch, rows)


def load_lessons(data: Path, evaluation: Path, tokenizer: Tokenizer, settings: TrainingSettings) -> AnswerLessons:
    """What there is to learn from `data`, scored on `evaluation`.

    Raises:
        DataError: questions that cannot be read, a passage in both, or a source that `data` does not have.
    """
    corpus, asked = load_corpus(data), load_questions(evaluation)
    check_disjoint(asked, corpus.questions, what="training", hint=_LEAK)
    return make_lessons(corpus, asked, tokenizer, settings)


def make_lessons(
    corpus: Corpus, asked: Sequence[Question], tokenizer: Tokenizer, settings: TrainingSettings
) -> AnswerLessons:
    """Cut the questions that the passes take into windows, label them, and put them in order; cut `asked` likewise.

    Raises:
        DataError: a pass asks for a source that the data does not have.
    """
    passes = choose(corpus, settings)
    used = np.unique(np.concatenate(passes))
    labelled = label(_cut([corpus.questions[index] for index in used], tokenizer, settings))
    if settings.windows == "answer":
        labelled = with_answer(labelled)
    owners = used[labelled.windows.question]
    rows = [np.flatnonzero(np.isin(owners, chosen)) for chosen in passes]
    sources = Counter(corpus.sources[index] for index in used)
    steps = plan(labelled.lengths, rows, settings.batch_size, settings.seed)
    return AnswerLessons(labelled, steps, sources, _cut(asked, tokenizer, settings), settings.max_answer_length)


def _cut(questions: Sequence[Question], tokenizer: Tokenizer, settings: TrainingSettings) -> Windows:
    return make_windows(questions, tokenizer, settings.max_seq_length, settings.doc_stride, settings.max_query_length)
