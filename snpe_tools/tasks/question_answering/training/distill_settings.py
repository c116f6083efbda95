"""Everything that decides what distillation does, as TOML in `generating_model/`: the student, and its two lessons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from snpe_tools.core.errors import RecipeError
from snpe_tools.core.validation import validated
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings
from snpe_tools.training.settings import LoopSettings, Share, combined


class StudentShape(BaseModel):
    """Shape of a MobileBERT. The defaults are the published ones (Sun et al., 2020, table 1).

    Attributes:
        layers: transformer layers.
        hidden_size: features between layers.
        embedding_size: features of a word embedding; three neighbours make one token's input.
        bottleneck_size: features inside a layer, where attention and feed-forward networks work.
        heads: of attention; they share the bottleneck.
        feedforward_size, feedforward_networks: width of a feed-forward network, and how many a layer stacks.
        positions: tokens of the longest window.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: int = Field(default=24, ge=1)
    hidden_size: int = Field(default=512, ge=8)
    embedding_size: int = Field(default=128, ge=8)
    bottleneck_size: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    feedforward_size: int = Field(default=512, ge=8)
    feedforward_networks: int = Field(default=4, ge=1)
    positions: int = Field(default=512, ge=32)

    @model_validator(mode="after")
    def _heads_share_the_bottleneck(self) -> Self:
        if self.bottleneck_size % self.heads:
            raise ValueError(f"bottleneck_size {self.bottleneck_size} is no multiple of heads {self.heads}")
        return self


class TransferSettings(LoopSettings):
    """The first lesson: to think as the teacher does, on text without answers.

    Attributes:
        length: tokens of a window of text.
        text_share: share of the text to learn from, spread evenly over it.
        question_share: share of the second lesson's windows to learn from, without their answers.
        epochs: how often both are gone through.
        layerwise: share of the steps in which the student's layers join one after another.
        hidden_weight, relation_weight: of the two parts of the loss.
        relation_heads: parts into which queries, keys and values are split before tokens are related.
    """

    length: int = Field(default=128, ge=32, le=4096)
    text_share: Share = 1.0
    question_share: Share = 1.0
    epochs: int = Field(default=1, ge=1)
    layerwise: float = Field(default=0.5, ge=0, le=1)
    hidden_weight: float = Field(default=1.0, ge=0)
    relation_weight: float = Field(default=1.0, ge=0)
    relation_heads: int = Field(default=4, ge=1)


class AnswerSettings(TrainingSettings):
    """The second lesson: to answer. `base` is the teacher.

    Attributes:
        teacher_weight: share of the teacher's logits in the loss; the rest is for the right answers.
    """

    teacher_weight: float = Field(default=0.9, ge=0, le=1)


class DistillSettings(BaseModel):
    """How to distil: whom, into what, and the two lessons.

    Settings of the loop (such as `seed`, `precision`, `compile`) that stand outside both lessons hold for both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: str = Field(min_length=1)
    student: StudentShape = StudentShape()
    transfer: TransferSettings = TransferSettings()
    answers: AnswerSettings

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        longest = max(self.transfer.length, self.answers.max_seq_length)
        if longest > self.student.positions:
            raise ValueError(f"windows of {longest} tokens need student.positions of as many")
        if self.student.bottleneck_size % self.transfer.relation_heads:
            raise ValueError("transfer.relation_heads must divide student.bottleneck_size")
        return self


def load_distill_settings(file: Path | None, overrides: Mapping[str, Any]) -> DistillSettings:
    """Settings of a TOML file, if there is one, with those from the command line on top; None means "not given".

    Overrides are `teacher`, `share` (of questions and text alike), and settings of the loop for both lessons.

    Raises:
        RecipeError: not TOML, an unknown key, a wrong value, or no teacher.
    """
    content = combined(file, overrides, "teacher")
    what, hint = str(file or "The distillation settings"), "generating_model/mobilebert-qa.toml shows every table."
    return validated(DistillSettings, _arranged(content), what, hint)


def _arranged(content: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that `DistillSettings` has: what both lessons share is in each of them."""
    shared = {key: value for key, value in content.items() if key in LoopSettings.model_fields}
    tables = {name: _table(content, name) for name in ("transfer", "answers")}
    if "base" in tables["answers"]:
        raise RecipeError("answers.base: the base is the student; name the teacher as `teacher`, outside all tables.")
    share = content.get("share")
    if share is not None:
        tables["answers"]["share"] = share
        tables["transfer"]["text_share"] = share * tables["transfer"].get("text_share", 1.0)
    tables["answers"]["base"] = content.get("teacher", "")
    rest = {key: value for key, value in content.items() if key not in (*shared, "share")}
    return {**rest, **{name: {**shared, **table} for name, table in tables.items()}}


def _table(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise RecipeError(f"{name} must be a table: [{name}].")
    return dict(found)
