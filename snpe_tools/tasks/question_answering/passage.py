"""A passage with the spans of two answers marked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from snpe_tools.tasks.question_answering.sheet import AnswerRecord
from snpe_tools.tasks.sheet import Piece

_AROUND = 160


def mark(context: str, wanted: AnswerRecord, got: AnswerRecord) -> list[Piece]:
    """The passage in pieces that each lie wholly in or out of the two answers; what is far from both is cut.

    Args:
        context: the passage.
        wanted, got: the float model's answer, and another.
    """
    spans = [(record.start, record.end) for record in (wanted, got) if record.end]
    if not spans:
        return [Piece(_cut(context, 0, min(len(context), 2 * _AROUND)))]
    first, last = max(0, min(spans)[0] - _AROUND), min(len(context), max(end for _, end in spans) + _AROUND)
    cuts = sorted({first, last, *(place for span in spans for place in span)})
    pieces = [
        Piece(context[start:end], _inside(start, end, wanted), _inside(start, end, got))
        for start, end in pairwise(cuts)
    ]
    return [*_dots(first > 0), *pieces, *_dots(last < len(context))]


def _inside(start: int, end: int, record: AnswerRecord) -> bool:
    return record.start <= start and end <= record.end


def _dots(there: bool) -> Sequence[Piece]:  # noqa: FBT001 - whether something was cut
    return [Piece("…")] if there else []


def _cut(context: str, start: int, end: int) -> str:
    return context[start:end] + ("…" if end < len(context) else "")
