"""Provenance: beside each artefact, a JSON that says from what, how and with which versions it was made.

It is also the cache: a step runs again only when that no longer holds.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from snpe_tools._version import __version__
from snpe_tools.core.errors import DataError
from snpe_tools.core.files import sha256, size_of, write_text
from snpe_tools.project.code import code_hash

_PACKAGES = (
    "onnx",
    "onnxsim",
    "onnxruntime",
    "onnxruntime-qnn",
    "optimum-onnx",
    "transformers",
    "torch",
    "aimet-onnx",
    "numpy",
)


class FileRecord(BaseModel):
    """One file or folder: where, how big, which content. `modified` (ns) spares hashing it again when unchanged."""

    path: str
    bytes: int
    modified: int
    sha256: str


class Provenance(BaseModel):
    """How one artefact was made."""

    step: str
    inputs: dict[str, FileRecord]
    settings: dict[str, Any]
    versions: dict[str, str]
    outputs: dict[str, FileRecord]
    notes: dict[str, Any] = {}
    seconds: float
    created: str


@dataclass(frozen=True)
class Request:
    """A step about to run: its name, the files it reads, its settings, the files it writes.

    Attributes:
        code: modules that make the outputs, beside those that the step imports: a task's, such as
            `tasks.question_answering.features`.
    """

    step: str
    inputs: Mapping[str, Path]
    settings: Mapping[str, Any]
    outputs: Mapping[str, Path]
    code: Sequence[str] = ()

    @property
    def file(self) -> Path:
        """Where the provenance of these outputs is kept: beside the first of them."""
        first = next(iter(self.outputs.values()))
        return first.with_name(f"{first.name}.provenance.json")


def read(request: Request) -> Provenance | None:
    """What is known of the outputs; None when nothing is, or nothing readable."""
    try:
        return Provenance.model_validate_json(request.file.read_bytes())
    except (OSError, ValidationError):
        return None


def changes(request: Request) -> list[str]:
    """Why the step must run, in words; empty when its outputs are up to date."""
    known = read(request)
    if known is None:
        return [
            "was never made" if not all(path.exists() for path in request.outputs.values()) else "has no provenance"
        ]
    reasons = [] if known.step == request.step else [f"the one that is there was made by another step: {known.step}"]
    reasons += _file_changes(known.inputs, request.inputs) + _file_changes(known.outputs, request.outputs)
    reasons += _differences("setting", known.settings, _plain(request.settings))
    return reasons + _differences("version of", known.versions, versions(request.step, request.code))


def _file_changes(known: Mapping[str, FileRecord], now: Mapping[str, Path]) -> list[str]:
    if set(known) != set(now):
        return ["the list of its files changed"]
    return [f"{now[name].name} changed" for name, record in known.items() if not _same(record, now[name])]


def _same(record: FileRecord, path: Path) -> bool:
    if not path.exists():
        return False
    if str(path.absolute()) == record.path and _stamp(path) == (record.bytes, record.modified):
        return True
    return sha256(path) == record.sha256


def _stamp(path: Path) -> tuple[int, int]:
    """Bytes and newest modification time (ns) of a file, or of all files below a folder."""
    if path.is_dir():
        newest = max((entry.stat().st_mtime_ns for entry in path.rglob("*")), default=path.stat().st_mtime_ns)
        return size_of(path), newest
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _differences(what: str, known: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [f"{what} {key} changed" for key in sorted({*known, *now}) if known.get(key) != now.get(key)]


def recorded(
    step: str, inputs: Mapping[str, Path], settings: Mapping[str, Any], outputs: Mapping[str, Path]
) -> AbstractContextManager[dict[str, Any]]:
    """`record`, for a command that was not asked by a build."""
    return record(Request(step, inputs, settings, outputs))


@contextmanager
def record(request: Request) -> Iterator[dict[str, Any]]:
    """Write the provenance of a step once its block has succeeded; notes go into the dictionary it yields.

    Inputs are hashed before the block reads them, and looked at again after it.

    Raises:
        DataError: an input changed meanwhile, so that nobody knows what the outputs were made from.
    """
    started = time.perf_counter()
    there = {name: path for name, path in request.inputs.items() if path.exists()}  # the block says what it misses
    before = {name: (_marks(path), _file_record(path)) for name, path in there.items()}
    notes: dict[str, Any] = {}
    yield notes
    for name, (marks, known) in before.items():
        _check_unchanged(request, request.inputs[name], marks, known)
    made = Provenance(
        step=request.step,
        inputs={name: known for name, (_, known) in before.items()},
        settings=_plain(request.settings),
        versions=versions(request.step, request.code),
        outputs={name: _file_record(path) for name, path in request.outputs.items()},
        notes=notes,
        seconds=round(time.perf_counter() - started, 3),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_text(request.file, made.model_dump_json(indent=1) + "\n")


def _marks(path: Path) -> list[tuple[str, int, int, int, int]]:
    """What changes when a file is written to or replaced: inode, bytes, and both times (ns), of each file."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(file), file.stat()) for file in files if file.is_file()]
    return [(name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats]


def _check_unchanged(request: Request, path: Path, marks: object, known: FileRecord) -> None:
    if path.exists() and (_marks(path) == marks or sha256(path) == known.sha256):
        return
    raise DataError(
        f"{path} changed while {request.step} was reading it; {request.file.name} was not written.",
        "Run the same command again once the file is complete.",
    )


def _file_record(path: Path) -> FileRecord:
    size, modified = _stamp(path)
    return FileRecord(path=str(path.absolute()), bytes=size, modified=modified, sha256=sha256(path))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON will give them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings), default=str))
    return plain


def versions(step: str, code: Sequence[str] = ()) -> dict[str, str]:
    """Versions of all that shapes a step's artefact. Our own carries a hash of the step's code: a `git pull` counts.

    Args:
        code: modules that make the artefact beside those that the step imports; see `code.code_hash`.
    """
    return {"snpe-tools": f"{__version__}+{code_hash(step, tuple(code))}", **_installed()}


@cache
def _installed() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found
