"""The SDK's archive: a zip from elsewhere, whose names, sizes and checksums are checked before anything is written.

Format: PKWARE's APPNOTE; reading and decompressing are the standard library's.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from snpe_tools.core.errors import SetupError
from snpe_tools.core.printing import printable
from snpe_tools.core.progress import Advance

_LARGEST_DIRECTORY = 1 << 26
_LARGEST_FILE = 1 << 32
_MOST_FILES = 200_000
_EXPANSION = 40
"""An archive that grows more than this is no SDK."""
_LONGEST_NAME, _LOCAL_HEAD, _CHUNK = 500, 30, 1 << 18
_ROOT = re.compile(r"((?:[^/]+/){0,4})(?:sdk\.yaml|bin/envsetup\.sh)")
_REFUSED = "Nothing was written. Fetch from Qualcomm's own address; if that is what you did, report it."
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, ValueError)


@dataclass(frozen=True)
class Member:
    """A file in the archive.

    Attributes:
        size, crc: of its content.
        start, end: the bytes of the archive that hold it.
        executable: whether the archive says so; what is below bin/ is in any case.
    """

    info: zipfile.ZipInfo
    size: int
    crc: int
    start: int
    end: int
    executable: bool


@dataclass(frozen=True)
class Archive:
    """An opened archive.

    Attributes:
        members: files by their paths below the SDK's own folder.
        digest: SHA-256 of the directory: the names, sizes and checksums of all members.
    """

    file: zipfile.ZipFile
    name: str
    members: dict[str, Member]
    digest: str


class _Guarded(io.BufferedReader):
    """Refuses to load a directory that is larger than any SDK's."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGEST_DIRECTORY:
            raise ValueError(f"its directory claims {size} bytes")
        return super().read(size)


@contextmanager
def open_archive(stream: io.RawIOBase, name: str, size: int) -> Iterator[Archive]:
    """An archive whose every name and size was found harmless.

    Args:
        stream: seekable; closed at the end.
        name: for messages.
        size: of the archive, in bytes.

    Raises:
        SetupError: it is no zip, is damaged, or would write where it must not.
    """
    with _Guarded(stream, _CHUNK) as guarded:
        try:
            opened = zipfile.ZipFile(guarded)
        except _DAMAGE as problem:
            raise SetupError(f"{name} is not a readable zip archive: {problem}.", _REFUSED) from problem
        with opened:
            members = _members(opened, name, size)
            yield Archive(opened, name, _below_root(members, name), _digest(opened))


def extract(archive: Archive, path: str, target: Path, advance: Advance) -> None:
    """Write one member, its size and CRC-32 checked, with the permissions of a program or of a plain file.

    Raises:
        SetupError: its content is not what the directory says.
    """
    member = archive.members[path]
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        with archive.file.open(member.info) as source, part.open("wb") as sink:
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                advance(len(chunk))
    except _DAMAGE as problem:
        raise SetupError(f"{archive.name}: {path} is damaged: {problem}.", _REFUSED) from problem
    if part.stat().st_size != member.size:
        raise SetupError(
            f"{archive.name}: {path} has {part.stat().st_size} bytes; the directory says {member.size}.", _REFUSED
        )
    part.chmod(0o755 if member.executable or path.startswith("bin/") else 0o644)
    part.replace(target)


def matches(file: Path, member: Member) -> bool:
    """Whether a file on this machine is a member already."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size != member.size:
        return False
    crc = 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc == member.crc


def _members(opened: zipfile.ZipFile, name: str, size: int) -> dict[str, Member]:
    """All files, in the order in which they lie in the archive; overlapping ones, links and strange names refused."""
    infos = sorted(opened.infolist(), key=lambda info: info.header_offset)
    if len(infos) > _MOST_FILES:
        raise SetupError(f"{name} has {len(infos)} members.", _REFUSED)
    if sum(info.file_size for info in infos) > _EXPANSION * size:
        raise SetupError(f"{name} would unpack to more than {_EXPANSION} times its size.", _REFUSED)
    ends = [*(info.header_offset for info in infos[1:]), opened.start_dir]
    found: dict[str, Member] = {}
    for info, end in zip(infos, ends, strict=True):
        path = _checked(info, name)
        if info.header_offset + _LOCAL_HEAD + info.compress_size > end:
            raise SetupError(f"{name}: {path} overlaps the member behind it.", _REFUSED)
        if path in found:
            raise SetupError(f"{name} has two members {path}.", _REFUSED)
        if not info.is_dir():
            executable = bool(info.external_attr >> 16 & 0o111)
            found[path] = Member(info, info.file_size, info.CRC, info.header_offset, end, executable)
    return found


def _checked(info: zipfile.ZipInfo, name: str) -> str:
    """A member's path, once it is known to lie below the folder that it is unpacked into."""
    path, shown = info.orig_filename, printable(info.orig_filename)[:120]
    parts = PurePosixPath(path).parts
    strange = (
        not parts or path.startswith("/") or "\\" in path or "\0" in path or ".." in parts or "//" in path
        or "." in path.split("/") or len(path) > _LONGEST_NAME or not path.isprintable() or ":" in parts[0]
    )  # fmt: skip
    if strange:
        raise SetupError(f"{name} has a member that would be written elsewhere: {shown!r}.", _REFUSED)
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise SetupError(f"{name}: {shown} is a link or a special file.", _REFUSED)
    if info.file_size > _LARGEST_FILE:
        raise SetupError(f"{name}: {shown} claims {info.file_size} bytes.", _REFUSED)
    return path.rstrip("/")


def _below_root(members: dict[str, Member], name: str) -> dict[str, Member]:
    """Members by their paths below the SDK's folder, such as `qairt/2.51.0.260929/`; others are left out."""
    roots = {match[1] for path in members if (match := _ROOT.fullmatch(path))}
    if not roots:
        raise SetupError(f"{name} is not an SDK: it has no sdk.yaml and no bin/envsetup.sh.", _REFUSED)
    root = min(roots, key=lambda text: (text.count("/"), text))
    below = {path.removeprefix(root): member for path, member in members.items() if path.startswith(root)}
    folders = {str(parent) for path in below for parent in PurePosixPath(path).parents}
    if clash := folders & below.keys():
        raise SetupError(f"{name}: {min(clash)} is a file and a folder.", _REFUSED)
    return below


def _digest(opened: zipfile.ZipFile) -> str:
    digest = hashlib.sha256()
    for info in sorted(opened.infolist(), key=lambda one: one.orig_filename):
        row = f"{info.orig_filename}\0{info.file_size}\0{info.CRC}\0{info.compress_size}\n"
        digest.update(row.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
