"""Everything that decides what fine-tuning does, as TOML in `generating_model/` or as options of `snpe-tools train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from snpe_tools.core.validation import validated
from snpe_tools.training.settings import SequenceSettings, Share, combined


class TrainingSettings(SequenceSettings):
    """How to train. The defaults are those of the published SQuAD fine-tuning of MobileBERT (Sun et al., 2020).

    Attributes:
        passes: what each pass over the data takes: source name to share of its rows. Empty: everything.
        share: of the rows of every source; below 1 for a quick trial.
        questions: so many rows of all sources, drawn at random; a pass with fewer is gone through several times.
        epochs: how often the passes are gone through.
        max_seq_length, doc_stride, max_query_length: tokens of a window, of the overlap of two, of a question.
        max_answer_length: tokens of the longest answer, in the score at the end.
        windows: "all" of a passage, those without the answer labelled with the first token; or the one with the
            "answer" and most text around it.
    """

    passes: tuple[dict[str, Share], ...] = ()
    share: Share = 1.0
    questions: int | None = Field(default=None, ge=1)
    doc_stride: int = Field(default=128, ge=1)
    max_query_length: int = Field(default=64, ge=8)
    max_answer_length: int = Field(default=30, ge=1)
    windows: Literal["all", "answer"] = "all"


def load_settings(file: Path | None, overrides: Mapping[str, Any]) -> TrainingSettings:
    """Settings of a TOML file, if there is one, with those from the command line on top; None means "not given".

    Raises:
        RecipeError: not TOML, an unknown key, a wrong value, or no base.
    """
    return validated(TrainingSettings, combined(file, overrides, "base"), _called(file))


def imitation_settings(model: Path, file: Path | None, overrides: Mapping[str, Any]) -> TrainingSettings:
    """With which a quantized model learns to answer as its float one does: small steps, and few of them.

    Raises:
        RecipeError: not TOML, an unknown key, or a wrong value.
    """
    usual = {
        "base": str(model), "learning_rate": 3e-5, "batch_size": 8, "epochs": 1, "max_seq_length": 192,
        "windows": "answer", "precision": "float32",
    }  # fmt: skip
    return validated(TrainingSettings, usual | combined(file, overrides, "base"), _called(file))


def _called(file: Path | None) -> str:
    return str(file or "The training settings")
