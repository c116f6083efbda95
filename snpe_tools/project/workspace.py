"""Where a model's files are: `Models/<model>/` and `raw_inputs/<model>/` below one root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.locks import held
from snpe_tools.core.precision import Precision
from snpe_tools.core.socs import Soc


@dataclass(frozen=True)
class Workspace:
    """The paths of one model."""

    root: Path
    model: str

    @property
    def models(self) -> Path:
        """The folder of all models."""
        return self.root / "Models"

    @property
    def folder(self) -> Path:
        """This model's artefacts."""
        return self.models / self.model

    def artefact(self, suffix: str) -> Path:
        """`Models/<model>/<model>.<suffix>`."""
        return self.folder / f"{self.model}.{suffix}"

    @property
    def onnx(self) -> Path:
        """Fixed shapes: the model that is quantized and converted."""
        return self.artefact("onnx")

    @property
    def dynamic(self) -> Path:
        """The same model for any length: fast float scoring."""
        return self.artefact("dynamic.onnx")

    @property
    def tokenizer(self) -> Path:
        """The tokenizer."""
        return self.artefact("tokenizer.json")

    @property
    def ranges(self) -> Path:
        """Observed ranges of every float tensor."""
        return self.artefact("ranges.json")

    @property
    def plan(self) -> Path:
        """The plan of 8-bit activations, and of those that get 16 in a mixed precision; kept with the recipe."""
        return self.folder / "w8a8-mixed.toml"

    def qdq(self, precision: Precision) -> Path:
        """The QDQ model."""
        return self.artefact(f"{precision}.qdq.onnx")

    def legacy_encodings(self, precision: Precision) -> Path:
        """The encodings in AIMET's format 0.6.1, which every SDK reads."""
        return self.artefact(f"{precision}.legacy.encodings")

    def quantized_float(self, precision: Precision) -> Path:
        """The float graph that a plan or training made, and that its encodings belong to."""
        return self.artefact(f"{precision}.float.onnx")

    def dlc(self, precision: Precision) -> Path:
        """The DLC without caches."""
        return self.artefact(f"{precision}.dlc")

    def prepared(self, precision: Precision, socs: tuple[Soc, ...]) -> Path:
        """The DLC with compiled caches."""
        return self.artefact(f"{precision}.{'+'.join(soc.name for soc in socs)}.dlc")

    def all_prepared(self, precision: Precision) -> list[Path]:
        """DLCs with compiled caches for any SoCs."""
        return sorted(self.folder.glob(f"{self.model}.{precision}.*.dlc"))

    def sdk_commands(self, precision: Precision) -> Path:
        """The SDK's commands and all they read, ready to paste."""
        return self.artefact(f"{precision}.sdk")

    @property
    def accuracy(self) -> Path:
        """The scores of every runner."""
        return self.folder / "accuracy.json"

    @property
    def predictions(self) -> Path:
        """What every runner predicted."""
        return self.folder / "answers.json"

    @property
    def layers(self) -> Path:
        """Float against quantized, tensor by tensor."""
        return self.folder / "layers.json"

    @property
    def tuning(self) -> Path:
        """Every trial of the last search for a mixed precision."""
        return self.folder / "tune.json"

    @property
    def report(self) -> Path:
        """The page that `report` writes."""
        return self.folder / "report.html"

    def raws(self, name: str) -> Path:
        """A folder of raw inputs."""
        return self.root / "raw_inputs" / self.model / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One build of a model at a time: a second one waits here for the first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder / ".lock", f"Another run is working on {self.model}; waiting for it."):
            yield
