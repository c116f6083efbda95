"""questions + logits that others dumped → F1, and the gate between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snpe_tools.core.errors import TensorError, UsageError
from snpe_tools.scoring.evaluate import Stage, compare
from snpe_tools.scoring.gate import DEFAULT_MAX_DROP, Scores
from snpe_tools.tasks.question_answering.dumped import LAYOUT_NAME, NET_RUN, Layout, cut, load_layout, read_logits
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.inference import Logits
from snpe_tools.tasks.question_answering.squad import evaluation_file, load_questions


def score_logits(
    folders: Sequence[Path],
    tokenizer: Path | None,
    *,
    layout: Path | None = None,
    length: int = 384,
    data: str = "",
    questions: int = 0,
    max_drop: float = DEFAULT_MAX_DROP,
) -> Scores:
    """Score folders of logits on the same questions; the first is the reference of the others.

    Args:
        folders: each with a layout.toml; without one, as `net-run` leaves results.
        tokenizer: for layouts that name none; None where there is none.
        layout: for all folders, instead of their own.
        length: tokens per window, for folders without a layout.
        data: SQuAD JSON, "squad", or "" for the shipped questions.
        questions: the first so many, 0 for all.
        max_drop: bound of the gate, in F1.

    Raises:
        UsageError: the folders' windows differ, two have one name, or no tokenizer is known.
        TensorError: a file is missing or does not fit.
        RecipeError: a layout with an unknown or wrong key.
        DataError: questions that cannot be read.
    """
    layouts = [_layout(folder, layout, length) for folder in folders]
    asked = load_questions(evaluation_file(data))[: questions or None]
    cuts = {(found.sequence_length, found.doc_stride, found.max_query_length, found.windows) for found, _ in layouts}
    if len(cuts) > 1:
        raise UsageError("The folders' windows are cut in different ways.", "Score them one by one.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("A folder of logits is named twice.", "Name each folder once.")
    for folder, (found, _) in zip(folders, layouts, strict=True):
        _require_results(folder, found)
    first, beside = layouts[0]
    windows = cut(asked, first, _tokenizer(first, beside, tokenizer))
    stages = [_stage(folder, found) for folder, (found, _) in zip(folders, layouts, strict=True)]
    return compare(stages, windows, max_drop=max_drop)


def _tokenizer(layout: Layout, beside: Path, given: Path | None) -> Path:
    found = beside / layout.tokenizer if layout.tokenizer else given
    if found is None:
        raise UsageError(
            "No tokenizer is known, so the passages cannot be cut into windows.",
            f'Name one in {LAYOUT_NAME} (tokenizer = "tokenizer.json"), or pass --checkpoint FOLDER that has one.',
        )
    return found


def _layout(folder: Path, given: Path | None, length: int) -> tuple[Layout, Path]:
    """A folder's layout, and the folder that its tokenizer is relative to."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "--logits takes a folder of logits.")
    file = given or folder / LAYOUT_NAME
    if given or file.is_file():
        return load_layout(file), file.parent
    return NET_RUN.model_copy(update={"sequence_length": length}), folder


def _require_results(folder: Path, layout: Layout) -> None:
    if layout.patterns == NET_RUN.patterns and not any(folder.glob("Result_*")):
        raise TensorError(
            f"{folder} has no {LAYOUT_NAME}, and no Result_<i> folders as net-run leaves them.",
            f"Write {folder / LAYOUT_NAME}, which says which file holds what: docs/accuracy.md shows one.",
        )


def _stage(folder: Path, layout: Layout) -> Stage:
    def compute(windows: Windows) -> Logits:
        return read_logits(folder, layout, windows)

    return Stage(str(folder), "logits as dumped", compute)
