"""What others computed, as a task reads it: folders of outputs, and files of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from snpe_tools.tasks.batch import Batch, Outputs
from snpe_tools.tasks.metric import Score


@dataclass(frozen=True)
class PredictionFileScore:
    """What a file of predictions scores.

    Attributes:
        missing: ids of examples without a prediction; each counts 0.
        unknown: ids of predictions without an example; they count nothing.
        rules: of whose official script, such as "SQuAD v1.1".
    """

    score: Score
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    rules: str


class Dumps(Protocol):
    """Reads what others computed."""

    def layouts(self, folders: Sequence[Path], layout: Path | None, length: int) -> list[Any]:
        """How the outputs in each folder are laid out; all of them encode examples alike.

        Args:
            layout: a file that holds for all folders, instead of their own.
            length: of the inputs, for folders without a layout.

        Raises:
            UsageError: they differ, or a folder is none.
            RecipeError: a layout with an unknown or wrong key.
            TensorError: a folder holds nothing of the kind.
        """

    def batch(self, examples: Sequence[Any], layouts: Sequence[Any], preprocessing: Path | None) -> Batch:
        """The examples as the layouts encode them.

        Args:
            preprocessing: for layouts that name none; None where there is none.

        Raises:
            UsageError: nothing says how to encode them.
        """

    def read(self, folder: Path, layout: Any, batch: Batch) -> Outputs:  # noqa: ANN401 - the task's own
        """Outputs of the whole batch; their time is not known.

        Raises:
            TensorError: a file is missing or does not fit.
        """

    def score_predictions(self, examples: Sequence[Any], file: Path) -> PredictionFileScore:
        """Score a file of predictions as the task's official script does.

        Raises:
            DataError: it is no such file, or of other examples.
        """
