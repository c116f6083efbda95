"""Questions to fixed-size windows of tokens, as the published SQuAD recipe cuts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.errors import CheckpointError, DataError
from snpe_tools.core.files import require_file
from snpe_tools.core.tensor_spec import Array
from snpe_tools.tasks.batch import Batch, IntArray, Rows
from snpe_tools.tasks.question_answering.squad import Question

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

DOC_STRIDE = 128
MAX_QUERY_LENGTH = 64
SHORTEST = 32
_SPECIAL_TOKENS = 3
_TOKENIZE_BATCH = 512


@dataclass(frozen=True)
class Windows(Batch):
    """Tokenized windows, padded to one length.

    Attributes:
        input_ids, attention_mask, token_type_ids: int32, shape (windows, length).
        offsets: int32 (windows, length, 2), each context token's first and last+1 character in its passage, -1
            elsewhere.
        question: int32 (windows,), the index of each window's question.
        questions: the questions.
    """

    input_ids: IntArray
    attention_mask: IntArray
    token_type_ids: IntArray
    offsets: IntArray
    question: IntArray
    questions: tuple[Question, ...]

    @property
    def examples(self) -> tuple[Question, ...]:
        """The questions."""
        return self.questions

    @property
    def owners(self) -> IntArray:
        """The index of each window's question."""
        return self.question

    @property
    def arrays(self) -> Mapping[str, Array]:
        """By input name."""
        return {name: getattr(self, name) for name in ("input_ids", "attention_mask", "token_type_ids")}

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which tokens are no padding."""
        return self.attention_mask > 0

    @property
    def length(self) -> int:
        """Tokens per window."""
        return int(self.input_ids.shape[1])

    def characters(self, row: int, first: int, last: int) -> tuple[int, int]:
        """First and last+1 character, in its passage, of the span between two context tokens of a window."""
        return int(self.offsets[row, first, 0]), int(self.offsets[row, last, 1])

    def text(self, row: int, first: int, last: int) -> str:
        """What stands between two context tokens of a window."""
        start, end = self.characters(row, first, last)
        return self.questions[int(self.question[row])].context[start:end]

    def take(self, rows: Rows) -> Windows:
        """Some of the windows, with all the questions."""
        return Windows(
            input_ids=self.input_ids[rows],
            attention_mask=self.attention_mask[rows],
            token_type_ids=self.token_type_ids[rows],
            offsets=self.offsets[rows],
            question=self.question[rows],
            questions=self.questions,
        )

    def with_examples(self, owners: IntArray, examples: Sequence[Question]) -> Windows:
        """The same windows, said to be of other questions."""
        return replace(self, question=owners, questions=tuple(examples))


def load_tokenizer(path: Path) -> Tokenizer:
    """The fast tokenizer in `path` (a tokenizer.json).

    Raises:
        CheckpointError: the file is not a tokenizer.
    """
    from tokenizers import Tokenizer

    require_file(path, "a tokenizer")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as problem:  # the library raises plain Exception
        raise CheckpointError(f"{path} is not a tokenizer: {problem}.") from problem


def make_windows(
    questions: Sequence[Question],
    tokenizer: Tokenizer,
    length: int = 384,
    stride: int = DOC_STRIDE,
    max_query_length: int = MAX_QUERY_LENGTH,
) -> Windows:
    """Cut each question's passage into windows of `length` tokens that overlap by `stride`.

    A window is `[CLS] question [SEP] part of the passage [SEP]`; questions are cut at `max_query_length`
    tokens, or half a short window.

    Raises:
        DataError: `length` is below 32 and leaves no room for the passage.
    """
    if length < SHORTEST:
        raise DataError(
            f"A sequence length of {length} leaves no room for a question and its passage.",
            f"Use SEQ={SHORTEST} or more.",
        )
    query = min(max_query_length, length // 2)
    overlap = min(stride, (length - query - _SPECIAL_TOKENS) // 2)
    pad = next(
        (tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>") if tokenizer.token_to_id(token) is not None), 0
    )
    return _pack(list(_encode(questions, tokenizer, length, overlap, query)), questions, length, pad)


def _encode(
    questions: Sequence[Question], tokenizer: Tokenizer, length: int, stride: int, query: int
) -> Iterator[tuple[int, Encoding]]:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    asked = [_cut(question.text, tokenizer, query) for question in questions]
    tokenizer.enable_truncation(length, stride=stride, strategy="only_second")
    try:
        for first in range(0, len(questions), _TOKENIZE_BATCH):
            rows = range(first, min(first + _TOKENIZE_BATCH, len(questions)))
            pairs = [(asked[row], questions[row].context) for row in rows]
            for row, encoding in zip(rows, tokenizer.encode_batch(pairs), strict=True):
                yield from ((row, piece) for piece in (encoding, *encoding.overflowing))
    finally:
        tokenizer.no_truncation()


def _cut(text: str, tokenizer: Tokenizer, tokens: int) -> str:
    if len(text) <= tokens:
        return text
    encoding = tokenizer.encode(text, add_special_tokens=False)
    return text if len(encoding) <= tokens else text[: encoding.offsets[tokens - 1][1]]


def _types(piece: Encoding, first: Encoding) -> list[int]:
    """Token types of a window as those of its passage's first one.

    The library gives the passage in further windows the type 1, whatever the tokenizer's template says; RoBERTa and
    XLM-R know one type.
    """
    by_sequence = dict(zip(first.sequence_ids, first.type_ids, strict=True))
    special = (kind for kind, sequence in zip(first.type_ids, first.sequence_ids, strict=True) if sequence is None)
    return [
        next(special, kind) if sequence is None else by_sequence.get(sequence, kind)
        for kind, sequence in zip(piece.type_ids, piece.sequence_ids, strict=True)
    ]


def _pack(pieces: list[tuple[int, Encoding]], questions: Sequence[Question], length: int, pad: int) -> Windows:
    ids = np.full((len(pieces), length), pad, np.int32)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    offsets = np.full((*ids.shape, 2), -1, np.int32)
    first: dict[int, Encoding] = {}
    for row, (question, piece) in enumerate(pieces):
        used = len(piece)
        kinds = _types(piece, first.setdefault(question, piece))
        ids[row, :used], mask[row, :used], types[row, :used] = piece.ids, 1, kinds
        context = np.array([sequence == 1 for sequence in piece.sequence_ids])
        offsets[row, :used][context] = np.array(piece.offsets, np.int32)[context]
    return Windows(ids, mask, types, offsets, np.array([index for index, _ in pieces], np.int32), tuple(questions))
