"""Which files belong on a device: names, sizes and SHA-256, in the format that `sha256sum -c` checks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from snpe_tools.core.errors import InputError, UsageError
from snpe_tools.core.files import sha256

MANIFEST = ".snpe-tools.sha256"
"""The manifest's own file name on a device."""
_LONGEST_NAME, _LONGEST_PATH = 255, 1000
_REFUSED = re.compile(r"[\x00-\x1f\x7f\\]")
_LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)")
_KEY = 32

SHA = """export LC_ALL=C
if command -v sha256sum >/dev/null 2>&1; then SHA=sha256sum
elif toybox sha256sum </dev/null >/dev/null 2>&1; then SHA='toybox sha256sum'
elif busybox sha256sum </dev/null >/dev/null 2>&1; then SHA='busybox sha256sum'
else echo 'sha256sum: not found'; exit 127; fi
"""
"""Shell text that finds a device's tool for SHA-256; then `$SHA` is the command."""


@dataclass(frozen=True)
class Entry:
    """One file: its name on the device, where it comes from, and what it holds."""

    name: str
    source: Path
    size: int
    sha256: str
    executable: bool


@dataclass(frozen=True)
class Manifest:
    """Files of one folder, sorted by name."""

    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def text(self) -> str:
        """What `sha256sum -c` reads."""
        return "".join(f"{entry.sha256}  {entry.name}\n" for entry in self.entries)

    @property
    def digest(self) -> str:
        """SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits that only these names, contents and executable bits have."""
        marked = self.text + "".join(f"{entry.name}\n" for entry in self.entries if entry.executable)
        return hashlib.sha256(marked.encode()).hexdigest()[:_KEY]


def make_manifest(files: Mapping[str, Path]) -> Manifest:
    """The manifest of local files, by their names on the device.

    Raises:
        UsageError: a name that no device should be given.
        InputError: a file that is missing.
    """
    return Manifest(tuple(_entry(name, files[name]) for name in sorted(files)))


def _entry(name: str, source: Path) -> Entry:
    if problem := name_problem(name):
        raise UsageError(f"{name!r} is no name for a file on a device: {problem}.", "Rename it.")
    if not source.is_file():
        raise InputError(f"{source} does not exist, or is no file (it is to be {name} on the device).")
    status = source.stat()
    return Entry(name, source, status.st_size, sha256(source), bool(status.st_mode & 0o100))


def name_problem(name: str) -> str:
    """What is wrong with a relative file name; "" when nothing is."""
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "it leads elsewhere, or has empty parts"
    if _REFUSED.search(name):
        return "it has line breaks, other control characters or a backslash"
    if len(name.encode(errors="replace")) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        return "it is too long"
    return "it is reserved" if parts[0].startswith(".snpe-tools") else ""


def parse_listing(lines: Iterable[str]) -> dict[str, str]:
    """SHA-256 by name, from what `sha256sum` prints; a line that is none is left out, as is a name with a problem."""
    found = (_LINE.fullmatch(line) for line in lines)
    return {match[2]: match[1] for match in found if match and not name_problem(match[2])}
