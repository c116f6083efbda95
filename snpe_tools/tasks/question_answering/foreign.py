"""Logits and answers that others computed, as the seam asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import TensorError, UsageError
from snpe_tools.tasks.batch import Batch, Outputs
from snpe_tools.tasks.dumps import PredictionFileScore
from snpe_tools.tasks.metric import Score
from snpe_tools.tasks.question_answering.dumped import LAYOUT_NAME, NET_RUN, Layout, cut, load_layout, read_logits
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.prediction_file import load_predictions, score_predictions
from snpe_tools.tasks.question_answering.squad import Question


@dataclass(frozen=True)
class PlacedLayout:
    """A layout, and the folder that its tokenizer is relative to."""

    layout: Layout
    beside: Path


class DumpedLogits:
    """Start and end logits in files of any layout, and prediction files of the SQuAD scripts."""

    def layouts(self, folders: Sequence[Path], layout: Path | None, length: int) -> list[PlacedLayout]:
        """Each folder's layout.toml; without one, as `net-run` leaves results."""
        found = [_layout(folder, layout, length) for folder in folders]
        cuts = {(one.layout.sequence_length, one.layout.doc_stride, one.layout.max_query_length, one.layout.windows)
                for one in found}  # fmt: skip
        if len(cuts) > 1:
            raise UsageError("The folders' windows are cut in different ways.", "Score them one by one.")
        for folder, one in zip(folders, found, strict=True):
            _require_results(folder, one.layout)
        return found

    def batch(
        self, examples: Sequence[Question], layouts: Sequence[PlacedLayout], preprocessing: Path | None
    ) -> Windows:
        """The questions' windows."""
        first = layouts[0]
        return cut(list(examples), first.layout, _tokenizer(first, preprocessing))

    def read(self, folder: Path, layout: PlacedLayout, batch: Batch) -> Outputs:
        """Logits of all windows."""
        assert isinstance(batch, Windows)  # noqa: S101 - `batch` makes them
        return read_logits(folder, layout.layout, batch)

    def score_predictions(self, examples: Sequence[Question], file: Path) -> PredictionFileScore:
        """A JSON file of question ids and texts."""
        found = score_predictions(examples, load_predictions(file))
        exact = Score(found.em, found.em_each, found.em_each, found.em_each)
        score = Score(found.f1, found.f1_each, found.f1_each, found.f1_each, {"em": exact})
        return PredictionFileScore(score, found.missing, found.unknown, f"SQuAD v{'2.0' if found.v2 else '1.1'}")


def _layout(folder: Path, given: Path | None, length: int) -> PlacedLayout:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "--logits takes a folder of logits.")
    file = given or folder / LAYOUT_NAME
    if given or file.is_file():
        return PlacedLayout(load_layout(file), file.parent)
    return PlacedLayout(NET_RUN.model_copy(update={"sequence_length": length}), folder)


def _tokenizer(placed: PlacedLayout, given: Path | None) -> Path:
    found = placed.beside / placed.layout.tokenizer if placed.layout.tokenizer else given
    if found is None:
        raise UsageError(
            "No tokenizer is known, so the passages cannot be cut into windows.",
            f'Name one in {LAYOUT_NAME} (tokenizer = "tokenizer.json"), or pass --checkpoint FOLDER that has one.',
        )
    return found


def _require_results(folder: Path, layout: Layout) -> None:
    if layout.patterns == NET_RUN.patterns and not any(folder.glob("Result_*")):
        raise TensorError(
            f"{folder} has no {LAYOUT_NAME}, and no Result_<i> folders as net-run leaves them.",
            f"Write {folder / LAYOUT_NAME}, which says which file holds what: docs/accuracy.md shows one.",
        )
