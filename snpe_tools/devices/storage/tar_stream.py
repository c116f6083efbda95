"""Many small files as one stream: a tar archive, written as it is sent.

Format: POSIX ustar with GNU's long names, which GNU tar, busybox and toybox all read.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping

from snpe_tools.core.errors import InputError
from snpe_tools.core.progress import Advance, unwatched
from snpe_tools.devices.storage.manifest import Entry

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 17
_TIME = 1_600_000_000
"""Seconds: tar warns of files from 1970."""


def pack(entries: Iterable[Entry], texts: Mapping[str, str], advance: Advance = unwatched) -> Iterator[bytes]:
    """A tar archive of small texts and local files, in pieces of about 128 KiB.

    Args:
        advance: told the bytes of file contents that were taken.

    Raises:
        InputError: a file that is no longer what it was when it was hashed.
    """
    pending = bytearray()
    for name, text in texts.items():
        pending += _member(name, text.encode(), executable=False)
    for entry in entries:
        pending += _member(entry.name, _content(entry), executable=entry.executable)
        advance(entry.size)
        if len(pending) >= _CHUNK:
            yield bytes(pending)
            pending.clear()
    yield bytes(pending) + bytes(2 * _BLOCK)


def _content(entry: Entry) -> bytes:
    content = entry.source.read_bytes()
    if len(content) != entry.size:
        raise InputError(f"{entry.source} changed while it was sent.", "Run it again when nothing writes to it.")
    return content


def _member(name: str, content: bytes, *, executable: bool) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    header.mode = 0o755 if executable else 0o644
    header.mtime = _TIME
    padding = bytes(-len(content) % _BLOCK)
    return header.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict") + content + padding
