"""SQuAD v1.1 and v2.0 documents: reading, checking, fetching; calibration must never see the evaluation."""

from __future__ import annotations

import codecs
import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from snpe_tools.core.errors import DataError, SetupError
from snpe_tools.core.files import cache_folder, require_file, whole_file
from snpe_tools.core.validation import validated_json

SHIPPED_QUESTIONS = Path(__file__).parent / "data" / "questions.json"
SHIPPED_CALIBRATION = Path(__file__).parent / "data" / "calibration.json"
SHIPPED_PRACTICE = Path(__file__).parent / "data" / "practice.json"
"""To search and to train with; 417 of the 420 fit into a window of 192 tokens."""

_DEV_URL = "https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v1.1.json"
_DEV_MD5 = "3e85deb501d4e538b6bc56f786231552"
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Question:
    """One question with its passage and accepted answers; no answers means unanswerable (SQuAD v2.0).

    `starts` are the first characters of the answers in the passage, as the document says. `v2`: some question of the
    document is unanswerable, so all of them are scored by the rules of v2.0.
    """

    id: str
    text: str
    context: str
    answers: tuple[str, ...]
    title: str = ""
    starts: tuple[int, ...] = ()
    v2: bool = False


class _Answer(BaseModel):
    text: str
    answer_start: int = 0


class _Question(BaseModel):
    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answers: list[_Answer] = []
    is_impossible: bool = False


class _Paragraph(BaseModel):
    context: str = Field(min_length=1)
    qas: list[_Question]


class _Article(BaseModel):
    title: str = ""
    paragraphs: list[_Paragraph]


class _Document(BaseModel):
    version: str = ""
    data: list[_Article]

    @property
    def has_unanswerable(self) -> bool:
        """Whether this is SQuAD v2.0 in substance, whatever it calls itself."""
        items = (item for article in self.data for paragraph in article.paragraphs for item in paragraph.qas)
        return any(item.is_impossible or not item.answers for item in items)


def load_questions(path: Path) -> list[Question]:
    """The questions of a SQuAD v1.1 or v2.0 JSON document, in its order.

    Raises:
        DataError: not such a document (the place is named), no questions, or an id that appears twice.
    """
    require_file(path, "SQuAD JSON")
    document = validated_json(
        _Document,
        path.read_bytes().removeprefix(codecs.BOM_UTF8),
        f"{path} is not a SQuAD document",
        "See the format in raw_inputs/README.md.",
    )
    v2 = document.has_unanswerable
    questions = [
        Question(item.id, item.question.strip(), paragraph.context, _texts(item), article.title, _starts(item), v2)
        for article in document.data
        for paragraph in article.paragraphs
        for item in paragraph.qas
    ]
    _check(questions, path)
    return questions


def _texts(item: _Question) -> tuple[str, ...]:
    return () if item.is_impossible else tuple(answer.text for answer in item.answers)


def _starts(item: _Question) -> tuple[int, ...]:
    return () if item.is_impossible else tuple(answer.answer_start for answer in item.answers)


def _check(questions: Sequence[Question], path: Path) -> None:
    if not questions:
        raise DataError(f"{path} holds no questions.")
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise DataError(f"{path}: the question id {question.id!r} appears twice.")
        seen.add(question.id)


def check_disjoint(
    evaluation: Iterable[Question],
    calibration: Iterable[Question],
    *,
    what: str = "calibration",
    hint: str = "Calibrate on training data: CALIBRATION=file.json (--calibration).",
) -> None:
    """Refuse calibration or training passages that are also evaluated: the scores would flatter the model.

    Raises:
        DataError: a passage is in both sets (white space and case aside).
    """
    known = {_fingerprint(question.context) for question in evaluation}
    shared = [question for question in calibration if _fingerprint(question.context) in known]
    if shared:
        raise DataError(
            f"{len(shared)} {what} questions use passages that are also evaluated; the first is {shared[0].id!r}: "
            f'"{shared[0].context[:60]}…".',
            hint,
        )


def _fingerprint(context: str) -> str:
    return " ".join(context.casefold().split())


def evaluation_file(data: str) -> Path:
    """The file that `DATA` names: "" is the shipped questions, "squad" the SQuAD v1.1 development set, else a path.

    Raises:
        SetupError: "squad", and the network cannot be reached.
    """
    if not data:
        return SHIPPED_QUESTIONS
    return _fetch_dev_set() if data == "squad" else Path(data)


def _fetch_dev_set() -> Path:
    target = cache_folder() / "squad-v1.1-dev.json"
    if not target.is_file():
        content = _download(_DEV_URL)
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != _DEV_MD5:
            raise DataError(
                f"{_DEV_URL} did not send the SQuAD v1.1 development set.", "Try again, or pass DATA=file.json."
            )
        with whole_file(target) as temporary:
            temporary.write_bytes(content)
    return target


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - a constant https URL
            content: bytes = response.read()
    except (urllib.error.URLError, TimeoutError, OSError) as problem:
        reason = getattr(problem, "reason", problem)
        raise SetupError(
            f"DATA=squad needs the network, and {url} cannot be reached: {reason}.",
            "Download the file elsewhere and pass DATA=dev-v1.1.json, or leave DATA out for the shipped questions.",
        ) from problem
    return content
