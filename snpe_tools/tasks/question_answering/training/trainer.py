"""Everything that trains question-answering models, as the seam asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snpe_tools.tasks.question_answering.features import load_tokenizer
from snpe_tools.tasks.question_answering.training.answer_settings import (
    TrainingSettings,
    imitation_settings,
    load_settings,
)
from snpe_tools.tasks.question_answering.training.distill_settings import DistillSettings, load_distill_settings
from snpe_tools.tasks.question_answering.training.lessons import AnswerLessons, load_lessons


class AnswerTrainer:
    """Fine-tuning for SQuAD, distillation to a MobileBERT, and lessons in imitation."""

    def settings(self, file: Path | None, overrides: Mapping[str, Any]) -> TrainingSettings:
        """Of fine-tuning."""
        return load_settings(file, _known(overrides, TrainingSettings.model_fields))

    def distill_settings(self, file: Path | None, overrides: Mapping[str, Any]) -> DistillSettings:
        """Of distillation."""
        return load_distill_settings(file, overrides)

    def imitation_settings(self, model: Path, file: Path | None, overrides: Mapping[str, Any]) -> TrainingSettings:
        """Of training for a quantization."""
        return imitation_settings(model, file, _known(overrides, TrainingSettings.model_fields))

    def lessons(self, data: Path, evaluation: Path, preprocessing: Path, settings: Any) -> AnswerLessons:  # noqa: ANN401
        """Labelled windows of the data's questions."""
        return load_lessons(data, evaluation, load_tokenizer(preprocessing), settings)

    def train(self, settings: TrainingSettings, data: Path, output: Path, evaluation: Path, *, restart: bool) -> Any:  # noqa: ANN401
        """See `fine_tuning`."""
        from snpe_tools.tasks.question_answering.training.fine_tuning import train

        return train(settings, data, output, evaluation=evaluation, restart=restart)

    def distill(
        self, settings: DistillSettings, data: Path, text: Path, output: Path, evaluation: Path, *, restart: bool
    ) -> Any:  # noqa: ANN401
        """See `distilling`."""
        from snpe_tools.tasks.question_answering.training.distilling import distill

        return distill(settings, data, text, output, evaluation=evaluation, restart=restart)


def _known(overrides: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides that these settings have, the number of examples by our own word."""
    renamed = {"questions" if key == "examples" else key: value for key, value in overrides.items()}
    return {key: value for key, value in renamed.items() if key in fields}
