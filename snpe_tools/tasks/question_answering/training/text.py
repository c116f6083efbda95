"""Unlabelled text: read from files and archives without unpacking them, and packed into windows without padding."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import DataError, InputError
from snpe_tools.core.files import require_file
from snpe_tools.tasks.batch import IntArray
from snpe_tools.tasks.question_answering.features import Windows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SUFFIX = ".txt"
_ARCHIVES = (".tar", ".tar.xz", ".tar.gz", ".tar.bz2", ".tgz", ".txz")
_LARGEST = 1 << 30
"""Bytes of text in all; a small archive may unpack to any size."""
_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, UnicodeDecodeError)


def read_texts(path: Path) -> list[str]:
    """The texts of a .txt file, of those below a folder, or of those in a tar archive, in the order of their names.

    An archive is read as a stream: nothing is unpacked, and links and special files in it are passed over.

    Raises:
        InputError: the file is missing or empty, or of another kind.
        DataError: damaged, not UTF-8, more than 1 GiB, or no text in it.
    """
    try:
        texts = dict(_limited(_found(path), path))
    except (*_DAMAGE, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        raise DataError(f"{path} is damaged, cut off or not UTF-8 text: {problem}.") from problem
    if not any(text.strip() for text in texts.values()):
        raise DataError(f"{path} holds no text.", f"Text is read from files named *{_SUFFIX}.")
    return [texts[name] for name in sorted(texts)]


def _found(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and open streams."""
    if path.is_dir():
        for file in sorted(path.rglob(f"*{_SUFFIX}")):
            with file.open("rb") as stream:
                yield file.relative_to(path).as_posix(), stream
        return
    require_file(path, "text to learn from")
    if path.suffix == _SUFFIX:
        with path.open("rb") as stream:
            yield path.name, stream
    elif path.name.endswith(_ARCHIVES):
        yield from _members(path)
    else:
        raise InputError(f"{path} is no text.", f"Pass a {_SUFFIX} file, a folder of them, or a tar archive.")


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if not member.isreg() or member.issparse() or not member.name.endswith(_SUFFIX):
                continue
            stream = archive.extractfile(member)
            if stream is not None:
                yield member.name, stream


def _limited(found: Iterable[tuple[str, IO[bytes]]], path: Path) -> Iterator[tuple[str, str]]:
    left = _LARGEST
    for name, stream in found:
        content = stream.read(left + 1)
        left -= len(content)
        if left < 0:
            raise DataError(f"{path} holds more than {_LARGEST >> 20} MiB of text.", "Pass a part of it.")
        yield name, content.decode("utf-8")


def text_windows(texts: Iterable[str], tokenizer: Tokenizer, length: int, share: float = 1.0) -> Windows:
    """Windows of exactly `length` tokens, `[CLS] text [SEP]`; what is left at the end of a text is dropped.

    Args:
        share: of the windows to keep, spread evenly.

    Raises:
        DataError: the text does not fill one window.
    """
    tokenizer.no_padding()
    tokenizer.no_truncation()
    first, last = tokenizer.encode("").ids
    pieces = np.concatenate([_pieces(text, tokenizer, length - 2) for text in texts])
    if not len(pieces):
        raise DataError(f"The text is shorter than one window of {length} tokens.", "Pass more text.")
    kept = pieces[np.linspace(0, len(pieces) - 1, max(1, round(share * len(pieces)))).astype(int)]
    return _unlabelled(
        np.pad(np.pad(kept, ((0, 0), (1, 0)), constant_values=first), ((0, 0), (0, 1)), constant_values=last)
    )


def _pieces(text: str, tokenizer: Tokenizer, room: int) -> IntArray:
    """All tokens of a text, int32 (pieces, room)."""
    lines = tokenizer.encode_batch(text.splitlines(), add_special_tokens=False)
    ids = np.concatenate([np.zeros(0, np.int32), *(np.array(line.ids, np.int32) for line in lines)])
    return ids[: len(ids) // room * room].reshape(-1, room)


def _unlabelled(ids: IntArray) -> Windows:
    nothing = np.full((*ids.shape, 2), -1, np.int32)
    return Windows(ids, np.ones_like(ids), np.zeros_like(ids), nothing, np.full(len(ids), -1, np.int32), ())


def joined(text: Windows, asked: Windows) -> Windows:
    """Windows of text and of questions as one set, without their questions."""
    length = max(text.length, asked.length)
    parts = [
        [np.pad(getattr(part, name), ((0, 0), (0, length - part.length))) for part in (text, asked)]
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    ids, mask, types = (np.concatenate(pair) for pair in parts)
    return replace(_unlabelled(ids), attention_mask=mask, token_type_ids=types)
