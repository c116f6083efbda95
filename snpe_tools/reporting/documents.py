"""What the report reads: accuracy.json, answers.json, layers.json and the provenance beside each artefact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from snpe_tools.core.files import require_file
from snpe_tools.core.validation import Model, validated_json
from snpe_tools.project.provenance import Provenance
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.answers_file import Sheet, load_sheet
from snpe_tools.scoring.significance import Pair
from snpe_tools.tuning.trial import Tuning


class StageRow(BaseModel):
    """A stage of accuracy.json; see `StageScore`."""

    stage: str
    runtime: str
    questions: int
    f1: float
    em: float
    float_f1: float
    same: float
    sqnr_db: float | None
    not_finite: int
    seconds: float | None
    f1_interval: tuple[float, float]
    f1_ties: tuple[float, float]
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


class LostRow(BaseModel):
    """A stage that gave no answers; see `Lost`."""

    stage: str
    error: str


class Accuracy(BaseModel):
    """accuracy.json."""

    model: str
    dataset: str
    questions: int
    precision: str
    runtime: dict[str, str]
    soc: str
    sequence_length: int
    random_weights: bool
    calibration: dict[str, Any]
    max_drop: float
    passed: bool
    created: str
    stages: list[StageRow]
    pairs: list[Pair]
    devices: list[DeviceRow] = []
    lost: list[LostRow] = []


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
    sheet: Sheet
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
    return Documents(accuracy, load_sheet(space.answers), layers, made, tuning)


def _load(path: Path, kind: type[Model]) -> Model:
    require_file(path, "what `score` writes")
    return validated_json(kind, path.read_bytes(), str(path), "Score the model again: make accuracy.")
