"""Files that appear whole or not at all, and the hashes that identify them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.errors import InputError, RecipeError, StorageError, UsageError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CHUNK = 1 << 20
_AS_THEY_ARE = {str, int, bool, type(None)}
_ATTEMPTS = 100


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place when the block succeeds.

    Raises:
        StorageError: no space, or no permission to write there.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(target)
        try:
            temporary.touch(mode=0o600, exist_ok=False)
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_files(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """A temporary path for each target; they take their places together, when the block succeeds.

    Raises:
        StorageError: no space, or no permission to write there.
    """
    with ExitStack() as stack:
        yield tuple(stack.enter_context(whole_file(target)) for target in targets)


@contextmanager
def whole_folder(target: Path, *, known_by: str = "") -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place, replacing an older one, when the block succeeds.

    Args:
        known_by: a file that the older folder must hold; without it only an empty folder is replaced.

    Raises:
        UsageError: the target holds something else.
        StorageError: no space, or no permission to write there.
    """
    require_replaceable(target, known_by)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(target)
        try:
            temporary.mkdir(mode=0o700)
            yield temporary
            temporary.chmod(0o755)
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A name no one else has. Only a name: what is made under it is made where an interrupt still removes it."""
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")


def require_replaceable(target: Path, known_by: str = "") -> None:
    """Whether `whole_folder` may write here: to be asked before long work.

    Raises:
        UsageError: the target is a file, or a folder that holds something else.
    """
    if target.is_file():
        raise UsageError(f"{target} is a file, and a folder is to be written.", "Choose another folder.")
    # Twice, since another process may be replacing the folder at this moment.
    if not (_replaceable(target, known_by) or _replaceable(target, known_by)):
        raise UsageError(
            f"{target} holds something else, and would be replaced as a whole.", "Choose another folder, or empty it."
        )


def _replaceable(target: Path, known_by: str) -> bool:
    try:
        names = {entry.name for entry in target.iterdir()}
    except FileNotFoundError:
        return True
    return not names or known_by in names


def _swap(new: Path, target: Path) -> None:
    """Rename `new` to `target`. Only empty folders can be renamed over, so an older one is moved aside first.

    Another process may do the same at the same time: then the last one stays.
    """
    for attempt in range(_ATTEMPTS):
        old = new.with_suffix(f".{attempt}.old")
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)
        try:
            new.rename(target)
        except OSError as problem:
            if problem.errno not in {errno.ENOTEMPTY, errno.EEXIST} or attempt == _ATTEMPTS - 1:
                with contextlib.suppress(OSError):
                    old.rename(target)
                raise
        else:
            return
        finally:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """No space and no permission, told as a `StorageError` about `target`."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _NO_SPACE:
            raise StorageError(
                f"No space left while writing {target}.", "Free some space; nothing half-written was kept."
            ) from problem
        if isinstance(problem, PermissionError):
            raise StorageError(f"No permission to write {target}.", "Choose another folder.") from problem
        raise


@contextmanager
def scratch_folder(needed: int) -> Iterator[Path]:
    """A temporary folder with at least `needed` free bytes, for libraries that do not tell a full disk from a failure.

    Raises:
        StorageError: less is free.
    """
    with tempfile.TemporaryDirectory(prefix="snpe-tools.") as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise StorageError(
                f"{folder.parent} has {free >> 20} MiB free, and {needed >> 20} MiB are needed for temporary files.",
                "Free some space, or set TMPDIR to another folder.",
            )
        yield folder


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, whole or not at all."""
    with whole_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, document: object) -> None:
    """Write a JSON document, whole or not at all; see `plain`."""
    write_text(target, json.dumps(plain(document), indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:  # noqa: ANN401 - any dataclass or JSON value
    """A value as JSON can hold it: paths and types as strings, NumPy numbers as numbers, NaN and infinity as null."""
    kind = type(value)
    if kind in _AS_THEY_ARE or (kind is float and math.isfinite(value)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Path | np.dtype):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        RecipeError: it is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{file} is not TOML: {problem}.") from problem


def cache_folder() -> Path:
    """Where what was fetched or agreed on stays between runs: on Linux below `XDG_CACHE_HOME`, or `~/.cache`."""
    import platformdirs

    return platformdirs.user_cache_path("snpe-tools", appauthor=False)


def require_file(path: Path, what: str) -> Path:
    """`path`, once it is known to be a readable file that is not empty.

    Raises:
        InputError: it is missing, a folder, empty or unreadable; the message names `what` it should be.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; a file was expected ({what}).")
    if not path.is_file():
        raise InputError(f"{path} does not exist ({what}).")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read ({what}).", "Check its permissions.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty ({what}).")
    return path


def check_target(target: Path, *sources: Path) -> None:
    """Refuse a file to write that cannot be one, before long work.

    Raises:
        UsageError: it is a folder, or one of the files that are read.
    """
    if target.is_dir() or not target.name:
        raise UsageError(f"{target} is a folder; name the file to write.", f"Such as -o {target / 'model.dlc'}.")
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise UsageError(f"{target} is read and would be replaced by what is made of it.", "Choose another name.")


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of all files below a folder."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return path.stat().st_size
