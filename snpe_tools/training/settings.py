"""Everything that decides what training does, as TOML in `generating_model/` or as options of `snpe-tools train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from snpe_tools.core.files import read_toml, require_file
from snpe_tools.core.validation import validated

Share = Annotated[float, Field(gt=0, le=1)]


class LoopSettings(BaseModel):
    """What the training loop itself needs.

    Attributes:
        batch_size: windows per step. A step takes windows of similar length.
        learning_rate: its peak; it rises linearly for `warmup_steps` (or `warmup_proportion` of all), then falls
            linearly to 0.
        freeze: parameters whose name contains one of these are not trained.
        precision: "bf16" runs matrix products in bfloat16; "auto" does where the processor has it.
        compile: let PyTorch compile the model; pays on a GPU.
        save_minutes: how often the state is kept, from which a killed run goes on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=4e-5, gt=0)
    warmup_steps: int | None = Field(default=None, ge=0)
    warmup_proportion: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    freeze: tuple[str, ...] = ()
    precision: Literal["auto", "bf16", "float32"] = "auto"
    compile: bool = False
    save_minutes: float = Field(default=2.0, gt=0)
    seed: int = 0

    def learning_rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`."""
        warmup = round(self.warmup_proportion * steps) if self.warmup_steps is None else self.warmup_steps
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (steps - step) / max(1, steps - warmup)


class TrainingSettings(LoopSettings):
    """How to train. The defaults are those of the published SQuAD fine-tuning of MobileBERT (Sun et al., 2020).

    Attributes:
        base: folder or hub name of the pre-trained checkpoint.
        passes: what each pass over the data takes: source name to share of its rows. Empty: everything.
        share: of the rows of every source; below 1 for a quick trial.
        questions: so many rows of all sources, drawn at random; a pass with fewer is gone through several times.
        epochs: how often the passes are gone through.
        max_seq_length, doc_stride, max_query_length: tokens of a window, of the overlap of two, of a question.
        max_answer_length: tokens of the longest answer, in the score at the end.
        windows: "all" of a passage, those without the answer labelled with the first token; or the one with the
            "answer" and most text around it.
        dropout: for all layers; None keeps the checkpoint's.
        save_dtype: type of the written weights.
    """

    base: str = Field(min_length=1)
    passes: tuple[dict[str, Share], ...] = ()
    share: Share = 1.0
    questions: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=5, ge=1)
    max_seq_length: int = Field(default=384, ge=32, le=4096)
    doc_stride: int = Field(default=128, ge=1)
    max_query_length: int = Field(default=64, ge=8)
    max_answer_length: int = Field(default=30, ge=1)
    windows: Literal["all", "answer"] = "all"
    dropout: float | None = Field(default=None, ge=0, lt=1)
    save_dtype: Literal["float16", "float32"] = "float16"


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


def combined(file: Path | None, overrides: Mapping[str, Any], checkpoint: str) -> dict[str, Any]:
    """Content of a TOML file, if there is one, with overrides on top; None means "not given".

    Args:
        checkpoint: the key that names one; a folder beside the file is meant from there.

    Raises:
        RecipeError: not TOML.
    """
    content = read_toml(require_file(file, "a training recipe")) if file else {}
    if file and content.get(checkpoint) and (file.parent / str(content[checkpoint])).is_dir():
        content[checkpoint] = str(file.parent / str(content[checkpoint]))
    return content | {key: value for key, value in overrides.items() if value is not None}
