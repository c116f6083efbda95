"""Training questions: SQuAD documents, or rows of JSON lines that name the source they come from."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import require_file
from snpe_tools.core.progress import say
from snpe_tools.core.validation import validated_json
from snpe_tools.tasks.question_answering.squad import Question, load_questions
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings


class _Row(BaseModel):
    """One line of a JSON-lines file. `answers` are the accepted ones; training takes `answer`."""

    id: str = Field(min_length=1)
    context: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answer: str
    answer_start: int
    title: str = ""
    source: str = ""


@dataclass(frozen=True)
class Corpus:
    """Questions whose first answer stands at its offset, and the source of each."""

    questions: tuple[Question, ...]
    sources: tuple[str, ...]

    def counts(self) -> Counter[str]:
        """Questions by source."""
        return Counter(self.sources)


def load_corpus(path: Path) -> Corpus:
    """Read a SQuAD v1.1 or v2.0 document (.json), or rows (.jsonl, .jsonl.xz).

    Questions whose answer is not in their passage are left out, and counted.

    Raises:
        DataError: neither, or no question is left; a bad row is named by its number.
    """
    require_file(path, "training questions")
    pairs = _rows(path) if ".jsonl" in path.suffixes else [(question, "") for question in load_questions(path)]
    placed = [(_placed(question), source) for question, source in pairs]
    kept = [(question, source) for question, source in placed if question is not None]
    if not kept:
        raise DataError(f"{path} holds no question whose answer stands in its passage.")
    if len(kept) < len(placed):
        say(f"  {len(placed) - len(kept)} of {len(placed)} questions are left out: their answer is not in the passage")
    questions, sources = zip(*kept, strict=True)
    return Corpus(questions, sources)


def _rows(path: Path) -> list[tuple[Question, str]]:
    found = []
    try:
        for number, line in enumerate(_lines(path), 1):
            row = validated_json(_Row, line, f"{path}, line {number}")
            found.append((_question(row, number), row.source))
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} is damaged or cut off: {problem}.") from problem
    return found


def _lines(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as stream:
        yield from (line for line in stream if line.strip())


def _question(row: _Row, number: int) -> Question:
    """Ids of several sources may be equal; the row's number tells them apart."""
    return Question(
        f"{row.id}#{number}", row.question.strip(), row.context, (row.answer,), row.title, (row.answer_start,)
    )


def _placed(question: Question) -> Question | None:
    """The question with its first answer at the right offset; None when the passage does not hold it."""
    if not question.answers:
        return question
    text, start = question.answers[0], question.starts[0]
    if not text.strip():
        return None
    if start < 0 or question.context[start : start + len(text)] != text:
        start = question.context.find(text)
    return None if start < 0 else replace(question, starts=(start, *question.starts[1:]))


def choose(corpus: Corpus, settings: TrainingSettings) -> list[NDArray[np.intp]]:
    """Which questions each pass takes, by their index, over all epochs.

    Raises:
        DataError: a pass asks for a source that the data does not have.
    """
    passes = settings.passes or (dict.fromkeys(corpus.counts(), 1.0),)
    chosen = [_share_of(corpus, wanted, settings) for wanted in passes]
    return [rows for rows in chosen for _ in range(_times(len(rows), settings.questions))] * settings.epochs


def _times(found: int, wanted: int | None) -> int:
    """How often so many questions are gone through, to come to about as many as were wanted."""
    return max(1, round(wanted / found)) if wanted else 1


def _share_of(corpus: Corpus, wanted: Mapping[str, float], settings: TrainingSettings) -> NDArray[np.intp]:
    known = corpus.counts()
    for source in wanted:
        if source not in known:
            names = ", ".join(sorted(name or "(none)" for name in known))
            raise DataError(f"The training data has no source {source!r}.", f"It has: {names}.")
    sources = np.array(corpus.sources)
    parts = []
    for source, share in wanted.items():
        rows = np.random.default_rng(settings.seed).permutation(np.flatnonzero(sources == source))
        parts.append(rows[: max(1, round(share * settings.share * len(rows)))])
    found = np.concatenate(parts)
    if settings.questions is None or len(found) <= settings.questions:
        return found
    return np.random.default_rng(settings.seed).permutation(found)[: settings.questions]
