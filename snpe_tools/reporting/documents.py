"""What the report reads: accuracy.json, answers.json, layers.json and the provenance beside each artefact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from snpe_tools.core.files import require_file
from snpe_tools.core.validation import Model, validated_json
from snpe_tools.project.provenance import Provenance
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.predictions_file import load_sheet
from snpe_tools.scoring.significance import Pair
from snpe_tools.tasks import Metric, Sheet, Words
from snpe_tools.tuning.trial import Tuning


class RunnerRow(BaseModel):
    """A runner of accuracy.json; see `RunnerScore`."""

    runner: str = Field(validation_alias="stage")
    runtime: str
    examples: int
    score: float
    others: dict[str, float] = {}
    float_score: float
    same: float
    sqnr_db: float | None
    not_finite: int
    seconds: float | None
    interval: tuple[float, float]
    ties: tuple[float, float]
    likely_change: float | None = None
    likely_interval: tuple[float | None, float | None] = (None, None)


class DeviceRow(BaseModel):
    """A device that was asked; see `DeviceRun.record`."""

    device: str
    model: str
    soc: str
    htp: str
    os: str
    runtime: str
    profile: str
    emulated: bool


class FailedRow(BaseModel):
    """A runner that gave no predictions; see `FailedRunner`."""

    runner: str = Field(validation_alias="stage")
    error: str


class Accuracy(BaseModel):
    """accuracy.json."""

    model: str
    task: str
    metric: Metric
    words: Words
    dataset: str
    examples: int
    precision: str
    runtime: dict[str, str]
    soc: str
    sequence_length: int
    random_weights: bool
    calibration: dict[str, Any]
    max_drop: float
    passed: bool
    created: str
    runners: list[RunnerRow] = Field(validation_alias="stages")
    pairs: list[Pair]
    devices: list[DeviceRow] = []
    failed: list[FailedRow] = Field(default=[], validation_alias="lost")

    def drop(self, row: RunnerRow) -> float:
        """How much worse than float a runner is, on the same examples."""
        return self.metric.loss(row.float_score, row.score)

    @property
    def other_metrics(self) -> list[str]:
        """Keys of the metrics beside the first."""
        return list(self.runners[0].others) if self.runners else []


class GridRow(BaseModel):
    """An encoding; see `Grid`."""

    low: float
    high: float
    step: float
    bits: int


class LayerRow(BaseModel):
    """A tensor of layers.json; see `LayerDifference`."""

    tensor: str
    op: str
    shape: list[int]
    sqnr_db: float | None
    not_finite: tuple[int, int]
    low: float | None
    high: float | None
    grid: GridRow | None
    outside: float
    input_db: float | None
    added: float
    cause: str


class Layers(BaseModel):
    """layers.json."""

    first: str
    second: str
    runtimes: tuple[str, str]
    inferences: int
    threshold_db: float
    layers: list[LayerRow]
    diverged: str
    reshaped: list[str]
    first_only: list[str]
    second_only: list[str]

    def worst(self, count: int) -> list[LayerRow]:
        """The ops that add most noise, the worst first."""
        ranked = sorted(self.layers, key=lambda row: (-sum(row.not_finite), -row.added))
        return [row for row in ranked if row.added > 0 or row.not_finite[1]][:count]


@dataclass(frozen=True)
class Documents:
    """All of them; `layers` is None where nothing was quantized, `made` has the artefacts' provenance by file.

    `tuning` is the search for a mixed precision, None where there was none.
    """

    accuracy: Accuracy
    sheet: Sheet[Any]
    layers: Layers | None
    made: dict[str, Provenance]
    tuning: Tuning | None = None


def load_documents(space: Workspace, layers_file: Path | None = None) -> Documents:
    """What stands in a model's folder.

    Args:
        layers_file: what `compare --layers -o` wrote, instead of the folder's own.

    Raises:
        DataError, InputError: something is missing, damaged, or was written by an older version.
    """
    accuracy = _load(space.accuracy, Accuracy)
    kept = space.layers if space.layers.is_file() and accuracy.precision != "fp16" else None
    compared = layers_file or kept
    layers = _load(compared, Layers) if compared else None
    made = {
        file.name.removesuffix(".provenance.json"): _load(file, Provenance)
        for file in sorted(space.folder.glob("*.provenance.json"))
    }
    tuning = _load(space.tuning, Tuning) if space.tuning.is_file() else None
    return Documents(accuracy, load_sheet(space.predictions), layers, made, tuning)


def _load(path: Path, kind: type[Model]) -> Model:
    require_file(path, "what `score` writes")
    return validated_json(kind, path.read_bytes(), str(path), "Score the model again: make accuracy.")
