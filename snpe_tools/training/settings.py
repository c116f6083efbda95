"""Everything that decides what training does, as TOML in `generating_model/` or as options of `snpe-tools train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from snpe_tools.core.files import read_toml, require_file

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


class SequenceSettings(LoopSettings):
    """What training on sequences of tokens needs, whatever the task.

    Attributes:
        base: folder or hub name of the pre-trained checkpoint.
        epochs: how often the data is gone through.
        max_seq_length: tokens of a sequence.
        dropout: for all layers; None keeps the checkpoint's.
        save_dtype: type of the written weights.
    """

    base: str = Field(min_length=1)
    epochs: int = Field(default=5, ge=1)
    max_seq_length: int = Field(default=384, ge=32, le=4096)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    save_dtype: Literal["float16", "float32"] = "float16"


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
