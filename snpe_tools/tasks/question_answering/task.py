"""Extractive question answering as a task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.tasks.batch import Batch, Outputs
from snpe_tools.tasks.metric import Floats, Metric, Score, Words
from snpe_tools.tasks.question_answering import checkpoint as checkpoints
from snpe_tools.tasks.question_answering import squad
from snpe_tools.tasks.question_answering.answers import find_answers
from snpe_tools.tasks.question_answering.divergence import divergence
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.likely import likely_f1
from snpe_tools.tasks.question_answering.logits import LOGITS, both_logits
from snpe_tools.tasks.question_answering.metrics import QaScore, evaluate, has_unanswerable
from snpe_tools.tasks.question_answering.passage import mark
from snpe_tools.tasks.question_answering.predictions import Answered
from snpe_tools.tasks.question_answering.sheet import AnswerRecord, AnswerSheet, blank_sheet
from snpe_tools.tasks.question_answering.squad import Question
from snpe_tools.tasks.question_answering.ties import tied_texts
from snpe_tools.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snpe_tools.tasks.dumps import Dumps
    from snpe_tools.tasks.trainer import Trainer


class QuestionAnswering(Task):
    """The answer to a question is a span of its passage: SQuAD data, windows of tokens, EM and F1."""

    name = "question-answering"
    metric = Metric("f1", "F1")
    words = Words(
        example="question",
        examples="questions",
        prediction="answer",
        predictions="answers",
        choice="span",
        confidence="start + end logit",
        logits="logits, start + end",
        ties="spans of equal score",
        tie_rule="earlier window, earlier start, shorter span",
        differs="answer with other words than",
        agrees="answers with the words of",
        changed="are answered with other words",
        unchanged="gives the float model's words",
        heading="Does it still answer?",
    )
    outputs = LOGITS
    code = tuple(f"tasks.question_answering.{module}" for module in ("checkpoint", "features", "squad"))
    training_code = ("tasks.question_answering.training.lessons", "tasks.question_answering.training.distillation")
    evaluation, calibration, practice = squad.SHIPPED_QUESTIONS, squad.SHIPPED_CALIBRATION, squad.SHIPPED_PRACTICE
    sheet = AnswerSheet

    def load_model(self, checkpoint: str) -> nn.Module:
        """A checkpoint with a trained question-answering head."""
        return checkpoints.load_model(checkpoint)

    def random_model(self, architecture: str) -> nn.Module:
        """Random weights of a family."""
        return checkpoints.random_model(architecture)

    def save_preprocessing(self, checkpoint: str, target: Path) -> None:
        """Its tokenizer.json."""
        checkpoints.save_tokenizer(checkpoint, target)

    def find(self, source: str) -> Path:
        """Also "squad": the SQuAD v1.1 development set."""
        return squad.evaluation_file(source)

    def load(self, source: Path) -> list[Question]:
        """A SQuAD document."""
        return squad.load_questions(source)

    def load_practice(self, source: Path) -> Sequence[Question]:
        """A SQuAD document, or rows (.jsonl, .jsonl.xz)."""
        from snpe_tools.tasks.question_answering.training.corpus import load_corpus

        return load_corpus(source).questions

    def group(self, example: Question) -> str:
        """The passage."""
        return example.context

    def check_disjoint(
        self,
        evaluation: Sequence[Question],
        others: Sequence[Question],
        *,
        what: str = "calibration",
        hint: str = "",
    ) -> None:
        """No passage may be in both."""
        squad.check_disjoint(evaluation, others, what=what, **({"hint": hint} if hint else {}))

    def encode(self, examples: Sequence[Question], preprocessing: Path, shape: Sequence[int]) -> Windows:
        """Windows of `shape[-1]` tokens; `preprocessing` is a tokenizer.json."""
        return make_windows(examples, load_tokenizer(preprocessing), shape[-1])

    def predict(self, outputs: Outputs, batch: Batch) -> list[Answered]:  # type: ignore[override]
        """The best span of each question, and those that tie with it."""
        windows, (start, end) = _windows(batch), both_logits(outputs)
        answers = find_answers(start, end, windows, may_be_empty=has_unanswerable(windows.questions))
        tied = tied_texts(start, end, windows, answers)
        pairs = zip(answers, tied, strict=True)
        return [Answered(one.text, one.score, texts[1:], one.start, one.end) for one, texts in pairs]

    def score(self, batch: Batch, predictions: Sequence[Answered]) -> Score:  # type: ignore[override]
        """F1 and, beside it, EM."""
        questions = _windows(batch).questions
        made = evaluate(questions, [answer.text for answer in predictions])
        low, high = _over_ties(questions, predictions, made)
        exact = Score(made.em, made.em_each, made.em_each, made.em_each)
        return Score(made.f1, made.f1_each, low, high, {"em": exact})

    def expected_score(self, outputs: Outputs, batch: Batch) -> Floats:
        """The F1 that answers are likely to have; see `likely`."""
        windows = _windows(batch)
        return likely_f1(*both_logits(outputs), windows, may_be_empty=has_unanswerable(windows.questions))

    def distributions(self, outputs: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Of the first and of the last token, over the real ones."""
        real = inputs["attention_mask"].flatten() > 0
        return [value.flatten()[real] for value in outputs.values()]

    def divergence(self, wanted: Outputs, got: Outputs, batch: Batch) -> float:
        """That of the first and that of the last token are added."""
        return divergence(np.stack(both_logits(wanted)), np.stack(both_logits(got)), _windows(batch).real)

    def record(self, prediction: Answered, score: Score, place: int) -> AnswerRecord:  # type: ignore[override]
        """With its place in the passage."""
        return AnswerRecord.model_validate(
            {
                "text": prediction.text,
                "start": prediction.start,
                "end": prediction.end,
                "score": prediction.confidence if math.isfinite(prediction.confidence) else None,
                "f1": float(score.each[place]),
                "em": float(score.others["em"].each[place]),
                "tied": list(prediction.ties),
                "f1_low": float(score.low[place]),
                "f1_high": float(score.high[place]),
            }
        )

    def blank_sheet(self, examples: Sequence[Question]) -> AnswerSheet:
        """Each passage is kept once."""
        return blank_sheet(examples)

    def explain(self, sheet: Any, example: Any, known: Any, other: Any) -> list[Any]:  # noqa: ANN401 - its own classes
        """The passage around the two answers."""
        return mark(sheet.context(example), known, other)

    def trainer(self) -> Trainer:
        """Fine-tuning, distillation to a MobileBERT, lessons in imitation."""
        from snpe_tools.tasks.question_answering.training.trainer import AnswerTrainer

        return AnswerTrainer()

    def dumps(self) -> Dumps:
        """Start and end logits in files of any layout."""
        from snpe_tools.tasks.question_answering.foreign import DumpedLogits

        return DumpedLogits()


def _windows(batch: Batch) -> Windows:
    if not isinstance(batch, Windows):
        raise TypeError(f"{type(batch).__name__} is not a batch of question answering")
    return batch


def _over_ties(questions: Sequence[Question], answers: Sequence[Answered], made: QaScore) -> tuple[Floats, Floats]:
    """Smallest and largest F1 of each question over the texts that tie."""
    low, high = made.f1_each.copy(), made.f1_each.copy()
    for index, answer in enumerate(answers):
        if answer.ties:
            texts = [answer.text, *answer.ties]
            each = evaluate([questions[index]] * len(texts), texts, v2=made.v2).f1_each
            low[index], high[index] = each.min(), each.max()
    return low, high


TASK = QuestionAnswering()
