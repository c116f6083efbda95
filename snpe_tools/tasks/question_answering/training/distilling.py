"""Question-answering checkpoint of any shape + text + questions → a MobileBERT that answers, its log and its F1.

Two lessons, after Sun et al. (2020): on text without answers the student's layers learn, one after another, to think as
the teacher's do; then the whole student learns the teacher's answers and the right ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.core.errors import RecipeError
from snpe_tools.core.files import sha256
from snpe_tools.core.progress import say
from snpe_tools.tasks.question_answering.checkpoint import load_fast_tokenizer, load_model
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.metrics import QaScore
from snpe_tools.tasks.question_answering.training.distill_settings import (
    AnswerSettings,
    DistillSettings,
    TransferSettings,
)
from snpe_tools.tasks.question_answering.training.distillation import distillation_loss, remembered
from snpe_tools.tasks.question_answering.training.evaluation import all_logits
from snpe_tools.tasks.question_answering.training.lessons import AnswerLessons, load_lessons
from snpe_tools.tasks.question_answering.training.student import new_student
from snpe_tools.tasks.question_answering.training.text import joined, read_texts, text_windows
from snpe_tools.tasks.question_answering.training.writing import TrainedModel, write_trained
from snpe_tools.training.batches import plan
from snpe_tools.training.curve import CROSS_ENTROPY
from snpe_tools.training.hardware import autocast, describe, kind_of, to_device
from snpe_tools.training.loop import fit
from snpe_tools.training.output import check_output
from snpe_tools.training.state import History, StateFile, identity

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNLIKE_TEACHER = "unlike the teacher"
_OF_BOTH_LESSONS = {
    "base", "passes", "share", "seed", "max_seq_length", "doc_stride", "max_query_length", "windows", "precision",
}  # fmt: skip
"""Settings of the second lesson that decide the first one, too: which windows there are, and how it computes."""


@dataclass(frozen=True)
class DistillResult:
    """What distillation made, and how well it answers.

    Attributes:
        checkpoint: folder with weights, configuration, tokenizer, `training.json` and `training.svg`.
        parameters: of the student.
        transfer_steps, answer_steps: batches of the two lessons.
        seconds: of training, over all runs that it took.
        transfer_tokens_per_second, tokens_per_second: of the two lessons, padding included.
        evaluated: questions of the scores.
        teacher_f1: in percent.
        transferred_f1: of the student after the first lesson, behind the teacher's head.
        em, f1: in percent, of the checkpoint as written.
    """

    checkpoint: Path
    parameters: int
    transfer_steps: int
    answer_steps: int
    seconds: float
    transfer_tokens_per_second: float
    tokens_per_second: float
    evaluated: int
    teacher_f1: float
    transferred_f1: float
    em: float
    f1: float

    def __str__(self) -> str:
        return (
            f"{self.checkpoint}: {self.parameters / 1e6:.1f} M parameters, F1 {self.f1:.2f}, EM {self.em:.2f} on "
            f"{self.evaluated} questions; teacher F1 {self.teacher_f1:.2f}; {self.seconds / 60:.1f} min."
        )


def distill(
    settings: DistillSettings,
    data: Path,
    text: Path,
    output: Path,
    *,
    evaluation: Path,
    restart: bool,
) -> DistillResult:
    """Train a MobileBERT to answer as a question-answering model of another shape does.

    A run that was killed goes on, with the same result, when it is called again; its state is kept beside `output`.

    Args:
        settings: teacher, shape of the student, and the two lessons; see `DistillSettings`.
        data: SQuAD v1.1 or v2.0 JSON, or rows (.jsonl, .jsonl.xz).
        text: unlabelled text: a .txt file, a folder of them, or a tar archive, which is not unpacked.
        output: folder of the new checkpoint; replaced.
        evaluation: SQuAD JSON to score student and teacher on; no passage may be in both.
        restart: forget the state of an earlier run.

    Raises:
        DataError: questions or text that cannot be read, or questions that leak.
        CheckpointError: the teacher is of another family, or has no question-answering head.
        RecipeError: relation heads that do not divide the teacher's features, or windows longer than it reads.
        UsageError: the state of a run with other settings or data is there, or `output` holds something else.
        ExecutionError: training fell apart.
        StorageError: no space.
    """
    check_output(output)
    tokenizer = load_fast_tokenizer(settings.teacher)
    lessons = load_lessons(data, evaluation, tokenizer.backend_tokenizer, settings.answers)
    teacher = _teacher(settings)
    student = to_device(new_student(teacher, settings.student, settings.transfer.seed), settings.answers)
    windows = _unlabelled(text, lessons.labelled.windows, tokenizer.backend_tokenizer, settings.transfer)
    states = _states(settings, data, text, output)
    for state in states if restart else ():
        state.remove()
    first = _transfer(student, teacher, windows, settings.transfer, states[0])
    before = lessons.score(student)
    say(f"  F1 on {len(lessons.evaluation.questions)} questions behind the teacher's head: {before:.2f}")
    second = _answer(student, teacher, lessons, settings.answers, states[1])
    taught = lessons.score(teacher)
    result = write_trained(
        TrainedModel(student, tokenizer, lessons, settings.answers, _curves(first, second)),
        output,
        lambda score: _result(output, student, (first, second), (taught, before, score)),
        {"settings": settings.model_dump(mode="json"), "sha256": {"data": sha256(data), "text": sha256(text)}},
    )
    for state in states:
        state.remove()
    return result


def _teacher(settings: DistillSettings) -> Any:  # noqa: ANN401 - a model of transformers
    teacher, heads = load_model(settings.teacher), settings.transfer.relation_heads
    if teacher.config.hidden_size % heads:
        raise RecipeError(
            f"transfer.relation_heads: {heads} does not divide the teacher's {teacher.config.hidden_size} features."
        )
    read = getattr(teacher.config, "max_position_embeddings", None)
    for key, length in _window_lengths(settings).items():
        if read is not None and length > read:
            raise RecipeError(
                f"{key}: windows of {length} tokens, and the teacher {settings.teacher} reads {read} at most.",
                f"Set {key} to {read} or less.",
            )
    return to_device(teacher.requires_grad_(requires_grad=False), settings.answers)


def _window_lengths(settings: DistillSettings) -> dict[str, int]:
    return {"transfer.length": settings.transfer.length, "answers.max_seq_length": settings.answers.max_seq_length}


def _states(settings: DistillSettings, data: Path, text: Path, output: Path) -> tuple[StateFile, StateFile]:
    """Of the two lessons. The first stays until the second is over, and holds for any way to hold the second."""
    windows = settings.answers.model_dump(include=_OF_BOTH_LESSONS)
    first = settings.model_copy(update={"answers": AnswerSettings.model_validate(windows)})
    transfer, answers = (
        StateFile.beside(output, lesson, identity(known, data, text, settings.teacher), minutes)
        for lesson, known, minutes in (
            ("transfer", first, settings.transfer.save_minutes),
            ("training", settings, settings.answers.save_minutes),
        )
    )
    return transfer, answers


def _unlabelled(text: Path, asked: Windows, tokenizer: Tokenizer, settings: TransferSettings) -> Windows:
    """Windows of text, and those of a part of the questions."""
    found = text_windows(read_texts(text), tokenizer, settings.length, settings.text_share)
    count = max(1, round(settings.question_share * len(asked)))
    rows = np.sort(np.random.default_rng(settings.seed).permutation(len(asked))[:count])
    say(f"  {len(found)} windows of text, {count} of questions")
    return joined(found, asked.take(rows))


def _transfer(student: Any, teacher: Any, windows: Windows, settings: TransferSettings, state: StateFile) -> History:  # noqa: ANN401
    from snpe_tools.tasks.question_answering.training.transfer import Transfer

    model = Transfer(student, teacher, settings).to(kind_of(student))
    lengths = np.asarray(windows.attention_mask.sum(axis=1), np.int32)
    steps = plan(lengths, [np.arange(len(windows))] * settings.epochs, settings.batch_size, settings.seed)
    say(f"  first lesson: {len(steps)} steps, {describe(student, settings)}")
    history = fit(
        model,
        steps,
        lambda step, rows: model.loss(windows, rows, model.depth_at(step, len(steps))),
        settings,
        state,
    )
    model.finish(teacher)
    return history


def _answer(student: Any, teacher: Any, lessons: AnswerLessons, settings: AnswerSettings, state: StateFile) -> History:  # noqa: ANN401
    with autocast(teacher, settings):
        lesson = remembered(all_logits(teacher, lessons.labelled.windows, "asking the teacher"))
    say(f"  second lesson: {len(lessons.labelled.windows)} windows in {len(lessons.steps)} steps")
    return fit(
        student,
        lessons.steps,
        lambda _, rows: distillation_loss(student, lesson, lessons.labelled, rows, settings.teacher_weight),
        settings,
        state,
    )


def _curves(first: History, second: History) -> dict[str, list[float]]:
    return {UNLIKE_TEACHER: first.losses, CROSS_ENTROPY: second.losses}


def _result(
    output: Path,
    student: Any,  # noqa: ANN401
    histories: tuple[History, History],
    scores: tuple[float, float, QaScore],
) -> DistillResult:
    (first, second), (taught, before, score) = histories, scores
    return DistillResult(
        checkpoint=output,
        parameters=student.num_parameters(),
        transfer_steps=first.step,
        answer_steps=second.step,
        seconds=round(first.seconds + second.seconds, 1),
        transfer_tokens_per_second=first.tokens_per_second,
        tokens_per_second=second.tokens_per_second,
        evaluated=len(score.f1_each),
        teacher_f1=taught,
        transferred_f1=before,
        em=score.em,
        f1=score.f1,
    )
