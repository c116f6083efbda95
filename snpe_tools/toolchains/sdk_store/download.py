"""A whole file from a server, in pieces where it grants them; what arrived stays for the next attempt."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from snpe_tools.core.errors import SetupError
from snpe_tools.core.files import storage_errors, write_json
from snpe_tools.core.progress import Advance
from snpe_tools.toolchains.sdk_store.remote import BrokenConnectionError, Remote, persist, read_some

_CHUNK = 1 << 18


def download(remote: Remote, target: Path, advance: Advance) -> None:
    """Fetch a file to `target`; a part from an earlier call is continued when it is of the same file.

    Args:
        advance: told of every byte, of those that were there already as well.

    Raises:
        SetupError: the server gave up, or sent fewer or more bytes than it announced.
        StorageError: no space.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part, mark = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.json")
        told = {"url": remote.url, **asdict(remote.identity)}
        if not (remote.ranges and part.exists() and _mark(mark) == told):
            part.write_bytes(b"")
            write_json(mark, told)
        advance(part.stat().st_size)
        while not _complete(remote, part):
            _piece(remote, part, advance)
        part.replace(target)
        mark.unlink(missing_ok=True)


def _mark(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _complete(remote: Remote, part: Path) -> bool:
    have, size = part.stat().st_size, remote.identity.size
    if size is not None and have > size:
        part.unlink()
        raise SetupError(f"{remote.url} sent {have} bytes and announced {size}.", "Try again; nothing of it was kept.")
    return have > 0 and have == (have if size is None else size)


def _piece(remote: Remote, part: Path, advance: Advance) -> None:
    """As much as comes over one connection. Without ranges each begins at the first byte."""
    come = 0

    def counted(count: int) -> None:
        nonlocal come
        come += count
        advance(count)

    def attempt() -> None:
        try:
            _receive(remote, part, counted)
        except BrokenConnectionError:
            if not (remote.ranges and come):
                raise

    persist(attempt, remote.patience, remote.url, resumes=remote.ranges)


def _receive(remote: Remote, part: Path, come: Callable[[int], None]) -> None:
    start = part.stat().st_size if remote.ranges else 0
    with contextlib.closing(remote.open(start)) as response, part.open("ab") as sink:
        come(start - sink.tell() if not remote.ranges else 0)
        sink.truncate(start)
        while data := read_some(response, _CHUNK):
            sink.write(data)
            come(len(data))
    if remote.identity.size is not None and part.stat().st_size < remote.identity.size:
        raise BrokenConnectionError("the server ended the connection too early")
