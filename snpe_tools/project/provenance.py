"""Provenance: beside each artefact, a JSON that says from what, how and with which versions it was made.

It is also the cache: a step runs again only when that no longer holds.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from snpe_tools._version import __version__
from snpe_tools.core.files import sha256, size_of, write_text

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
    """A step about to run: its name, the files it reads, its settings, the files it writes."""

    step: str
    inputs: Mapping[str, Path]
    settings: Mapping[str, Any]
    outputs: Mapping[str, Path]

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
    return reasons + _differences("version of", known.versions, versions())


def _file_changes(known: Mapping[str, FileRecord], now: Mapping[str, Path]) -> list[str]:
    if set(known) != set(now):
        return ["its files are other ones"]
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


def record(request: Request, seconds: float, notes: Mapping[str, Any] | None = None) -> Provenance:
    """Write the provenance of outputs that were just made."""
    made = Provenance(
        step=request.step,
        inputs={name: _file_record(path) for name, path in request.inputs.items()},
        settings=_plain(request.settings),
        versions=versions(),
        outputs={name: _file_record(path) for name, path in request.outputs.items()},
        notes=dict(notes or {}),
        seconds=round(seconds, 3),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_text(request.file, made.model_dump_json(indent=1) + "\n")
    return made


@contextmanager
def recorded(
    step: str, inputs: Mapping[str, Path], settings: Mapping[str, Any], outputs: Mapping[str, Path]
) -> Iterator[dict[str, Any]]:
    """Write the provenance of a step once its block has succeeded; notes go into the dictionary it yields."""
    started = time.perf_counter()
    notes: dict[str, Any] = {}
    yield notes
    record(Request(step, inputs, settings, outputs), time.perf_counter() - started, notes)


def _file_record(path: Path) -> FileRecord:
    size, modified = _stamp(path)
    return FileRecord(path=str(path.absolute()), bytes=size, modified=modified, sha256=sha256(path))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON will give them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings), default=str))
    return plain


@cache
def versions() -> dict[str, str]:
    """Versions of all that shapes an artefact. Our own carries a hash of its source, so that a `git pull` counts."""
    found = {"snpe-tools": f"{__version__}+{_source_hash()}", "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


_MAKE_NOTHING = {
    "board", "cli", "devices", "execution", "layerwise", "reporting", "scoring", "training", "tuning",
    "bench.py", "choices.py", "compare.py", "compare_layers.py", "distill.py", "doctor.py", "dry_run.py", "explain.py",
    "qat.py", "report.py", "score.py", "score_logits.py", "train.py", "tune.py", "tune_confirm.py", "validation.py",
}  # fmt: skip
"""Modules and packages that print, train or measure: a change there leaves every artefact as it is."""


def _source_hash() -> str:
    """Of the code that makes artefacts."""
    root = Path(__file__).parents[1]
    digest = new_sha256()
    for file in _sources(root):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _sources(root: Path) -> Sequence[Path]:
    return sorted(file for file in root.rglob("*.py") if not _MAKE_NOTHING & set(file.relative_to(root).parts))
