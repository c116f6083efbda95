"""Many small files as one stream: tar archives, written as they are sent, and read with suspicion.

Format: POSIX ustar with GNU's long names, which GNU tar, busybox and toybox all read.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.devices.manifest import Entry, name_problem
from snpe_tools.errors import InputError
from snpe_tools.progress import Advance, unwatched

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 17
_PER_MEMBER = 4 * _BLOCK
_ENDING = 1 << 16
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


class ArchiveError(Exception):
    """An archive that is not what was asked for; the message is a sentence."""


@dataclass(frozen=True)
class Expected:
    """A file that a device says it has."""

    size: int
    sha256: str


def largest(expected: Mapping[str, Expected]) -> int:
    """Bytes that an archive of these files may have at most."""
    return sum(one.size + _PER_MEMBER + _BLOCK + 2 * len(name) for name, one in expected.items()) + _ENDING


def unpack(archive: Path, expected: Mapping[str, Expected], target: Path) -> None:
    """Write the archive's files below `target`: exactly the expected ones, byte for byte.

    Raises:
        ArchiveError: anything else is in it (links, devices, other names or sizes), or something is missing.
    """
    missing = set(expected)
    try:
        with tarfile.open(archive, "r:") as members:
            for member in members:
                if not member.isdir():
                    missing.discard(_extract(members, member, expected, target))
    except (tarfile.TarError, EOFError) as problem:
        raise ArchiveError(f"The device sent a damaged archive: {problem}.") from problem
    if missing:
        raise ArchiveError(f"{len(missing)} files did not arrive, {min(missing)!r} for one.")


def _extract(members: tarfile.TarFile, member: tarfile.TarInfo, expected: Mapping[str, Expected], target: Path) -> str:
    name = member.name.removeprefix("./")
    wanted = expected.get(name)
    if wanted is None or name_problem(name) or not member.isreg() or member.size != wanted.size:
        raise ArchiveError(f"The device sent {member.name[:200]!r}, which was not asked for.")
    stream = members.extractfile(member)
    content = stream.read() if stream else b""
    if hashlib.sha256(content).hexdigest() != wanted.sha256:
        raise ArchiveError(f"{name!r} arrived damaged: its SHA-256 is not the one on the device.")
    file = target / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return name
