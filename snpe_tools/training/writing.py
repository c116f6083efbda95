"""What a finished run leaves: the checkpoint, its score, its log and its curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snpe_tools.core.files import require_replaceable, whole_folder, write_json
from snpe_tools.project.provenance import versions
from snpe_tools.tasks.question_answering.checkpoint import load_model, save_checkpoint
from snpe_tools.tasks.question_answering.metrics import QaScore
from snpe_tools.training.curve import draw_curve
from snpe_tools.training.evaluation import score_model
from snpe_tools.training.hardware import describe, to_device
from snpe_tools.training.settings import TrainingSettings
from snpe_tools.training.task import Task

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerFast

LOG = "training.json"
CURVE = "training.svg"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Trained:
    """A trained model, its tokenizer, what it learnt, how, and the losses of its runs by their measure."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerFast
    task: Task
    settings: TrainingSettings
    losses: Mapping[str, Sequence[float]]


def model_name(checkpoint: Path) -> str:
    """Name of the model that a checkpoint folder is of: `Models/<model>/checkpoint`, or its own."""
    folder = checkpoint.absolute()
    return folder.parent.name if folder.name == "checkpoint" else folder.name


def check_output(output: Path) -> None:
    """Whether `write_trained` may replace `output`: asked before training, which takes hours.

    Raises:
        UsageError: it holds something else.
    """
    require_replaceable(output, LOG)


def write_trained(
    trained: Trained, output: Path, judge: Callable[[QaScore], Result], facts: Mapping[str, Any]
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
    model, settings, task = trained.model, trained.settings, trained.task
    with whole_folder(output, known_by=LOG) as folder:
        save_checkpoint(model, trained.tokenizer, folder, settings.save_dtype)
        written = to_device(load_model(str(folder)), settings)
        made = judge(score_model(written, task.evaluation, settings.max_answer_length))
        draw_curve(trained.losses, folder / CURVE, f"Training loss of {model_name(output)}")
        document = {
            "result": {**asdict(made), "checkpoint": output.name},  # type: ignore[call-overload]
            **facts,
            "questions_by_source": dict(task.sources),
            "hardware": describe(model, settings),
            "versions": versions("train"),
            "loss": {measure: [round(loss, 4) for loss in values] for measure, values in trained.losses.items()},
        }
        write_json(folder / LOG, document)
    return made
