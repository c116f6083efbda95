"""Logits that others dumped: a layout says which file holds which window, and how the passages were cut."""

from __future__ import annotations

import string
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from snpe_tools.core.errors import TensorError
from snpe_tools.core.files import read_toml, require_file
from snpe_tools.core.progress import warn
from snpe_tools.core.tensor_spec import Array
from snpe_tools.core.validation import validated
from snpe_tools.tasks.batch import FloatArray, Outputs
from snpe_tools.tasks.question_answering.features import (
    DOC_STRIDE,
    MAX_QUERY_LENGTH,
    SHORTEST,
    Windows,
    load_tokenizer,
    make_windows,
)
from snpe_tools.tasks.question_answering.logits import as_outputs
from snpe_tools.tasks.question_answering.logits_axis import looks_transposed, shares_of_answers
from snpe_tools.tasks.question_answering.squad import Question

LAYOUT_NAME = "layout.toml"
_NUMBERS = ("window", "question", "part")
_LONGEST = 4096


class Layout(BaseModel):
    """Where the logits of each window are.

    Attributes:
        start, end: their files, below the folder. `{window}` is the window's number, `{question}` its question's, and
            `{part}` its number within the question, all from `first` on; `{window:05d}` fills with zeros. Without any
            of them, one file holds all windows, one after the other.
        logits: instead of the two: one file for both; `axis` says where they stand in a window's tensor: 0 for
            (2, length), 1 for (length, 2).
        dtype, scale, offset: of raw files; a logit is `scale * (stored + offset)`. npy files say their own type.
        windows: "all" of a question, or its "first" only.
        tokenizer: a tokenizer.json, relative to the layout; "" is the model's.
        sequence_length, doc_stride, max_query_length: how passages were cut into windows; see `make_windows`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: str = ""
    end: str = ""
    logits: str = ""
    axis: Literal[0, 1] = 1
    dtype: Literal["float32", "float16", "uint8", "int8", "uint16", "int16"] = "float32"
    scale: float = Field(default=1.0, allow_inf_nan=False)
    offset: int = 0
    first: int = Field(default=0, ge=0)
    windows: Literal["all", "first"] = "all"
    tokenizer: str = ""
    sequence_length: int = Field(default=384, ge=SHORTEST, le=_LONGEST)
    doc_stride: int = Field(default=DOC_STRIDE, ge=1)
    max_query_length: int = Field(default=MAX_QUERY_LENGTH, ge=1)

    @field_validator("start", "end", "logits")
    @classmethod
    def _below_the_folder(cls, pattern: str) -> str:
        path = PurePosixPath(pattern)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must lie below the folder")
        for _, name, spec, conversion in string.Formatter().parse(pattern):
            if name is not None and (name not in _NUMBERS or conversion or (spec and not _fills(spec))):
                raise ValueError(f"knows {{window}}, {{question}} and {{part}}, not {{{name}}}")
        return pattern

    @model_validator(mode="after")
    def _either(self) -> Layout:
        if bool(self.logits) == bool(self.start and self.end) or bool(self.start) != bool(self.end):
            raise ValueError("name `start` and `end`, or `logits` for both")
        return self

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """One file for both, or one for each."""
        return (self.logits,) if self.logits else (self.start, self.end)


def _fills(spec: str) -> bool:
    """Whether a format is a plain width such as "05d"."""
    return spec.removesuffix("d").isdecimal() and len(spec) <= len("00d")


NET_RUN = Layout(start="Result_{window}/start_logits.raw", end="Result_{window}/end_logits.raw")
"""What `net-run` and `run` leave."""


def load_layout(file: Path) -> Layout:
    """The layout in a TOML file.

    Raises:
        RecipeError: it is not TOML, has an unknown key or a wrong value.
    """
    return validated(Layout, read_toml(require_file(file, "a layout of logits")), str(file))


def cut(questions: list[Question], layout: Layout, tokenizer: Path) -> Windows:
    """The questions' windows as the layout says they were cut.

    Raises:
        CheckpointError: no tokenizer.
    """
    made = make_windows(
        questions, load_tokenizer(tokenizer), layout.sequence_length, layout.doc_stride, layout.max_query_length
    )
    if layout.windows == "all":
        return made
    return made.take(np.unique(made.question, return_index=True)[1])


def read_logits(folder: Path, layout: Layout, windows: Windows) -> Outputs:
    """Logits of all windows; their time is not known (NaN).

    One tensor for both is read along the other axis where it only fits, or only makes sense, that way; that is said.

    Raises:
        TensorError: a file is missing, is no npy file, or has another size than the windows need.
    """
    if layout.logits:
        start, end = _along_the_right_axis(folder, layout, windows)
    else:
        start, end = (_column(folder, pattern, layout, windows, (windows.length,)) for pattern in layout.patterns)
    return as_outputs(np.ascontiguousarray(start), np.ascontiguousarray(end))


def _along_the_right_axis(folder: Path, layout: Layout, windows: Windows) -> tuple[FloatArray, FloatArray]:
    other = layout.model_copy(update={"axis": 1 - layout.axis})
    try:
        given = _both(folder, layout, windows)
    except TensorError as problem:
        try:
            turned = _both(folder, other, windows)
        except TensorError:
            raise problem from None
        _say_turned(folder, layout, "have the shape of the other axis")
        return turned
    turned = _both_or(folder, other, windows, given)
    share, there = shares_of_answers(given, turned, windows)
    if looks_transposed(share, there):
        _say_turned(folder, layout, f"make an answer in {100 * share:.0f} % of the windows, and in {100 * there:.0f} % "
                    "along the other axis")  # fmt: skip
        return turned
    return given


def _both_or(
    folder: Path, layout: Layout, windows: Windows, given: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """As `_both`, or `given` where the files do not fit (npy files say their shape)."""
    try:
        return _both(folder, layout, windows)
    except TensorError:
        return given


def _both(folder: Path, layout: Layout, windows: Windows) -> tuple[FloatArray, FloatArray]:
    shape = ((2, windows.length), (windows.length, 2))[layout.axis]
    start, end = np.moveaxis(_column(folder, layout.logits, layout, windows, shape), 1 + layout.axis, 0)
    return start, end


def _say_turned(folder: Path, layout: Layout, why: str) -> None:
    warn(f"the logits in {folder} look transposed: they {why}. They are read with axis = {1 - layout.axis} "
        f"instead of {layout.axis}.\n  → Write axis = {1 - layout.axis} into the layout.")  # fmt: skip


def _column(folder: Path, pattern: str, layout: Layout, windows: Windows, shape: tuple[int, ...]) -> FloatArray:
    """Float32 of shape (windows, *shape)."""
    if "{" not in pattern:
        return _read(folder / pattern, layout, (len(windows), *shape))
    parts = _parts(windows)
    rows = [
        _read(folder / pattern.format(**_numbers(row, windows, parts, layout.first)), layout, shape)
        for row in range(len(windows))
    ]
    return np.stack(rows)


def _parts(windows: Windows) -> list[int]:
    """Each window's number within its question; a question's windows follow each other."""
    firsts = dict(zip(*np.unique(windows.question, return_index=True), strict=True))
    return [int(row - firsts[index]) for row, index in enumerate(windows.question)]


def _numbers(row: int, windows: Windows, parts: list[int], first: int) -> dict[str, int]:
    numbers = (row, int(windows.question[row]), parts[row])
    return {name: number + first for name, number in zip(_NUMBERS, numbers, strict=True)}


def _read(file: Path, layout: Layout, shape: tuple[int, ...]) -> FloatArray:
    """One file as float32 of a shape; ones in the file's own shape do not matter."""
    stored = _npy(file) if file.suffix == ".npy" else _raw(file, layout, shape)
    if tuple(size for size in stored.shape if size != 1) != tuple(size for size in shape if size != 1):
        raise TensorError(f"{file} has the shape {stored.shape}, and {shape} is needed.", _HINT)
    real = stored.reshape(shape).astype(np.float32)
    return real if np.issubdtype(stored.dtype, np.floating) else np.float32(layout.scale) * (real + layout.offset)


_HINT = (
    "See `sequence_length`, `axis`, `windows` and `dtype` in the layout, and ask for as many questions (--questions)."
)


def _raw(file: Path, layout: Layout, shape: tuple[int, ...]) -> Array:
    dtype = np.dtype(layout.dtype).newbyteorder("<")
    wanted = int(np.prod(shape)) * dtype.itemsize
    size = require_file(file, "logits").stat().st_size
    if size != wanted:
        raise TensorError(f"{file} has {size} bytes; {shape} of {layout.dtype} needs {wanted}.", _HINT)
    return np.fromfile(file, dtype).reshape(shape)


def _npy(file: Path) -> Array:
    """Mapped, so that a header which promises too much is refused before memory is."""
    try:
        found: Any = np.load(require_file(file, "logits"), mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as problem:
        raise TensorError(f"{file} is not an npy file: {problem}.", "It may be damaged or cut off.") from problem
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise TensorError(f"{file} holds no array of numbers.")
    return found
