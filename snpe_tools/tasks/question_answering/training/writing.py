"""What a finished run leaves: the checkpoint, its score, its log and its curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snpe_tools.core.files import whole_folder, write_json
from snpe_tools.project.provenance import versions
from snpe_tools.tasks.question_answering.checkpoint import load_model, save_checkpoint
from snpe_tools.tasks.question_answering.metrics import QaScore
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings
from snpe_tools.tasks.question_answering.training.lessons import AnswerLessons
from snpe_tools.training.curve import draw_curve
from snpe_tools.training.hardware import describe, to_device
from snpe_tools.training.output import CURVE, LOG, model_name

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerFast

Result = TypeVar("Result")


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, its tokenizer, what it learnt, how, and the losses of its runs by their measure."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerFast
    lessons: AnswerLessons
    settings: TrainingSettings
    losses: Mapping[str, Sequence[float]]


def write_trained(
    trained: TrainedModel, output: Path, judge: Callable[[QaScore], Result], facts: Mapping[str, Any]
) -> Result:
    """Write the checkpoint, score what was written, and put log and curve beside it; all or nothing.

    Args:
        output: folder; an older one is replaced.
        judge: makes the result from the score.
        facts: for the log, beside result, hardware, versions and losses.

    Raises:
        CheckpointError: a weight does not fit into the type to write.
        UsageError: `output` holds something else.
        StorageError: no space.
    """
    model, settings, lessons = trained.model, trained.settings, trained.lessons
    with whole_folder(output, known_by=LOG) as folder:
        save_checkpoint(model, trained.tokenizer, folder, settings.save_dtype)
        written = to_device(load_model(str(folder)), settings)
        made = judge(lessons.answer_score(written))
        draw_curve(trained.losses, folder / CURVE, f"Training loss of {model_name(output)}")
        document = {
            "result": {**asdict(made), "checkpoint": output.name},  # type: ignore[call-overload]
            **facts,
            "questions_by_source": dict(lessons.sources),
            "hardware": describe(model, settings),
            "versions": versions("train"),
            "loss": {measure: [round(loss, 4) for loss in values] for measure, values in trained.losses.items()},
        }
        write_json(folder / LOG, document)
    return made
