"""A passage with the spans of two answers marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from snpe_tools.scoring.answers_file import Given

_AROUND = 160


@dataclass(frozen=True)
class Piece:
    """A part of a passage, and whether it is in the float model's answer and in the other's."""

    text: str
    in_float: bool = False
    in_other: bool = False


def mark(context: str, wanted: Given, got: Given) -> list[Piece]:
    """The passage in pieces that each lie wholly in or out of the two answers; what is far from both is cut.

    Args:
        context: the passage.
        wanted, got: the float model's answer, and another.
    """
    spans = [(given.start, given.end) for given in (wanted, got) if given.end]
    if not spans:
        return [Piece(_cut(context, 0, min(len(context), 2 * _AROUND)))]
    first, last = max(0, min(spans)[0] - _AROUND), min(len(context), max(end for _, end in spans) + _AROUND)
    cuts = sorted({first, last, *(place for span in spans for place in span)})
    pieces = [
        Piece(context[start:end], _inside(start, end, wanted), _inside(start, end, got))
        for start, end in pairwise(cuts)
    ]
    return [*_dots(first > 0), *pieces, *_dots(last < len(context))]


def _inside(start: int, end: int, given: Given) -> bool:
    return given.start <= start and end <= given.end


def _dots(there: bool) -> Sequence[Piece]:  # noqa: FBT001 - whether something was cut
    return [Piece("…")] if there else []


def _cut(context: str, start: int, end: int) -> str:
    return context[start:end] + ("…" if end < len(context) else "")
