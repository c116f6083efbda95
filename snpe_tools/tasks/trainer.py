"""What trains models of a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from snpe_tools.tasks.batch import Batch, Rows
from snpe_tools.training.batches import Batches
from snpe_tools.training.settings import LoopSettings, SequenceSettings

if TYPE_CHECKING:
    from torch import Tensor, nn


class Lessons(Protocol):
    """What a run learns, and how it is scored."""

    @property
    def steps(self) -> Batches:
        """Rows of `batch` of every step, in order."""

    @property
    def batch(self) -> Batch:
        """What is learned from."""

    @property
    def evaluated(self) -> int:
        """Examples of the score."""

    def score(self, model: nn.Module) -> float:
        """The task's metric of a model, on examples that are not learned from."""

    def imitation_loss(self, student: nn.Module, teacher: nn.Module, rows: Rows) -> tuple[Tensor, int]:
        """How far a model of the same shape is from its teacher; and the tokens of the batch."""


class Trained(Protocol):
    """What training or distillation made; a dataclass whose fields are printed with --json."""

    @property
    def checkpoint(self) -> Path:
        """Folder with weights, configuration, tokenizer, `training.json` and `training.svg`."""

    def __str__(self) -> str:
        """How well it does, in a line."""


class Trainer(Protocol):
    """Fine-tunes, distils, and gives lessons to models that are trained for their quantization."""

    def settings(self, file: Path | None, overrides: Mapping[str, Any]) -> SequenceSettings:
        """Of fine-tuning: a TOML file, if there is one, with overrides on top; None means "not given".

        Raises:
            RecipeError: not TOML, an unknown key, a wrong value, or no base.
        """

    def distill_settings(self, file: Path | None, overrides: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Of distillation, likewise."""

    def imitation_settings(self, model: Path, file: Path | None, overrides: Mapping[str, Any]) -> SequenceSettings:
        """With which a quantized model learns to do as its float one does: small steps, and few of them."""

    def lessons(self, data: Path, evaluation: Path, preprocessing: Path, settings: LoopSettings) -> Lessons:
        """What there is to learn from `data`, scored on `evaluation`.

        Raises:
            DataError: examples that cannot be read, or that are in both.
        """

    def train(self, settings: Any, data: Path, output: Path, evaluation: Path, *, restart: bool) -> Trained:  # noqa: ANN401
        """Fine-tune a checkpoint; see `snpe_tools.steps.train`."""

    def distill(
        self,
        settings: Any,  # noqa: ANN401
        data: Path,
        text: Path,
        output: Path,
        evaluation: Path,
        *,
        restart: bool,
    ) -> Trained:
        """Teach a smaller model; see `snpe_tools.steps.distill`."""
