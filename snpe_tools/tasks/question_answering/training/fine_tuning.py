"""Pre-trained checkpoint + questions with answers → question-answering checkpoint, its log, its curve and its F1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.progress import say
from snpe_tools.tasks.question_answering.checkpoint import load_base, load_fast_tokenizer
from snpe_tools.tasks.question_answering.metrics import QaScore
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings
from snpe_tools.tasks.question_answering.training.lessons import AnswerLessons, load_lessons
from snpe_tools.tasks.question_answering.training.tensors import answer_loss
from snpe_tools.tasks.question_answering.training.writing import TrainedModel, write_trained
from snpe_tools.training.curve import CROSS_ENTROPY
from snpe_tools.training.hardware import describe, to_device
from snpe_tools.training.loop import fit
from snpe_tools.training.output import check_output
from snpe_tools.training.state import History, StateFile, identity


@dataclass(frozen=True)
class TrainResult:
    """What training made, and how well it answers.

    Attributes:
        checkpoint: folder with weights, configuration, tokenizer, `training.json` and `training.svg`.
        windows, steps: different windows and batches learnt from.
        seconds: of training, over all runs that it took.
        tokens_per_second: padding included.
        evaluated: questions of the score.
        em, f1: in percent, of the checkpoint as written.
    """

    checkpoint: Path
    windows: int
    steps: int
    seconds: float
    tokens_per_second: float
    evaluated: int
    em: float
    f1: float

    def __str__(self) -> str:
        return (
            f"{self.checkpoint}: F1 {self.f1:.2f}, EM {self.em:.2f} on {self.evaluated} questions; "
            f"{self.steps} steps in {self.seconds / 60:.1f} min, {self.tokens_per_second:.0f} tokens/s."
        )


def train(
    settings: TrainingSettings,
    data: Path,
    output: Path,
    *,
    evaluation: Path,
    restart: bool,
) -> TrainResult:
    """Fine-tune a pre-trained checkpoint for extractive question answering.

    A run that was killed goes on, with the same result, when it is called again; its state is kept beside `output`.

    Args:
        settings: base checkpoint, schedule, windows; see `TrainingSettings`.
        data: SQuAD v1.1 or v2.0 JSON, or rows (.jsonl, .jsonl.xz).
        output: folder of the new checkpoint; replaced.
        evaluation: SQuAD JSON to score the result on; no passage may be in both.
        restart: forget the state of an earlier run.

    Raises:
        DataError: questions that cannot be read, or that leak.
        CheckpointError: the base cannot be fine-tuned.
        UsageError: the state of a run with other settings or data is there, or `output` holds something else.
        ExecutionError: training fell apart.
        StorageError: no space.
    """
    check_output(output)
    tokenizer = load_fast_tokenizer(settings.base)
    lessons = load_lessons(data, evaluation, tokenizer.backend_tokenizer, settings)
    model = to_device(load_base(settings.base, settings.dropout, settings.seed), settings)
    state = StateFile.beside(output, "training", identity(settings, data, settings.base), settings.save_minutes)
    if restart:
        state.remove()
    say(f"  {len(lessons.labelled.windows)} windows in {len(lessons.steps)} steps, {describe(model, settings)}")
    history = fit(model, lessons.steps, lambda _, rows: answer_loss(model, lessons.labelled, rows), settings, state)
    result = write_trained(
        TrainedModel(model, tokenizer, lessons, settings, {CROSS_ENTROPY: history.losses}),
        output,
        lambda score: _result(output, history, lessons, score),
        {"settings": settings.model_dump(mode="json")},
    )
    state.remove()
    return result


def _result(output: Path, history: History, lessons: AnswerLessons, score: QaScore) -> TrainResult:
    return TrainResult(
        checkpoint=output,
        windows=len(lessons.labelled.windows),
        steps=history.step,
        seconds=round(history.seconds, 1),
        tokens_per_second=history.tokens_per_second,
        evaluated=len(lessons.evaluation.questions),
        em=score.em,
        f1=score.f1,
    )
